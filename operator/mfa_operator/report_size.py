"""Keeping a report within what etcd stores in one object, whatever it holds. Pure.

5,000 findings of usual length take 1 MB; with remediation planned for every one of them, and long names, they would not
fit. Then details go that are nice to have, never firstSeen, deadlines, intents or outcomes: these are what later passes
rest on.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from mfa_operator.api.conversion import to_dict
from mfa_operator.api.enums import RemediationState
from mfa_operator.api.status import Finding, ReportStatus

MAX_BYTES = 1_450_000
"""etcd's limit for a request is 1.5 MiB; the rest is for metadata."""
SURELY_FITS = 1_000
"""Findings of the greatest length that fit in any case: no need to measure."""


def fitted(report: ReportStatus, limit: int = MAX_BYTES) -> ReportStatus:
    """The report, without as many details as it takes to fit."""
    if len(report.findings) <= SURELY_FITS:
        return report
    for drop in _DROPS:
        if len(msgspec.json.encode(to_dict(report))) <= limit:
            break
        report = msgspec.structs.replace(report, findings=tuple(drop(finding) for finding in report.findings))
    return report


def _refusal_message(finding: Finding) -> Finding:
    return _without(finding, message="")


def _refusal_time(finding: Finding) -> Finding:
    return _without(finding, time=None)


def _without(finding: Finding, **fields: object) -> Finding:
    record = finding.remediation
    if record is None or record.state not in (RemediationState.SKIPPED, RemediationState.DRY_RUN):
        return finding
    return msgspec.structs.replace(finding, remediation=msgspec.structs.replace(record, **fields))


def _last_sign_in(finding: Finding) -> Finding:
    return msgspec.structs.replace(finding, last_sign_in=None)


def _console_since(finding: Finding) -> Finding:
    return msgspec.structs.replace(finding, console_since=None)


_DROPS: tuple[Callable[[Finding], Finding], ...] = (_refusal_message, _refusal_time, _last_sign_in, _console_since)
