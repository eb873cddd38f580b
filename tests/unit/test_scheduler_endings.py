"""Passes that fail, policies that go, a process that stops, and what the probes say meanwhile."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from mfa_operator.api.conversion import rfc3339
from mfa_operator.api.objects import PolicyRef, policy_ref
from mfa_operator.config.settings import SchedulerSettings
from mfa_operator.kube.errors import ClusterUnavailable
from mfa_operator.scheduling.due import PassAbandoned
from mfa_operator.scheduling.scheduler import HEARTBEAT_LIMIT, Scheduler
from tests.unit.in_memory import (
    PATIENCE,
    PATIENT,
    PROMPTLY,
    SETTINGS,
    Namespace,
    eventually,
    in_loop,
    now,
    running,
)


class TestFailures:
    def test_an_unexpected_exception_is_logged_and_ends_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        async def story() -> None:
            namespace = Namespace(interval=timedelta(milliseconds=20))
            broken = policy_ref(namespace.apply("broken"))
            namespace.errors[broken] = ZeroDivisionError("a bug")
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

    def test_a_policy_that_is_not_found_once_goes_on(self) -> None:
        async def story() -> None:
            namespace = Namespace(interval=timedelta(milliseconds=20))
            found = namespace.apply("console-mfa")
            del namespace.objects[policy_ref(found)]
            async with running(namespace) as scheduler:
                scheduler.notice("ADDED", found)
                await eventually(lambda: namespace.count("console-mfa") == 1 and not scheduler.in_flight)
                namespace.objects[policy_ref(found)] = dict(found)
                await eventually(lambda: namespace.count("console-mfa") >= 3)
            assert namespace.causes("console-mfa")[:3] == ["Created", "Retry", "Interval"]
            assert namespace.forgotten == []

        in_loop(story())

    def test_a_pass_cancelled_before_it_began_is_no_error(self) -> None:
        """As happens when leadership is lost: what waits for a thread then is cancelled."""

        async def story() -> None:
            raised: list[dict[str, object]] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
            namespace = Namespace()
            gate = namespace.close_gate("console-mfa")
            async with running(namespace) as scheduler:
                scheduler.notice("ADDED", namespace.apply("console-mfa"))
                await eventually(lambda: namespace.count("console-mfa") == 1)
                (flight,) = scheduler._flights
                flight.cancel()
                await eventually(lambda: not scheduler.in_flight)
                gate.set()
            assert raised == []

        in_loop(story())

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

    def test_one_recreated_during_a_pass_gets_its_own_pass(self) -> None:
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
            status = {"observedGeneration": 1, "lastPassTime": rfc3339(now())}
            scheduler.notice(None, {**namespace.apply("console-mfa"), "status": status})
            await eventually(lambda: namespace.restored)
            scheduler.notice("MODIFIED", {**namespace.apply("console-mfa", generation=2), "status": status})
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
        assert warnings == ["not waiting any longer for the passes of security/stuck"]


class TestProbes:
    def test_is_ready_once_the_policies_are_listed_even_if_none(self) -> None:
        async def story() -> None:
            async with running(Namespace()) as scheduler:
                scheduler.notice("ADDED", Namespace().apply("early"))
                assert not scheduler.ready
                scheduler.listed([], {})
                assert scheduler.ready

        in_loop(story())

    def test_a_stuck_loop_is_unhealthy_an_idle_one_is_not(self) -> None:
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

    def test_by_default_six_missed_turns_count_as_stuck(self) -> None:
        assert SchedulerSettings().turn.total_seconds() * 6 <= HEARTBEAT_LIMIT
