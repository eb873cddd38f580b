"""MfaPolicy.status: totals, the conditions, the worst findings."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from mfa_operator.api.enums import (
    AccountReason,
    AccountState,
    ConditionReason,
    ConditionType,
    FindingReason,
    FindingState,
)
from mfa_operator.api.status import (
    AccountStatus,
    Condition,
    Counts,
    PolicyFinding,
    PolicyStatus,
    PolicySummary,
    ReportStatus,
)
from mfa_operator.reporting.account_result import AccountResult
from mfa_operator.reporting.conditions import accounts_audited, compliant, ready
from mfa_operator.reporting.growing_status import pass_running_status
from mfa_operator.reporting.policy_status import not_audited_status, policy_status, summarize
from tests.unit.crd_schema import problems
from tests.unit.facts import DAY, HOUR, ID, NOW, finding, spec

OTHER, THIRD = "444455556666", "777788889999"
AUDITED = AccountStatus(id=ID, name="payments", state=AccountState.AUDITED)
FAILED = AccountStatus(id=OTHER, state=AccountState.FAILED, reason=AccountReason.TIMEOUT, message="no answer")
DENIED = AccountStatus(id=THIRD, state=AccountState.DENIED, reason=AccountReason.ACCESS_DENIED, message="refused")
NOT_ALLOWED = AccountStatus(id=OTHER, state=AccountState.FAILED, reason=AccountReason.NOT_ALLOWED, message="rules")


def test_totals_are_sums_and_failed_accounts_keep_their_counts() -> None:
    """A failed account adds the counts of its last successful audit."""

    results = [
        AccountResult(
            status=AUDITED,
            counts=Counts(users=5, console_users=4, compliant=1, violating=1, overdue=1, exempt=1, unknown=1),
        ),
        AccountResult(
            status=FAILED,
            counts=Counts(users=10, console_users=9, compliant=8, violating=1, quarantined=1, remediated=2),
        ),
        AccountResult(status=DENIED),
    ]
    assert summarize(results) == PolicySummary(
        accounts=3,
        accounts_failed=2,
        users=15,
        console_users=13,
        compliant=9,
        violating=2,
        overdue=1,
        exempt=1,
        unknown=1,
        quarantined=1,
        remediated=2,
    )
    assert summarize([]) == PolicySummary()


@pytest.mark.parametrize(
    ("accounts", "status", "reason", "words"),
    [
        ([AUDITED], "True", ConditionReason.PASS_SUCCEEDED, "1 account audited, next pass in about 15m"),
        ([AUDITED, FAILED], "True", ConditionReason.PASS_SUCCEEDED, "1 of 2 accounts audited, next pass"),
        ([AUDITED, NOT_ALLOWED], "True", ConditionReason.PASS_SUCCEEDED, "1 of 2 accounts audited"),
        ([FAILED, DENIED], "False", ConditionReason.NO_ACCOUNT_AUDITED, f"{OTHER}: no answer; {THIRD}: refused"),
        ([NOT_ALLOWED, DENIED], "False", ConditionReason.NO_ACCOUNT_AUDITED, "rules"),
        ([NOT_ALLOWED, NOT_ALLOWED], "False", ConditionReason.NOT_ALLOWED, "2 of 2 accounts not audited"),
        ([DENIED] * 5, "False", ConditionReason.NO_ACCOUNT_AUDITED, "5 accounts, such as"),
    ],
)
def test_ready_is_true_while_any_account_was_audited(
    accounts: list[AccountStatus], status: str, reason: ConditionReason, words: str
) -> None:
    condition = ready(spec(), accounts, 3, NOW)
    assert (condition.type, condition.status, condition.reason) == (ConditionType.READY, status, reason)
    assert words in condition.message
    assert condition.message.count(THIRD) <= 3
    assert condition.observed_generation == 3


@pytest.mark.parametrize(
    ("accounts", "status", "reason", "words"),
    [
        ([AUDITED, AUDITED], "True", ConditionReason.ALL_AUDITED, "2 accounts audited"),
        (
            [AUDITED, FAILED],
            "False",
            ConditionReason.ACCOUNTS_FAILED,
            f"1 of 2 accounts not audited: {OTHER}: no answer",
        ),
        ([AUDITED, NOT_ALLOWED], "False", ConditionReason.ACCOUNTS_NOT_ALLOWED, "rules"),
        ([NOT_ALLOWED, DENIED], "False", ConditionReason.ACCOUNTS_FAILED, "rules"),
        ([AUDITED, *[DENIED] * 5], "False", ConditionReason.ACCOUNTS_FAILED, "see status.accounts"),
    ],
)
def test_accounts_audited_names_the_first_that_failed(
    accounts: list[AccountStatus], status: str, reason: ConditionReason, words: str
) -> None:
    condition = accounts_audited(accounts, 3, NOW)
    assert (condition.type, condition.status, condition.reason) == (ConditionType.ACCOUNTS_AUDITED, status, reason)
    assert words in condition.message
    assert condition.message.count(THIRD) <= 3


@pytest.mark.parametrize(
    ("summary", "status", "reason", "words"),
    [
        ({"users": 5, "compliant": 5}, "True", ConditionReason.ALL_COMPLIANT, "all of 5 users meet"),
        ({"users": 5, "compliant": 3, "exempt": 2}, "True", ConditionReason.ALL_COMPLIANT, "2 exempt"),
        ({"users": 0}, "True", ConditionReason.ALL_COMPLIANT, "0 users"),
        (
            {"violating": 1},
            "False",
            ConditionReason.VIOLATIONS,
            "1 user without the required MFA: enable MFA, or remove",
        ),
        (
            {"overdue": 2, "violating": 1},
            "False",
            ConditionReason.VIOLATIONS,
            "3 users without the required MFA, 2 of them past",
        ),
        ({"overdue": 1, "accounts_failed": 1}, "False", ConditionReason.VIOLATIONS, "1 user"),
        ({"violating": 1, "unknown": 7}, "False", ConditionReason.VIOLATIONS, "1 user"),
        ({"accounts": 2, "accounts_failed": 1}, "Unknown", ConditionReason.NOT_AUDITED, "1 of 2 accounts could not"),
        ({"accounts": 2, "accounts_failed": 2, "compliant": 9}, "Unknown", ConditionReason.NOT_AUDITED, "2 of 2"),
        ({"unknown": 1}, "Unknown", ConditionReason.NOT_AUDITED, "1 user could not be checked"),
    ],
)
def test_compliant_is_true_only_where_everybody_was_looked_at(
    summary: Mapping[str, Any], status: str, reason: ConditionReason, words: str
) -> None:
    """A failed account never makes the policy look compliant, and never hides a violation."""
    condition = compliant(PolicySummary(**{"accounts": 1, **summary}), 3, NOW)
    assert (condition.type, condition.status, condition.reason) == (ConditionType.COMPLIANT, status, reason)
    assert words in condition.message


def worst_of(*reports: ReportStatus) -> tuple[PolicyFinding, ...]:
    accounts = {report.account_id: msgspec.structs.replace(AUDITED, id=report.account_id) for report in reports}
    return pass_over({report.account_id: report for report in reports}, accounts=list(accounts.values())).findings


def test_findings_name_their_account() -> None:
    [found] = worst_of(ReportStatus(account_id=ID, audited_at=NOW, findings=(finding("alice"),)))
    assert (found.account_id, found.account_name) == (ID, "payments")


def test_the_worst_findings_come_first_then_the_oldest() -> None:
    first = ReportStatus(
        account_id=OTHER,
        audited_at=NOW,
        findings=(
            finding("exempt", FindingState.EXEMPT, first_seen=NOW - 99 * DAY),
            finding("unknown", FindingState.UNKNOWN),
            finding("unknown-old", FindingState.UNKNOWN, first_seen=NOW - DAY),
            finding("young", first_seen=NOW - HOUR),
            finding("overdue", FindingState.OVERDUE, first_seen=NOW - 9 * DAY, deadline=NOW - 2 * DAY),
        ),
    )
    second = ReportStatus(
        account_id=ID,
        audited_at=NOW,
        findings=(
            finding("b", first_seen=NOW - HOUR),
            finding("a", first_seen=NOW - HOUR),
            finding("overdue-older", FindingState.OVERDUE, first_seen=NOW - 10 * DAY),
            finding("removed", FindingState.REMEDIATED, FindingReason.CONSOLE_ACCESS_REMOVED),
        ),
    )
    found = worst_of(first, second)
    assert [one.user for one in found] == [
        *("overdue-older", "overdue", "a", "b", "young", "unknown-old", "unknown", "exempt", "removed"),
    ]
    overdue = found[1]
    assert (overdue.account_id, overdue.first_seen, overdue.deadline) == (OTHER, NOW - 9 * DAY, NOW - 2 * DAY)
    assert found == worst_of(second, first)


def pass_over(reports: Mapping[str, ReportStatus], before: PolicyStatus | None = None, **fields: Any) -> PolicyStatus:
    accounts: list[AccountStatus] = fields.pop("accounts", [AUDITED])
    results = [AccountResult.of(account, reports.get(account.id)) for account in accounts]
    usual: dict[str, Any] = {"now": NOW, "next_pass": NOW + HOUR, "generation": 3}
    return policy_status(spec(), results=results, before=before or PolicyStatus(), **(usual | fields))


def test_the_status_has_the_first_50_findings_and_the_total() -> None:
    findings = [finding(f"u{number:03}", first_seen=NOW - number * HOUR) for number in range(73)]
    random.Random(1).shuffle(findings)
    status = pass_over({ID: ReportStatus(account_id=ID, audited_at=NOW, findings=tuple(findings))})
    assert status.findings_total == 73
    assert [one.user for one in status.findings] == [f"u{number:03}" for number in range(72, 22, -1)]
    assert problems(status, "mfapolicies") == []


def test_a_pass_sets_times_accounts_and_both_conditions() -> None:
    counts = Counts(users=2, compliant=1, violating=1)
    status = pass_over({ID: ReportStatus(account_id=ID, audited_at=NOW, summary=counts)})
    assert (status.observed_generation, status.last_pass_time, status.next_pass_time) == (3, NOW, NOW + HOUR)
    assert [one.type for one in status.conditions] == ["Ready", "Compliant", "AccountsAudited"]
    assert status.accounts_total == 1
    assert status.accounts == (AUDITED,)
    assert status.summary == PolicySummary(accounts=1, users=2, compliant=1, violating=1)
    assert problems(status, "mfapolicies") == []


def test_a_condition_keeps_its_transition_time_while_unchanged() -> None:
    quiet = {ID: ReportStatus(account_id=ID, audited_at=NOW, summary=Counts(users=1, compliant=1))}
    first = pass_over(quiet, now=NOW - HOUR)
    second = pass_over(quiet, first)
    assert {one.last_transition_time for one in second.conditions} == {NOW - HOUR}
    violated = pass_over({ID: ReportStatus(account_id=ID, audited_at=NOW, summary=Counts(users=1, violating=1))}, first)
    times = {one.type: one.last_transition_time for one in violated.conditions}
    old = NOW - HOUR
    assert times == {
        ConditionType.READY: old,
        ConditionType.COMPLIANT: NOW,
        ConditionType.ACCOUNTS_AUDITED: old,
    }
    # Another reason for the same status is no transition.
    unknown = pass_over(
        {ID: ReportStatus(account_id=ID, audited_at=NOW, summary=Counts(users=1, unknown=1))}, first, accounts=[FAILED]
    )
    later = pass_over(quiet, unknown, accounts=[NOT_ALLOWED], now=NOW + HOUR)
    assert {one.last_transition_time for one in later.conditions} == {NOW}


LONG = msgspec.structs.replace(FAILED, message="x" * 1024)


def test_messages_of_every_account_fit_the_schema() -> None:
    """Each account has a long message, and the joined ones are cut to the schema's limit."""

    status = pass_over({}, accounts=[msgspec.structs.replace(LONG, id=f"{number:012}") for number in range(1000)])
    assert problems(status, "mfapolicies") == []
    assert all(len(one.message) <= 1024 for one in status.conditions)


