"""MfaPolicy.status fits in one object, whatever a thousand accounts' messages say."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfa_operator.api.conversion import to_dict
from mfa_operator.api.enums import AccountReason, AccountState
from mfa_operator.api.status import AccountStatus, PolicyStatus
from mfa_operator.reporting.status_size import MAX_BYTES, fitted
from tests.unit.facts import NOW

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
