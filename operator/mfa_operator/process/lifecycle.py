"""What starts and stops the operator's process: it runs until it is asked to stop, loses the Lease, or a part ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from kubernetes.client import ApiClient

from mfa_operator import __version__
from mfa_operator.api.objects import PolicyRef
from mfa_operator.aws.event_queue import queue_region
from mfa_operator.config.access_file import AccessFile
from mfa_operator.config.settings import Address, Settings, SettingsError
from mfa_operator.kube.busy_threads import Hurry
from mfa_operator.kube.connection import ConnectionSettingsError, connect
from mfa_operator.kube.errors import ClusterError
from mfa_operator.kube.lease import Lease, lease_namespace, new_identity
from mfa_operator.metrics.exporter import Metrics
from mfa_operator.process.ending import LastResort, StopSignals
from mfa_operator.process.health import HealthServer
from mfa_operator.process.leader import Leader, PartEnded, first_to_end
from mfa_operator.process.listen import display, listen_for, local_address
from mfa_operator.process.reconciling import build_reconciler
from mfa_operator.scheduling.pass_runner import PassRunner

logger = logging.getLogger(__name__)

STOP_SECONDS = 4.5
"""After stop(), whatever still hangs is cut off: the process promises to end within 5 s."""
LOSS_SECONDS = 2.0
"""The same after leadership is lost: 2 s of the 5 s that the Lease lives longer than the leader believes in it."""
RELEASE_SECONDS = 0.5
"""For giving the Lease back; where it takes longer, the Lease runs out by itself."""
WATCHDOG_SECONDS = 0.5
"""How often the leader checks that the Lease is still certainly its own."""


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
        """Take the settings, and whom to notify.

        `listening` is called in the thread of run() once the process answers HTTP: ports may be the system's choice.
        `last_resort` is called with the exit status, in a thread, when run() has not returned in time after stop() or
        the loss of leadership; the command line ends the process there.
        """
        self.abandoned: list[PolicyRef] = []
        """Policies whose pass run() gave up on; their threads still run."""
        self._settings = settings
        self._build_reconciler = reconciler
        self._announce = listening
        self._last_resort = LastResort(last_resort or (lambda _: None))
        self._signals = StopSignals(self.stop)
        self._hurry = Hurry()
        """Once the process is to end: what ends it takes dozens of steps."""
        self._stop = asyncio.Event()
        self._stopping = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lease: Lease | None = None
        self._leader: Leader | None = None
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="mfa-call")

    def run(self) -> int:
        """Run until stop() or, in the main thread, a signal. Returns the exit status: 0, or 1 where a part ended.

        Raises SettingsError where the operator cannot start with its settings.
        """
        self._last_resort.start()
        self._signals.start()
        try:
            return asyncio.run(self._run())
        finally:
            self._hurry.end()
            self._last_resort.call_off()
            self._signals.close()

    def stop(self) -> None:
        """Make run() return within 5 s. May be called from any thread, at any time."""
        self._begin_no_more(0, STOP_SECONDS)
        self._hurry.begin()
        self._in_loop(self._stop.set)

    def _begin_no_more(self, status: int, seconds: float) -> None:
        """Let no pass begin another action; after so many seconds call the last resort with the exit status."""
        self._last_resort.in_seconds(seconds, status)
        self._stopping.set()

    def _in_loop(self, call: Callable[[], object]) -> None:
        # A loop that is closed by now has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            if self._loop:
                self._loop.call_soon_threadsafe(call)

    async def _run(self) -> int:
        self._loop = asyncio.get_running_loop()
        settings = self._settings
        access = AccessFile(settings.access.file, remediation=settings.access.remediation)
        if settings.queue.url:
            # Raises SettingsError now, and not once this replica leads.
            queue_region(settings.queue.url)
        try:
            kubeconfig = settings.cluster.kubeconfig
            api, where = connect(str(kubeconfig) if kubeconfig else None, settings.cluster.context)
        except ConnectionSettingsError as error:
            raise SettingsError(str(error)) from error
        metrics = Metrics(
            version=__version__,
            user_violation_info=settings.audit.user_violation_info,
            per_account_limit=settings.audit.metrics_per_account_limit,
            settings_up=lambda: not access.problem,
        )
        health = HealthServer(
            healthy=lambda: self._leader is None or self._leader.healthy,
            # A replica that waits its turn is as it should be; were it not ready, no rollout would ever be complete.
            ready=lambda: self._leader is None or self._leader.ready,
        )
        with self._serve_metrics(metrics) as metrics_address:
            try:
                health_socket = listen_for("health", settings.servers.health)
                listening = Listening(metrics_address, local_address(health_socket))
                await health.start(health_socket)
                self._signals.handle()
                logger.info("mfa-operator %s for %s", __version__, where)
                logger.info("metrics on %s, health on %s", display(listening.metrics), display(listening.health))
                self._announce(listening)
                return await self._lead(api, metrics, access)
            finally:
                await health.close()
                self._pool.shutdown(wait=False, cancel_futures=True)

    async def _lead(self, api: ApiClient, metrics: Metrics, access: AccessFile) -> int:
        """Wait to be the leader, work as the leader, and end; returns the exit status."""
        identity = new_identity()
        lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        watchdog: asyncio.Task[None] | None = None
        try:
            if self._stopping.is_set() or not await self._elected(api, identity, lost):
                return 0
            metrics.set_leader(True)
            watchdog = asyncio.create_task(self._watch_lease(lost))
            self._leader = Leader(
                self._settings,
                api,
                identity,
                metrics,
                access,
                stopping=self._stopping,
                leading=self._leading,
                build_reconciler=self._build_reconciler,
                pool=self._pool,
                watch_started=self._signals.handle,
                lease=str(self._lease) if self._lease else "",
            )
            await self._leader.run(self._stop, lost)
        except (PartEnded, ClusterError) as error:
            logger.error("%s; ending, so that another process takes over", error)  # noqa: TRY400 - it says it all
            return 1
        finally:
            self._stopping.set()
            metrics.set_leader(False)
            if watchdog is not None:
                watchdog.cancel()
            self.abandoned = self._leader.in_flight if self._leader is not None else []
            await self._release(lost)
            logger.info("stopped")
        return 0

    async def _elected(self, api: ApiClient, identity: str, lost: asyncio.Future[None]) -> bool:
        """Wait for the Lease; False: stopped before. Raises what `lost` raises."""
        if not self._settings.leader.elect:
            return True
        acquired: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        find_namespace = partial(lease_namespace, api, self._settings.cluster)
        namespace = await first_to_end(
            self._stop, asyncio.get_running_loop().run_in_executor(self._pool, find_namespace)
        )
        if namespace is None:
            return False
        self._lease = Lease(api, namespace, identity, self._settings.leader)
        if selector := str(self._settings.cluster.selector):
            logger.info("serving the policies whose labels match %s", selector)
        logger.info("waiting to lead by the Lease %s as %s", self._lease, identity)
        self._lease.stand_for_election(
            acquired=lambda: self._in_loop(partial(_resolve, acquired)),
            ended=lambda error: self._lose(lost, str(error or "the Lease could not be renewed in time")),
        )
        await first_to_end(self._stop, acquired, lost)
        if self._stop.is_set():
            return False
        logger.info("leading")
        return True

    async def _watch_lease(self, lost: asyncio.Future[None]) -> None:
        while self._leading():  # noqa: ASYNC110 - what ends it is time
            await asyncio.sleep(WATCHDOG_SECONDS)
        self._lose(lost, "the Lease was not renewed in time")

    def _lose(self, lost: asyncio.Future[None], why: str) -> None:
        """Leadership is over; called from any thread."""
        self._begin_no_more(1, LOSS_SECONDS)
        self._in_loop(partial(_resolve, lost, PartEnded(f"leadership lost: {why}")))

    async def _release(self, lost: asyncio.Future[None]) -> None:
        if self._lease and not self.abandoned and not lost.done():
            # With a pass still running the Lease had better run out by itself: two must not act at once.
            release = asyncio.get_running_loop().run_in_executor(self._pool, self._lease.release)
            await asyncio.wait([release], timeout=RELEASE_SECONDS)

    def _leading(self) -> bool:
        return not self._settings.leader.elect or (self._lease is not None and self._lease.holds)

    @contextlib.contextmanager
    def _serve_metrics(self, metrics: Metrics) -> Iterator[Address]:
        """Serve them, on the address that is given to the block."""
        listening = listen_for("metrics", self._settings.servers.metrics)
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