def conditions_of(status: PolicyStatus) -> dict[ConditionType, Condition]:
    return {one.type: one for one in status.conditions}


@pytest.mark.parametrize("reason", [ConditionReason.INVALID_SPEC, ConditionReason.NOT_ALLOWED])
def test_an_invalid_policy_is_not_ready_and_compliance_unknown(
    reason: ConditionReason,
) -> None:
    """Ready is False, Compliant is Unknown."""

    before = pass_over(
        {ID: ReportStatus(account_id=ID, audited_at=NOW, summary=Counts(users=1, compliant=1))}, now=NOW - HOUR
    )
    status = not_audited_status(before, 4, reason, "spec.interval: is 10s", NOW)
    found = conditions_of(status)
    assert found[ConditionType.READY].status == "False"
    assert (found[ConditionType.READY].reason, found[ConditionType.READY].message) == (reason, "spec.interval: is 10s")
    assert (found[ConditionType.COMPLIANT].status, found[ConditionType.COMPLIANT].reason) == (
        "Unknown",
        ConditionReason.NOT_AUDITED,
    )
    assert (status.observed_generation, status.next_pass_time, status.last_pass_time) == (4, None, NOW - HOUR)
    assert (status.summary, status.accounts) == (before.summary, before.accounts)
    assert problems(status, "mfapolicies") == []


