"""What the leader does: list the policies, watch them and have them audited, until it stops or a part of it ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from datetime import timedelta
from functools import partial
from typing import Any, NoReturn

import kopf

# Private, though spawn_tasks takes one: nothing else tells whether kopf watches anything. The only such import; a test
# says so where a release of kopf has moved it.
from kopf._cogs.structs.references import Insights
from kubernetes.client import ApiClient

from mfa_operator.api.objects import Body, PolicyRef, policy_ref
from mfa_operator.api.status import ServedBy
from mfa_operator.aws.event_queue import EventQueue
from mfa_operator.clock import utc_moment
from mfa_operator.config.access_file import AccessFile
from mfa_operator.config.settings import Settings
from mfa_operator.iam_events.receiver import Receiver
from mfa_operator.kube.claims import Claims
from mfa_operator.kube.cluster import Cluster
from mfa_operator.kube.discovery import wait_until_listed
from mfa_operator.kube.errors import ClusterError, ObjectGone
from mfa_operator.metrics.exporter import Metrics
from mfa_operator.process import watch
from mfa_operator.process.event_hints import SchedulerHints
from mfa_operator.scheduling.lease_guard import LeaseGuard
from mfa_operator.scheduling.pass_runner import PassRunner
from mfa_operator.scheduling.scheduler import Scheduler

logger = logging.getLogger(__name__)

TAKEN_UP_SECONDS = 60.0
"""Longest that the events queue waits for the first passes after a start."""
KOPF_STOP_SECONDS = 0.5
"""kopf waits up to 5 s for tasks that may be anybody's; a watch leaves nothing behind that is worth it."""


class PartEnded(Exception):
    """A part of the operator ended that should not have; the message says which and why."""


