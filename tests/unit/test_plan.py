"""Who is acted on in a pass, who is not and why; and what nobody's spec can bring about."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mfa_operator.api.conversion import from_dict
from mfa_operator.api.enums import (
    ROOT_USER,
    FindingState,
    RefusalReason,
    RemediationAction,
    RemediationState,
    UserState,
)
from mfa_operator.api.policy import Remediation
from mfa_operator.api.status import Finding, FindingRemediation
from mfa_operator.evaluation.verdicts import Verdict
from mfa_operator.remediation.planner import REFUSALS, Candidate, Decision, Terms, plan, record, refusal_message
from tests.unit.facts import DAY, HOUR, MINUTE, NOW, finding

REMOVE, QUARANTINE = RemediationAction.REMOVE_CONSOLE_ACCESS, RemediationAction.QUARANTINE
SEEN, DEADLINE = NOW - 8 * DAY, NOW - DAY
OVERDUE = Verdict(
    "alice", "/", "AIDAALICE", UserState.OVERDUE, console=True, console_since=SEEN, first_seen=SEEN, deadline=DEADLINE
)
PUBLISHED = finding(state=FindingState.OVERDUE, first_seen=SEEN, deadline=DEADLINE)


def terms(**fields: Any) -> Terms:
    """Terms under which alice is acted on, with other fields of spec.remediation or of Terms."""
    own = {key: fields.pop(key) for key in list(fields) if key in Terms.__dataclass_fields__}
    asked = {"action": "RemoveConsoleAccess", "dryRun": False, "maxPerPass": 5000, "maxPercent": 100, **fields}
    usual: dict[str, Any] = {
        "remediation": from_dict(Remediation, asked, at="spec.remediation"),
        "switched_on": True,
        "permitted": True,
        "own_users": frozenset(),
        "console_users": 1000,
        "now": NOW,
    }
    return Terms(**(usual | own))


def decide(verdict: Verdict = OVERDUE, published: Finding | None = PUBLISHED, **fields: Any) -> Decision:
    [decision] = plan([verdict], {verdict.user: published} if published else {}, terms(**fields))
    return decision


def verdict_of(**fields: Any) -> Verdict:
    return replace(OVERDUE, **fields)


REASONS = RefusalReason
TABLE: list[tuple[str, dict[str, Any], RefusalReason]] = [
    ("exempt", {"verdict": verdict_of(state=UserState.EXEMPT)}, REASONS.EXEMPT),
    ("unknown", {"verdict": verdict_of(state=UserState.UNKNOWN)}, REASONS.LOOKUP_DENIED),
    ("violating", {"verdict": verdict_of(state=UserState.VIOLATING)}, REASONS.WITHIN_GRACE),
    ("root", {"verdict": verdict_of(user=ROOT_USER)}, REASONS.ROOT),
    ("own user", {"own_users": frozenset({"alice"})}, REASONS.OWN_IDENTITY),
    ("no action", {"action": "None"}, REASONS.REMEDIATION_DISABLED),
    ("switched off", {"switched_on": False}, REASONS.REMEDIATION_DISABLED),
    ("not permitted", {"permitted": False}, REASONS.NOT_ALLOWED),
    ("no console", {"verdict": verdict_of(console=False)}, REASONS.NO_CONSOLE),
    ("console not known", {"verdict": verdict_of(console=None)}, REASONS.NO_CONSOLE),
    ("never published", {"published": None}, REASONS.NOT_PUBLISHED_YET),
    ("published exempt", {"published": finding(state=FindingState.EXEMPT, first_seen=SEEN)}, REASONS.NOT_PUBLISHED_YET),
    ("published unknown", {"published": finding(state=FindingState.UNKNOWN, first_seen=SEEN, deadline=DEADLINE)},
     REASONS.NOT_PUBLISHED_YET),
    ("removed before", {"published": finding(state=FindingState.REMEDIATED, first_seen=SEEN, deadline=DEADLINE)},
     REASONS.NOT_PUBLISHED_YET),
    ("another violation", {"published": finding(first_seen=SEEN - DAY, deadline=DEADLINE)}, REASONS.NOT_PUBLISHED_YET),
    ("no published deadline", {"published": finding(first_seen=SEEN)}, REASONS.WITHIN_GRACE),
    ("a longer deadline was published", {"published": finding(first_seen=SEEN, deadline=NOW + timedelta(seconds=1))},
     REASONS.WITHIN_GRACE),
    ("dry run", {"dryRun": True}, REASONS.DRY_RUN),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "reason"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_each_reason_alone_suffices(fields: dict[str, Any], reason: RefusalReason) -> None:
    decision = decide(**fields)
    assert (decision.refusal, decision.acts) == (reason, False)


def test_where_nothing_speaks_against_it_somebody_is_acted_on() -> None:
    assert decide() == Decision(OVERDUE, REMOVE, None)
    assert decide(action="QuarantineUntilMfa").action is QUARANTINE
    assert decide(published=replace_finding(state=FindingState.VIOLATING)).acts
    assert decide(published=replace_finding(deadline=NOW)).acts, "the deadline itself has come"


def replace_finding(**fields: Any) -> Finding:
    known: dict[str, Any] = {"state": FindingState.OVERDUE, "first_seen": SEEN, "deadline": DEADLINE}
    return finding(**(known | fields))


def test_what_weighs_more_is_named_first() -> None:
    """What is about the user comes before what is about the policy, and the limit after everything."""
    ranks: list[dict[str, Any]] = [
        {"verdict": verdict_of(user=ROOT_USER)},
        {"own_users": frozenset({"alice", ROOT_USER})},
        {"switched_on": False},
        {"permitted": False},
        {"published": None},
        {"dryRun": True},
    ]
    expected = [REASONS.ROOT, REASONS.OWN_IDENTITY, REASONS.REMEDIATION_DISABLED, REASONS.NOT_ALLOWED,
                REASONS.NOT_PUBLISHED_YET, REASONS.DRY_RUN]  # fmt: skip
    for index, reason in enumerate(expected):
        together = {key: value for fields in ranks[index:] for key, value in fields.items()}
        assert decide(**together).refusal is reason


def test_every_refusal_has_words_for_people() -> None:
    assert len({refusal_message(reason) for reason in RefusalReason}) == len(RefusalReason)


@pytest.mark.parametrize("state", [UserState.COMPLIANT, UserState.NO_CONSOLE])
def test_nothing_is_decided_about_who_does_not_violate(state: UserState) -> None:
    assert plan([verdict_of(state=state)], {"alice": PUBLISHED}, terms()) == []


def test_nothing_is_decided_about_who_is_under_quarantine() -> None:
    assert plan([OVERDUE], {"alice": PUBLISHED}, terms(), in_force=frozenset({"alice"})) == []


class TestLimits:
    @pytest.mark.parametrize(
        ("per_pass", "percent", "console_users", "limit"),
        [
            (5, 10, 1000, 5),
            (5, 10, 50, 5),
            (5, 10, 49, 4),
            (5, 10, 20, 2),
            (5, 10, 19, 1),
            (5, 10, 9, 1),
            (5, 10, 1, 1),
            (5, 10, 0, 1),
            (1, 100, 5000, 1),
            (5000, 100, 5000, 5000),
            (5000, 1, 5000, 50),
        ],
    )
    def test_the_smaller_of_both_and_at_least_one(
        self, per_pass: int, percent: int, console_users: int, limit: int
    ) -> None:
        assert terms(maxPerPass=per_pass, maxPercent=percent, console_users=console_users).limit == limit

    def test_who_is_refused_for_another_reason_uses_none_of_it_up(self) -> None:
        verdicts = [verdict_of(user=f"u{n}", deadline=DEADLINE + n * MINUTE) for n in range(6)]
        published = {
            f"u{n}": replace_finding(user=f"u{n}", deadline=DEADLINE + n * MINUTE) for n in range(6) if n not in (0, 2)
        }
        decisions = plan(verdicts, published, terms(maxPerPass=2))
        assert [(each.verdict.user, each.refusal) for each in decisions] == [
            ("u0", REASONS.NOT_PUBLISHED_YET),
            ("u1", None),
            ("u2", REASONS.NOT_PUBLISHED_YET),
            ("u3", None),
            ("u4", REASONS.LIMIT_REACHED),
            ("u5", REASONS.LIMIT_REACHED),
        ]

    def test_a_dry_run_keeps_to_it_too(self) -> None:
        verdicts = [verdict_of(user=name) for name in ("a", "b", "c")]
        published = {name: replace_finding(user=name) for name in ("a", "b", "c")}
        decisions = plan(verdicts, published, terms(maxPerPass=2, dryRun=True))
        assert [each.refusal for each in decisions] == [REASONS.DRY_RUN, REASONS.DRY_RUN, REASONS.LIMIT_REACHED]


def tried(state: RemediationState, at: datetime = NOW - HOUR, reason: str = "") -> FindingRemediation:
    return FindingRemediation(action=REMOVE, state=state, reason=reason, time=at)


class TestOrder:
    def order(self, *users: tuple[str, datetime, FindingRemediation | None]) -> list[str]:
        verdicts = [verdict_of(user=name, deadline=deadline) for name, deadline, _ in users]
        published = {
            name: replace_finding(user=name, deadline=deadline, remediation=before) for name, deadline, before in users
        }
        return [each.verdict.user for each in plan(verdicts, published, terms())]

    def test_the_oldest_deadline_first_then_the_name(self) -> None:
        assert self.order(
            ("b", DEADLINE, None), ("c", DEADLINE - HOUR, None), ("a", DEADLINE, None), ("d", DEADLINE - DAY, None)
        ) == ["d", "c", "a", "b"]

    @pytest.mark.parametrize(
        "failed", [tried(RemediationState.FAILED), tried(RemediationState.SKIPPED, reason="LookupDenied")]
    )
    def test_who_failed_last_time_comes_after_everybody(self, failed: FindingRemediation) -> None:
        assert self.order(("old", DEADLINE - DAY, failed), ("new", DEADLINE, None)) == ["new", "old"]

    def test_among_the_failed_the_one_tried_longest_ago_comes_first(self) -> None:
        assert self.order(
            ("a", DEADLINE - DAY, tried(RemediationState.FAILED, NOW - MINUTE)),
            ("b", DEADLINE, tried(RemediationState.FAILED, NOW - HOUR)),
        ) == ["b", "a"]

    def test_who_only_had_no_turn_keeps_the_place(self) -> None:
        waiting = tried(RemediationState.SKIPPED, reason="LimitReached")
        again = tried(RemediationState.PLANNED)
        assert self.order(("a", DEADLINE - DAY, waiting), ("b", DEADLINE, None), ("c", DEADLINE - HOUR, again)) == [
            "a",
            "c",
            "b",
        ]


class TestRecord:
    def test_what_is_planned_what_would_be_and_what_is_not(self) -> None:
        planned = record(decide(), None, NOW)
        assert planned is not None
        assert (planned.action, planned.state, planned.reason) == (REMOVE, RemediationState.PLANNED, "")
        would = record(decide(dryRun=True), None, NOW)
        assert would is not None
        assert (would.state, would.reason) == (RemediationState.DRY_RUN, "DryRun")
        refused = record(decide(published=None), None, NOW)
        assert refused is not None
        assert (refused.state, refused.reason, refused.time) == (RemediationState.SKIPPED, "NotPublishedYet", NOW)

    def test_no_plan_without_an_action_or_overdue_users(self) -> None:
        """A finding says nothing about remediation then."""

        assert record(decide(action="None"), None, NOW) is None
        for state in (UserState.VIOLATING, UserState.EXEMPT, UserState.UNKNOWN):
            assert record(decide(verdict_of(state=state)), None, NOW) is None

    def test_a_refusal_that_goes_on_keeps_its_time(self) -> None:
        before = record(decide(permitted=False), None, NOW - HOUR)
        assert record(decide(permitted=False), before, NOW) == before
        other = record(decide(dryRun=True), before, NOW)
        assert other is not None
        assert other.time == NOW

    def test_a_failure_is_shown_until_the_next_try(self) -> None:
        failed = tried(RemediationState.FAILED)
        limited = Decision(OVERDUE, REMOVE, REASONS.LIMIT_REACHED)
        assert record(limited, failed, NOW) == failed
        moved_on = record(Decision(OVERDUE, QUARANTINE, REASONS.LIMIT_REACHED), failed, NOW)
        assert moved_on is not None
        assert moved_on.reason == "LimitReached"


TIMES = st.integers(-20, 20).map(lambda hours: NOW + hours * HOUR)
NAMES = st.sampled_from([ROOT_USER, "alice", "bob", "carol", "dave", "mfa-operator", "zoe"])
VERDICTS = st.builds(
    Verdict,
    user=NAMES,
    path=st.just("/"),
    user_id=st.just("AIDA"),
    state=st.sampled_from([*UserState, *[UserState.OVERDUE] * 6]),
    console=st.sampled_from([True, True, True, False, None]),
    console_since=TIMES,
    first_seen=st.one_of(st.none(), TIMES),
    deadline=st.one_of(st.none(), TIMES),
)
RECORDS = st.builds(
    FindingRemediation,
    action=st.sampled_from([REMOVE, QUARANTINE]),
    state=st.sampled_from(RemediationState),
    reason=st.sampled_from(["", *RefusalReason]),
    time=st.one_of(st.none(), TIMES),
)
TERMS = st.builds(
    terms,
    action=st.sampled_from(["RemoveConsoleAccess", "RemoveConsoleAccess", "QuarantineUntilMfa", "None"]),
    dryRun=st.sampled_from([False, False, False, True]),
    maxPerPass=st.integers(1, 5),
    maxPercent=st.integers(1, 100),
    console_users=st.integers(0, 20),
    switched_on=st.sampled_from([True, True, True, False]),
    permitted=st.sampled_from([True, True, True, False]),
    own_users=st.sampled_from([frozenset(), frozenset({"mfa-operator"})]),
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Verdict], dict[str, Finding], Terms, frozenset[str]]:
    """Accounts in which most users would be acted on, were it not for something."""
    verdicts = draw(st.lists(VERDICTS, max_size=7, unique_by=lambda verdict: verdict.user))
    published: dict[str, Finding] = {}
    for verdict in verdicts:
        same = draw(st.booleans())
        published[verdict.user] = finding(
            verdict.user,
            draw(st.sampled_from([FindingState.OVERDUE, FindingState.VIOLATING, *FindingState])),
            first_seen=verdict.first_seen if same else draw(st.one_of(st.none(), TIMES)),
            deadline=verdict.deadline if same else draw(st.one_of(st.none(), TIMES)),
            remediation=draw(st.one_of(st.none(), RECORDS)),
        )
        if not draw(st.integers(0, 4)):
            del published[verdict.user]
    return verdicts, published, draw(TERMS), draw(st.sampled_from([frozenset(), frozenset({"bob", "zoe"})]))


@given(cases())
def test_protected_users_and_limits_are_respected(
    case: tuple[list[Verdict], dict[str, Finding], Terms, frozenset[str]],
) -> None:
    """Nobody whom a rule protects is acted on, and never more users than the limit."""

    verdicts, published, held, in_force = case
    decisions = plan(verdicts, published, held, in_force=in_force)
    acting = [decision.verdict for decision in decisions if decision.acts]
    asked = held.remediation
    assert len(acting) <= max(1, min(asked.max_per_pass, held.console_users * asked.max_percent // 100))
    for verdict in acting:
        before = published[verdict.user]
        assert asked.action is not RemediationAction.NONE
        assert not asked.dry_run
        assert held.switched_on
        assert held.permitted
        assert verdict.state is UserState.OVERDUE
        assert verdict.console is True
        assert verdict.user not in {ROOT_USER, *held.own_users, *in_force}
        assert before.state in (FindingState.VIOLATING, FindingState.OVERDUE)
        assert before.first_seen == verdict.first_seen
        assert before.deadline is not None
        assert before.deadline <= held.now
    overdue = {verdict.user for verdict in verdicts if verdict.state is UserState.OVERDUE} - in_force
    assert overdue <= {decision.verdict.user for decision in decisions}, "everybody else learns why not"
    assert len({decision.verdict.user for decision in decisions}) == len(decisions)
    spared = [each for each in decisions if each.refusal is REASONS.LIMIT_REACHED]
    if spared and not asked.dry_run:
        assert len(acting) == held.limit, "the limit is used before it is named"
    assert all(
        one.acts or not next_.acts for one, next_ in pairwise(each for each in decisions if each.acts or each in spared)
    )


@given(cases())
def test_each_rule_alone_is_never_overruled(
    case: tuple[list[Verdict], dict[str, Finding], Terms, frozenset[str]],
) -> None:
    verdicts, published, held, _ = case
    for decision in plan(verdicts, published, held):
        candidate = Candidate(decision.verdict, published.get(decision.verdict.user), held)
        against = [reason for refuse in REFUSALS if (reason := refuse(candidate))]
        if against:
            assert decision.refusal is against[0]
        else:
            assert decision.refusal in (None, REASONS.LIMIT_REACHED, REASONS.DRY_RUN)
