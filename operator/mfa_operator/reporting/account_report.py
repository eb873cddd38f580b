"""From verdicts to what is published of one account: its MfaReport, its entry in the policy's status, figures. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

import msgspec

from mfa_operator.api.enums import (
    ROOT_USER,
    AccountReason,
    AccountState,
    FindingReason,
    FindingState,
    RemediationState,
    UserState,
)
from mfa_operator.api.policy import Account
from mfa_operator.api.status import AccountRecord, AccountStatus, Counts, Finding, FindingRemediation, ReportStatus
from mfa_operator.api.text import one_line
from mfa_operator.evaluation.facts import Snapshot
from mfa_operator.evaluation.verdicts import Verdict, earlier_finding
from mfa_operator.reporting.report_size import fitted
from mfa_operator.reporting.wording import shortened

SHOW_REMOVALS = timedelta(days=30)
"""How long a removal stays in the report, unless the user has console access again before."""
_DONE = RemediationState.DONE

_FINDING_STATES = {
    UserState.VIOLATING: FindingState.VIOLATING,
    UserState.OVERDUE: FindingState.OVERDUE,
    UserState.EXEMPT: FindingState.EXEMPT,
    UserState.UNKNOWN: FindingState.UNKNOWN,
}


def account_report(
    account: Account,
    snapshot: Snapshot,
    verdicts: Iterable[Verdict],
    now: datetime,
    *,
    previous: Mapping[str, Finding] = MappingProxyType({}),
    records: Mapping[str, FindingRemediation] = MappingProxyType({}),
) -> ReportStatus:
    """The MfaReport.status of one account.

    `previous` are the findings of the last report by user: what was removed stays visible in them. `records` says what
    this pass did, or would do, about a user.
    """
    verdicts = tuple(verdicts)
    known = {verdict.user: earlier_finding(previous, verdict.user, verdict.user_id) for verdict in verdicts}
    findings = tuple(
        finding
        for verdict in verdicts
        if (finding := _finding(verdict, known[verdict.user], records.get(verdict.user), snapshot, now))
    )
    return fitted(
        ReportStatus(
            account_id=account.id,
            account_name=one_line(account.name),
            account=AccountRecord(
                state=AccountState.AUDITED,
                reason=snapshot.partial or "",
                message=shortened("; ".join(snapshot.notes)),
            ),
            audited_at=now,
            credential_report_time=snapshot.report_time,
            summary=_counts(verdicts, findings),
            findings=findings,
        )
    )


def unchanged(new: ReportStatus, stored: ReportStatus | None) -> bool:
    """Whether `new` says nothing that `stored` does not say; the time of the audit itself is no news.

    Nor is that users were read live again: where only a part is read at each pass, every report would be written then.
    And an older CRD, which knows no such fields, would have every report written at every pass.
    """
    if stored is None:
        return False
    new = msgspec.structs.replace(new, audited_at=stored.audited_at)
    return new == stored or _without_checks(new) == _without_checks(stored)


def _without_checks(report: ReportStatus) -> ReportStatus:
    findings = tuple(msgspec.structs.replace(finding, checked_at=None, user_id="") for finding in report.findings)
    return msgspec.structs.replace(report, findings=findings)


def account_status(report: ReportStatus, last_success: datetime | None) -> AccountStatus:
    """The entry of MfaPolicy.status.accounts for what the account's report says."""
    record = report.account or AccountRecord(state=AccountState.AUDITED)
    status = AccountStatus(
        id=report.account_id,
        name=report.account_name,
        state=record.state,
        last_success_time=last_success,
        reason=record.reason,
        message=record.message,
    )
    if not report.audited:
        return status
    counts = report.summary
    return msgspec.structs.replace(
        status,
        users=counts.users,
        console_users=counts.console_users,
        violating=counts.violating,
        overdue=counts.overdue,
        exempt=counts.exempt,
        unknown=counts.unknown,
    )


def failed_account(
    account: Account, before: AccountStatus | None, *, denied: bool, reason: AccountReason, message: str
) -> AccountStatus:
    """The entry for an account that could not be audited: what was last known of it stays."""
    known = before or AccountStatus(id=account.id, state=AccountState.FAILED)
    return msgspec.structs.replace(
        known,
        name=one_line(account.name),
        state=AccountState.DENIED if denied else AccountState.FAILED,
        reason=reason,
        message=shortened(message),
    )


