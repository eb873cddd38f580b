"""Which Events a pass gives rise to: transitions against what was published before, never states. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from mfa_operator.api.enums import (
    NOT_FAILED,
    OPEN_STATES,
    AccountReason,
    AccountState,
    EventReason,
    FindingReason,
    FindingState,
)
from mfa_operator.api.status import AccountStatus, Finding, ReportStatus
from mfa_operator.config.settings import RUNBOOK_BASE_URL
from mfa_operator.reporting.events import EventNote
from mfa_operator.reporting.guidance import in_brief
from mfa_operator.reporting.wording import account_label, listed, many

AUDIT = "Audit"
MAX_DEPARTURES = 20
"""Accounts that get an Event of their own when they leave."""


def account_events(before: AccountStatus | None, after: AccountStatus) -> list[EventNote]:
    """Events about an account that could no longer be audited, or can be again."""
    if after.state is AccountState.PENDING:
        return []
    was_audited = before is None or before.state in NOT_FAILED
    is_audited = after.state is AccountState.AUDITED
    label = account_label(after.id, after.name)
    if is_audited and not was_audited:
        return [EventNote(EventReason.ACCOUNT_RECOVERED, AUDIT, f"{label} is audited again")]
    changed = before is not None and before.reason != after.reason
    if not is_audited and (was_audited or changed):
        reason = EventReason.NOT_ALLOWED if after.reason == AccountReason.NOT_ALLOWED else EventReason.ACCOUNT_FAILED
        return [EventNote(reason, AUDIT, f"{label} was not audited ({after.state}): {after.message}")]
    return []


def finding_events(
    before: ReportStatus | None, after: ReportStatus, runbooks: str = RUNBOOK_BASE_URL
) -> list[EventNote]:
    """Events about violations that are new, and about those that are no more; `runbooks`: where those are published."""
    known = {} if before is None else _violations(before.findings, with_unknown=True)
    still = {finding.user for finding in _violations(after.findings, with_unknown=True).values()}
    removed = {
        finding.user
        for finding in after.findings
        if finding.state is FindingState.REMEDIATED and finding.reason != FindingReason.QUARANTINE_NOT_LIFTED
    }
    new = [finding for key, finding in _violations(after.findings).items() if key not in known]
    # Whoever had console access removed got an Event of its own. Unknown carries firstSeen only of a violation.
    gone = [
        finding.user
        for finding in known.values()
        if finding.first_seen and finding.user not in still and finding.user not in removed
    ]
    label = account_label(after.account_id, after.account_name)
    events = []
    if new:
        names = [finding.user for finding in new]
        note = f"{many(len(new), 'new violation')} in {label}: {listed(names)}. {in_brief(new[0], runbooks)}"
        events.append(EventNote(EventReason.NEW_VIOLATIONS, AUDIT, note))
    if gone:
        note = f"{many(len(gone), 'violation')} resolved in {label}: {listed(gone)}"
        events.append(EventNote(EventReason.VIOLATIONS_RESOLVED, AUDIT, note))
    return events


def departures(accounts: Sequence[str]) -> list[EventNote]:
    """Events about accounts, as people call them, that a complete listing lacks: one each, the last for all others."""
    named, rest = accounts[:MAX_DEPARTURES], len(accounts) - MAX_DEPARTURES
    notes = [f"{account} is no longer among the accounts that the policy discovers" for account in named]
    if rest > 0:
        notes.append(f"{many(rest, 'more account')} are no longer among those that the policy discovers")
    return [EventNote(EventReason.ACCOUNT_LEFT, "Discover", f"{note}; its report is deleted") for note in notes]


Key = tuple[str, datetime | None]
"""A violation is one user's, since one moment: a user recreated without MFA is a new violation."""


def _violations(findings: Iterable[Finding], *, with_unknown: bool = False) -> dict[Key, Finding]:
    return {
        (finding.user, finding.first_seen): finding
        for finding in findings
        if finding.state in OPEN_STATES or (with_unknown and finding.state is FindingState.UNKNOWN)
    }
