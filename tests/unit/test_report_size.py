"""A report fits into one object whatever it holds, and never loses what later passes rest on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from mfa_operator.api.conversion import to_dict
from mfa_operator.api.enums import FindingReason, FindingState, RemediationAction, RemediationState
from mfa_operator.api.status import Finding, FindingRemediation, ReportStatus
from mfa_operator.report_size import MAX_BYTES, SURELY_FITS, fitted

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ETCD_LIMIT = 1024 * 1024 * 3 // 2


def finding(number: int, state: RemediationState, *, name_length: int) -> Finding:
    name = f"{number:05}-{'x' * name_length}"[:name_length]
    return Finding(
        user=name,
        state=FindingState.OVERDUE,
        reason=FindingReason.NO_MFA,
        console_since=NOW - timedelta(days=30),
        last_sign_in=NOW - timedelta(days=1),
        first_seen=NOW - timedelta(days=9),
        deadline=NOW - timedelta(days=2),
        remediation=FindingRemediation(
            action=RemediationAction.REMOVE_CONSOLE_ACCESS,
            state=state,
            reason="LimitReached" if state is RemediationState.SKIPPED else "",
            time=NOW,
            message="the limit of this pass was reached; a later pass may act",
        ),
    )


def size(report: ReportStatus) -> int:
    return len(msgspec.json.encode(to_dict(report)))


@pytest.mark.parametrize("name_length", [20, 40])
def test_five_thousand_planned_removals_fit(name_length: int) -> None:
    findings = [finding(number, RemediationState.SKIPPED, name_length=name_length) for number in range(4990)]
    kept = [finding(5000 + number, RemediationState.INTENDED, name_length=name_length) for number in range(10)]
    report = ReportStatus(account_id="111122223333", findings=(*findings, *kept))
    assert size(report) > ETCD_LIMIT, "or nothing would have to go"
    small = fitted(report)
    assert size(small) <= MAX_BYTES < ETCD_LIMIT
    assert small.findings[4990:] == tuple(
        msgspec.structs.replace(each, last_sign_in=after.last_sign_in, console_since=after.console_since)
        for each, after in zip(kept, small.findings[4990:], strict=True)
    ), "intents lose nothing that a later pass compares"
    for before, after in zip(report.findings, small.findings, strict=True):
        assert (after.user, after.first_seen, after.deadline) == (before.user, before.first_seen, before.deadline)
        assert after.remediation is not None
        assert after.remediation.reason == (before.remediation.reason if before.remediation else "")


def test_what_fits_is_left_as_it_is() -> None:
    findings = tuple(finding(number, RemediationState.SKIPPED, name_length=20) for number in range(SURELY_FITS + 1))
    report = ReportStatus(account_id="111122223333", findings=findings)
    assert fitted(report) == report


def test_the_largest_report_that_is_not_measured_fits() -> None:
    findings = tuple(
        msgspec.structs.replace(
            finding(number, RemediationState.FAILED, name_length=64), path="/" + "p" * 510 + "/", exemption="é" * 256
        )
        for number in range(SURELY_FITS)
    )
    assert size(ReportStatus(account_id="111122223333", findings=findings)) < ETCD_LIMIT
