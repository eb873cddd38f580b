"""Keeping a report within what etcd stores in one object, whatever it holds. Pure.

5,000 findings of usual length take 1.3 to 1.5 MB; with remediation planned for every one of them, and long names, they
would not fit. Then details go that are nice to have, and after them what the next pass computes again. What later
passes rest on never goes: who violates since when and until when, intents, and outcomes. Should even that not fit, the
cluster refuses the report, and the account is shown as failed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

import msgspec

from mfa_operator.api.conversion import to_dict
from mfa_operator.api.enums import FindingState, RemediationState
from mfa_operator.api.status import Finding, ReportStatus

MAX_BYTES = 1_450_000
"""etcd's limit for a request is 1.5 MiB; the rest is for metadata."""
SURELY_FITS = 300
"""Findings of the greatest length, in the widest characters, that fit in any case: no need to measure."""


def fitted(report: ReportStatus, limit: int = MAX_BYTES) -> ReportStatus:
    """The report, without as many details as it takes to fit."""
    if len(report.findings) <= SURELY_FITS:
        return report
    for drop in _DROPS:
        if len(msgspec.json.encode(to_dict(report))) <= limit:
            break
        report = msgspec.structs.replace(report, findings=tuple(drop(finding) for finding in report.findings))
    return report


def _finding_without(finding: Finding, **fields: object) -> Finding:
    return msgspec.structs.replace(finding, **fields)


def _record_without(finding: Finding, *, states: Collection[RemediationState], **fields: object) -> Finding:
    record = finding.remediation
    if record is None or record.state not in states:
        return finding
    return msgspec.structs.replace(finding, remediation=msgspec.structs.replace(record, **fields))


def _without_refusal(finding: Finding) -> Finding:
    record = finding.remediation
    refused = record is not None and record.state in _REFUSED and not record.quarantined
    return msgspec.structs.replace(finding, remediation=None) if refused else finding


def _without_past(finding: Finding) -> Finding:
    over = finding.state is FindingState.REMEDIATED
    return msgspec.structs.replace(finding, first_seen=None, deadline=None) if over else finding


_REFUSED = (RemediationState.SKIPPED, RemediationState.DRY_RUN, RemediationState.PLANNED)
_DROPS: tuple[Callable[[Finding], Finding], ...] = (
    partial(_record_without, states=_REFUSED, message=""),
    partial(_record_without, states=_REFUSED, time=None),
    partial(_finding_without, last_sign_in=None),
    # Both only spare calls after a restart.
    partial(_finding_without, checked_at=None, user_id=""),
    partial(_record_without, states=tuple(RemediationState), message=""),
    partial(_finding_without, console_since=None),
    partial(_finding_without, exemption=""),
    partial(_finding_without, path="/"),
    _without_refusal,
    _without_past,
    # The order of the next tries is lost with it, and no more.
    partial(_record_without, states=(RemediationState.FAILED,), time=None, profile_created=None),
)
