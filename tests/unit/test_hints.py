"""Hints: coalesced, bounded, and never in the way of passes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfa_operator.api.objects import PolicyRef
from mfa_operator.scheduling.due import PassEnd
from mfa_operator.scheduling.entries import Job
from mfa_operator.scheduling.hints import (
    BATCH,
    COALESCE,
    LAST_GAP,
    MAX_TICKETS,
    MAX_USERS,
    MIN_GAP,
    SECOND_CHECK,
    Doubt,
    Hints,
    Ticket,
)
from tests.unit.queue_harness import QUARTER, REF, QueueHarness, body

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
ACCOUNT = "111122223333"
ALICE, BOB = frozenset({"alice"}), frozenset({"bob"})
SEEN: dict[str, frozenset[str] | None] = {}


class Clock:
    """Hints of one policy on a clock that the test moves."""

    def __init__(self) -> None:
        self.hints = Hints()
        self.now = 1000.0
        self.published: list[bool] = []

    @property
    def wall(self) -> datetime:
        return NOON + timedelta(seconds=self.now)

    def hint(self, users: frozenset[str] = ALICE, account: str = ACCOUNT) -> None:
        ticket = Ticket(self.published.append)
        ticket.add()
        self.hints.add(REF, account, users, ticket, at=self.wall, now=self.now)
        ticket.settle()

    def wait_for_targeted_pass(self) -> float:
        """Seconds until the next targeted pass is due, slept."""
        due = self.hints.due_at(REF)
        assert due is not None
        waited = max(due - self.now, 0.0)
        self.now += waited
        return waited

    def targeted_pass(self, unseen: dict[str, frozenset[str] | None] = SEEN) -> dict[str, Doubt]:
        targeted = self.hints.take(REF, at=self.wall, now=self.now)
        self.hints.ended(REF, targeted, unseen, self.now)
        return dict(targeted.doubts)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_hints_of_a_second_are_one_look(clock: Clock) -> None:
    clock.hint(ALICE)
    clock.now += 0.5
    clock.hint(BOB)
    assert clock.wait_for_targeted_pass() == pytest.approx(COALESCE - 0.5)
    assert clock.targeted_pass() == {ACCOUNT: Doubt(ALICE | BOB, NOON + timedelta(seconds=1000.5))}
    assert clock.published == [True, True]
    assert clock.hints.due_at(REF) is None


def test_an_account_is_looked_at_every_few_seconds_at_most(clock: Clock) -> None:
    clock.hint()
    clock.wait_for_targeted_pass()
    clock.targeted_pass()
    clock.hint()
    assert clock.wait_for_targeted_pass() == MIN_GAP


def test_a_look_that_saw_no_change_is_done_once_more(clock: Clock) -> None:
    """IAM's reads lag behind its events."""
    clock.hint()
    clock.wait_for_targeted_pass()
    clock.targeted_pass({ACCOUNT: ALICE})
    assert clock.published == [True]
    assert clock.wait_for_targeted_pass() == SECOND_CHECK
    assert clock.targeted_pass({ACCOUNT: ALICE}) == {ACCOUNT: Doubt(ALICE, clock.wall)}
    assert clock.hints.due_at(REF) is None


def test_the_second_check_reads_users_without_a_change(clock: Clock) -> None:
    clock.hint(ALICE | BOB)
    clock.wait_for_targeted_pass()
    clock.targeted_pass({ACCOUNT: BOB})
    clock.wait_for_targeted_pass()
    assert clock.targeted_pass()[ACCOUNT].users == BOB


def test_a_hint_brings_the_second_look_forward(clock: Clock) -> None:
    clock.hint(ALICE)
    clock.wait_for_targeted_pass()
    clock.targeted_pass({ACCOUNT: ALICE})
    clock.now += 5
    clock.hint(BOB)
    assert clock.wait_for_targeted_pass() == COALESCE
    assert clock.targeted_pass({ACCOUNT: ALICE})[ACCOUNT].users == ALICE | BOB
    assert clock.wait_for_targeted_pass() == SECOND_CHECK


def test_a_hint_during_a_look_is_another_look(clock: Clock) -> None:
    clock.hint(ALICE)
    clock.wait_for_targeted_pass()
    targeted = clock.hints.take(REF, at=clock.wall, now=clock.now)
    clock.hint(BOB)
    clock.hints.ended(REF, targeted, {ACCOUNT: ALICE}, clock.now)
    assert clock.published == [True]
    clock.wait_for_targeted_pass()
    assert clock.targeted_pass()[ACCOUNT].users == ALICE | BOB
    assert clock.published == [True, True]


