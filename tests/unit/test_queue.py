"""What becomes due by which event, with clocks that the test moves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mfa_operator.api.objects import PolicyRef
from mfa_operator.scheduling.due import Cause, PassAbandoned, PassEnd
from mfa_operator.scheduling.entries import Job
from tests.unit.queue_harness import QUARTER, REF, QueueHarness, body, why


@pytest.fixture
def harness() -> QueueHarness:
    return QueueHarness()


class TestSelection:
    """Policies of other operators, by their labels."""

    def test_a_policy_that_is_not_selected_is_not_known(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body(shard="other"))
        harness.queue.listed([body(shard="other")], harness.queue.known())
        assert harness.queue.known() == {}
        assert harness.take() is None

    def test_a_relabelled_one_is_given_up_not_deleted(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        harness.do()
        harness.queue.notice("MODIFIED", body(version=2, shard="other"))
        job = harness.start()
        assert why(job) == (Cause.DESELECTED, False)
        harness.queue.ended(job, PassEnd(1, "", harness.time.wall, left=True))
        assert harness.queue.known() == {}
        assert harness.forgotten == []
        harness.queue.listed([{"metadata": body(version=2, shard="other")["metadata"]}], {REF: "one"})
        assert harness.forgotten == []

    def test_one_whose_giving_up_failed_is_given_up_later(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        harness.do()
        harness.queue.notice("MODIFIED", body(version=2, shard="other"))
        harness.queue.failed(harness.start(), OSError("away"))
        harness.queue.notice("MODIFIED", body(version=3, shard="other"))
        assert harness.take() is None, "it waits for its retry"
        harness.time.passes(QUARTER)
        harness.queue.ended(harness.start(), PassEnd(1, "", harness.time.wall, left=True))
        assert harness.queue.known() == {}

    def test_a_relabelling_that_only_a_list_shows_is_seen_too(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        harness.do()
        known = harness.queue.known()
        harness.queue.listed([{"metadata": body(version=2, shard="other")["metadata"]}], known)
        assert why(harness.take()) == (Cause.DESELECTED, False)
        assert harness.forgotten == []

    def test_one_that_comes_back_is_audited_like_a_new_one(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        harness.do()
        harness.queue.notice("MODIFIED", body(version=2, shard="other"))
        job = harness.start()
        harness.queue.notice("MODIFIED", body(version=3))
        harness.queue.ended(job, PassEnd(1, "", harness.time.wall + QUARTER, left=True))
        assert why(harness.take()) == (Cause.CREATED, True)

    def test_one_that_only_a_pass_saw_leaving_is_checked_again(self, harness: QueueHarness) -> None:
        """The watch may have missed that its labels were away for a moment."""
        harness.queue.notice("ADDED", body())
        job = harness.start()
        harness.queue.ended(job, PassEnd(1, "", harness.time.wall + timedelta(seconds=20), left=True))
        assert harness.queue.seconds_until_next() == 20.0

    def test_one_that_is_deleted_while_it_leaves_is_forgotten(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        harness.do()
        harness.queue.notice("MODIFIED", body(version=2, shard="other"))
        harness.queue.notice("DELETED", body(version=3, shard="other"))
        assert harness.forgotten == [REF]
        assert harness.take() is None

    def test_a_successor_that_is_not_ours_ends_the_one_that_was(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        harness.do()
        harness.queue.notice("ADDED", body(uid="two", version=5, shard="other"))
        assert harness.forgotten == [REF]
        assert harness.queue.known() == {}

    def test_one_that_another_operator_serves_is_asked_about_again(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        job = harness.start()
        harness.queue.ended(job, PassEnd(1, "", harness.time.wall + timedelta(minutes=2), elsewhere=True))
        served = {"status": {"servedBy": {"lease": "a/b", "holder": "c"}}}
        harness.queue.notice("MODIFIED", body(version=2) | served)
        assert harness.queue.seconds_until_next() == 120.0
        harness.queue.notice(None, {"metadata": body(version=2)["metadata"]})
        assert harness.queue.seconds_until_next() == 120.0

    def test_one_that_the_other_operator_gives_up_is_due_at_once(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        job = harness.start()
        harness.queue.ended(job, PassEnd(1, "", harness.time.wall + timedelta(minutes=2), elsewhere=True))
        harness.queue.notice("MODIFIED", body(version=2))
        assert why(harness.do()) == (Cause.CREATED, True)
        harness.queue.notice("MODIFIED", body(version=3))
        assert harness.take() is None


class TestEvents:
    def test_a_new_policy_is_due_at_once_and_then_by_its_interval(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        assert why(harness.do()) == (Cause.CREATED, True)
        assert harness.take() is None
        assert harness.queue.seconds_until_next() == QUARTER.total_seconds()
        harness.time.passes(QUARTER)
        assert why(harness.do()) == (Cause.INTERVAL, False)

    def test_one_audited_earlier_is_restored_and_due_when_promised(self, harness: QueueHarness) -> None:
        """Its metrics are restored at once; its pass is due at status.nextPassTime."""

        found = body(last_pass=harness.time.wall - timedelta(minutes=5))
        harness.queue.notice(None, found)
        job = harness.take()
        assert job == Job(REF, found, None)
        harness.queue.ended(job, None)
        assert harness.take() is None
        assert harness.queue.seconds_until_next() == 600.0

    def test_our_own_status_writes_change_nothing(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        harness.do()
        harness.queue.notice("MODIFIED", body(version=2, last_pass=harness.time.wall))
        assert harness.take() is None

    @pytest.mark.parametrize(
        ("changed", "cause"),
        [({"generation": 2}, Cause.SPEC_CHANGED), ({"asked": "now"}, Cause.REQUESTED)],
        ids=["spec edited", "asked for"],
    )
    def test_what_a_person_does_is_due_at_once(
        self, harness: QueueHarness, changed: dict[str, Any], cause: Cause
    ) -> None:
        harness.queue.notice("ADDED", body())
        harness.do()
        harness.queue.notice("MODIFIED", body(version=2, **changed))
        assert why(harness.take()) == (cause, True)

    def test_an_edit_during_a_pass_is_served_right_after_it(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        job = harness.start()
        harness.queue.notice("MODIFIED", body(version=2, generation=2))
        assert harness.take() is None
        harness.queue.ended(job, PassEnd(1, "", harness.time.wall + QUARTER))
        assert why(harness.do(generation=2)) == (Cause.SPEC_CHANGED, True)
        assert harness.take() is None

    def test_an_edit_during_a_restore_is_served_right_after(self, harness: QueueHarness) -> None:
        harness.queue.notice(None, body(last_pass=harness.time.wall))
        job = harness.take()
        assert job is not None
        harness.queue.notice("MODIFIED", body(version=2, generation=2))
        harness.queue.ended(job, None)
        assert why(harness.take()) == (Cause.SPEC_CHANGED, True)

    @pytest.mark.parametrize("late", [False, True], ids=["during the pass", "after it"])
    def test_an_edit_that_a_fresh_pass_read_is_not_served_twice(self, harness: QueueHarness, late: bool) -> None:
        harness.queue.notice("ADDED", body())
        job = harness.start()
        edited = body(version=2, generation=2, asked="now")
        if not late:
            harness.queue.notice("MODIFIED", edited)
        harness.queue.ended(job, PassEnd(2, "now", harness.time.wall + QUARTER))
        if late:
            harness.queue.notice("MODIFIED", edited)
        assert harness.take() is None

    def test_a_request_read_by_a_pass_with_cached_facts_is_served(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        harness.do()
        harness.time.passes(QUARTER)
        harness.do(requested_at="now")
        harness.queue.notice("MODIFIED", body(version=2, asked="now"))
        assert why(harness.take()) == (Cause.REQUESTED, True)

    def test_removing_the_annotation_requests_nothing(self, harness: QueueHarness) -> None:
        """Setting it to the same value again does."""

        harness.queue.notice("ADDED", body(asked="one"))
        harness.do(requested_at="one")
        harness.queue.notice("MODIFIED", body(version=2))
        assert harness.take() is None
        harness.queue.notice("MODIFIED", body(version=3, asked="two"))
        assert harness.take()

    def test_a_list_older_than_the_last_event_asks_for_nothing(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body(asked="one"))
        harness.do(requested_at="one")
        harness.queue.notice("MODIFIED", body(version=5, asked="two"))
        harness.do(requested_at="two")
        harness.queue.listed([body(version=3, asked="one")], harness.queue.known())
        assert harness.take() is None

    def test_nothing_is_due_after_a_pass_that_says_so_until_an_edit(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        harness.do(every=None)
        harness.time.passes(timedelta(days=30))
        assert (harness.take(), harness.queue.seconds_until_next()) == (None, None)
        harness.queue.notice("MODIFIED", body(version=2, generation=2))
        assert harness.take()

    def test_an_invalid_object_is_due_to_report_it_in_its_status(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body() | {"spec": {"accounts": []}})
        assert harness.take()


class TestDeletion:
    def test_a_deleted_policy_is_forgotten_and_never_due(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        harness.do()
        harness.queue.notice("DELETED", body(version=2))
        harness.time.passes(QUARTER * 2)
        assert (harness.take(), harness.forgotten, harness.queue.known()) == (None, [REF], {})

    def test_one_deleted_during_its_pass_is_forgotten_after_it(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        job = harness.start()
        harness.queue.notice("DELETED", body(version=2))
        assert harness.forgotten == []
        harness.queue.ended(job, PassEnd(1, "", harness.time.wall))
        assert (harness.take(), harness.forgotten) == (None, [REF])

    @pytest.mark.parametrize("told", [True, False], ids=["deletion seen", "deletion missed"])
    @pytest.mark.parametrize("flying", [True, False], ids=["during a pass", "between passes"])
    def test_one_made_anew_under_its_name_starts_over(self, harness: QueueHarness, told: bool, flying: bool) -> None:
        harness.queue.notice("ADDED", body(generation=5))
        harness.do(generation=5)
        harness.time.passes(QUARTER)
        job = harness.start() if flying else harness.do(generation=5)
        if told:
            harness.queue.notice("DELETED", body(version=2))
        harness.queue.notice("ADDED", body(uid="two", version=3))
        if flying:
            assert harness.take() is None
            harness.queue.ended(job, PassEnd(5, "", harness.time.wall + QUARTER))
        assert set(harness.forgotten) == {REF}
        job = harness.start()
        assert why(job) == (Cause.CREATED, True)
        assert harness.queue.known() == {REF: "two"}
        harness.queue.notice("MODIFIED", body(uid="two", version=4, generation=2))
        harness.queue.ended(job, PassEnd(1, "", harness.time.wall + QUARTER))
        assert why(harness.take()) == (Cause.SPEC_CHANGED, True)

    def test_a_recreated_one_is_not_taken_up_by_the_pass_before(self, harness: QueueHarness) -> None:
        """That pass said what its predecessor covers; events wait until a pass has said it of this one."""
        harness.queue.notice("ADDED", body())
        before = harness.start()
        harness.queue.notice("DELETED", body())
        harness.queue.notice("ADDED", body(uid="two", version=2))
        harness.queue.ended(before, PassEnd(1, "", harness.time.wall + QUARTER))
        assert not harness.queue.taken_up
        harness.do()
        assert harness.queue.taken_up

    def test_one_made_anew_does_not_inherit_the_back_off(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        for _ in range(5):
            harness.time.passes(harness.queue.failed(harness.start(), OSError("away"))[1])
        harness.queue.notice("ADDED", body(uid="two", version=2))
        assert harness.queue.failed(harness.start(), OSError("away"))[0] == 1

    def test_late_events_of_its_predecessor_do_not_touch_it(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        harness.do()
        harness.queue.notice("ADDED", body(uid="two", version=4))
        harness.do()
        harness.forgotten.clear()
        harness.queue.notice("MODIFIED", body(version=2, generation=7))
        harness.queue.notice("DELETED", body(version=3))
        assert (harness.take(), harness.forgotten, harness.queue.known()) == (None, [], {REF: "two"})

    def test_nor_do_they_where_versions_cannot_be_compared(self, harness: QueueHarness) -> None:
        def event(kind: str, uid: str) -> None:
            found = body(uid=uid)
            found["metadata"]["resourceVersion"] = "opaque"
            harness.queue.notice(kind, found)

        event("ADDED", "one")
        harness.do()
        event("ADDED", "two")
        harness.do()
        event("DELETED", "one")
        assert harness.queue.known() == {REF: "two"}

    def test_one_that_a_list_left_out_by_mistake_comes_back(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        job = harness.start()
        harness.queue.listed([], harness.queue.known())
        harness.queue.notice("MODIFIED", body(version=2))
        harness.queue.ended(job, PassEnd(1, "", None))
        assert harness.queue.known() == {REF: "one"}
        assert why(harness.take()) == (Cause.CREATED, True)

    def test_a_list_shows_what_the_watch_missed(self, harness: QueueHarness) -> None:
        stays, comes = PolicyRef("security", "stays"), PolicyRef("security", "comes")
        harness.queue.notice("ADDED", body())
        harness.do()
        harness.queue.notice("ADDED", body(uid="two", ref=stays))
        harness.do()
        known = harness.queue.known()
        # Made after the list was read: it is not in it, and must not be taken for gone.
        harness.queue.notice("ADDED", body(uid="three", version=9, ref=comes))
        harness.do()
        harness.queue.listed([{"metadata": body(uid="two", ref=stays)["metadata"]}], known)
        assert (harness.forgotten, set(harness.queue.known())) == ([REF], {stays, comes})
        assert harness.take() is None


class TestOverlooked:
    """A policy that exists and is neither suspended nor invalid has a pass scheduled, whatever went wrong."""

    def test_a_pass_that_reads_an_old_version_is_tried_again(self, harness: QueueHarness) -> None:
        """A cache on the way may say that a policy is still suspended when the watch has shown the edit."""
        harness.queue.notice("ADDED", body(generation=2))
        harness.do(generation=1, every=None)
        assert harness.take() is None
        harness.time.passes(timedelta(seconds=4))
        assert why(harness.do(generation=2)) == (Cause.RETRY, True)
        assert harness.queue.seconds_until_next() == QUARTER.total_seconds()

    def test_a_list_finds_a_policy_with_nothing_due(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        harness.do()
        harness.queue._entries[REF].due = None
        for _ in range(2):
            harness.queue.listed([{"metadata": body(version=2)["metadata"]}], harness.queue.known())
        assert harness.queue.overlooked == 1
        assert why(harness.do()) == (Cause.OVERLOOKED, False)
        assert harness.queue.seconds_until_next() == QUARTER.total_seconds()

    def test_one_that_rests_is_not_overlooked_nor_one_in_its_pass(self, harness: QueueHarness) -> None:
        listed = [{"metadata": body(version=2)["metadata"]}]
        harness.queue.notice("ADDED", body())
        job = harness.start()
        harness.queue.listed(listed, harness.queue.known())
        harness.queue.ended(job, PassEnd(1, "", None))
        harness.queue.listed(listed, harness.queue.known())
        assert (harness.queue.overlooked, harness.take()) == (0, None)


class TestClocks:
    def test_a_wall_clock_set_back_makes_no_pass_late(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        harness.do()
        harness.time.is_set(-timedelta(hours=5))
        harness.time.passes(QUARTER)
        assert harness.take()

    def test_after_a_sleep_of_the_machine_what_is_overdue_runs(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        harness.do()
        harness.time.is_set(timedelta(hours=1))
        assert harness.take()

    def test_a_promise_in_the_past_is_due_now_and_not_before(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        harness.do(every=-QUARTER)
        assert harness.queue.seconds_until_next() == 0.0
        assert harness.take()


class TestFailures:
    def fail(self, harness: QueueHarness, error: Exception) -> timedelta:
        job = harness.start()
        return harness.queue.failed(job, error)[1]

    def test_back_off_grows_to_5_minutes_and_ends_with_a_success(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        delays = []
        for _ in range(12):
            delays.append(self.fail(harness, OSError("away")))
            assert harness.take() is None
            harness.time.passes(delays[-1])
        assert delays[0] < timedelta(seconds=4)
        assert all(later > earlier for earlier, later in zip(delays[0:6:2], delays[2:8:2], strict=True))
        assert timedelta(minutes=2) < delays[-1] <= timedelta(minutes=5)
        harness.do()
        harness.time.passes(QUARTER)
        assert self.fail(harness, OSError("away")) < timedelta(seconds=4)

    @pytest.mark.parametrize(
        ("interval", "longest"),
        [("1m", timedelta(minutes=1)), ("2m30s", timedelta(seconds=150)), ("24h", timedelta(minutes=5))],
    )
    def test_no_retry_waits_longer_than_the_interval(
        self, harness: QueueHarness, interval: str, longest: timedelta
    ) -> None:
        found = body()
        found["spec"]["interval"] = "24h"
        harness.queue.notice("ADDED", found)
        edited = body(version=2, generation=2)
        edited["spec"]["interval"] = interval
        harness.queue.notice("MODIFIED", edited)
        # As a resync lists it.
        harness.queue.notice(None, {"metadata": body(version=3, generation=2)["metadata"]})
        delays = []
        for _ in range(30):
            delays.append(self.fail(harness, OSError("away")))
            harness.time.passes(delays[-1])
        assert longest * 0.9 < max(delays) <= longest

    @pytest.mark.parametrize("interval", ["", 5, "no time", None, ["1m"], "0s", "1ns"])
    def test_an_interval_that_is_wrong_delays_no_retry(self, harness: QueueHarness, interval: object) -> None:
        """Nor does it make them come without a pause."""
        found = body()
        found["spec"]["interval"] = interval
        harness.queue.notice("ADDED", found)
        for _ in range(20):
            harness.time.passes(self.fail(harness, OSError("away")))
        assert timedelta(seconds=2) <= self.fail(harness, OSError("away")) <= timedelta(minutes=5)

    def test_what_a_person_asked_for_is_tried_again_as_such(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        harness.time.passes(self.fail(harness, OSError("away")))
        assert why(harness.take()) == (Cause.RETRY, True)

    def test_a_person_need_not_wait_for_the_back_off(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        self.fail(harness, OSError("away"))
        harness.queue.notice("MODIFIED", body(version=2, generation=2))
        assert harness.take()

    def test_an_edit_during_a_failing_pass_is_served_at_once(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        harness.do()
        harness.time.passes(QUARTER)
        job = harness.start()
        harness.queue.notice("MODIFIED", body(version=2, asked="now"))
        assert harness.queue.failed(job, OSError("away")) == (1, timedelta())
        assert why(harness.take()) == (Cause.REQUESTED, True)

    def test_a_pass_that_was_abandoned_did_not_fail(self, harness: QueueHarness) -> None:
        harness.queue.notice("ADDED", body())
        job = harness.start()
        failures, _ = harness.queue.failed(job, PassAbandoned())
        assert failures == 0


def test_due_passes_come_before_restores_longest_overdue_first(harness: QueueHarness) -> None:
    refs = [PolicyRef("security", name) for name in "abc"]
    for position, ref in enumerate(refs):
        harness.queue.notice("ADDED", body(ref=ref))
        (job,) = harness.queue.take(8)
        harness.queue.ended(job, PassEnd(1, "", harness.time.wall + timedelta(minutes=3 - position)))
    later = PolicyRef("security", "later")
    harness.time.passes(timedelta(minutes=5))
    harness.queue.notice(None, body(ref=later, last_pass=harness.time.wall))
    assert [job.ref for job in harness.queue.take(2)] == [refs[2], refs[1]]
    assert [job.ref for job in harness.queue.take(8)] == [refs[0], later]
    assert harness.queue.take(0) == []


class TestFairness:
    def notice(self, harness: QueueHarness, *names: str) -> None:
        for version, name in enumerate(names, start=1):
            namespace, _, policy = name.partition("/")
            harness.queue.notice("ADDED", body(ref=PolicyRef(namespace, policy), uid=name, version=version))

    def test_namespaces_take_turns(self, harness: QueueHarness) -> None:
        self.notice(harness, *(f"greedy/{number}" for number in range(20)), "polite/a", "polite/b")
        taken = [job.ref.namespace for job in harness.queue.take(6)]
        assert taken[:4] == ["greedy", "polite", "greedy", "polite"]
        assert taken[4:] == ["greedy", "greedy"]

    def test_one_more_slot_is_there_for_a_namespace_that_has_none(self, harness: QueueHarness) -> None:
        self.notice(harness, *(f"greedy/{number}" for number in range(20)))
        assert len(harness.queue.take(8)) == 8
        assert (harness.queue.take(0), harness.queue.seconds_until_next(0)) == ([], None)
        self.notice(harness, "polite/a", "polite/b")
        assert harness.queue.seconds_until_next(0) == 0.0
        assert [job.ref.namespace for job in harness.queue.take(0)] == ["polite"]
        assert (harness.queue.take(-1), harness.queue.seconds_until_next(-1)) == ([], None)

    def test_how_long_the_next_pass_has_been_due(self, harness: QueueHarness) -> None:
        self.notice(harness, "greedy/a", "greedy/b")
        since = harness.time.wall
        harness.queue.take(1)
        harness.time.passes(QUARTER)
        assert harness.queue.oldest_due() == since
        harness.queue.take(1)
        assert harness.queue.oldest_due() is None
