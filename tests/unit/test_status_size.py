"""MfaPolicy.status fits in one object, whatever a thousand accounts' messages say."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfa_operator.api.conversion import to_dict
from mfa_operator.api.enums import AccountReason, AccountState, FindingState
from mfa_operator.api.status import AccountStatus, PolicyFinding, PolicyStatus
from mfa_operator.reporting.account_result import AccountResult
from mfa_operator.reporting.growing_status import Progress, growing_status, pass_running_status
from mfa_operator.reporting.policy_status import policy_status
from mfa_operator.reporting.status_size import MAX_BYTES, fitted
from tests.unit.facts import NOW, spec

WIDE = "\U0001f512"
"""Four bytes in UTF-8."""


def account(number: int, message: str) -> AccountStatus:
    counts = dict.fromkeys(("users", "console_users", "violating", "overdue", "exempt", "unknown"), 5000)
    return AccountStatus(
        id=f"1{number:011}",
        name=WIDE * 64,
        state=AccountState.DENIED,
        reason=AccountReason.REPORT_UNAVAILABLE,
        last_success_time=NOW,
        message=message,
        **counts,
    )


def size(status: PolicyStatus) -> int:
    return len(msgspec.json.encode(to_dict(status)))


@pytest.mark.parametrize("differ", [True, False], ids=["all differ", "a proxy's page, again and again"])
def test_a_thousand_failing_accounts_fit(differ: bool) -> None:
    accounts = tuple(account(n, f"{n if differ else ''}{WIDE * 1020}"[:1024]) for n in range(1000))
    status = fitted(PolicyStatus(accounts=accounts))
    assert size(status) <= MAX_BYTES
    assert len(status.accounts) == 1000
    assert [one.state for one in status.accounts] == [AccountState.DENIED] * 1000


@pytest.mark.parametrize("differ", [True, False], ids=["all differ", "a proxy's page, again and again"])
def test_ten_thousand_accounts_of_maximum_length_fit(differ: bool) -> None:
    worst = tuple(
        PolicyFinding(
            account_id=f"1{n:011}",
            account_name=WIDE * 64,
            user=WIDE * 64,
            state=FindingState.OVERDUE,
            first_seen=NOW,
            deadline=NOW,
        )
        for n in range(50)
    )
    results = [
        AccountResult(
            status=account(n, f"{n if differ else ''}{WIDE * 1020}"[:1024]), findings=worst, findings_total=50
        )
        for n in range(10_000)
    ]
    status = policy_status(spec(), 1, results, PolicyStatus(), NOW, NOW)
    assert (len(status.accounts), status.accounts_total, status.findings_total) == (200, 10_000, 500_000)
    assert size(status) < 1_000_000
    running = pass_running_status(status, 1, NOW)
    assert size(growing_status(running, 1, results, Progress(1, 2, 10_000), NOW, asked_for=True)) < 1_000_000


def test_a_message_that_repeats_stands_once() -> None:
    accounts = tuple(account(n, WIDE * 1024) for n in range(1000))
    first, *others = fitted(PolicyStatus(accounts=accounts)).accounts
    assert first.message == WIDE * 1024
    assert {one.message for one in others} == {f"as account {first.id}"}


@given(st.lists(st.text(max_size=1024), max_size=120))
def test_what_fits_is_left_as_it_is(messages: list[str]) -> None:
    status = PolicyStatus(accounts=tuple(account(n, message) for n, message in enumerate(messages)))
    assert fitted(status) == status


@given(st.lists(st.text(max_size=60), min_size=101, max_size=110), st.integers(60_000, 100_000))
def test_it_is_as_small_as_asked_for_or_has_no_message_left(messages: list[str], limit: int) -> None:
    accounts = tuple(account(n, message) for n, message in enumerate(messages))
    status = fitted(PolicyStatus(accounts=accounts), limit)
    assert size(status) <= limit or not any(one.message for one in status.accounts)
    bare = [msgspec.structs.replace(one, message="") for one in accounts]
    assert [msgspec.structs.replace(one, message="") for one in status.accounts] == bare
