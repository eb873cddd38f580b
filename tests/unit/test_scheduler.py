"""Passes in a real loop and real threads: when they run, and how many at once."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mfa_operator.api.conversion import rfc3339
from mfa_operator.api.enums import REQUESTED_AT_ANNOTATION
from mfa_operator.api.objects import PolicyRef
from tests.unit.in_memory import (
    PROMPTLY,
    SETTINGS,
    Namespace,
    eventually,
    in_loop,
    now,
    running,
)


class TestPasses:
    def test_run_at_once_for_a_new_policy_and_then_by_its_interval(self) -> None:
        """Each pass in a thread of its own."""

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
    def test_a_change_acts_within_2_s_while_nothing_is_due(self, change: dict[str, Any], cause: str) -> None:
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

    def test_an_edit_during_a_pass_runs_right_after_it(self) -> None:
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

    def test_a_shortage_of_threads_fails_one_pass_and_ends_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A limit of the pod's processes ended the operator. What failed does not run later, beside its retry."""
        start, refused = threading.Thread.start, list[str]()

        def none_left(thread: threading.Thread) -> None:
            if thread.name.startswith("mfa-pass") and not refused:
                refused.append(thread.name)
                raise RuntimeError("can't start new thread")
            start(thread)

        async def story() -> None:
            namespace = Namespace()
            async with running(namespace) as scheduler:
                scheduler.notice("ADDED", namespace.apply("one"))
                await eventually(lambda: refused and not scheduler.in_flight)
                # No need to wait for the back-off.
                scheduler.notice("MODIFIED", namespace.apply("one", generation=2))
                await eventually(lambda: namespace.count("one") == 1 and not scheduler.in_flight)
                scheduler.notice("ADDED", namespace.apply("two"))
                await eventually(lambda: namespace.count("two") == 1)
            assert namespace.causes("one") == ["SpecChanged"]

        monkeypatch.setattr(threading.Thread, "start", none_left)
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

    def test_a_namespace_that_takes_every_slot_keeps_no_other_out(self) -> None:
        async def story() -> None:
            namespace = Namespace()
            names = [f"policy-{index}" for index in range(6)]
            shown: list[object] = []
            for name in names:
                namespace.close_gate(name)
            settings = replace(SETTINGS, max_concurrent_passes=3)
            async with running(namespace, settings, show_queue=lambda *queue: shown.append(queue)) as scheduler:
                for name in names:
                    scheduler.notice("ADDED", namespace.apply(name))
                await eventually(lambda: namespace.running.total() == 3)
                found = dict(namespace.apply("polite"))
                found["metadata"] = {**found["metadata"], "namespace": "other"}
                namespace.objects[PolicyRef("other", "polite")] = found
                scheduler.notice("ADDED", found)
                await eventually(lambda: namespace.count("polite") == 1 and len(scheduler.in_flight) == 3)
                assert namespace.running.total() == 3
                assert shown[-1][1] is not None  # type: ignore[index]  # the passes that wait

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

    def test_metrics_are_restored_where_no_pass_is_due(self) -> None:
        """A pass that is due takes up by itself what it finds, so that the reports are read once."""

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
                assert namespace.restored[1:] == []

        in_loop(story())

    def test_metrics_that_cannot_be_restored_cost_no_pass(self) -> None:
        async def story() -> None:
            namespace = Namespace()
            namespace.restore_error = ZeroDivisionError("a bug")
            status = {"observedGeneration": 1, "lastPassTime": rfc3339(now())}
            async with running(namespace) as scheduler:
                scheduler.notice(None, {**namespace.apply("console-mfa"), "status": status})
                await eventually(lambda: namespace.restored)
                scheduler.notice(None, {**namespace.apply("console-mfa", generation=2), "status": status})
                await eventually(lambda: namespace.count("console-mfa") == 1)
            assert namespace.causes("console-mfa") == ["SpecChanged"]

        in_loop(story())


class TestLooks:
    """Hints put accounts in doubt, which are looked at beside the passes."""

    ACCOUNT = "111122223333"

    def test_a_hint_is_a_look_in_every_policy_and_no_pass(self) -> None:
        async def story() -> None:
            namespace, published = Namespace(), list[bool]()
            async with running(namespace) as scheduler:
                for name in ("one", "two"):
                    scheduler.notice("ADDED", namespace.apply(name))
                await eventually(lambda: len(namespace.passes) == 2)
                for _ in range(3):
                    scheduler.hint(self.ACCOUNT, frozenset({"alice"}), published.append)
                scheduler.hint("999988887777", frozenset({"alice"}), published.append)
                await eventually(lambda: len(published) == 4)
            assert published == [True] * 4
            assert {ref.name for ref, _ in namespace.targeted} == {"one", "two"}
            assert len(namespace.targeted) == len(namespace.passes) == 2
            assert not namespace.overlapped

        in_loop(story())

    def test_a_pass_that_runs_hears_of_a_hint_at_once(self) -> None:
        async def story() -> None:
            namespace, published = Namespace(), list[bool]()
            async with running(namespace) as scheduler:
                scheduler.notice("ADDED", namespace.apply("console-mfa"))
                await eventually(lambda: namespace.count("console-mfa") == 1)
                scheduler.hint(self.ACCOUNT, frozenset({"alice"}), published.append)
            [(ref, account_id, users, _)] = namespace.hurried
            assert (ref.name, account_id, users) == ("console-mfa", self.ACCOUNT, frozenset({"alice"}))

        in_loop(story())

    def test_a_look_that_fails_leaves_its_message_and_nothing_else(self, caplog: pytest.LogCaptureFixture) -> None:
        async def story() -> None:
            namespace, published = Namespace(), list[bool]()
            async with running(namespace) as scheduler:
                scheduler.notice("ADDED", namespace.apply("console-mfa"))
                await eventually(lambda: namespace.count("console-mfa") == 1)
                namespace.errors[PolicyRef("security", "console-mfa")] = ZeroDivisionError("a bug")
                scheduler.hint(self.ACCOUNT, frozenset({"alice"}), published.append)
                await eventually(lambda: published)
                assert published == [False]
                assert namespace.causes("console-mfa") == ["Created"]
                assert scheduler.healthy

        in_loop(story())
        assert "targeted pass over security/console-mfa failed: a bug" in caplog.text

    def test_a_look_in_flight_is_waited_for_at_the_end(self) -> None:
        async def story() -> None:
            namespace, published = Namespace(), list[bool]()
            async with running(namespace) as scheduler:
                scheduler.notice("ADDED", namespace.apply("console-mfa"))
                await eventually(lambda: namespace.count("console-mfa") == 1)
                namespace.close_gate("console-mfa")
                scheduler.hint(self.ACCOUNT, frozenset({"alice"}), published.append)
                await eventually(lambda: namespace.targeted)
                assert scheduler.in_flight == [PolicyRef("security", "console-mfa")]
            assert published == [True]

        in_loop(story())
