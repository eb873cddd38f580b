"""Passes in a real loop and real threads, over policies that live in memory."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mfa_operator.agenda import Body
from mfa_operator.api.conversion import rfc3339
from mfa_operator.api.enums import API_VERSION, REQUESTED_AT_ANNOTATION
from mfa_operator.api.objects import PolicyRef, policy_ref, requested_at
from mfa_operator.cluster_errors import ClusterUnavailable
from mfa_operator.schedule import PassAbandoned, PassEnd
from mfa_operator.scheduler import HEARTBEAT_LIMIT, Scheduler
from mfa_operator.settings import SchedulerSettings

PROMPTLY = 2.0
"""Seconds within which an edit acts: a promise to users."""
PATIENCE = 20.0
FOREVER = timedelta(hours=12)
# A turn that nobody waits for: whatever happens has to wake the loop.
SETTINGS = SchedulerSettings(grace=timedelta(seconds=0.5), turn=timedelta(hours=1))
PATIENT = replace(SETTINGS, grace=timedelta(seconds=PATIENCE))


def now() -> datetime:
    return datetime.now(UTC)


class Namespace:
    """Policies in memory, and what audits them: as the reconciler, it reads each anew and remembers nothing."""

    def __init__(self, interval: timedelta = FOREVER) -> None:
        self.interval = interval
        self.seconds = 0.0
        """How long each pass takes."""
        self.objects: dict[PolicyRef, dict[str, Any]] = {}
        self.intervals: dict[PolicyRef, timedelta] = {}
        self.errors: dict[PolicyRef, BaseException] = {}
        self.gates: dict[PolicyRef, threading.Event] = {}
        """A pass over such a policy goes on only once its gate is open."""
        self.stopping = threading.Event()
        self.passes: list[tuple[PolicyRef, bool, str]] = []
        self.threads: set[str] = set()
        self.running: Counter[PolicyRef] = Counter()
        self.most_running = 0
        self.overlapped = False
        self.restored: list[PolicyRef] = []
        self.restore_error: Exception | None = None
        self.forgotten: list[PolicyRef] = []
        self._lock = threading.Lock()
        self._versions = 0

    def apply(self, name: str, **metadata: Any) -> Body:
        """Make or change a policy; returns the object of its event."""
        self._versions += 1
        ref = PolicyRef("security", name)
        before = self.objects.get(ref, {}).get("metadata", {"uid": name, "generation": 1})
        ours = {"namespace": "security", "name": name, "resourceVersion": str(self._versions)}
        found = {
            "apiVersion": API_VERSION,
            "kind": "MfaPolicy",
            "metadata": before | metadata | ours,
            "spec": {"accounts": [{"id": "111122223333"}]},
        }
        self.objects[ref] = found
        return found

    def delete(self, name: str) -> Body:
        self._versions += 1
        found = self.objects.pop(PolicyRef("security", name))
        return found | {"metadata": found["metadata"] | {"resourceVersion": str(self._versions)}}

    def count(self, name: str) -> int:
        return sum(ref.name == name for ref, *_ in self.passes)

    def causes(self, name: str) -> list[str]:
        return [cause for ref, _, cause in self.passes if ref.name == name]

    def close_gate(self, name: str) -> threading.Event:
        return self.gates.setdefault(PolicyRef("security", name), threading.Event())

    def run_pass(self, ref: PolicyRef, *, fresh: bool, cause: str) -> PassEnd:
        with self._lock:
            self.passes.append((ref, fresh, cause))
            self.threads.add(threading.current_thread().name)
            self.running[ref] += 1
            self.overlapped |= self.running[ref] > 1
            self.most_running = max(self.most_running, self.running.total())
        found = self.objects.get(ref)
        try:
            if (gate := self.gates.get(ref)) and not gate.wait(PATIENCE):
                raise PassAbandoned
            if error := self.errors.get(ref):
                raise error
            self.stopping.wait(self.seconds)
        finally:
            with self._lock:
                self.running[ref] -= 1
        if found is None:
            return PassEnd(0, "", None)
        interval = self.intervals.get(ref, self.interval)
        return PassEnd(found["metadata"]["generation"], requested_at(found), now() + interval)

    def restore(self, body: Body) -> None:
        self.restored.append(policy_ref(body))
        if (gate := self.gates.get(policy_ref(body))) and not gate.wait(PATIENCE):
            raise PassAbandoned
        if self.restore_error:
            raise self.restore_error

    def forget(self, ref: PolicyRef) -> None:
        self.forgotten.append(ref)


@asynccontextmanager
async def running(
    namespace: Namespace, settings: SchedulerSettings = SETTINGS, **options: Any
) -> AsyncIterator[Scheduler]:
    scheduler = Scheduler(
        namespace, clock=now, settings=settings, stopping=namespace.stopping, chance=random.Random(1), **options
    )
    stop = asyncio.Event()
    task = asyncio.create_task(scheduler.run(stop))
    try:
        yield scheduler
        assert not task.done(), "the loop lives"
    finally:
        for gate in namespace.gates.values():
            gate.set()
        stop.set()
        await asyncio.wait_for(task, PATIENCE)


async def eventually(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until the condition holds; TimeoutError where it does not in time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - threads change what is waited for
            await asyncio.sleep(0.005)


def in_loop(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


class TestPasses:
    def test_run_at_once_for_a_new_policy_and_again_by_its_interval_in_threads_of_their_own(self) -> None:
        async def story() -> None:
            namespace = Namespace(interval=timedelta(milliseconds=20))
            async with running(namespace) as scheduler:
                scheduler.notice("ADDED", namespace.apply("console-mfa"))
                await eventually(lambda: namespace.count("console-mfa") >= 4)
            assert namespace.passes[0] == (PolicyRef("security", "console-mfa"), True, "Created")
            assert namespace.passes[1] == (PolicyRef("security", "console-mfa"), False, "Interval")
            assert all(name.startswith("mfa-pass") for name in namespace.threads)

        in_loop(story())

    @pytest.mark.parametrize(
        ("change", "cause"),
        [({"generation": 2}, "SpecChanged"), ({"annotations": {REQUESTED_AT_ANNOTATION: "now"}}, "Requested")],
        ids=["spec edit", "requestedAt"],
    )
    def test_a_change_acts_within_2_s_though_nothing_is_due_for_hours(self, change: dict[str, Any], cause: str) -> None:
        async def story() -> None:
            namespace = Namespace()
            async with running(namespace) as scheduler:
                scheduler.notice("ADDED", namespace.apply("console-mfa"))
                await eventually(lambda: namespace.count("console-mfa") == 1 and not scheduler.in_flight)
                scheduler.notice("MODIFIED", namespace.apply("console-mfa", **change))
                await eventually(lambda: namespace.count("console-mfa") == 2, PROMPTLY)
            assert namespace.passes[1] == (PolicyRef("security", "console-mfa"), True, cause)

        in_loop(story())

    def test_our_own_status_writes_and_labels_of_others_start_none(self) -> None:
        async def story() -> None:
            namespace = Namespace()
            async with running(namespace) as scheduler:
                scheduler.notice("ADDED", namespace.apply("quiet"))
                await eventually(lambda: namespace.count("quiet") == 1 and not scheduler.in_flight)
                written = namespace.apply("quiet", labels={"team": "a"})
                scheduler.notice("MODIFIED", {**written, "status": {"lastPassTime": rfc3339(now())}})
                # Whatever the event had made due would run no later than a policy noticed after it.
                scheduler.notice("ADDED", namespace.apply("other"))
                await eventually(lambda: namespace.count("other") == 1)
            assert namespace.count("quiet") == 1

        in_loop(story())

    def test_an_edit_during_a_pass_waits_for_its_end_and_then_runs_at_once(self) -> None:
        async def story() -> None:
            namespace = Namespace()
            gate = namespace.close_gate("console-mfa")
            async with running(namespace) as scheduler:
                scheduler.notice("ADDED", namespace.apply("console-mfa"))
                await eventually(lambda: namespace.count("console-mfa") == 1)
                scheduler.notice("MODIFIED", namespace.apply("console-mfa", generation=2))
                scheduler.notice("ADDED", namespace.apply("other"))
                await eventually(lambda: namespace.count("other") == 1)
                assert namespace.count("console-mfa") == 1
                gate.set()
                await eventually(lambda: namespace.count("console-mfa") == 2, PROMPTLY)
            assert namespace.causes("console-mfa") == ["Created", "SpecChanged"]

        in_loop(story())

    def test_two_of_one_policy_never_run_at_once(self) -> None:
        async def story() -> None:
            namespace = Namespace(interval=timedelta(milliseconds=1))
            namespace.seconds = 0.002
            async with running(namespace) as scheduler:
                for generation in range(1, 100):
                    for name in ("one", "two"):
                        scheduler.notice("MODIFIED", namespace.apply(name, generation=generation))
                    await asyncio.sleep(0.001)
                await eventually(lambda: namespace.count("one") >= 30 and namespace.count("two") >= 30)
            assert not namespace.overlapped

        in_loop(story())

    def test_no_more_than_allowed_run_at_once_and_the_others_follow(self) -> None:
        async def story() -> None:
            namespace = Namespace()
            names = [f"policy-{index}" for index in range(6)]
            gates = [namespace.close_gate(name) for name in names]
            async with running(namespace, replace(SETTINGS, max_concurrent_passes=3)) as scheduler:
                for name in names:
                    scheduler.notice("ADDED", namespace.apply(name))
                await eventually(lambda: namespace.running.total() == 3)
                assert len(scheduler.in_flight) == 3
                for gate in gates:
                    gate.set()
                await eventually(lambda: all(namespace.count(name) == 1 for name in names))
            assert namespace.most_running == 3

        in_loop(story())

    def test_a_stuck_one_makes_no_other_policy_late(self) -> None:
        async def story() -> None:
            namespace = Namespace(interval=timedelta(milliseconds=20))
            namespace.close_gate("stuck")
            async with running(namespace) as scheduler:
                scheduler.notice("ADDED", namespace.apply("stuck"))
                await eventually(lambda: namespace.count("stuck") == 1)
                scheduler.notice("ADDED", namespace.apply("other"))
                await eventually(lambda: namespace.count("other") >= 5)
                assert scheduler.in_flight[0].name == "stuck"
                assert scheduler.healthy
            assert namespace.count("stuck") == 1

        in_loop(story())

    def test_metrics_are_restored_before_the_first_pass_and_where_none_is_due(self) -> None:
        async def story() -> None:
            namespace = Namespace()
            status = {"observedGeneration": 1, "lastPassTime": rfc3339(now())}
            async with running(namespace) as scheduler:
                scheduler.notice(None, {**namespace.apply("seen"), "status": status})
                scheduler.notice(None, namespace.apply("new"))
                await eventually(lambda: namespace.restored and namespace.count("new") == 1)
                assert (namespace.restored, namespace.count("seen")) == ([PolicyRef("security", "seen")], 0)
                edited = namespace.apply("edited", generation=2)
                scheduler.notice(None, {**edited, "status": status})
                await eventually(lambda: namespace.count("edited") == 1)
                assert namespace.restored[1:] == [policy_ref(edited)]

        in_loop(story())

    def test_metrics_that_cannot_be_restored_cost_no_pass(self) -> None:
        async def story() -> None:
            namespace = Namespace()
            namespace.restore_error = ZeroDivisionError("a fault of ours")
            status = {"observedGeneration": 0, "lastPassTime": rfc3339(now())}
            async with running(namespace) as scheduler:
                scheduler.notice(None, {**namespace.apply("console-mfa"), "status": status})
                await eventually(lambda: namespace.count("console-mfa") == 1)
            assert namespace.causes("console-mfa") == ["SpecChanged"]

        in_loop(story())


class TestFailures:
    def test_an_unexpected_exception_is_logged_whole_and_ends_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        async def story() -> None:
            namespace = Namespace(interval=timedelta(milliseconds=20))
            broken = policy_ref(namespace.apply("broken"))
            namespace.errors[broken] = ZeroDivisionError("a fault of ours")
            async with running(namespace) as scheduler:
                scheduler.notice("ADDED", namespace.objects[broken])
                scheduler.notice("ADDED", namespace.apply("sound"))
                await eventually(lambda: namespace.count("broken") >= 1 and namespace.count("sound") >= 5)
                assert scheduler.healthy
                del namespace.errors[broken]
                # Tried again by itself, after the back-off of 2 to 4 s.
                await eventually(lambda: namespace.causes("broken")[1:2] == ["Retry"])

        in_loop(story())
        (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
        assert record.exc_info
        assert record.exc_info[0] is ZeroDivisionError
        assert "security/broken" in record.getMessage()

    def test_even_an_exit_in_a_thread_does_not_end_the_loop(self) -> None:
        async def story() -> None:
            namespace = Namespace()
            broken = policy_ref(namespace.apply("broken"))
            namespace.errors[broken] = SystemExit(1)
            async with running(namespace) as scheduler:
                scheduler.notice("ADDED", namespace.objects[broken])
                await eventually(lambda: namespace.count("broken") == 1)
                scheduler.notice("ADDED", namespace.apply("sound"))
                await eventually(lambda: namespace.count("sound") == 1)

        in_loop(story())

    def test_a_cluster_that_is_away_is_one_line(self, caplog: pytest.LogCaptureFixture) -> None:
        async def story() -> None:
            namespace = Namespace()
            broken = policy_ref(namespace.apply("broken"))
            namespace.errors[broken] = ClusterUnavailable("no answer from the API server")
            async with running(namespace) as scheduler:
                scheduler.notice("ADDED", namespace.objects[broken])
                await eventually(lambda: namespace.count("broken") == 1 and not scheduler.in_flight)

        in_loop(story())
        (record,) = (record for record in caplog.records if record.levelno >= logging.WARNING)
        assert (record.levelno, record.exc_info) == (logging.WARNING, None)
        assert "no answer from the API server" in record.getMessage()

    def test_an_edit_does_not_wait_for_the_back_off(self) -> None:
        async def story() -> None:
            namespace = Namespace()
            broken = policy_ref(namespace.apply("broken"))
            namespace.errors[broken] = ClusterUnavailable("away")
            async with running(namespace) as scheduler:
                scheduler.notice("ADDED", namespace.objects[broken])
                await eventually(lambda: namespace.count("broken") == 1 and not scheduler.in_flight)
                scheduler.notice("MODIFIED", namespace.apply("broken", generation=2))
                await eventually(lambda: namespace.causes("broken") == ["Created", "SpecChanged"], PROMPTLY)

        in_loop(story())


class TestDeletion:
    def test_a_deleted_policy_has_no_more_passes_and_is_forgotten(self) -> None:
        async def story() -> None:
            namespace = Namespace(interval=timedelta(milliseconds=20))
            async with running(namespace) as scheduler:
                scheduler.notice("ADDED", namespace.apply("gone"))
                await eventually(lambda: namespace.count("gone") >= 2)
                scheduler.notice("DELETED", namespace.delete("gone"))
                await eventually(lambda: namespace.forgotten)
                before = namespace.count("gone")
                scheduler.notice("ADDED", namespace.apply("other"))
                await eventually(lambda: namespace.count("other") >= 5)
                assert namespace.count("gone") == before
            assert namespace.forgotten == [PolicyRef("security", "gone")]

        in_loop(story())

    def test_one_made_anew_during_the_pass_of_its_predecessor_gets_its_own(self) -> None:
        async def story() -> None:
            namespace = Namespace()
            gate = namespace.close_gate("console-mfa")
            async with running(namespace) as scheduler:
                scheduler.notice("ADDED", namespace.apply("console-mfa"))
                await eventually(lambda: namespace.count("console-mfa") == 1)
                scheduler.notice("DELETED", namespace.delete("console-mfa"))
                scheduler.notice("ADDED", namespace.apply("console-mfa", uid="another"))
                assert namespace.forgotten == []
                gate.set()
                await eventually(lambda: namespace.count("console-mfa") == 2, PROMPTLY)
            assert namespace.causes("console-mfa") == ["Created", "Created"]
            assert len(namespace.forgotten) == 1
            assert not namespace.overlapped

        in_loop(story())


class TestStopping:
    def test_waits_for_the_pass_in_flight_and_starts_no_other(self) -> None:
        async def story() -> None:
            namespace = Namespace(interval=timedelta(milliseconds=1))
            scheduler = Scheduler(namespace, clock=now, settings=PATIENT, stopping=namespace.stopping)
            stop, gate = asyncio.Event(), namespace.close_gate("console-mfa")
            task = asyncio.create_task(scheduler.run(stop))
            scheduler.notice("ADDED", namespace.apply("console-mfa"))
            await eventually(lambda: namespace.count("console-mfa") == 1)
            stop.set()
            await eventually(namespace.stopping.is_set)
            scheduler.notice("ADDED", namespace.apply("late"))
            gate.set()
            await task
            assert (namespace.passes[1:], scheduler.in_flight) == ([], [])

        in_loop(story())

    def test_runs_no_pass_after_metrics_that_took_long_to_restore(self) -> None:
        async def story() -> None:
            namespace = Namespace()
            scheduler = Scheduler(namespace, clock=now, settings=PATIENT, stopping=namespace.stopping)
            stop, gate = asyncio.Event(), namespace.close_gate("console-mfa")
            task = asyncio.create_task(scheduler.run(stop))
            status = {"observedGeneration": 0, "lastPassTime": rfc3339(now())}
            scheduler.notice(None, {**namespace.apply("console-mfa"), "status": status})
            await eventually(lambda: namespace.restored)
            stop.set()
            await eventually(namespace.stopping.is_set)
            gate.set()
            await task
            assert namespace.passes == []

        in_loop(story())

    def test_a_pass_that_is_abandoned_is_no_failure(self, caplog: pytest.LogCaptureFixture) -> None:
        async def story() -> None:
            namespace = Namespace()
            found = namespace.apply("console-mfa")
            namespace.errors[policy_ref(found)] = PassAbandoned()
            async with running(namespace) as scheduler:
                scheduler.notice("ADDED", found)
                await eventually(lambda: namespace.count("console-mfa") == 1 and not scheduler.in_flight)

        in_loop(story())
        assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []

    def test_gives_up_on_a_pass_that_outlasts_the_grace(self, caplog: pytest.LogCaptureFixture) -> None:
        namespace = Namespace()
        gate = namespace.close_gate("stuck")

        async def story() -> None:
            scheduler = Scheduler(namespace, clock=now, settings=SETTINGS, stopping=namespace.stopping)
            stop = asyncio.Event()
            task = asyncio.create_task(scheduler.run(stop))
            scheduler.notice("ADDED", namespace.apply("stuck"))
            await eventually(lambda: namespace.count("stuck") == 1)
            stop.set()
            await asyncio.wait_for(task, PATIENCE)
            assert scheduler.in_flight == [PolicyRef("security", "stuck")]

        in_loop(story())
        # The thread ends when the loop is long closed, and tells nobody.
        (thread,) = (thread for thread in threading.enumerate() if thread.name.startswith("mfa-pass"))
        gate.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert warnings == ["giving up on the passes of security/stuck"]


class TestProbes:
    def test_is_ready_once_the_policies_are_listed_even_if_there_are_none(self) -> None:
        async def story() -> None:
            async with running(Namespace()) as scheduler:
                scheduler.notice("ADDED", Namespace().apply("early"))
                assert not scheduler.ready
                scheduler.listed([], {})
                assert scheduler.ready

        in_loop(story())

    def test_a_loop_that_does_not_turn_is_unhealthy_and_one_that_idles_is_not(self) -> None:
        async def story() -> None:
            seconds = [0.0]
            options = {"monotonic": lambda: seconds[0]}
            turning = replace(SETTINGS, turn=timedelta(milliseconds=10))
            async with running(Namespace(), turning, **options) as scheduler:
                scheduler.listed([], {})
                seconds[0] += HEARTBEAT_LIMIT
                assert (scheduler.heartbeat, scheduler.healthy, scheduler.ready) == (HEARTBEAT_LIMIT, False, False)
                await eventually(lambda: scheduler.ready)

        in_loop(story())

    def test_by_default_the_loop_turns_six_times_before_it_counts_as_stuck(self) -> None:
        assert SchedulerSettings().turn.total_seconds() * 6 <= HEARTBEAT_LIMIT