async def first_to_end(stop: asyncio.Event, *awaitables: Awaitable[Any]) -> Any:  # noqa: ANN401 - whatever they give
    """The result of what ends first, or the exception it raises; None where `stop` was set before.

    What fails after that was cut off by the end, and asyncio does not log it.
    """
    stopped = asyncio.ensure_future(stop.wait())
    futures = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    for future in futures:
        future.add_done_callback(_mark_as_seen)
    try:
        done, _ = await asyncio.wait([*futures, stopped], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
    ended = next((future for future in futures if future in done), None)
    return ended.result() if ended else None


def _mark_as_seen(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


class Leader:
    """The work of one leader, in one loop."""

    def __init__(
        self,
        settings: Settings,
        api: ApiClient,
        identity: str,
        metrics: Metrics,
        access: AccessFile,
        *,
        stopping: threading.Event,
        leading: Callable[[], bool],
        build_reconciler: Callable[..., PassRunner],
        pool: Executor,
        watch_started: Callable[[], None],
        lease: str = "",
    ) -> None:
        """Put the parts together.

        `stopping` is set once nothing more may be begun, and `leading` tells whether the Lease is certainly ours.
        `pool` runs the lists; `watch_started` is called once kopf has started, which takes the signals for itself.
        `lease`: namespace and name of our Lease; empty: nobody else can run, and no policy is claimed.
        """
        claims = None
        self._selects: Callable[[Body], bool] = lambda _: True
        if lease:
            mine = ServedBy(lease=lease, holder=identity)
            seconds = settings.leader.lease.total_seconds()
            claims = Claims(api, mine, settings.cluster.selector, lease_seconds=seconds)
            self._selects = claims.selects
        guard = LeaseGuard(leading)
        self._api = api
        self._settings = settings.cluster
        self._cluster = Cluster(
            api,
            reporting_instance=identity,
            stopping=stopping,
            check_before_write=guard.check_still_leading,
            served_by=claims.mine if claims else None,
        )
        self._runner = build_reconciler(
            settings,
            self._cluster,
            metrics,
            access,
            stopping,
            guard=guard,
            list_changed=self._list_changed,
            claims=claims,
        )
        self._scheduler = Scheduler(
            self._runner,
            clock=utc_moment,
            settings=settings.scheduler,
            stopping=stopping,
            interval_override=settings.audit.interval_override,
            show_queue=metrics.set_queue,
            selects=self._selects,
            lease=lease,
        )
        self._events: EventQueue | None = None
        if settings.queue.url:
            self._events = EventQueue(
                settings.queue.url,
                check_before_request=guard.check_still_leading,
                count_request=metrics.count_aws_request,
            )
        self._receiver: Receiver | None = None
        self._event_metrics = metrics.events
        self._stopping = stopping
        self._may_go_on = lambda: leading() and not stopping.is_set()
        self._pool = pool
        self._watch_started = watch_started
        self._contact = watch.WatchContact()
        self._insights = Insights()

    def _list_changed(self, ref: PolicyRef) -> None:
        self._scheduler.list_changed(ref)

    @property
    def healthy(self) -> bool:
        return self._scheduler.healthy

    @property
    def ready(self) -> bool:
        """Whether policies were listed and the watch is connected."""
        return self._scheduler.ready and self._contact.holds

    @property
    def in_flight(self) -> list[PolicyRef]:
        """Policies whose pass still runs; after run(), those that it gave up on."""
        return self._scheduler.in_flight

    async def run(self, stop: asyncio.Event, lost: asyncio.Future[None]) -> None:
        """Work until `stop` is set.

        Raises what `lost` raises, PartEnded, and ClusterError where the policies cannot be listed.
        """
        passes = asyncio.create_task(self._scheduler.run(stop))
        watching: list[asyncio.Task[None]] = []
        # These end only by being cancelled; the watch ends with `stop`.
        endless: list[asyncio.Task[None]] = []
        try:
            listed = await first_to_end(stop, lost, passes, self._list())
            if listed:
                watching = [asyncio.create_task(self._watch(stop))]
                endless = [
                    asyncio.create_task(self._resync()),
                    asyncio.create_task(self._check_that_kopf_watches()),
                    asyncio.create_task(self._receive_events()),
                ]
                await first_to_end(stop, lost, passes, *watching, *endless)
        except ObjectGone as error:
            # kopf would wait for the definition without a word.
            raise PartEnded(
                f"the cluster has no MfaPolicy CRD; apply the CRDs of mfa-operator first ({error})"
            ) from error
        finally:
            if lost.done():
                # Another replica may act at any moment: passes are not waited for.
                self._scheduler.grace = timedelta(0)
            if self._receiver:
                self._receiver.stop()
            stop.set()
            await asyncio.wait([passes])
            for task in endless:
                task.cancel()
            if watching:
                await asyncio.wait([*watching, *endless], timeout=KOPF_STOP_SECONDS)
        # A scheduler that failed has not stopped in order.
        passes.result()

    async def _receive_events(self) -> NoReturn:
        """Read the queue once it is known what policies cover: what comes in before would be about nobody."""
        if self._events is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TAKEN_UP_SECONDS):
                    while not self._scheduler.taken_up:  # noqa: ASYNC110 - jobs end in many places
                        await asyncio.sleep(0.1)
            hints = SchedulerHints(self._scheduler, self._runner)
            self._receiver = Receiver(self._events, hints, self._event_metrics, may_go_on=self._may_go_on)
            self._receiver.start()
        await asyncio.Event().wait()
        raise AssertionError("unreachable: nobody sets the event")

    async def _watch(self, stop: asyncio.Event) -> None:
        registry = kopf.OperatorRegistry()
        watch.register(registry, self._scheduler, self._api, self._contact)
        try:
            await first_to_end(
                stop,
                asyncio.get_running_loop().run_in_executor(self._pool, wait_until_listed, self._api, self._stopping),
            )
            before = asyncio.all_tasks()
            tasks = await kopf.spawn_tasks(
                registry=registry,
                settings=watch.watcher_settings(self._settings),
                standalone=True,
                clusterwide=not self._settings.namespaces,
                namespaces=self._settings.namespaces,
                stop_flag=stop,
                insights=self._insights,
            )
            self._watch_started()
            await kopf.run_tasks(tasks, ignored=before)
        except Exception as error:
            if stop.is_set():
                logger.debug("the watch of %s failed while it ended: %s", watch.PLURAL, watch.explain(error))
                return
            raise PartEnded(f"the watch of {watch.PLURAL} ended: {watch.explain(error)}") from error
        if not stop.is_set():
            raise PartEnded(f"the watch of {watch.PLURAL} ended")

    async def _check_that_kopf_watches(self) -> NoReturn:
        """Raise PartEnded where kopf found nothing to watch: the API server that it asked may lag behind ours."""
        await self._insights.ready_resources.wait()
        if not self._insights.watched_resources:
            raise PartEnded(f"kopf does not find {watch.PLURAL} among what the API server serves")
        await asyncio.Event().wait()
        raise AssertionError("unreachable: nobody sets the event")

    async def _list(self) -> bool:
        known = self._scheduler.known()
        read = partial(_read_policies, self._cluster, self._settings.namespaces, known, self._selects)
        self._scheduler.listed(await asyncio.get_running_loop().run_in_executor(self._pool, read), known)
        return True

    async def _resync(self) -> NoReturn:
        while True:
            # Jitter, as the operators of many clusters may have been rolled out together.
            await asyncio.sleep(self._settings.resync.total_seconds() * random.uniform(0.9, 1.1))  # noqa: S311 - no secret
            try:
                await self._list()
            except ClusterError as error:
                logger.warning("the policies could not be listed again; trying again later: %s", error)


def _read_policies(
    cluster: Cluster, namespaces: Sequence[str], known: Mapping[PolicyRef, str], selects: Callable[[Body], bool]
) -> list[Body]:
    """Every policy; of known ones, and those of others, the metadata alone: statuses of a thousand accounts add up.

    Those of others, too: only so a policy whose labels were changed can be told from one that was deleted.
    """
    bodies: list[Body] = []
    for body in cluster.list_policies(namespaces or None):
        same = known.get(policy_ref(body)) == body["metadata"].get("uid")
        bodies.append({"metadata": body["metadata"]} if same or not selects(body) else body)
    return bodies