def failed_report(stored: ReportStatus | None, status: AccountStatus) -> ReportStatus:
    """The MfaReport.status of an account that could not be audited: `status`, and what was last known of its users.

    `stored` is the report as it stands in the cluster; None: there is none.
    """
    record = AccountRecord(
        state=status.state, reason=status.reason, message=status.message, last_success_time=status.last_success_time
    )
    known = stored or ReportStatus(account_id=status.id)
    return fitted(msgspec.structs.replace(known, account_name=status.name, account=record))


def _counts(verdicts: Sequence[Verdict], findings: Iterable[Finding]) -> Counts:
    states = Counter(verdict.state for verdict in verdicts)
    findings = tuple(findings)
    return Counts(
        users=len(verdicts),
        console_users=sum(verdict.console is True for verdict in verdicts),
        compliant=states[UserState.COMPLIANT],
        violating=states[UserState.VIOLATING],
        overdue=states[UserState.OVERDUE],
        exempt=states[UserState.EXEMPT],
        unknown=states[UserState.UNKNOWN],
        quarantined=sum(under_quarantine(finding) for finding in findings),
        remediated=sum(bool(finding.remediation and finding.remediation.is_removal) for finding in findings),
    )


def under_quarantine(finding: Finding) -> bool:
    """Whether the report says that the user is under quarantine; what is only intended may not be there."""
    record = finding.remediation
    return record is not None and record.holds_quarantine and (record.quarantined or record.state is _DONE)


def _finding(
    verdict: Verdict, before: Finding | None, record: FindingRemediation | None, snapshot: Snapshot, now: datetime
) -> Finding | None:
    """The finding on a verdict; None where it is plainly compliant."""
    removal = record if record and record.is_removal else _removal(verdict, before, now)
    reason: FindingReason | None
    if removal and (verdict.state is UserState.NO_CONSOLE or _known_before(verdict, removal, snapshot)):
        state, reason, record = FindingState.REMEDIATED, FindingReason.CONSOLE_ACCESS_REMOVED, removal
    elif verdict.state in _FINDING_STATES:
        state, reason = _FINDING_STATES[verdict.state], verdict.reason
        if verdict.console is False:
            # With `users: All` the violation goes on without console access.
            record = removal or record
        elif state is FindingState.UNKNOWN:
            # Who cannot be checked now may still turn out to be without console access.
            record = record or removal
    elif record and record.holds_quarantine:
        state, reason = FindingState.REMEDIATED, FindingReason.QUARANTINE_NOT_LIFTED
    else:
        return None
    return Finding(
        user=verdict.user,
        user_id="" if verdict.user == ROOT_USER else verdict.user_id,
        path=verdict.path,
        state=state,
        reason=reason or "",
        checked_at=verdict.checked_at,
        console_since=verdict.console_since,
        last_sign_in=verdict.last_sign_in,
        first_seen=verdict.first_seen or (before.first_seen if before and removal else None),
        deadline=verdict.deadline or (before.deadline if before and removal else None),
        exemption=one_line(verdict.exemption),
        remediation=record,
    )


def _known_before(verdict: Verdict, removal: FindingRemediation, snapshot: Snapshot) -> bool:
    """Whether somebody compliant has console access only by a credential report from before it was removed."""
    seen = verdict.console_since is not None or (
        snapshot.report_time is not None and removal.time is not None and snapshot.report_time > removal.time
    )
    return verdict.state is UserState.COMPLIANT and not seen


def _removal(verdict: Verdict, before: Finding | None, now: datetime) -> FindingRemediation | None:
    """The record of an earlier removal that is still worth showing: of this very user, and not too long ago."""
    record = before.remediation if before else None
    if record is None or not record.is_removal or record.time is None or now - record.time > SHOW_REMOVALS:
        return None
    if verdict.created and verdict.created > record.time:
        return None
    # Whoever is under quarantine still has a record of this pass.
    return msgspec.structs.replace(record, quarantined=False)