def test_a_suspended_policy_keeps_what_was_known() -> None:
    before = pass_over(
        {ID: ReportStatus(account_id=ID, audited_at=NOW, summary=Counts(users=1, compliant=1))}, now=NOW - HOUR
    )
    found = conditions_of(not_audited_status(before, 4, ConditionReason.SUSPENDED, "no audits", NOW))
    assert found[ConditionType.READY].reason is ConditionReason.SUSPENDED
    assert found[ConditionType.COMPLIANT] == before.condition(ConditionType.COMPLIANT)
    never = conditions_of(not_audited_status(PolicyStatus(), 4, ConditionReason.SUSPENDED, "no audits", NOW))
    assert never[ConditionType.COMPLIANT].status == "Unknown"
    assert "nothing was audited yet" in never[ConditionType.COMPLIANT].message


def test_a_suspended_policy_says_who_is_still_under_quarantine() -> None:
    reports = {ID: ReportStatus(account_id=ID, audited_at=NOW, summary=Counts(users=3, overdue=2, quarantined=2))}
    suspended = not_audited_status(pass_over(reports), 4, ConditionReason.SUSPENDED, "no audits", NOW)
    message = conditions_of(suspended)[ConditionType.READY].message
    assert message == "no audits; 2 users are still under quarantine"


