"""The order in which a pass takes its accounts, and what an event changes in it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from mfa_operator.api.policy import Account
from mfa_operator.passes.account_line import AccountLine
from mfa_operator.scheduling.hints import MAX_USERS, Doubt
from tests.unit.facts import HOUR, NOW

IDS = [f"{number:012}" for number in range(6)]


def line() -> AccountLine:
    return AccountLine(Account(id=each) for each in IDS)


def test_accounts_come_in_order_and_each_once() -> None:
    assert [account.id for account in line()] == IDS


def test_who_waits_is_next_and_who_has_begun_is_left_alone() -> None:
    accounts = line()
    taken = iter(accounts)
    assert next(taken).id == IDS[0]
    assert not accounts.hurry(IDS[0], frozenset({"alice"}), NOW)
    assert accounts.hurry(IDS[4], frozenset({"alice"}), NOW)
    assert [account.id for account in taken] == [IDS[4], *IDS[1:4], IDS[5]]
    assert accounts.doubt(IDS[0]) is None
    assert accounts.doubt(IDS[4]) == Doubt(frozenset({"alice"}), NOW)


def test_hints_at_one_account_add_up_in_bounds() -> None:
    accounts = line()
    for number in range(10 * MAX_USERS):
        assert accounts.hurry(IDS[3], frozenset({f"user-{number}"}), NOW + HOUR * number)
    doubt = accounts.doubt(IDS[3])
    assert doubt
    assert len(doubt.users) == MAX_USERS
    assert doubt.since == NOW + HOUR * (10 * MAX_USERS - 1)
    assert [account.id for account in accounts].count(IDS[3]) == 1


def test_none_is_lost_or_taken_twice_by_threads() -> None:
    accounts = AccountLine(Account(id=f"{number:012}") for number in range(3000))
    with ThreadPoolExecutor(4) as pool:
        hurrying = pool.submit(
            lambda: [accounts.hurry(f"{number:012}", frozenset(), NOW) for number in reversed(range(3000))]
        )
        taken = [account.id for part in pool.map(lambda _: list(accounts), range(3)) for account in part]
        hurrying.result()
    assert sorted(taken) == [f"{number:012}" for number in range(3000)]
