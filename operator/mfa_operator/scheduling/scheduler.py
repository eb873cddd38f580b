"""Runs passes when they are due: wake-ups, bounded concurrency, heartbeat, an end in order.

Everything here happens in one asyncio loop, save the passes: they run in threads of their own.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from mfa_operator.api.conversion import InvalidObject
from mfa_operator.api.objects import Body, PolicyRef
from mfa_operator.config.settings import SchedulerSettings
from mfa_operator.kube.errors import ClusterError
from mfa_operator.scheduling.due import PassAbandoned, PassEnd
from mfa_operator.scheduling.entries import Job
from mfa_operator.scheduling.hints import Done, TargetedPassFailed, Unseen
from mfa_operator.scheduling.pass_runner import PassRunner
from mfa_operator.scheduling.queue import PolicyQueue
from mfa_operator.scheduling.threads import run_in
from mfa_operator.scheduling.turns import EXTRA

logger = logging.getLogger(__name__)

HEARTBEAT_LIMIT = 30.0
"""Seconds without a turn of the loop after which it counts as stuck: six turns missed."""
DEFAULTS = SchedulerSettings()
TARGETED_PASSES = 2
"""Targeted passes at a time, beside the passes: no flood of hints keeps a pass from beginning."""


class Scheduler:
    """Runs each policy's passes when they are due.

    Every method is to be called in the loop, save the constructor and list_changed.
    """

    def __init__(
        self,
        runner: PassRunner,
        *,
        clock: Callable[[], datetime],
        settings: SchedulerSettings = DEFAULTS,
        stopping: threading.Event | None = None,
        interval_override: timedelta | None = None,
        chance: random.Random | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        show_queue: Callable[[int, datetime | None], None] = lambda *_: None,
        selects: Callable[[Body], bool] = lambda _: True,
        lease: str = "",
    ) -> None:
        """Take what runs passes, and how. `monotonic` gives seconds that nobody sets back.

        `show_queue` is called at every turn with how many times so far a policy was found without a scheduled pass, and
        with when the pass was due that has waited longest to begin.

        `stopping` is set when the process stops, so that passes in flight can give up. `interval_override` replaces
        every spec.interval. `selects` tells whether a policy is ours to serve, by its metadata alone; `lease` is ours.
        """
        self.stopping = stopping or threading.Event()
        self.grace = settings.grace
        self._runner = runner
        self._clock = clock
        self._show_queue = show_queue
        self._settings = settings
        self._monotonic = monotonic
        self._queue = PolicyQueue(
            runner.forget,
            clock=clock,
            interval_override=interval_override,
            chance=chance,
            monotonic=monotonic,
            selects=selects,
            lease=lease,
        )
        self._flights: dict[asyncio.Future[PassEnd | None], Job] = {}
        self._targeted: dict[asyncio.Future[Unseen], Job] = {}
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._beat = monotonic()
        self._listed = False

    @property
    def heartbeat(self) -> float:
        """Seconds since the loop last turned."""
        return self._monotonic() - self._beat

    @property
    def healthy(self) -> bool:
        """Whether the loop turns. AWS or the cluster being away does not change it."""
        return self.heartbeat < HEARTBEAT_LIMIT

    @property
    def ready(self) -> bool:
        """Whether the policies were listed and the loop turns."""
        return self._listed and self.healthy

    @property
    def in_flight(self) -> list[PolicyRef]:
        """Policies whose pass is running; after run() has ended, those it gave up on."""
        return [job.ref for job in (*self._flights.values(), *self._targeted.values())]

    @property
    def _free(self) -> int:
        return self._settings.max_concurrent_passes - len(self._flights)

    @property
    def taken_up(self) -> bool:
        """Whether the policies were listed, and it is known of each which accounts it covers."""
        return self._listed and self._queue.taken_up

    def known(self) -> dict[PolicyRef, str]:
        """The policies known now, with their uids: to be taken before a list is read, for `listed`."""
        return self._queue.known()

    def listed(self, bodies: Iterable[Body], known: Mapping[PolicyRef, str]) -> None:
        """Take in a complete list of the policies: what was `known` before it and is not in it is gone.

        Of policies in `known` metadata suffices.
        """
        self._queue.listed(bodies, known)
        self._listed = True
        self._wake.set()

    def notice(self, event_type: str | None, body: Body) -> None:
        """Take in a watch event or a listed object (None); our own status writes change nothing."""
        self._queue.notice(event_type, body)
        self._wake.set()

    def hint(self, account_id: str, users: frozenset[str], done: Done) -> None:
        """Have the account audited soon in every policy that covers it; nothing that users are named in costs more.

        `done` is called in the loop, once, with whether what was found is published. Users as the hint has them: empty
        where it is about the account.
        """
        refs = self._runner.covering(account_id)
        self._queue.hint(refs, account_id, users, done)
        for ref in refs:
            # Sooner than the targeted pass, which waits for the end of a pass that runs.
            self._runner.hurry_account(ref, account_id, users, self._clock())
        self._wake.set()

    def list_changed(self, ref: PolicyRef) -> None:
        """The accounts of a policy are known that it waited for: its next pass begins now. From any thread."""
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._accounts_discovered, ref)

    def _accounts_discovered(self, ref: PolicyRef) -> None:
        self._queue.accounts_discovered(ref)
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Run passes until `stop` is set; then wait for those in flight, no longer than the grace, and return."""
        self._loop = asyncio.get_running_loop()
        stopper = asyncio.create_task(stop.wait())
        stopper.add_done_callback(lambda _: self._wake.set())
        pool = ThreadPoolExecutor(
            self._settings.max_concurrent_passes + EXTRA + TARGETED_PASSES, thread_name_prefix="mfa-pass"
        )
        try:
            while not stop.is_set():
                self._wake.clear()
                self._beat = self._monotonic()
                self._start(pool)
                self._show_queue(self._queue.overlooked, self._queue.oldest_due())
                await self._sleep()
            self.stopping.set()
            flights: list[asyncio.Future[Any]] = [*self._flights, *self._targeted]
            if flights:
                logger.info("stopping; waiting for the passes of %s", ", ".join(map(str, self.in_flight)))
                await asyncio.wait(flights, timeout=self.grace.total_seconds())
            if self.in_flight:
                logger.warning("not waiting any longer for the passes of %s", ", ".join(map(str, self.in_flight)))
        finally:
            self.stopping.set()
            stopper.cancel()
            pool.shutdown(wait=False, cancel_futures=True)

    def _start(self, pool: ThreadPoolExecutor) -> None:
        for job in self._queue.take(self._free):
            flight = asyncio.wrap_future(run_in(pool, partial(self._work, job)))
            self._flights[flight] = job
            flight.add_done_callback(self._finished)
        for job in self._queue.take_targeted(TARGETED_PASSES - len(self._targeted)):
            targeted = asyncio.wrap_future(run_in(pool, partial(self._run_targeted, job)))
            self._targeted[targeted] = job
            targeted.add_done_callback(self._targeted_finished)

    def _run_targeted(self, job: Job) -> Unseen:
        """In a thread: audit the accounts that hints put in doubt."""
        if job.targeted is None or self.stopping.is_set():
            raise PassAbandoned("the operator stops")
        accounts = ", ".join(sorted(job.targeted.doubts))
        logger.info("targeted pass over %s begins: events in %s", job.ref, accounts, extra={"policy": str(job.ref)})
        return self._runner.run_accounts(job.ref, job.targeted.doubts)

    def _targeted_finished(self, flight: asyncio.Future[Unseen]) -> None:
        """In the loop: take in what was seen, or that nothing was: the hint comes again, and the interval stays."""
        job = self._targeted.pop(flight)
        error = PassAbandoned() if flight.cancelled() else flight.exception()
        if isinstance(error, TargetedPassFailed):
            # What went wrong was logged and published account by account.
            self._queue.targeted_ended(job, error.unseen, failed=error.accounts)
        else:
            self._queue.targeted_ended(job, None if error else flight.result())
        if error and not isinstance(error, PassAbandoned | TargetedPassFailed):
            log = logger.warning if isinstance(error, ClusterError) else partial(logger.error, exc_info=error)
            what = str(error) or type(error).__name__
            log("targeted pass over %s failed: %s", job.ref, what, extra={"policy": str(job.ref)})
        self._wake.set()

    def _work(self, job: Job) -> PassEnd | None:
        """In a thread: do the job."""
        if job.restore and job.due is None:
            # A pass takes up by itself what it finds.
            self._restore(job.ref, job.restore)
        if job.due is None or self.stopping.is_set():
            return None
        cause = str(job.due.cause)
        logger.info("pass over %s begins: %s", job.ref, cause, extra={"policy": str(job.ref), "cause": cause})
        return self._runner.run_pass(job.ref, fresh=job.due.fresh, cause=cause)

    def _restore(self, ref: PolicyRef, body: Body) -> None:
        try:
            self._runner.restore(body)
        except Exception as error:  # metrics of the past must not cost the pass that renews them
            expected = isinstance(error, ClusterError | InvalidObject)
            logger.warning("metrics of %s cannot be restored: %s", ref, error, exc_info=None if expected else error)

    def _finished(self, flight: asyncio.Future[PassEnd | None]) -> None:
        """In the loop: take in how a job ended. Whatever a pass raises, the loop and other policies go on."""
        job = self._flights.pop(flight)
        # Cancelled: the process stops, and the pass had not begun.
        error = PassAbandoned() if flight.cancelled() else flight.exception()
        if error is None:
            self._queue.ended(job, flight.result())
        else:
            failures, delay = self._queue.failed(job, error)
            if not isinstance(error, PassAbandoned):
                # The cluster being away is no fault of this code; anything else is, and needs its traceback.
                log = logger.warning if isinstance(error, ClusterError) else partial(logger.error, exc_info=error)
                what = str(error) or type(error).__name__
                message = "pass over %s failed, %d in a row: %s; again in %.0f s"
                log(message, job.ref, failures, what, delay.total_seconds(), extra={"policy": str(job.ref)})
        self._wake.set()

    async def _sleep(self) -> None:
        """Until something is noticed, a job ends or the next pass is due; never longer than a turn."""
        seconds = self._settings.turn.total_seconds()
        if (due_in := self._queue.seconds_until_next(self._free)) is not None:
            seconds = min(seconds, due_in)
        if len(self._targeted) < TARGETED_PASSES and (targeted_in := self._queue.seconds_until_targeted()) is not None:
            seconds = min(seconds, targeted_in)
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
