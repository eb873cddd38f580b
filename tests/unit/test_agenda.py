"""What becomes due by which event, with clocks that the test moves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mfa_operator.api.objects import PolicyRef
from mfa_operator.scheduling.due import Cause, PassAbandoned, PassEnd
from mfa_operator.scheduling.queue import Job
from tests.unit.desk import QUARTER, REF, Desk, body, why


@pytest.fixture
def desk() -> Desk:
    return Desk()


class TestEvents:
    def test_a_new_policy_is_due_at_once_and_then_by_its_interval(self, desk: Desk) -> None:
        desk.agenda.notice("ADDED", body())
        assert why(desk.do()) == (Cause.CREATED, True)
        assert desk.take() is None
        assert desk.agenda.wait() == QUARTER.total_seconds()
        desk.time.passes(QUARTER)
        assert why(desk.do()) == (Cause.INTERVAL, False)

    def test_one_that_an_earlier_process_audited_is_restored_now_and_due_when_promised(self, desk: Desk) -> None:
        found = body(last_pass=desk.time.wall - timedelta(minutes=5))
        desk.agenda.notice(None, found)
        job = desk.take()
        assert job == Job(REF, found, None)
        desk.agenda.ended(job, None)
        assert desk.take() is None
        assert desk.agenda.wait() == 600.0

    def test_our_own_status_writes_change_nothing(self, desk: Desk) -> None:
        desk.agenda.notice("ADDED", body())
        desk.do()
        desk.agenda.notice("MODIFIED", body(version=2, last_pass=desk.time.wall))
        assert desk.take() is None

    @pytest.mark.parametrize(
        ("changed", "cause"),
        [({"generation": 2}, Cause.SPEC_CHANGED), ({"asked": "now"}, Cause.REQUESTED)],
        ids=["spec edited", "asked for"],
    )
    def test_what_a_person_does_is_due_at_once(self, desk: Desk, changed: dict[str, Any], cause: Cause) -> None:
        desk.agenda.notice("ADDED", body())
        desk.do()
        desk.agenda.notice("MODIFIED", body(version=2, **changed))
        assert why(desk.take()) == (cause, True)

    def test_an_edit_during_a_pass_is_served_right_after_it(self, desk: Desk) -> None:
        desk.agenda.notice("ADDED", body())
        job = desk.start()
        desk.agenda.notice("MODIFIED", body(version=2, generation=2))
        assert desk.take() is None
        desk.agenda.ended(job, PassEnd(1, "", desk.time.wall + QUARTER))
        assert why(desk.do(generation=2)) == (Cause.SPEC_CHANGED, True)
        assert desk.take() is None

    def test_an_edit_while_metrics_are_restored_is_served_right_after(self, desk: Desk) -> None:
        desk.agenda.notice(None, body(last_pass=desk.time.wall))
        job = desk.take()
        assert job is not None
        desk.agenda.notice("MODIFIED", body(version=2, generation=2))
        desk.agenda.ended(job, None)
        assert why(desk.take()) == (Cause.SPEC_CHANGED, True)

    @pytest.mark.parametrize("late", [False, True], ids=["during the pass", "after it"])
    def test_an_edit_that_a_fresh_pass_already_read_is_not_served_twice(self, desk: Desk, late: bool) -> None:
        desk.agenda.notice("ADDED", body())
        job = desk.start()
        edited = body(version=2, generation=2, asked="now")
        if not late:
            desk.agenda.notice("MODIFIED", edited)
        desk.agenda.ended(job, PassEnd(2, "now", desk.time.wall + QUARTER))
        if late:
            desk.agenda.notice("MODIFIED", edited)
        assert desk.take() is None

    def test_a_wish_that_only_a_pass_with_remembered_facts_read_is_still_served(self, desk: Desk) -> None:
        desk.agenda.notice("ADDED", body())
        desk.do()
        desk.time.passes(QUARTER)
        desk.do(requested_at="now")
        desk.agenda.notice("MODIFIED", body(version=2, asked="now"))
        assert why(desk.take()) == (Cause.REQUESTED, True)

    def test_taking_the_annotation_away_asks_for_nothing_and_the_same_again_does(self, desk: Desk) -> None:
        desk.agenda.notice("ADDED", body(asked="one"))
        desk.do(requested_at="one")
        desk.agenda.notice("MODIFIED", body(version=2))
        assert desk.take() is None
        desk.agenda.notice("MODIFIED", body(version=3, asked="two"))
        assert desk.take()

    def test_a_list_older_than_the_last_event_asks_for_nothing(self, desk: Desk) -> None:
        desk.agenda.notice("ADDED", body(asked="one"))
        desk.do(requested_at="one")
        desk.agenda.notice("MODIFIED", body(version=5, asked="two"))
        desk.do(requested_at="two")
        desk.agenda.listed([body(version=3, asked="one")], desk.agenda.known())
        assert desk.take() is None

    def test_nothing_is_due_after_a_pass_that_says_so_until_an_edit(self, desk: Desk) -> None:
        desk.agenda.notice("ADDED", body())
        desk.do(every=None)
        desk.time.passes(timedelta(days=30))
        assert (desk.take(), desk.agenda.wait()) == (None, None)
        desk.agenda.notice("MODIFIED", body(version=2, generation=2))
        assert desk.take()

    def test_an_object_that_is_not_understood_is_due_so_that_its_status_says_so(self, desk: Desk) -> None:
        desk.agenda.notice("ADDED", body() | {"spec": {"accounts": []}})
        assert desk.take()


class TestDeletion:
    def test_a_deleted_policy_is_forgotten_and_never_due(self, desk: Desk) -> None:
        desk.agenda.notice("ADDED", body())
        desk.do()
        desk.agenda.notice("DELETED", body(version=2))
        desk.time.passes(QUARTER * 2)
        assert (desk.take(), desk.forgotten, desk.agenda.known()) == (None, [REF], {})

    def test_one_deleted_during_its_pass_is_forgotten_after_it(self, desk: Desk) -> None:
        desk.agenda.notice("ADDED", body())
        job = desk.start()
        desk.agenda.notice("DELETED", body(version=2))
        assert desk.forgotten == []
        desk.agenda.ended(job, PassEnd(1, "", desk.time.wall))
        assert (desk.take(), desk.forgotten) == (None, [REF])

    @pytest.mark.parametrize("told", [True, False], ids=["deletion seen", "deletion missed"])
    @pytest.mark.parametrize("flying", [True, False], ids=["during a pass", "between passes"])
    def test_one_made_anew_under_its_name_starts_over(self, desk: Desk, told: bool, flying: bool) -> None:
        desk.agenda.notice("ADDED", body(generation=5))
        desk.do(generation=5)
        desk.time.passes(QUARTER)
        job = desk.start() if flying else desk.do(generation=5)
        if told:
            desk.agenda.notice("DELETED", body(version=2))
        desk.agenda.notice("ADDED", body(uid="two", version=3))
        if flying:
            assert desk.take() is None
            desk.agenda.ended(job, PassEnd(5, "", desk.time.wall + QUARTER))
        assert set(desk.forgotten) == {REF}
        job = desk.start()
        assert why(job) == (Cause.CREATED, True)
        assert desk.agenda.known() == {REF: "two"}
        desk.agenda.notice("MODIFIED", body(uid="two", version=4, generation=2))
        desk.agenda.ended(job, PassEnd(1, "", desk.time.wall + QUARTER))
        assert why(desk.take()) == (Cause.SPEC_CHANGED, True)

    def test_one_made_anew_does_not_inherit_the_back_off(self, desk: Desk) -> None:
        desk.agenda.notice("ADDED", body())
        for _ in range(5):
            desk.time.passes(desk.agenda.failed(desk.start(), OSError("away"))[1])
        desk.agenda.notice("ADDED", body(uid="two", version=2))
        assert desk.agenda.failed(desk.start(), OSError("away"))[0] == 1

    def test_late_events_of_its_predecessor_do_not_touch_it(self, desk: Desk) -> None:
        desk.agenda.notice("ADDED", body())
        desk.do()
        desk.agenda.notice("ADDED", body(uid="two", version=4))
        desk.do()
        desk.forgotten.clear()
        desk.agenda.notice("MODIFIED", body(version=2, generation=7))
        desk.agenda.notice("DELETED", body(version=3))
        assert (desk.take(), desk.forgotten, desk.agenda.known()) == (None, [], {REF: "two"})

    def test_nor_do_they_where_versions_cannot_be_compared(self, desk: Desk) -> None:
        def event(kind: str, uid: str) -> None:
            found = body(uid=uid)
            found["metadata"]["resourceVersion"] = "opaque"
            desk.agenda.notice(kind, found)

        event("ADDED", "one")
        desk.do()
        event("ADDED", "two")
        desk.do()
        event("DELETED", "one")
        assert desk.agenda.known() == {REF: "two"}

    def test_one_that_a_list_left_out_by_mistake_comes_back(self, desk: Desk) -> None:
        desk.agenda.notice("ADDED", body())
        job = desk.start()
        desk.agenda.listed([], desk.agenda.known())
        desk.agenda.notice("MODIFIED", body(version=2))
        desk.agenda.ended(job, PassEnd(1, "", None))
        assert desk.agenda.known() == {REF: "one"}
        assert why(desk.take()) == (Cause.CREATED, True)

    def test_a_list_shows_what_the_watch_missed(self, desk: Desk) -> None:
        stays, comes = PolicyRef("security", "stays"), PolicyRef("security", "comes")
        desk.agenda.notice("ADDED", body())
        desk.do()
        desk.agenda.notice("ADDED", body(uid="two", ref=stays))
        desk.do()
        known = desk.agenda.known()
        # Made after the list was read: it is not in it, and must not be taken for gone.
        desk.agenda.notice("ADDED", body(uid="three", version=9, ref=comes))
        desk.do()
        desk.agenda.listed([{"metadata": body(uid="two", ref=stays)["metadata"]}], known)
        assert (desk.forgotten, set(desk.agenda.known())) == ([REF], {stays, comes})
        assert desk.take() is None


class TestOverlooked:
    """A policy that exists and is neither suspended nor invalid has a pass to come, whatever went wrong."""

    def test_a_pass_that_reads_an_old_version_is_tried_again(self, desk: Desk) -> None:
        """A cache on the way may say that a policy is still suspended when the watch has shown the edit."""
        desk.agenda.notice("ADDED", body(generation=2))
        desk.do(generation=1, every=None)
        assert desk.take() is None
        desk.time.passes(timedelta(seconds=4))
        assert why(desk.do(generation=2)) == (Cause.RETRY, True)
        assert desk.agenda.wait() == QUARTER.total_seconds()

    def test_a_list_finds_a_policy_with_nothing_due(self, desk: Desk) -> None:
        desk.agenda.notice("ADDED", body())
        desk.do()
        desk.agenda._entries[REF].due = None
        for _ in range(2):
            desk.agenda.listed([{"metadata": body(version=2)["metadata"]}], desk.agenda.known())
        assert desk.agenda.overlooked == 1
        assert why(desk.do()) == (Cause.OVERLOOKED, False)
        assert desk.agenda.wait() == QUARTER.total_seconds()

    def test_one_that_rests_is_not_overlooked_nor_one_in_its_pass(self, desk: Desk) -> None:
        listed = [{"metadata": body(version=2)["metadata"]}]
        desk.agenda.notice("ADDED", body())
        job = desk.start()
        desk.agenda.listed(listed, desk.agenda.known())
        desk.agenda.ended(job, PassEnd(1, "", None))
        desk.agenda.listed(listed, desk.agenda.known())
        assert (desk.agenda.overlooked, desk.take()) == (0, None)


class TestClocks:
    def test_a_wall_clock_set_back_makes_no_pass_late(self, desk: Desk) -> None:
        desk.agenda.notice("ADDED", body())
        desk.do()
        desk.time.is_set(-timedelta(hours=5))
        desk.time.passes(QUARTER)
        assert desk.take()

    def test_after_a_sleep_of_the_machine_what_is_overdue_runs(self, desk: Desk) -> None:
        desk.agenda.notice("ADDED", body())
        desk.do()
        desk.time.is_set(timedelta(hours=1))
        assert desk.take()

    def test_a_promise_in_the_past_is_due_now_and_not_before(self, desk: Desk) -> None:
        desk.agenda.notice("ADDED", body())
        desk.do(every=-QUARTER)
        assert desk.agenda.wait() == 0.0
        assert desk.take()


class TestFailures:
    def fail(self, desk: Desk, error: Exception) -> timedelta:
        job = desk.start()
        return desk.agenda.failed(job, error)[1]

    def test_back_off_grows_to_5_minutes_and_ends_with_a_success(self, desk: Desk) -> None:
        desk.agenda.notice("ADDED", body())
        delays = []
        for _ in range(12):
            delays.append(self.fail(desk, OSError("away")))
            assert desk.take() is None
            desk.time.passes(delays[-1])
        assert delays[0] < timedelta(seconds=4)
        assert all(later > earlier for earlier, later in zip(delays[0:6:2], delays[2:8:2], strict=True))
        assert timedelta(minutes=2) < delays[-1] <= timedelta(minutes=5)
        desk.do()
        desk.time.passes(QUARTER)
        assert self.fail(desk, OSError("away")) < timedelta(seconds=4)

    @pytest.mark.parametrize(
        ("interval", "longest"),
        [("1m", timedelta(minutes=1)), ("2m30s", timedelta(seconds=150)), ("24h", timedelta(minutes=5))],
    )
    def test_no_retry_waits_longer_than_the_interval(self, desk: Desk, interval: str, longest: timedelta) -> None:
        found = body()
        found["spec"]["interval"] = "24h"
        desk.agenda.notice("ADDED", found)
        edited = body(version=2, generation=2)
        edited["spec"]["interval"] = interval
        desk.agenda.notice("MODIFIED", edited)
        # As a resync lists it.
        desk.agenda.notice(None, {"metadata": body(version=3, generation=2)["metadata"]})
        delays = []
        for _ in range(30):
            delays.append(self.fail(desk, OSError("away")))
            desk.time.passes(delays[-1])
        assert longest * 0.9 < max(delays) <= longest

    @pytest.mark.parametrize("interval", ["", 5, "no time", None, ["1m"]])
    def test_an_interval_that_is_wrong_delays_no_retry(self, desk: Desk, interval: object) -> None:
        found = body()
        found["spec"]["interval"] = interval
        desk.agenda.notice("ADDED", found)
        for _ in range(20):
            desk.time.passes(self.fail(desk, OSError("away")))
        assert self.fail(desk, OSError("away")) <= timedelta(minutes=5)

    def test_what_a_person_asked_for_is_tried_again_as_such(self, desk: Desk) -> None:
        desk.agenda.notice("ADDED", body())
        desk.time.passes(self.fail(desk, OSError("away")))
        assert why(desk.take()) == (Cause.RETRY, True)

    def test_a_person_need_not_wait_for_the_back_off(self, desk: Desk) -> None:
        desk.agenda.notice("ADDED", body())
        self.fail(desk, OSError("away"))
        desk.agenda.notice("MODIFIED", body(version=2, generation=2))
        assert desk.take()

    def test_what_a_person_did_during_a_pass_that_fails_is_served_at_once(self, desk: Desk) -> None:
        desk.agenda.notice("ADDED", body())
        desk.do()
        desk.time.passes(QUARTER)
        job = desk.start()
        desk.agenda.notice("MODIFIED", body(version=2, asked="now"))
        assert desk.agenda.failed(job, OSError("away")) == (1, timedelta())
        assert why(desk.take()) == (Cause.REQUESTED, True)

    def test_a_pass_that_was_abandoned_did_not_fail(self, desk: Desk) -> None:
        desk.agenda.notice("ADDED", body())
        job = desk.start()
        failures, _ = desk.agenda.failed(job, PassAbandoned())
        assert failures == 0


def test_the_longest_overdue_comes_first_and_due_passes_before_restores(desk: Desk) -> None:
    refs = [PolicyRef("security", name) for name in "abc"]
    for position, ref in enumerate(refs):
        desk.agenda.notice("ADDED", body(ref=ref))
        (job,) = desk.agenda.take(8)
        desk.agenda.ended(job, PassEnd(1, "", desk.time.wall + timedelta(minutes=3 - position)))
    later = PolicyRef("security", "later")
    desk.time.passes(timedelta(minutes=5))
    desk.agenda.notice(None, body(ref=later, last_pass=desk.time.wall))
    assert [job.ref for job in desk.agenda.take(2)] == [refs[2], refs[1]]
    assert [job.ref for job in desk.agenda.take(8)] == [refs[0], later]
    assert desk.agenda.take(0) == []


class TestFairness:
    def notice(self, desk: Desk, *names: str) -> None:
        for version, name in enumerate(names, start=1):
            namespace, _, policy = name.partition("/")
            desk.agenda.notice("ADDED", body(ref=PolicyRef(namespace, policy), uid=name, version=version))

    def test_namespaces_take_turns(self, desk: Desk) -> None:
        self.notice(desk, *(f"greedy/{number}" for number in range(20)), "polite/a", "polite/b")
        taken = [job.ref.namespace for job in desk.agenda.take(6)]
        assert taken[:4] == ["greedy", "polite", "greedy", "polite"]
        assert taken[4:] == ["greedy", "greedy"]

    def test_one_more_slot_is_there_for_a_namespace_that_has_none(self, desk: Desk) -> None:
        self.notice(desk, *(f"greedy/{number}" for number in range(20)))
        assert len(desk.agenda.take(8)) == 8
        assert (desk.agenda.take(0), desk.agenda.wait(0)) == ([], None)
        self.notice(desk, "polite/a", "polite/b")
        assert desk.agenda.wait(0) == 0.0
        assert [job.ref.namespace for job in desk.agenda.take(0)] == ["polite"]
        assert (desk.agenda.take(-1), desk.agenda.wait(-1)) == ([], None)

    def test_how_long_the_next_pass_has_been_due(self, desk: Desk) -> None:
        self.notice(desk, "greedy/a", "greedy/b")
        since = desk.time.wall
        desk.agenda.take(1)
        desk.time.passes(QUARTER)
        assert desk.agenda.oldest_due() == since
        desk.agenda.take(1)
        assert desk.agenda.oldest_due() is None
