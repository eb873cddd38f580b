"""What becomes due by which event, with clocks that the test moves."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mfa_operator.agenda import Agenda, Job
from mfa_operator.api.conversion import rfc3339
from mfa_operator.api.enums import API_VERSION, REQUESTED_AT_ANNOTATION
from mfa_operator.api.objects import PolicyRef
from mfa_operator.schedule import Cause, PassAbandoned, PassEnd

REF = PolicyRef("security", "console-mfa")
QUARTER = timedelta(minutes=15)


@dataclass
class Time:
    """Two clocks, as a machine has them."""

    wall: datetime = datetime(2026, 11, 24, 12, tzinfo=UTC)
    seconds: float = 1000.0

    def passes(self, delta: timedelta) -> None:
        self.wall += delta
        self.seconds += delta.total_seconds()

    def is_set(self, delta: timedelta) -> None:
        """Somebody sets the wall clock."""
        self.wall += delta


@dataclass
class Desk:
    """An agenda, and what it told to forget."""

    time: Time = field(default_factory=Time)
    forgotten: list[PolicyRef] = field(default_factory=list)
    agenda: Agenda = field(init=False)

    def __post_init__(self) -> None:
        self.agenda = Agenda(
            self.forgotten.append,
            clock=lambda: self.time.wall,
            chance=random.Random(1),
            monotonic=lambda: self.time.seconds,
        )

    def take(self) -> Job | None:
        """The one job there is to do, if any."""
        jobs = self.agenda.take(8)
        assert len(jobs) <= 1
        return jobs[0] if jobs else None

    def start(self) -> Job:
        """Begin the pass that must be due now."""
        job = self.take()
        assert job is not None
        assert job.due is not None
        return job

    def do(self, *, generation: int = 1, requested_at: str = "", every: timedelta | None = QUARTER) -> Job:
        """Run the pass that must be due now, to its end."""
        job = self.start()
        self.agenda.ended(job, PassEnd(generation, requested_at, self.time.wall + every if every else None))
        return job


def why(job: Job | None) -> tuple[Cause, bool] | None:
    """The cause of a pass, and whether it is fresh; None where there is no pass."""
    return (job.due.cause, job.due.fresh) if job and job.due else None


@pytest.fixture
def desk() -> Desk:
    return Desk()


def body(
    *,
    uid: str = "one",
    version: int = 1,
    generation: int = 1,
    asked: str = "",
    last_pass: datetime | None = None,
    ref: PolicyRef = REF,
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"namespace": ref.namespace, "name": ref.name, "uid": uid}
    metadata |= {"resourceVersion": str(version), "generation": generation}
    if asked:
        metadata["annotations"] = {REQUESTED_AT_ANNOTATION: asked}
    found = {
        "apiVersion": API_VERSION,
        "kind": "MfaPolicy",
        "metadata": metadata,
        "spec": {"accounts": [{"id": "111122223333"}]},
    }
    if last_pass:
        times = {"lastPassTime": rfc3339(last_pass), "nextPassTime": rfc3339(last_pass + QUARTER)}
        found["status"] = {"observedGeneration": generation, **times}
    return found


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


class Interleavings(RuleBasedStateMachine):
    """Any order of edits, wishes, deletions, passes and failures, with every event delivered late or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk()
        self.version = 0
        self.uid = 0
        self.live: dict[str, Any] | None = None
        self.undelivered: list[tuple[str, dict[str, Any]]] = []
        self.job: Job | None = None
        self.seen: tuple[str, int, str] | None = None
        self.served: tuple[str, int, str] | None = None

    def change(self, event: str, **fields: Any) -> None:
        self.version += 1
        found = body(uid=str(self.uid), version=self.version, **fields)
        self.live = None if event == "DELETED" else found
        self.undelivered.append((event, found))

    def state(self) -> tuple[str, int, str] | None:
        if self.live is None:
            return None
        metadata = self.live["metadata"]
        return metadata["uid"], metadata["generation"], metadata.get("annotations", {}).get(REQUESTED_AT_ANNOTATION, "")

    @precondition(lambda self: self.live is None)
    @rule()
    def create(self) -> None:
        self.uid += 1
        self.change("ADDED")

    @precondition(lambda self: self.live is not None)
    @rule()
    def edit(self) -> None:
        _, generation, asked = self.state() or ("", 0, "")
        self.change("MODIFIED", generation=generation + 1, asked=asked)

    @precondition(lambda self: self.live is not None)
    @rule()
    def ask(self) -> None:
        _, generation, _ = self.state() or ("", 0, "")
        self.change("MODIFIED", generation=generation, asked=f"wish {self.version}")

    @precondition(lambda self: self.live is not None)
    @rule()
    def delete(self) -> None:
        _, generation, asked = self.state() or ("", 0, "")
        self.change("DELETED", generation=generation, asked=asked)

    @precondition(lambda self: self.undelivered)
    @rule()
    def deliver(self) -> None:
        self.desk.agenda.notice(*self.undelivered.pop(0))

    @rule()
    def list_anew(self) -> None:
        """A watch that lost its place: all events before it are lost, the list is complete."""
        self.undelivered.clear()
        self.desk.agenda.listed([self.live] if self.live else [], self.desk.agenda.known())

    @precondition(lambda self: self.job is None)
    @rule()
    def start(self) -> None:
        self.job = self.desk.take()
        self.seen = self.state()

    @precondition(lambda self: self.job is not None)
    @rule(fails=st.booleans())
    def end(self, fails: bool) -> None:
        assert self.job is not None
        job, self.job = self.job, None
        if fails:
            self.desk.agenda.failed(job, OSError("away"))
            return
        _, generation, asked = self.seen or ("", 0, "")
        due = self.desk.time.wall + QUARTER if self.seen else None
        self.desk.agenda.ended(job, PassEnd(generation, asked, due) if job.due else None)
        if job.due and job.due.fresh:
            self.served = self.seen

    @rule(minutes=st.integers(1, 20))
    def wait(self, minutes: int) -> None:
        self.desk.time.passes(timedelta(minutes=minutes))

    @invariant()
    def a_policy_is_never_lost(self) -> None:
        """Once all events are delivered, whatever lives is waited for, and what does not is not known."""
        if self.undelivered or self.job:
            return
        if self.live is None:
            assert self.desk.agenda.known() == {}
        else:
            assert self.desk.agenda.known() == {REF: str(self.uid)}
            assert self.desk.agenda.wait() is not None

    @invariant()
    def what_a_person_did_is_served_by_a_fresh_pass(self) -> None:
        if self.undelivered or self.job or self.live is None or self.served == self.state():
            return
        (entry,) = self.desk.agenda._entries.values()
        assert entry.due
        assert entry.due.fresh


Interleavings.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestInterleavings = Interleavings.TestCase
