"""Planning: who is acted on, who is not and why, and never more than the limits allow."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from mfa_operator.evaluate import Verdict
from mfa_operator.plan import Terms, plan, record

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
REMOVE = RemediationAction.REMOVE_CONSOLE_ACCESS


def verdict(user: str = "alice", *, overdue_since: timedelta = HOUR, **changes: Any) -> Verdict:
    deadline = NOW - overdue_since
    state = UserState.OVERDUE if deadline <= NOW else UserState.VIOLATING
    made = Verdict(user, "/", f"AIDA{user}", state, console=True, first_seen=deadline - 24 * HOUR, deadline=deadline)
    return replace(made, **changes)


def published(found: Verdict, **changes: Any) -> Finding:
    fields = {"state": FindingState.OVERDUE, "first_seen": found.first_seen, "deadline": found.deadline} | changes
    return Finding(user=found.user, **fields)


def terms(**changes: Any) -> Terms:
    remediation = Remediation(
        action=changes.pop("action", REMOVE),
        dry_run=changes.pop("dry_run", False),
        max_per_pass=changes.pop("max_per_pass", 5),
        max_percent=changes.pop("max_percent", 100),
    )
    made = Terms(remediation, switched_on=True, permitted=True, own_users=frozenset(), console_users=100, now=NOW)
    return replace(made, **changes)


def decide(found: Verdict, before: Finding | None, given_terms: Terms) -> RefusalReason | None:
    (decision,) = plan([found], {found.user: before} if before else {}, given_terms)
    return decision.refusal


@pytest.mark.parametrize(
    ("changed", "before", "changed_terms", "reason"),
    [
        ({}, {}, {}, None),
        ({}, {"state": FindingState.VIOLATING}, {}, None),
        ({"state": UserState.EXEMPT}, {}, {}, RefusalReason.EXEMPT),
        ({"state": UserState.UNKNOWN}, {}, {}, RefusalReason.LOOKUP_DENIED),
        ({"state": UserState.VIOLATING}, {}, {}, RefusalReason.WITHIN_GRACE),
        ({"user": ROOT_USER}, {}, {}, RefusalReason.ROOT),
        ({}, {}, {"own_users": frozenset({"alice"})}, RefusalReason.OWN_IDENTITY),
        ({}, {}, {"switched_on": False}, RefusalReason.REMEDIATION_DISABLED),
        ({}, {}, {"action": RemediationAction.NONE}, RefusalReason.REMEDIATION_DISABLED),
        ({}, {}, {"permitted": False}, RefusalReason.NOT_ALLOWED),
        ({"console": False}, {}, {}, RefusalReason.NO_CONSOLE),
        ({"console": None}, {}, {}, RefusalReason.NO_CONSOLE),
        ({}, None, {}, RefusalReason.NOT_PUBLISHED_YET),
        ({}, {"state": FindingState.EXEMPT}, {}, RefusalReason.NOT_PUBLISHED_YET),
        ({}, {"state": FindingState.UNKNOWN}, {}, RefusalReason.NOT_PUBLISHED_YET),
        ({}, {"state": FindingState.REMEDIATED}, {}, RefusalReason.NOT_PUBLISHED_YET),
        ({}, {"first_seen": NOW - 99 * HOUR}, {}, RefusalReason.NOT_PUBLISHED_YET),
        ({}, {"deadline": NOW + HOUR}, {}, RefusalReason.WITHIN_GRACE),
        ({}, {"deadline": None}, {}, RefusalReason.WITHIN_GRACE),
        ({}, {"deadline": NOW}, {}, None),
        ({}, {}, {"dry_run": True}, RefusalReason.DRY_RUN),
    ],
)
def test_every_refusal(
    changed: dict[str, Any], before: dict[str, Any] | None, changed_terms: dict[str, Any], reason: RefusalReason | None
) -> None:
    found = verdict(**changed)
    finding = None if before is None else published(found, **before)
    assert decide(found, finding, terms(**changed_terms)) is reason


def test_the_compliant_and_those_without_console_access_are_not_decided_on() -> None:
    fine = [verdict("a", state=UserState.COMPLIANT), verdict("b", state=UserState.NO_CONSOLE)]
    assert plan(fine, {}, terms()) == []


def test_the_oldest_deadline_comes_first_and_who_failed_comes_last() -> None:
    users = [verdict(name, overdue_since=age * HOUR) for name, age in (("young", 1), ("old", 9), ("failed", 99))]
    reports = {found.user: published(found) for found in users}
    failed = FindingRemediation(action=REMOVE, state=RemediationState.FAILED, time=NOW - HOUR)
    reports["failed"] = published(users[2], remediation=failed)
    decisions = plan(users, reports, terms(max_per_pass=1))
    assert [(decision.verdict.user, decision.refusal) for decision in decisions] == [
        ("old", None),
        ("young", RefusalReason.LIMIT_REACHED),
        ("failed", RefusalReason.LIMIT_REACHED),
    ]


@pytest.mark.parametrize(
    ("per_pass", "percent", "console_users", "limit"),
    [(5, 10, 100, 5), (50, 10, 100, 10), (5, 10, 9, 1), (5, 10, 0, 1), (5, 10, 39, 3), (1, 100, 1000, 1)],
)
def test_the_smaller_limit_holds_and_one_is_always_possible(
    per_pass: int, percent: int, console_users: int, limit: int
) -> None:
    given_terms = terms(max_per_pass=per_pass, max_percent=percent, console_users=console_users)
    users = [verdict(f"user-{number:02}") for number in range(20)]
    decisions = plan(users, {found.user: published(found) for found in users}, given_terms)
    assert given_terms.limit == limit
    assert sum(decision.acts for decision in decisions) == limit


def test_a_dry_run_says_what_would_be_done_and_what_the_limit_would_spare() -> None:
    users = [verdict("a"), verdict("b")]
    decisions = plan(users, {found.user: published(found) for found in users}, terms(dry_run=True, max_per_pass=1))
    assert [decision.refusal for decision in decisions] == [RefusalReason.DRY_RUN, RefusalReason.LIMIT_REACHED]


def test_a_reason_that_was_published_before_keeps_its_time() -> None:
    found = verdict()
    (decision,) = plan([found], {found.user: published(found)}, terms(dry_run=True))
    first = record(decision, None, NOW)
    assert first is not None
    assert (first.state, first.reason, first.time) == (RemediationState.DRY_RUN, "DryRun", NOW)
    assert record(decision, first, NOW + HOUR) == first


VERDICTS = st.builds(
    lambda user, state, age, console: verdict(user, overdue_since=timedelta(hours=age), state=state, console=console),
    st.sampled_from([ROOT_USER, *(f"user-{number}" for number in range(12))]),
    st.sampled_from(UserState),
    st.integers(-48, 48),
    st.sampled_from([True, True, False, None]),
)
FINDINGS = st.builds(
    lambda state, shift, age: (state, timedelta(hours=shift), timedelta(hours=age)),
    st.sampled_from(FindingState),
    st.sampled_from([0, 0, 0, 1]),
    st.integers(-48, 48),
)


@given(
    st.lists(VERDICTS, unique_by=lambda found: found.user, max_size=13),
    st.lists(st.none() | FINDINGS, min_size=13, max_size=13),
    st.builds(
        terms,
        action=st.sampled_from(RemediationAction),
        dry_run=st.booleans(),
        max_per_pass=st.integers(1, 8),
        max_percent=st.integers(1, 100),
        switched_on=st.booleans(),
        permitted=st.booleans(),
        own_users=st.frozensets(st.sampled_from([f"user-{number}" for number in range(12)])),
        console_users=st.integers(0, 40),
    ),
)
def test_nobody_is_acted_on_against_a_rule(
    verdicts: list[Verdict], findings: list[tuple[FindingState, timedelta, timedelta] | None], given_terms: Terms
) -> None:
    reports = {
        found.user: Finding(
            user=found.user,
            state=finding[0],
            first_seen=found.first_seen + finding[1] if found.first_seen else None,
            deadline=NOW - finding[2],
        )
        for found, finding in zip(verdicts, findings, strict=False)
        if finding
    }
    acting = [decision for decision in plan(verdicts, reports, given_terms) if decision.acts]
    assert len(acting) <= given_terms.limit
    for decision in acting:
        found, before = decision.verdict, reports[decision.verdict.user]
        assert given_terms.switched_on
        assert given_terms.permitted
        assert not given_terms.remediation.dry_run
        assert given_terms.remediation.action is not RemediationAction.NONE
        assert found.state is UserState.OVERDUE
        assert found.console
        assert found.user != ROOT_USER
        assert found.user not in given_terms.own_users
        assert before.state in (FindingState.VIOLATING, FindingState.OVERDUE)
        assert before.first_seen == found.first_seen
        assert before.deadline is not None
        assert before.deadline <= NOW
