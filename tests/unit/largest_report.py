"""The largest reports that an account can lead to."""

from __future__ import annotations

from mfa_operator.api.enums import FindingReason, FindingState, RefusalReason, RemediationAction, RemediationState
from mfa_operator.api.status import Counts, Finding, FindingRemediation, ReportStatus
from mfa_operator.reporting.wording import MAX_MESSAGE
from tests.unit.facts import DAY, ID, NOW

USERS = 5_000
"""As many as IAM allows an account, of names as long as it allows."""
ETCD_LIMIT = 1_572_864
"""Bytes of a request: 1.5 MiB."""
DENIED = ("User: arn:aws:sts::111122223333:assumed-role/mfa-operator/mfa-operator is not authorized: " + "x" * 999)[
    :MAX_MESSAGE
]
_REASONS = {
    RemediationState.SKIPPED: RefusalReason.LOOKUP_DENIED,
    RemediationState.DRY_RUN: RefusalReason.DRY_RUN,
}


def name_of(number: int) -> str:
    return f"{number:05}-".ljust(64, "n")


def largest_finding(number: int, state: RemediationState) -> Finding:
    """A finding with a remediation of this state on record, a long path, and the longest words there are."""
    removed = state is RemediationState.DONE
    return Finding(
        user=name_of(number),
        user_id=f"AIDA{number:017}",
        path="/" + "engineering/" * 10,
        state=FindingState.REMEDIATED if removed else FindingState.OVERDUE,
        reason=FindingReason.CONSOLE_ACCESS_REMOVED if removed else FindingReason.DEVICE_TYPE_NOT_ALLOWED,
        checked_at=NOW,
        console_since=NOW - 90 * DAY,
        last_sign_in=NOW - DAY,
        first_seen=NOW - 9 * DAY,
        deadline=NOW - 2 * DAY,
        remediation=FindingRemediation(
            action=RemediationAction.REMOVE_CONSOLE_ACCESS,
            state=state,
            reason=_REASONS.get(state, ""),
            time=NOW,
            message=DENIED,
            profile_created=NOW - 90 * DAY,
        ),
    )


def largest_report(state: RemediationState, users: int = USERS) -> ReportStatus:
    """Every user has such a finding; of actions without an answer there are a thousand, among refusals."""
    refused = RemediationState.SKIPPED
    findings = tuple(
        largest_finding(number, refused if state is RemediationState.INTENDED and number >= 1000 else state)
        for number in range(users)
    )
    return ReportStatus(
        account_id=ID,
        account_name="payments-production",
        audited_at=NOW,
        credential_report_time=NOW,
        summary=Counts(users=users, console_users=users, overdue=users),
        findings=findings,
    )
