"""The operator's process: puts the parts together, runs them until it is told to stop or one of them ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from kubernetes.client import ApiClient

from mfa_operator import __version__
from mfa_operator.api.objects import PolicyRef
from mfa_operator.aws.sessions import Sessions
from mfa_operator.clock import utc_moment
from mfa_operator.config.access_file import AccessFile
from mfa_operator.config.settings import Address, Settings, SettingsError
from mfa_operator.kube import election
from mfa_operator.kube.cluster import Cluster
from mfa_operator.kube.connection import ConnectionSettingsError, connect
from mfa_operator.kube.errors import ClusterError
from mfa_operator.kube.lease import Lease
from mfa_operator.metrics.exporter import Metrics
from mfa_operator.passes.auditor import Auditor
from mfa_operator.passes.reconciler import Reconciler
from mfa_operator.process import logs
from mfa_operator.process.health import HealthServer
from mfa_operator.process.leader_loop import Ended, Leading, first
from mfa_operator.process.listen import display, listen, local_address
from mfa_operator.process.watch import WatchContact
from mfa_operator.remediation.remediator import OperatorRemediator
from mfa_operator.scheduling.lease_guard import LeaseGuard
from mfa_operator.scheduling.scheduler import PassRunner, Scheduler

logger = logging.getLogger(__name__)

STOP_SECONDS = 4.7
"""After the order to stop, whatever still hangs is cut off: the process promises to end within 5 s."""
LOSS_SECONDS = 2.0
"""The same after leadership is lost: 2 s of the 5 s that the Lease lives longer than the leader believes in it."""
RELEASE_SECONDS = 0.5
"""For giving the Lease back; where it takes longer, the Lease runs out by itself."""
WATCHDOG_SECONDS = 0.5
"""Between two looks whether the Lease is still ours for certain."""


def build_reconciler(
    settings: Settings,
    cluster: Cluster,
    metrics: Metrics,
    access: AccessFile,
    stopping: threading.Event,
    *,
    guard: LeaseGuard,
) -> PassRunner:
    """What audits the policies.

    `guard`: whether this replica still leads; asked, like `stopping`, before every single action, and before every
    request that changes something.
    """
    width, depth = settings.audit.max_concurrent_accounts, settings.audit.max_concurrent_users
    sessions = Sessions(
        stopping=stopping, count_request=metrics.count_aws_request, connections=width * depth, guard=guard
    )
    auditor = Auditor(sessions, max_concurrent_users=depth)
    return Reconciler(
        cluster=cluster,
        auditor=auditor,
        metrics=metrics,
        access=access.current,
        remediator=OperatorRemediator(
            cluster=cluster,
            auditor=auditor,
            metrics=metrics,
            access=access.current,
            leading=guard.leading,
            namespaces=settings.cluster.namespaces,
            command_prefix=settings.events.command_prefix,
        ),
        max_concurrent_accounts=width,
        interval_override=settings.audit.interval_override,
        user_violation_info=settings.audit.user_violation_info,
        events=settings.events,
    )


def end_process(status: int) -> NoReturn:
    """End at once.

    A thread in a blocking call to AWS cannot be cancelled, and an orderly exit of the interpreter would wait for it.
    Nothing is lost: what was intended stands in a report, and what was not written the next start does again.
    """
    logs.flush()
    os._exit(status)


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the process answers HTTP."""

    metrics: Address
    health: Address


