"""The largest report there can be fits into etcd, and what later passes rest on is never what gives way."""

from __future__ import annotations

import msgspec
import pytest

from mfa_operator.api.conversion import to_dict
from mfa_operator.api.enums import FindingReason, FindingState, RefusalReason, RemediationState
from mfa_operator.api.status import Finding, ReportStatus
from mfa_operator.remediation.planner import refusal_message
from mfa_operator.reporting.report_size import MAX_BYTES, SURELY_FITS, fitted
from tests.unit.crd_schema import problems
from tests.unit.facts import DAY, ID, NOW
from tests.unit.largest_report import ETCD_LIMIT, USERS, largest_finding, largest_report

STATES = pytest.mark.parametrize("state", RemediationState)


def encoded(report: ReportStatus) -> int:
    return len(msgspec.json.encode(to_dict(report)))


def report_of(*findings: Finding) -> ReportStatus:
    return ReportStatus(account_id=ID, audited_at=NOW, findings=findings)


def test_five_thousand_users_of_the_usual_kind_lose_nothing() -> None:
    report = report_of(
        *(
            Finding(
                user=f"firstname.lastname-{number}",
                path="/engineering/",
                state=FindingState.OVERDUE,
                reason=FindingReason.NO_MFA,
                console_since=NOW - 90 * DAY,
                last_sign_in=NOW - DAY,
                first_seen=NOW - 9 * DAY,
                deadline=NOW - 2 * DAY,
            )
            for number in range(USERS)
        )
    )
    assert fitted(report) is report
    assert encoded(report) < 1_250_000


@STATES
def test_the_largest_report_fits_with_everything_recorded(state: RemediationState) -> None:
    report = largest_report(state)
    assert encoded(report) > 2 * ETCD_LIMIT
    small = fitted(report)
    assert encoded(small) <= MAX_BYTES < ETCD_LIMIT
    assert [finding.user for finding in small.findings] == [finding.user for finding in report.findings]
    assert (small.summary, small.audited_at) == (report.summary, NOW)
    # One of each kind will do: but for the name they are alike, of one length where they have the same fields.
    kinds = {len(msgspec.json.encode(to_dict(finding))): finding for finding in small.findings}
    assert problems(msgspec.structs.replace(small, findings=tuple(kinds.values())), "mfareports") == []


@STATES
def test_what_later_passes_rest_on_stays_even_at_the_worst(state: RemediationState) -> None:
    report = largest_report(state)
    for small in (fitted(report), fitted(report, limit=1)):
        for before, after in zip(report.findings, small.findings, strict=True):
            assert (after.user, after.state, after.reason) == (before.user, before.state, before.reason)
            if after.state is FindingState.OVERDUE:
                assert (after.first_seen, after.deadline) == (before.first_seen, before.deadline)
            known, kept = before.remediation, after.remediation
            assert known is not None
            if known.state in (RemediationState.INTENDED, RemediationState.DONE):
                assert kept == msgspec.structs.replace(known, message="")
            elif known.state is RemediationState.FAILED:
                assert kept is not None
                assert (kept.action, kept.state) == (known.action, known.state)


def test_who_is_under_quarantine_is_never_lost_out_of_sight() -> None:
    findings = []
    for number in range(SURELY_FITS + 1):
        finding = largest_finding(number, RemediationState.SKIPPED)
        assert finding.remediation is not None
        held = msgspec.structs.replace(finding.remediation, quarantined=True)
        findings.append(msgspec.structs.replace(finding, remediation=held))
    for finding in fitted(report_of(*findings), limit=1).findings:
        assert finding.remediation is not None
        assert finding.remediation.holds_quarantine


def test_exemptions_give_way_too() -> None:
    report = report_of(
        *(
            Finding(
                user=f"{number:05}".ljust(64, "u"),
                state=FindingState.EXEMPT,
                reason=FindingReason.NO_MFA,
                first_seen=NOW,
                exemption="e" * 256,
            )
            for number in range(USERS)
        )
    )
    assert encoded(report) > ETCD_LIMIT
    small = fitted(report)
    assert encoded(small) <= MAX_BYTES
    assert all(finding.first_seen == NOW for finding in small.findings)


def test_no_more_is_dropped_than_it_takes() -> None:
    report = largest_report(RemediationState.SKIPPED)
    without_words = msgspec.structs.replace(
        report,
        findings=tuple(
            msgspec.structs.replace(finding, remediation=msgspec.structs.replace(finding.remediation, message=""))
            for finding in report.findings
            if finding.remediation
        ),
    )
    assert fitted(report, limit=encoded(report)) is report
    assert fitted(report, limit=encoded(report) - 1) == without_words
    assert fitted(report, limit=encoded(without_words)) == without_words


def test_the_number_that_is_never_measured_fits() -> None:
    """No finding can be longer: every field of the length that the CRD allows or the operator writes."""
    wide = largest_finding(0, RemediationState.SKIPPED)
    assert wide.remediation is not None
    wide = msgspec.structs.replace(
        wide,
        path="/" + "p" * 510 + "/",
        exemption="\N{GRINNING FACE}" * 256,
        remediation=msgspec.structs.replace(
            wide.remediation,
            reason=RefusalReason.REMEDIATION_DISABLED,
            message="\N{GRINNING FACE}" * 512,
            quarantined=True,
        ),
    )
    report = report_of(*(wide,) * SURELY_FITS)
    assert encoded(report) > 1_000_000
    assert encoded(fitted(report)) < MAX_BYTES


@pytest.mark.parametrize("reason", RefusalReason)
def test_a_refusal_is_short(reason: RefusalReason) -> None:
    assert len(refusal_message(reason)) <= 72
