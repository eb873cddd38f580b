"""What is kept of an account between passes: small, and enough for status and metrics."""

from __future__ import annotations

import random
import tracemalloc

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from mfa_operator.api.conversion import from_dict, from_json, to_dict
from mfa_operator.api.enums import AccountReason, AccountState, FindingState
from mfa_operator.api.policy import Account
from mfa_operator.api.status import (
    AccountRecord,
    AccountStatus,
    Counts,
    Finding,
    PolicyFinding,
    PolicyStatus,
    ReportStatus,
)
from mfa_operator.evaluation.verdicts import evaluate
from mfa_operator.reporting.account_report import account_report, account_status, failed_account, failed_report
from mfa_operator.reporting.account_result import AccountResult, restored, worst
from mfa_operator.reporting.policy_status import first_accounts
from tests.unit.crd_schema import problems
from tests.unit.facts import DAY, HOUR, ID, NOW, finding, snapshot, spec, violator

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


def test_ten_thousand_accounts_take_two_kilobytes_each() -> None:
    """Read back from JSON, as after a restart: nothing is shared that was not read from one object."""
    texts = [msgspec.json.encode(to_dict(big_report(f"{number:012}", 5))) for number in range(1000)]
    tracemalloc.start()
    try:
        results = []
        for text in texts:
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


ACCOUNT = Account(id=ID, name="payments")
LATER = NOW + HOUR


def stored(report: ReportStatus) -> ReportStatus:
    """As it comes back from the API server."""
    return from_json(ReportStatus, msgspec.json.encode(to_dict(report)))


def test_a_restart_knows_what_was_known_before() -> None:
    """Audited, then failed, then restarted: counts, findings, reason and the time of the last success are there."""
    world = snapshot(violator("alice"))
    audited = account_report(ACCOUNT, world, evaluate(spec(), world, {}, NOW), NOW)
    result = AccountResult.of(account_status(audited, NOW), audited)
    failed = failed_account(ACCOUNT, result.status, denied=True, reason=AccountReason.ACCESS_DENIED, message="no")
    report = stored(failed_report(audited, failed))
    assert report.findings == stored(audited).findings
    assert report.account == AccountRecord(
        state=AccountState.DENIED, reason="AccessDenied", message="no", last_success_time=NOW
    )
    after = restored(PolicyStatus(last_pass_time=LATER), [report])[ID]
    assert after == result.with_status(failed)
    assert problems(report, "mfareports") == []


def test_an_audited_account_was_last_audited_by_the_last_pass() -> None:
    """Its report is not written in every pass, and may be newer than a pass that was cut short."""
    report = stored(big_report(ID, 1))
    for last_pass, expected in ((LATER, LATER), (NOW - HOUR, NOW), (None, NOW)):
        assert restored(PolicyStatus(last_pass_time=last_pass), [report])[ID].status.last_success_time == expected


def test_a_never_audited_account_has_a_report_without_counts() -> None:
    never = failed_account(ACCOUNT, None, denied=False, reason=AccountReason.TIMEOUT, message="no answer")
    report = stored(failed_report(None, never))
    assert not {"summary", "findings", "auditedAt"} & to_dict(report).keys()
    after = restored(PolicyStatus(last_pass_time=NOW), [report])[ID]
    assert (after.status, after.counts) == (never, None)


def test_an_earlier_versions_status_is_taken_up() -> None:
    """It wrote no record of the account into the report, and none at all of accounts that were never audited."""
    failed = AccountStatus(id=ID, state=AccountState.FAILED, users=50, last_success_time=NOW, reason="Timeout")
    never = AccountStatus(id="444455556666", state=AccountState.DENIED, reason="AccessDenied")
    status = PolicyStatus(last_pass_time=LATER, accounts=(failed, never))
    results = restored(status, [stored(msgspec.structs.replace(big_report(ID, 2), account=None))])
    assert {account_id: result.status for account_id, result in results.items()} == {ID: failed, never.id: never}
    assert (results[ID].findings_total, results[never.id].counts) == (2, None)


ENTRIES = st.builds(
    AccountStatus,
    id=st.integers(0, 10**12 - 1).map(lambda number: f"{number:012}"),
    state=st.sampled_from(AccountState),
    overdue=st.none() | st.integers(0, 3),
    violating=st.none() | st.integers(0, 3),
)


@given(st.lists(ENTRIES, max_size=400, unique_by=lambda entry: entry.id), st.randoms())
def test_a_status_shows_who_needs_attention_first(entries: list[AccountStatus], chance: random.Random) -> None:
    """Whoever is left out is no worse than everybody shown; the order does not depend on that of the accounts."""
    shown = first_accounts(entries)
    assert len(shown) == min(len(entries), 200)
    order = [AccountState.DENIED, AccountState.FAILED, AccountState.PENDING, AccountState.AUDITED]

    def badness(entry: AccountStatus) -> tuple[int, int, int]:
        return order.index(entry.state), -(entry.overdue or 0), -(entry.violating or 0)

    left_out = [entry for entry in entries if entry not in shown]
    assert not left_out or max(map(badness, shown)) <= min(map(badness, left_out))
    chance.shuffle(entries)
    assert first_accounts(entries) == shown
