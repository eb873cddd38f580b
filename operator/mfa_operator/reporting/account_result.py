"""What stays in memory of one account between passes: enough for status and metrics, at most some kB. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from heapq import nsmallest
from sys import intern

import msgspec

from mfa_operator.api.conversion import prepare
from mfa_operator.api.enums import OPEN_STATES, AccountState, FindingState
from mfa_operator.api.status import (
    MAX_STATUS_FINDINGS,
    AccountStatus,
    Counts,
    Finding,
    PolicyFinding,
    PolicyStatus,
    ReportStatus,
)
from mfa_operator.reporting.account_report import account_status


class AccountResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The last known of one account under one policy.

    `gc=False`: thousands of these live long, hold no cycles, and need not be walked by each garbage collection.
    """

    status: AccountStatus
    """The account's entry in MfaPolicy.status."""
    counts: Counts | None = None
    """Users by state at the last success; None where the account was never audited."""
    credential_report_time: datetime | None = None
    oldest_violation: datetime | None = None
    """firstSeen of the oldest open violation."""
    findings: tuple[PolicyFinding, ...] = ()
    """The worst ones, at most as many as a policy's status holds, in order."""
    findings_total: int = 0
    violations: tuple[tuple[str, str], ...] = ()
    """(user, reason) of all open violations, for the info gauge; empty where it is off."""

    @property
    def audited(self) -> bool:
        """Whether the last try succeeded."""
        return self.status.state is AccountState.AUDITED

    @classmethod
    def of(cls, status: AccountStatus, report: ReportStatus | None, *, with_users: bool = False) -> AccountResult:
        """From the account's entry and its last known report; None: there is none.

        `with_users` keeps the names of all violators, for the info gauge.
        """
        if report is None or not report.audited:
            return cls(status=status)
        violations = [finding for finding in report.findings if finding.state in OPEN_STATES]
        return cls(
            status=status,
            counts=report.summary,
            credential_report_time=report.credential_report_time,
            oldest_violation=min((finding.first_seen for finding in violations if finding.first_seen), default=None),
            findings=worst(_brief(status, finding) for finding in report.findings),
            findings_total=len(report.findings),
            violations=tuple((finding.user, finding.reason) for finding in violations) if with_users else (),
        )

    def with_status(self, status: AccountStatus) -> AccountResult:
        """The same with another entry: what was last known of users stays when a later audit fails."""
        return msgspec.structs.replace(self, status=status)


def restored(
    status: PolicyStatus, reports: Iterable[ReportStatus], *, with_users: bool = False
) -> dict[str, AccountResult]:
    """What an earlier process knew, from the status and the reports that it left; by account id.

    The reports say it. A version that wrote no record of the account into them had every account in the status, and
    there, too, stand accounts without a report.
    """
    entries = {account.id: account for account in status.accounts}
    results = {
        report.account_id: AccountResult.of(
            _entry(report, entries.get(report.account_id), status.last_pass_time), report, with_users=with_users
        )
        for report in reports
    }
    return {account_id: AccountResult(status=entry) for account_id, entry in entries.items()} | results


def _entry(report: ReportStatus, entry: AccountStatus | None, last_pass: datetime | None) -> AccountStatus:
    if report.account is None and entry is not None:
        return entry
    if report.account is not None and report.account.state is not AccountState.AUDITED:
        return account_status(report, report.account.last_success_time)
    # The report is newer than the last whole pass where a later one was interrupted.
    moments = [moment for moment in (last_pass, report.audited_at) if moment and report.audited]
    return account_status(report, max(moments, default=None))


def worst(findings: Iterable[PolicyFinding]) -> tuple[PolicyFinding, ...]:
    """The findings that a policy's status shows.

    Overdue first, then Violating, Unknown and the rest; the oldest first among equals.
    """
    return tuple(nsmallest(MAX_STATUS_FINDINGS, findings, key=_badness))


_RANKS = {FindingState.OVERDUE: 0, FindingState.VIOLATING: 1, FindingState.UNKNOWN: 2}
_NEVER = datetime.max.replace(tzinfo=UTC)


def _badness(finding: PolicyFinding) -> tuple[int, datetime, str, str]:
    rank = _RANKS.get(finding.state, len(_RANKS))
    return rank, finding.first_seen or _NEVER, finding.account_id, finding.user


def _brief(account: AccountStatus, finding: Finding) -> PolicyFinding:
    return PolicyFinding(
        account_id=account.id,
        account_name=account.name,
        user=finding.user,
        state=finding.state,
        # One of a few words, yet a string of its own in every report that was read.
        reason=intern(str(finding.reason)),
        first_seen=finding.first_seen,
        deadline=finding.deadline,
    )


prepare(AccountResult)