def test_without_a_cluster_nothing_is_said_of_one() -> None:
    """`audit` shows these messages to people who may have no cluster."""
    report = ReportStatus(account_id=ID, audited_at=NOW, summary=Counts(users=1, violating=1))
    status = policy_status(spec(), 0, [AccountResult(status=AUDITED, counts=report.summary)], PolicyStatus(), NOW, None)
    assert [condition.message for condition in status.conditions] == [
        "1 account audited",
        "1 user without the required MFA: enable MFA, or remove the login profile",
        "1 account audited",
    ]


def test_only_an_invalid_spec_is_stalled() -> None:
    """kstatus calls Stalled failed at once: nothing but an edit helps."""
    before = pass_over({})
    invalid = conditions_of(not_audited_status(before, 4, ConditionReason.INVALID_SPEC, "spec.interval: is 10s", NOW))
    stalled = invalid[ConditionType.STALLED]
    assert (stalled.status, stalled.reason) == ("True", ConditionReason.INVALID_SPEC)
    assert stalled.message == "spec.interval: is 10s"
    assert ConditionType.STALLED not in conditions_of(
        not_audited_status(before, 4, ConditionReason.SUSPENDED, "no audits", NOW)
    )
    edited = pass_running_status(not_audited_status(before, 4, ConditionReason.INVALID_SPEC, "why", NOW), 5, NOW)
    assert ConditionType.STALLED not in conditions_of(edited)


def test_before_the_first_pass_a_policy_is_pending() -> None:
    status = pass_running_status(PolicyStatus(), 1, NOW)
    found = {kind: (one.status, one.reason) for kind, one in conditions_of(status).items()}
    assert found == {
        ConditionType.READY: ("Unknown", ConditionReason.PENDING),
        ConditionType.COMPLIANT: ("Unknown", ConditionReason.NOT_AUDITED),
        ConditionType.RECONCILING: ("True", ConditionReason.PASS_RUNNING),
    }
    # Whoever waits for the pass must not return on what an earlier one found.
    assert (status.observed_generation, status.last_handled_requested_at) == (0, "")
    assert problems(status, "mfapolicies") == []
    ended = pass_over({}, status)
    assert ConditionType.RECONCILING not in conditions_of(ended)


def test_a_running_pass_keeps_what_is_known() -> None:
    before = pass_over(
        {ID: ReportStatus(account_id=ID, audited_at=NOW, summary=Counts(users=1, violating=1))}, now=NOW - HOUR
    )
    running = pass_running_status(before, 4, NOW)
    assert (running.observed_generation, running.summary, running.last_pass_time) == (3, before.summary, NOW - HOUR)
    assert running.conditions[:-1] == before.conditions


def test_the_status_says_which_request_was_served() -> None:
    assert pass_over({}, requested_at="2026-11-24T12:00:00Z").last_handled_requested_at == "2026-11-24T12:00:00Z"
    long = pass_over({}, requested_at="x" * 9000)
    assert problems(long, "mfapolicies") == []
    refused = not_audited_status(long, 4, ConditionReason.INVALID_SPEC, "why", NOW, "now")
    assert refused.last_handled_requested_at == "now"
