"""What a pass costs, counted at AWS's end, with exact verdicts: many users, several policies, one account."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from mfa_operator.api.enums import UserState
from mfa_operator.api.policy import PolicySpec
from mfa_operator.reporting.account_report import unchanged
from mfa_sandbox.aws import Account, EmbeddedAws
from tests.aws.audit_world import BULK, FIRST, HOUR, MINUTE, QUARTER, Auditing, auditing, states
from tests.fixtures.http_proxy import HttpProxy

COMPLIANT, VIOLATING, NO_CONSOLE = UserState.COMPLIANT, UserState.VIOLATING, UserState.NO_CONSOLE


def populate(account: Account, count: int) -> Mapping[str, UserState]:
    """40 % keys alone, 48 % virtual devices, 4 % passkeys, 2 % tokens, 6 % violators; gives the expected states."""
    expected = {}
    for number in range(count):
        name, kind = f"user-{number:04}", number % 50
        if kind < 20:
            account.user(name, access_keys=1)
            expected[name] = NO_CONSOLE
        elif kind < 23:
            account.user(name, password=True)
            expected[name] = VIOLATING
        else:
            device = "security_key" if kind < 25 else "hardware" if kind < 26 else "virtual"
            account.user(name, password=True, mfa=[device])  # type: ignore[list-item]  # one of the three kinds
            expected[name] = COMPLIANT
    account.force_report()
    return expected


@pytest.mark.parametrize("count", [100, 1000])
def test_only_the_first_pass_asks_about_suspects(op: Auditing, account: Account, count: int) -> None:
    """Issue 5: at most 5 + 2⌈N/1000⌉ + 2 a suspect first, 4 + 2⌈N/1000⌉ after, whatever N."""
    expected = populate(account, count)
    violators = count * 6 // 100
    # The report does not say whether a device is a text message: whose is in no list is asked once.
    other_devices = count * 6 // 100
    assert states(op.audit(account)) == expected
    live = Counter(ListMFADevices=violators + other_devices, GetLoginProfile=violators)
    assert op.calls == FIRST + live
    for _ in range(2):
        assert states(op.later(account)) == expected
        assert op.calls == BULK
        assert sum(op.calls.values()) == 3


def test_only_violators_are_asked_where_every_type_is_accepted(op: Auditing, account: Account) -> None:
    expected = populate(account, 100)
    types = ["Virtual", "SecurityKey", "HardwareToken", "Sms"]
    assert states(op.audit(account, requirement={"deviceTypes": types})) == expected
    assert op.calls == FIRST + Counter(ListMFADevices=6, GetLoginProfile=6)


def test_a_new_report_asks_only_the_violators_live(op: Auditing, account: Account) -> None:
    """Passkeys and tokens that were seen once are of the same kind still: the report says that they are there."""
    expected = populate(account, 100)
    op.audit(account)
    assert states(op.later(account, 4 * HOUR + MINUTE)) == expected
    assert op.calls == BULK + Counter(GenerateCredentialReport=2, ListMFADevices=6, GetLoginProfile=6)
    assert states(op.later(account)) == expected
    assert op.calls == BULK


def test_devices_are_read_again_within_max_staleness(op: Auditing, account: Account) -> None:
    """Whoever gives up the passkey and keeps the app has MFA by every list and report."""
    dora = account.user("dora", password=True, mfa=["security_key", "virtual"])
    account.force_report()
    policy = op.policy(account, requirement={"deviceTypes": ["SecurityKey"]})
    assert states(op.audit(account, policy=policy)) == {"dora": COMPLIANT}
    [key] = [serial for serial in dora.mfa_serials if "u2f" in serial]
    dora.remove_mfa(key)
    told = [states(op.later(account, policy=policy))["dora"] for _ in range(4 * 4 + 2)]
    assert told == [COMPLIANT] * (4 * 4 + 1) + [VIOLATING]


def test_less_staleness_is_paid_for_in_slices(op: Auditing, account: Account) -> None:
    """With 1h at 15m each pass asks a third: in four some facts would be too old before the next pass."""
    for number in range(30):
        account.user(f"user-{number:02}", password=True, mfa=["virtual"])
    account.force_report()
    policy = op.policy(account, maxStaleness="1h")
    op.audit(account, policy=policy)
    for _ in range(6):
        op.later(account, policy=policy)
        assert op.calls == BULK + Counter(GetLoginProfile=10)
    everybody = op.policy(account, maxStaleness="0s")
    for _ in range(2):
        op.later(account, policy=everybody)
        assert op.calls == BULK + Counter(GetLoginProfile=30)


def test_two_policies_on_one_account_cost_one_fetch(op: Auditing, account: Account) -> None:
    """Whichever comes first; each is judged by its own spec."""
    populate(account, 50)
    everybody = op.policy(account, requirement={"users": "All"})
    strict = op.policy(account, requirement={"deviceTypes": ["SecurityKey"]}, maxStaleness="6h")
    first = states(op.audit(account, policy=everybody))
    op.clock.advance(MINUTE)
    second = states(op.audit(account, policy=strict))
    assert op.calls.keys() == {"GetLoginProfile", "ListMFADevices"}
    assert (first["user-0000"], second["user-0000"]) == (VIOLATING, NO_CONSOLE)
    assert (first["user-0030"], second["user-0030"]) == (COMPLIANT, VIOLATING)
    # A tenth of the interval later what was fetched is old news.
    op.clock.advance(QUARTER)
    op.audit(account, policy=everybody)
    assert op.calls["ListUsers"] == 1


def test_bulk_answers_are_kept_only_where_somebody_shares_them(op: Auditing, account: Account) -> None:
    """They are most of what an account would take in memory."""
    populate(account, 10)
    policy = op.policy(account)
    one = policy.accounts[0]
    for named, calls in ((2, Counter()), (1, BULK), (1, BULK)):
        op.auditor.keep_only([one] * named)
        op.later(account)
        op.clock.advance(MINUTE / 2)
        op.audit(account)
        assert op.calls == calls, named
    op.auditor.keep_only([])
    op.later(account)
    assert op.calls["AssumeRole"] == 1


def test_two_policies_at_the_same_moment_cost_one_fetch_too(op: Auditing, account: Account) -> None:
    """With threads."""
    populate(account, 50)
    policies = [op.policy(account), op.policy(account, requirement={"users": "All"})] * 3

    def audit(policy: PolicySpec) -> int:
        return len(op.auditor.audit(policy, policy.accounts[0], None, op.clock.utc_now()).verdicts)

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(audit, policies)) == [50] * 6
    assert op.calls["ListUsers"] == op.calls["GetCredentialReport"] == op.calls["AssumeRole"] == 1


def test_a_requested_pass_uses_no_cached_answers(op: Auditing, account: Account) -> None:
    alice = account.user("alice", password=True)
    account.force_report()
    assert states(op.audit(account)) == {"alice": VIOLATING}
    alice.add_mfa("security_key")
    op.clock.advance(MINUTE / 60)
    assert states(op.audit(account, fresh=True)) == {"alice": COMPLIANT}
    assert op.calls["ListUsers"] == 1


def test_another_way_into_the_account_is_another_fetch(op: Auditing, account: Account) -> None:
    """What one role may see is not shown to whoever may assume another."""
    account.trust("auditor")
    op.audit(account)
    policy = op.policy(account)
    role = policy.accounts[0].role_arn
    assert role is not None
    other = type(policy.accounts[0])(id=account.id, role_arn=role.replace("mfa-operator", "auditor"))
    op.aws.calls.clear()
    op.auditor.audit(policy, other, None, op.clock.utc_now())
    assert op.calls["AssumeRole"] == op.calls["ListUsers"] == 1


def test_accounts_that_no_policy_names_any_more_are_forgotten(op: Auditing, aws: EmbeddedAws, account: Account) -> None:
    other = aws.world.account("444455556666")
    policies = [op.policy(account), op.policy(other)]
    for one in (account, other):
        op.audit(one)
    kept = op.auditor.collector(policies[0].accounts[0])
    gone = op.auditor.collector(policies[1].accounts[0])
    op.auditor.keep_only(policies[0].accounts)
    assert op.auditor.collector(policies[0].accounts[0]) is kept
    assert op.auditor.collector(policies[1].accounts[0]) is not gone


@pytest.mark.parametrize("staleness", ["0s", "1h", "4h"])
def test_a_restart_costs_calls_and_never_a_verdict(aws: EmbeddedAws, account: Account, staleness: str) -> None:
    with auditing(aws) as before:
        expected = populate(account, 50)
        assert states(before.audit(account, maxStaleness=staleness)) == expected
        stored, moment = before.reports[account.id], before.clock.moment
    with auditing(aws) as after:
        after.reports[account.id] = stored
        after.clock.moment = moment
        assert states(after.later(account, maxStaleness=staleness)) == expected
        assert unchanged(after.reports[account.id], stored)


def test_every_request_goes_through_the_proxy(
    aws: EmbeddedAws, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that botocore does not write itself, too."""
    populate(account, 100)
    with HttpProxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        with auditing(aws) as op:
            op.audit(account)
            assert sum(op.calls.values()) > 20
            assert len([line for line in proxy.log if line.startswith("POST")]) == sum(op.calls.values())
            assert op.sessions.clients.of_accounts("iam", aws.region)._template
