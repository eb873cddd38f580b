"""What is published of one account, and the figures for metrics."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from mfa_operator.api.conversion import to_dict
from mfa_operator.api.enums import AccountReason, AccountState, FindingReason, FindingState
from mfa_operator.api.policy import Account
from mfa_operator.api.status import AccountStatus, Counts, PolicyStatus, ReportStatus
from mfa_operator.evaluation.verdicts import evaluate
from mfa_operator.reporting.account_report import (
    account_report,
    account_status,
    failed_account,
    unchanged,
)
from mfa_operator.reporting.account_result import AccountResult
from mfa_operator.reporting.figures import AccountFigures, policy_figures
from tests.unit.crd_schema import problems
from tests.unit.facts import (
    CREATED,
    DAY,
    HOUR,
    ID,
    NOW,
    REPORTED,
    facts,
    finding,
    profile,
    row,
    snapshot,
    spec,
    violator,
    virtual,
)

ACCOUNT = Account(id=ID, name="payments")
DENIED = FindingReason.LOOKUP_DENIED
WORLD = snapshot(
    violator("alice", path="/eng/", profile=profile(CREATED + DAY), used=NOW - DAY),
    facts("bob", row=row("bob"), has_virtual_device=virtual(True)),
    facts("carol", row=row("carol", password=False)),
    facts("dave", row=row("dave"), failure=DENIED),
    violator("glass"),
)
POLICY = spec(exemptions=[{"users": ["glass"], "reason": "Sealed"}])


def report_of_the_world() -> ReportStatus:
    return account_report(ACCOUNT, WORLD, evaluate(POLICY, WORLD, {}, NOW), NOW)


def test_only_non_compliant_users_are_listed_all_are_counted() -> None:
    report = report_of_the_world()
    assert [(one.user, one.state, one.reason) for one in report.findings] == [
        ("alice", FindingState.VIOLATING, FindingReason.NO_MFA),
        ("dave", FindingState.UNKNOWN, DENIED),
        ("glass", FindingState.EXEMPT, FindingReason.NO_MFA),
    ]
    assert report.summary == Counts(users=5, console_users=4, compliant=1, violating=1, exempt=1, unknown=1)
    assert report.summary.no_console == 1
    assert (report.account_id, report.account_name) == (ID, "payments")
    assert (report.audited_at, report.credential_report_time) == (NOW, REPORTED)
    assert problems(report, "mfareports") == []


def test_a_finding_tells_what_a_person_needs() -> None:
    alice, _, glass = report_of_the_world().findings
    assert to_dict(alice) == {
        "user": "alice",
        "userId": "AIDAALICE",
        "path": "/eng/",
        "state": "Violating",
        "reason": "NoMfa",
        "checkedAt": "2026-03-02T12:00:00Z",
        "consoleSince": "2025-01-27T12:00:00Z",
        "lastSignIn": "2026-03-01T12:00:00Z",
        "firstSeen": "2026-03-02T12:00:00Z",
        "deadline": "2026-03-09T12:00:00Z",
    }
    assert glass.exemption == "Sealed"
    assert glass.deadline is None


def _checked(report: ReportStatus, at: datetime | None) -> ReportStatus:
    known = [msgspec.structs.replace(one, checked_at=at, user_id=one.user_id if at else "") for one in report.findings]
    return msgspec.structs.replace(report, findings=tuple(known))


def test_a_report_that_differs_only_in_its_time_is_unchanged() -> None:
    stored = report_of_the_world()
    later = msgspec.structs.replace(stored, audited_at=NOW + HOUR)
    assert unchanged(later, stored)
    assert unchanged(_checked(later, NOW + HOUR), stored)
    assert unchanged(later, _checked(stored, None)), "as an older CRD stores it"
    assert not unchanged(later, None)
    assert not unchanged(msgspec.structs.replace(later, credential_report_time=NOW), stored)
    assert not unchanged(msgspec.structs.replace(later, findings=stored.findings[:1]), stored)
    assert not unchanged(msgspec.structs.replace(later, summary=Counts(users=5)), stored)


def test_5001_findings_of_the_longest_names_fit_one_object() -> None:
    """IAM allows 5,000 users an account; etcd takes 1.5 MiB."""
    longest = "u" * 59
    users = [
        violator(f"{longest}{number:05}", user_id=f"AIDA{number}", path="/eng/", used=NOW) for number in range(5001)
    ]
    world = snapshot(*users)
    report = account_report(ACCOUNT, world, evaluate(spec(), world, {}, NOW), NOW)
    assert len(report.findings) == 5001
    assert len(msgspec.json.encode(to_dict(report))) < 1_450_000
    assert problems(report, "mfareports") == []


def test_the_account_status_has_counts_and_workarounds() -> None:
    """Such as a credential report that could not be read."""

    report = report_of_the_world()
    plain = account_status(report, NOW)
    assert plain == AccountStatus(
        id=ID,
        name="payments",
        state=AccountState.AUDITED,
        users=5,
        console_users=4,
        violating=1,
        overdue=0,
        exempt=1,
        unknown=1,
        last_success_time=NOW,
    )
    noted = snapshot(notes=("first", "second"), partial=AccountReason.REPORT_UNAVAILABLE)
    status = account_status(account_report(ACCOUNT, noted, [], NOW), NOW)
    assert (status.reason, status.message) == ("CredentialReportUnavailable", "first; second")


def test_a_failed_account_keeps_what_was_last_known_of_it() -> None:
    before = account_status(report_of_the_world(), NOW - HOUR)
    failed = failed_account(ACCOUNT, before, denied=False, reason=AccountReason.TIMEOUT, message="no answer")
    assert (failed.state, failed.reason, failed.message) == (AccountState.FAILED, "Timeout", "no answer")
    assert (failed.users, failed.violating, failed.last_success_time) == (5, 1, NOW - HOUR)
    never = failed_account(ACCOUNT, None, denied=True, reason=AccountReason.ASSUME_ROLE_DENIED, message="no")
    assert (never.state, never.users, never.last_success_time) == (AccountState.DENIED, None, None)


def test_text_of_others_enters_a_report_in_one_visible_line() -> None:
    hostile = "pay\nments\x1b[2J\u202e"
    account = Account(id=ID, name=hostile)
    policy = spec(exemptions=[{"users": ["glass"], "reason": hostile}])
    report = account_report(account, WORLD, evaluate(policy, WORLD, {}, NOW), NOW)
    assert (report.account_name, report.findings[-1].exemption) == ("pay ments", "pay ments")
    noted = account_status(account_report(account, snapshot(notes=(hostile,)), [], NOW), NOW)
    failed = failed_account(account, None, denied=True, reason=AccountReason.ACCESS_DENIED, message=hostile)
    assert {(status.name, status.message) for status in (noted, failed)} == {("pay ments", "pay ments")}


def test_no_message_is_longer_than_the_schema_allows() -> None:
    """A status that the API server refuses for a long message of AWS would be lost whole."""
    endless = "User: arn:aws:sts::1:assumed-role/x is not authorized " * 100
    failed = failed_account(ACCOUNT, None, denied=True, reason=AccountReason.ACCESS_DENIED, message=endless)
    noted = account_status(account_report(ACCOUNT, snapshot(notes=(endless, endless)), [], NOW), NOW)
    for account in (failed, noted):
        assert problems(PolicyStatus(accounts=(account,)), "mfapolicies") == []
        assert account.message.startswith("User: arn:aws:sts")
        assert account.message.endswith("…")


def test_figures_are_the_last_known_and_name_nobody_by_default() -> None:
    """User names are only exported on request."""

    report = ReportStatus(
        account_id=ID,
        audited_at=NOW,
        credential_report_time=REPORTED,
        summary=Counts(users=9),
        findings=(
            finding("alice", first_seen=NOW - 2 * DAY),
            finding("bob", FindingState.OVERDUE, first_seen=NOW - 5 * DAY),
            finding("carol", FindingState.EXEMPT, first_seen=NOW - 9 * DAY),
            finding("dave", FindingState.UNKNOWN, first_seen=NOW - 8 * DAY),
        ),
    )
    denied = AccountStatus(id=ID, state=AccountState.DENIED, last_success_time=NOW - HOUR)
    never = AccountResult(status=AccountStatus(id="444455556666", state=AccountState.AUDITED))
    policy = spec(interval="20m", exemptions=[{"users": ["a"], "reason": "x", "expires": "2026-03-03T12:00:00Z"}])
    figures = policy_figures(policy, NOW, AccountFigures.by_id([AccountResult.of(denied, report), never]), NOW)
    known = figures.accounts[ID]
    assert (known.state, known.counts, known.last_success) == (AccountState.DENIED, Counts(users=9), NOW - HOUR)
    assert (known.credential_report_time, known.oldest_violation) == (REPORTED, NOW - 5 * DAY)
    assert known.violations == ()
    assert (figures.interval, figures.last_pass) == (timedelta(minutes=20), NOW)
    assert figures.next_exemption_expiry == NOW + DAY
    new = figures.accounts["444455556666"]
    assert (new.state, new.counts, new.oldest_violation) == (AccountState.AUDITED, None, None)
    named = AccountFigures.of(AccountResult.of(denied, report, with_users=True))
    assert named.violations == (("alice", "NoMfa"), ("bob", "NoMfa"))
