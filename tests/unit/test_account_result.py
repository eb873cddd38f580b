"""What is kept of an account between passes: small, and enough for status and metrics."""

from __future__ import annotations

import tracemalloc

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from mfa_operator.api.conversion import from_dict, to_dict
from mfa_operator.api.enums import AccountState, FindingState
from mfa_operator.api.status import AccountStatus, Counts, Finding, PolicyFinding, ReportStatus
from mfa_operator.reporting.account_result import AccountResult, worst
from tests.unit.facts import DAY, HOUR, ID, NOW, finding

AUDITED = AccountStatus(id=ID, state=AccountState.AUDITED, last_success_time=NOW)


def big_report(account_id: str, findings: int) -> ReportStatus:
    return ReportStatus(
        account_id=account_id,
        audited_at=NOW,
        summary=Counts(users=50, console_users=50, violating=findings),
        findings=tuple(finding(f"user-{number:04}", first_seen=NOW - number * HOUR) for number in range(findings)),
    )


def test_an_account_without_a_report_has_no_counts() -> None:
    never = AccountResult.of(AccountStatus(id=ID, state=AccountState.FAILED), None)
    assert (never.counts, never.findings, never.findings_total, never.audited) == (None, (), 0, False)


def test_the_oldest_open_violation_counts_though_50_are_kept() -> None:
    result = AccountResult.of(AUDITED, big_report(ID, 5000))
    assert (len(result.findings), result.findings_total) == (50, 5000)
    assert result.oldest_violation == NOW - 4999 * HOUR == result.findings[0].first_seen
    assert result.violations == ()


def test_a_later_failure_keeps_what_was_known() -> None:
    before = AccountResult.of(AUDITED, big_report(ID, 3))
    failed = before.with_status(AccountStatus(id=ID, state=AccountState.FAILED))
    assert not failed.audited
    assert (failed.counts, failed.findings) == (before.counts, before.findings)


def test_ten_thousand_accounts_with_five_findings_take_two_kilobytes_each() -> None:
    """Read back from JSON, as after a restart: nothing is shared that was not read from one object."""
    stored = [msgspec.json.encode(to_dict(big_report(f"{number:012}", 5))) for number in range(1000)]
    tracemalloc.start()
    try:
        results = []
        for text in stored:
            report = from_dict(ReportStatus, msgspec.json.decode(text))
            results.append(AccountResult.of(msgspec.structs.replace(AUDITED, id=report.account_id), report))
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used / len(results) < 2_500


def seen_of(one: PolicyFinding) -> tuple[object, ...]:
    """Without the order of two findings on one user, which no report has."""
    return one.account_id, one.user, one.state, one.first_seen


@given(
    st.lists(
        st.builds(
            finding,
            st.text(min_size=1, max_size=3),
            st.sampled_from(FindingState),
            first_seen=st.none() | st.integers(0, 99).map(lambda days: NOW - days * DAY),
        ),
        max_size=120,
    ),
    st.integers(1, 119),
)
def test_the_worst_of_parts_are_the_worst_of_all(findings: list[Finding], split: int) -> None:
    """Each account keeps 50; those of a policy are exactly those that all findings together would give."""
    reports = [
        ReportStatus(account_id=account_id, audited_at=NOW, findings=tuple(part))
        for account_id, part in ((ID, findings[:split]), ("444455556666", findings[split:]))
    ]
    kept = [AccountResult.of(msgspec.structs.replace(AUDITED, id=one.account_id), one).findings for one in reports]
    everything = [
        brief
        for one in reports
        for each in one.findings
        for brief in AccountResult.of(
            msgspec.structs.replace(AUDITED, id=one.account_id),
            ReportStatus(account_id=ID, audited_at=NOW, findings=(each,)),
        ).findings
    ]
    assert [seen_of(one) for one in worst([*kept[0], *kept[1]])] == [seen_of(one) for one in worst(everything)]