class Operator:
    """One operator, to be run once."""

    def __init__(
        self,
        settings: Settings,
        *,
        reconciler: Callable[..., PassRunner] = build_reconciler,
        listening: Callable[[Listening], None] = lambda _: None,
        last_resort: Callable[[int], object] | None = None,
    ) -> None:
        """Take the settings, and who is to be told.

        `listening` is called in the thread of run() once the process answers HTTP: ports may be the system's choice.
        `last_resort` is called with the exit status, in a thread, when run() has not returned in time after an order to
        stop; the command line ends the process there.
        """
        self.abandoned: list[PolicyRef] = []
        """Policies whose pass run() gave up on; their threads still run."""
        self._settings = settings
        self._build_reconciler = reconciler
        self._announce = listening
        self._last_resort = last_resort
        self._timer: threading.Timer | None = None
        self._stop = asyncio.Event()
        self._stopping = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scheduler: Scheduler | None = None
        self._leadership: election.Leadership | None = None
        self._contact = WatchContact()
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="mfa-call")

    def run(self) -> int:
        """Run until stop() or, in the main thread, a signal. Returns the exit status: 0, or 1 where a part ended.

        Raises SettingsError where the operator cannot start as it is told to.
        """
        try:
            return asyncio.run(self._run())
        finally:
            if self._timer:
                self._timer.cancel()

    def stop(self) -> None:
        """Make run() return within 5 s. May be called from any thread, at any time."""
        self._order_to_stop(0, STOP_SECONDS)
        self._in_loop(self._stop.set)

    def _order_to_stop(self, status: int, seconds: float) -> None:
        # First of all, so that no pass begins another action.
        self._stopping.set()
        if self._last_resort and not self._timer:
            self._timer = threading.Timer(seconds, self._last_resort, [status])
            self._timer.daemon = True
            self._timer.start()

    def _in_loop(self, call: Callable[[], object]) -> None:
        # A loop that is closed by now has nothing left to be told.
        with contextlib.suppress(RuntimeError):
            if self._loop:
                self._loop.call_soon_threadsafe(call)

    async def _run(self) -> int:
        self._loop = asyncio.get_running_loop()
        settings = self._settings
        access = AccessFile(settings.access.file, remediation=settings.access.remediation)
        try:
            kubeconfig = settings.cluster.kubeconfig
            api, where = connect(str(kubeconfig) if kubeconfig else None, settings.cluster.context)
        except ConnectionSettingsError as error:
            raise SettingsError(str(error)) from error
        metrics = Metrics(
            version=__version__,
            user_violation_info=settings.audit.user_violation_info,
            settings_up=lambda: not access.problem,
        )
        health = HealthServer(healthy=self._healthy, ready=self._ready)
        with self._serve_metrics(metrics) as metrics_address:
            try:
                with _binding("health", settings.servers.health):
                    health_socket = listen(settings.servers.health)
                listening = Listening(metrics_address, local_address(health_socket))
                await health.start(health_socket)
                self._handle_signals()
                logger.info("mfa-operator %s for %s", __version__, where)
                logger.info("metrics on %s, health on %s", display(listening.metrics), display(listening.health))
                self._announce(listening)
                return await self._lead(api, metrics, access)
            finally:
                await health.close()
                self._pool.shutdown(wait=False, cancel_futures=True)

    async def _lead(self, api: ApiClient, metrics: Metrics, access: AccessFile) -> int:
        """Wait to be the leader, work as the leader, and end; returns the exit status."""
        identity = election.new_identity()
        lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Marks the exception as seen: a stop may come first, and giving the Lease back ends the election like a loss.
        lost.add_done_callback(asyncio.Future.exception)
        watchdog: asyncio.Task[None] | None = None
        try:
            if self._stopping.is_set() or not await self._elected(api, identity, lost):
                return 0
            metrics.set_leader(True)
            watchdog = asyncio.create_task(self._watch_lease(lost))
            await self._work(api, identity, metrics, access, lost)
        except (Ended, ClusterError) as error:
            logger.error("%s; ending, so that a new process takes over", error)  # noqa: TRY400 - it says it all
            return 1
        finally:
            self._stopping.set()
            metrics.set_leader(False)
            if watchdog is not None:
                watchdog.cancel()
            await self._release(lost)
            logger.info("stopped")
        return 0

    async def _elected(self, api: ApiClient, identity: str, lost: asyncio.Future[None]) -> bool:
        """Wait for the Lease; False: told to stop before. Raises Ended."""
        if not self._settings.leader.elect:
            return True
        acquired: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        find_namespace = partial(election.lease_namespace, api, self._settings.cluster)
        namespace = await first(self._stop, asyncio.get_running_loop().run_in_executor(self._pool, find_namespace))
        if namespace is None:
            return False
        self._leadership = election.Leadership(
            Lease(api, namespace, identity, self._settings.leader),
            self._settings.leader,
            acquired=lambda: self._in_loop(partial(_resolve, acquired)),
            ended=lambda error: self._lose(lost, str(error or "the Lease could not be renewed in time")),
        )
        logger.info("waiting to lead by the Lease %s as %s", self._leadership.lease, identity)
        self._leadership.start()
        await first(self._stop, acquired, lost)
        if self._stop.is_set():
            return False
        logger.info("leading")
        return True

    async def _work(
        self, api: ApiClient, identity: str, metrics: Metrics, access: AccessFile, lost: asyncio.Future[None]
    ) -> None:
        settings = self._settings
        guard = LeaseGuard(self._leading)
        cluster = Cluster(
            api,
            reporting_instance=identity,
            stopping=self._stopping,
            check_before_write=guard.check_still_leading,
        )
        runner = self._build_reconciler(settings, cluster, metrics, access, self._stopping, guard=guard)
        self._scheduler = Scheduler(
            runner,
            clock=utc_moment,
            settings=settings.scheduler,
            stopping=self._stopping,
            interval_override=settings.audit.interval_override,
            show_queue=metrics.set_queue,
        )
        work = Leading(
            api,
            cluster,
            self._scheduler,
            settings.cluster,
            self._pool,
            watching=self._handle_signals,
            contact=self._contact,
        )
        try:
            await work.run(self._stop, lost)
        finally:
            self.abandoned = self._scheduler.in_flight

    async def _watch_lease(self, lost: asyncio.Future[None]) -> None:
        while self._leading():  # noqa: ASYNC110 - what ends it is time
            await asyncio.sleep(WATCHDOG_SECONDS)
        self._lose(lost, "the Lease was not renewed in time")

    def _lose(self, lost: asyncio.Future[None], why: str) -> None:
        """Leadership is over; called from any thread."""
        self._order_to_stop(1, LOSS_SECONDS)
        self._in_loop(partial(_resolve, lost, Ended(f"leadership is lost: {why}")))

    async def _release(self, lost: asyncio.Future[None]) -> None:
        if self._leadership and not self.abandoned and not lost.done():
            # With a pass still running the Lease had better run out by itself: two must not act at once.
            release = asyncio.get_running_loop().run_in_executor(self._pool, self._leadership.lease.release)
            await asyncio.wait([release], timeout=RELEASE_SECONDS)

    def _leading(self) -> bool:
        return not self._settings.leader.elect or (self._leadership is not None and self._leadership.holds)

    def _healthy(self) -> bool:
        return self._scheduler is None or self._scheduler.healthy

    def _ready(self) -> bool:
        # A replica that waits its turn is as it should be; were it not ready, no rollout would ever be complete.
        return self._scheduler is None or (self._scheduler.ready and self._contact.holds)

    def _handle_signals(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, self.stop)

    @contextlib.contextmanager
    def _serve_metrics(self, metrics: Metrics) -> Iterator[Address]:
        """Serve them, on the address that is given to the block."""
        with _binding("metrics", self._settings.servers.metrics):
            listening = listen(self._settings.servers.metrics)
        server = metrics.serve(listening)
        try:
            yield local_address(listening)
        finally:
            server.close()


def _resolve(future: asyncio.Future[None], error: Exception | None = None) -> None:
    if future.done():
        return
    if error:
        future.set_exception(error)
    else:
        future.set_result(None)


@contextlib.contextmanager
def _binding(what: str, address: Address) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # The system's own words: Python puts the address into its message once more.
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise SettingsError(f"cannot listen on {display(address)} for {what}: {why.lower()}") from error