def test_a_flood_that_changes_nothing_is_served_less_and_less(clock: Clock) -> None:
    """An hour of one message a second: one targeted pass a minute in the end."""
    targeted = 0
    for _ in range(3600):
        clock.now += 1
        clock.hint(ALICE)
        if (due := clock.hints.due_at(REF)) is not None and due <= clock.now:
            clock.targeted_pass({ACCOUNT: ALICE})
            targeted += 1
    assert targeted < 3600 / LAST_GAP + 12


def test_a_flood_that_lasts_for_days_does_not_end_the_looks(clock: Clock) -> None:
    """At one targeted pass a minute the count of those that found nothing passes a float's exponent within 18 hours."""
    for _ in range(1200):
        clock.hint()
        assert clock.wait_for_targeted_pass() <= LAST_GAP
        clock.targeted_pass({ACCOUNT: ALICE})


def test_a_failed_look_leaves_its_messages(clock: Clock) -> None:
    clock.hint()
    clock.wait_for_targeted_pass()
    clock.hints.failed(REF, clock.hints.take(REF, at=clock.wall, now=clock.now), clock.now)
    assert clock.published == [False]
    assert clock.hints.due_at(REF) is None


def test_of_accounts_that_failed_messages_are_left(clock: Clock) -> None:
    """And those of the others in the same job are not: they have their second one."""
    fine, failing = ACCOUNT, "444455556666"
    done: dict[str, list[bool]] = {fine: [], failing: []}
    for account, published in done.items():
        ticket = Ticket(published.append)
        ticket.add()
        clock.hints.add(REF, account, ALICE, ticket, at=clock.wall, now=clock.now)
        ticket.settle()
    clock.wait_for_targeted_pass()
    targeted = clock.hints.take(REF, at=clock.wall, now=clock.now)
    clock.hints.ended(REF, targeted, {fine: ALICE}, clock.now, failed={failing})
    assert done == {fine: [True], failing: [False]}
    clock.wait_for_targeted_pass()
    assert list(clock.targeted_pass()) == [fine]


def test_what_is_too_much_is_left_in_the_queue(clock: Clock) -> None:
    clock.hint(frozenset(f"user-{index}" for index in range(MAX_USERS)))
    clock.hint(ALICE)
    assert clock.published == [False]
    for _ in range(MAX_TICKETS + 5):
        clock.hint(frozenset({"user-1"}))
    assert clock.published == [False] * 7


def test_a_job_takes_some_accounts_and_the_oldest_first(clock: Clock) -> None:
    accounts = [f"{index:012}" for index in range(BATCH + 5)]
    for account in accounts:
        clock.hint(ALICE, account)
        clock.now += 0.001
    clock.now += COALESCE
    assert list(clock.targeted_pass()) == accounts[:BATCH]
    assert list(clock.targeted_pass()) == accounts[BATCH:]


def test_a_policy_that_is_gone_has_nothing_to_serve(clock: Clock) -> None:
    clock.hint()
    clock.hints.forget(REF)
    assert clock.published == [True]
    assert clock.hints.waiting(lambda _: True) == []


def test_what_is_remembered_of_an_account_goes(clock: Clock) -> None:
    clock.hint()
    clock.wait_for_targeted_pass()
    clock.targeted_pass()
    clock.now += LAST_GAP + 1
    clock.hint(ALICE, "444455556666")
    clock.wait_for_targeted_pass()
    clock.targeted_pass()
    clock.now += LAST_GAP + 1
    clock.hint(ALICE, "444455556666")
    clock.wait_for_targeted_pass()
    clock.targeted_pass()
    assert set(clock.hints._policies[REF]) == {"444455556666"}


EVENTS = st.lists(
    st.tuples(st.sampled_from(["hint", "wait", "look", "fail", "forget"]), st.sampled_from([ACCOUNT, "444455556666"])),
    max_size=60,
)


