"""A targeted pass, over the accounts that events named: what it saw that is new. Pure."""

from __future__ import annotations

import msgspec

from mfa_operator.api.status import Finding, ReportStatus
from mfa_operator.reporting.account_report import unchanged
from mfa_operator.reporting.account_result import AccountResult
from mfa_operator.scheduling.hints import Doubt


def unseen_users(doubt: Doubt | None, before: ReportStatus | None, after: ReportStatus) -> frozenset[str] | None:
    """The users in doubt whose finding is the same as before; None where none is named and the report is unchanged."""
    if doubt is None:
        return frozenset()
    if not doubt.users:
        return None if unchanged(after, before) else frozenset()
    old, new = _findings(before), _findings(after)
    return frozenset(user for user in doubt.users if old.get(user) == new.get(user))


def news(result: AccountResult, known: AccountResult | None) -> AccountResult:
    """The result; the known one where nothing but the time of the audit differs: no status is written for that."""
    if known is None:
        return result
    status = msgspec.structs.replace(result.status, last_success_time=known.status.last_success_time)
    return known if result.with_status(status) == known else result


def _findings(report: ReportStatus | None) -> dict[str, Finding]:
    """By user; without when they were read, which each targeted pass renews."""
    findings = report.findings if report else ()
    return {finding.user: msgspec.structs.replace(finding, checked_at=None, user_id="") for finding in findings}
