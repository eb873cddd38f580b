"""Root over HTTP: told by its row in the report and by the ARN of its device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from mfa_operator.api.enums import ROOT_USER, FindingReason, UserState
from mfa_sandbox.aws import Account, EmbeddedAws
from tests.aws.audit_world import BULK, Auditing, auditing, finding, states

COMPLIANT, VIOLATING = UserState.COMPLIANT, UserState.VIOLATING
NO_MFA, NO_HARDWARE = FindingReason.ROOT_NO_MFA, FindingReason.ROOT_NO_HARDWARE_MFA


@pytest.mark.parametrize("token", ["not_supported", "TRUE", "FALSE"])
@pytest.mark.parametrize(
    ("root", "mfa", "hardware"),
    [
        ({}, NO_MFA, NO_MFA),
        ({"mfa": "virtual"}, None, NO_HARDWARE),
        ({"mfa": "virtual", "device_name": "anything"}, None, NO_HARDWARE),
        ({"mfa": "hardware"}, None, None),
        ({"mfa": "security_key"}, None, None),
        ({"password": False}, None, None),
        ({"password": False, "access_keys": 1}, NO_MFA, NO_MFA),
    ],
)
def test_root_is_judged_by_its_devices_whatever_the_report_says(
    op: Auditing,
    account: Account,
    token: str,
    root: dict[str, Any],
    mfa: FindingReason | None,
    hardware: FindingReason | None,
) -> None:
    """`password_enabled` of root is not_supported, TRUE or FALSE."""
    account.root(password_enabled_token=token, **root)
    account.force_report()
    for requirement, reason in (("Mfa", mfa), ("HardwareMfa", hardware)):
        audit = op.later(account, requirement={"root": requirement})
        assert states(audit) == {ROOT_USER: VIOLATING if reason else COMPLIANT}
        assert [one.reason for one in audit.report.findings] == ([reason] if reason else [])


def test_root_is_asked_about_only_where_a_policy_wants_to_know(op: Auditing, account: Account) -> None:
    account.force_report()
    op.audit(account)
    assert op.calls["GetAccountSummary"] == 0
    assert states(op.later(account)) == {}
    op.later(account, requirement={"root": "Mfa"})
    assert op.calls == BULK + Counter(GetAccountSummary=1)


def test_root_gets_a_device_and_loses_it(op: Auditing, account: Account) -> None:
    policy = op.policy(account, requirement={"root": "Mfa"})
    seen = finding(op.audit(account, policy=policy), ROOT_USER)
    account.root(mfa="virtual")
    assert states(op.later(account, policy=policy)) == {ROOT_USER: COMPLIANT}
    account.root(mfa=None)
    again = finding(op.later(account, policy=policy), ROOT_USER)
    assert seen.first_seen is not None
    assert again.first_seen is not None
    assert again.first_seen > seen.first_seen


@pytest.fixture
def govcloud() -> Iterator[EmbeddedAws]:
    with EmbeddedAws(partition="aws-us-gov") as started:
        yield started


def test_an_account_of_another_partition_is_audited_in_its_own(govcloud: EmbeddedAws) -> None:
    """ARNs, region and endpoint are GovCloud's, and its root needs no MFA."""
    account = govcloud.world.account("111122223333")
    account.user("alice", password=True)
    account.user("bob", password=True, mfa=["virtual"])
    account.user("dora", password=True, mfa=["security_key"])
    assert account.role_arn.startswith("arn:aws-us-gov:iam::")
    with auditing(govcloud) as op:
        account.root(password=False)
        audit = op.audit(account, requirement={"root": "HardwareMfa"})
        assert states(audit) == {ROOT_USER: COMPLIANT, "alice": VIOLATING, "bob": COMPLIANT, "dora": COMPLIANT}
        assert audit.snapshot.partition == "aws-us-gov"
        account.root(mfa="virtual")
        assert states(op.later(account, requirement={"root": "HardwareMfa"}))[ROOT_USER] is VIOLATING


def test_the_roles_partition_beats_the_configured_region(
    govcloud: EmbeddedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sandbox refuses what is signed for a region of another partition, as AWS does."""
    account = govcloud.world.account("111122223333")
    monkeypatch.setattr(govcloud, "region", "eu-central-1")
    with auditing(govcloud) as op:
        assert states(op.audit(account)) == {}
        assert op.sessions.region("aws-us-gov") == "us-gov-west-1"