@given(EVENTS)
def test_every_message_is_answered_once_and_no_account_too_often(story: list[tuple[str, str]]) -> None:
    clock, hinted = Clock(), 0
    begun: dict[str, float] = {}
    for what, account in story:
        if what == "hint":
            clock.hint(ALICE, account)
            hinted += 1
        elif what == "forget":
            clock.hints.forget(REF)
            begun.clear()
        elif what == "wait":
            clock.now += 2.0
        else:
            targeted = clock.hints.take(REF, at=clock.wall, now=clock.now)
            for each in targeted.doubts:
                assert clock.now - begun.get(each, 0.0) >= MIN_GAP
                begun[each] = clock.now
            if what == "fail":
                clock.hints.failed(REF, targeted, clock.now)
            else:
                clock.hints.ended(REF, targeted, dict.fromkeys(targeted.doubts, ALICE), clock.now)
    clock.hints.forget(REF)
    assert len(clock.published) == hinted


class TestBesidePasses:
    @pytest.fixture
    def harness(self) -> QueueHarness:
        harness = QueueHarness()
        harness.queue.notice("ADDED", body())
        return harness

    @pytest.fixture
    def published(self) -> list[bool]:
        return []

    def hint(self, harness: QueueHarness, published: list[bool], refs: list[PolicyRef] | None = None) -> None:
        harness.queue.hint([REF] if refs is None else refs, ACCOUNT, ALICE, published.append)
        harness.time.passes(timedelta(seconds=COALESCE))

    def start_targeted(self, harness: QueueHarness) -> Job:
        (job,) = harness.queue.take_targeted(2)
        return job

    def test_a_look_waits_for_the_pass_under_way(self, harness: QueueHarness, published: list[bool]) -> None:
        job = harness.start()
        self.hint(harness, published)
        assert harness.queue.take_targeted(2) == []
        harness.queue.ended(job, PassEnd(1, "", harness.time.wall + QUARTER))
        harness.queue.targeted_ended(self.start_targeted(harness), {})
        assert published == [True]

    def test_a_pass_that_is_due_comes_before_a_look(self, harness: QueueHarness, published: list[bool]) -> None:
        self.hint(harness, published)
        assert harness.queue.take_targeted(2) == []
        assert harness.queue.seconds_until_targeted() is None

    def test_a_pass_waits_for_the_look_and_stays_due(self, harness: QueueHarness, published: list[bool]) -> None:
        harness.do()
        self.hint(harness, published)
        job = self.start_targeted(harness)
        harness.time.passes(QUARTER)
        assert harness.take() is None
        harness.queue.targeted_ended(job, {})
        assert harness.take() is not None

    def test_looks_move_no_interval(self, harness: QueueHarness, published: list[bool]) -> None:
        harness.do()
        for _ in range(20):
            self.hint(harness, published)
            harness.time.passes(timedelta(seconds=MIN_GAP))
            harness.queue.targeted_ended(self.start_targeted(harness), {})
        left = QUARTER.total_seconds() - 20 * (MIN_GAP + COALESCE)
        assert harness.queue.seconds_until_next() == left

    def test_an_edit_during_a_look_is_served_right_after_it(self, harness: QueueHarness, published: list[bool]) -> None:
        harness.do()
        self.hint(harness, published)
        job = self.start_targeted(harness)
        harness.queue.notice("MODIFIED", body(version=2, generation=2))
        assert harness.take() is None
        harness.queue.targeted_ended(job, None)
        assert published == [False]
        assert harness.take() is not None

    def test_a_policy_deleted_during_a_look_is_forgotten_after_it(
        self, harness: QueueHarness, published: list[bool]
    ) -> None:
        harness.do()
        self.hint(harness, published)
        job = self.start_targeted(harness)
        harness.queue.notice("DELETED", body(version=3))
        assert harness.forgotten == []
        harness.queue.targeted_ended(job, {})
        assert harness.forgotten == [REF]
        assert published == [True]

    def test_no_policy_means_nothing_to_serve(self, harness: QueueHarness, published: list[bool]) -> None:
        self.hint(harness, published, [])
        self.hint(harness, published, [PolicyRef("security", "gone")])
        assert published == [True, True]

    def test_looks_take_no_slot_from_passes(self, harness: QueueHarness, published: list[bool]) -> None:
        harness.do()
        self.hint(harness, published)
        self.start_targeted(harness)
        other = body() | {"metadata": body()["metadata"] | {"name": "other", "uid": "two"}}
        harness.queue.notice("ADDED", other)
        assert len(harness.queue.take(1)) == 1
