"""Somebody else's policy has the name of the quarantine's: it is left alone, said once, and not tried at every pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mfa_operator.api.enums import EventReason, RemediationState
from mfa_operator.aws.quarantine_document import Variant
from mfa_operator.reporting.account_report import unchanged
from mfa_sandbox.aws import Account, SandboxUser
from tests.fixtures.quarantined import ARN
from tests.fixtures.remediation_harness import QUARANTINE, RemediationHarness

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

ANYTHING = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
THEIRS = "arn:aws:iam::111122223333:policy/theirs/MFA-operator-quarantine"
"""IAM's names of policies are unique whatever their path and case."""


@pytest.fixture
def taken(ready: RemediationHarness, account: Account, admin: IAMClient) -> RemediationHarness:
    """Two users are about to be put under quarantine, and the policy's name is taken under another path."""
    account.user("bob", password=True)
    ready.policy(account, remediation={**QUARANTINE, "dryRun": True})
    ready.run()
    ready.policy(account, remediation=QUARANTINE)
    admin.create_policy(PolicyName="MFA-operator-quarantine", Path="/theirs/", PolicyDocument=ANYTHING)
    ready.aws.calls.clear()
    return ready


def tries(harness: RemediationHarness) -> int:
    return harness.aws.calls.count("CreatePolicy")


def test_the_name_is_taken_under_another_path(taken: RemediationHarness, account: Account, alice: SandboxUser) -> None:
    for _ in range(5):
        taken.run()
        for user in ("alice", "bob"):
            record = taken.record(account, user)
            assert (record.state, THEIRS in record.message) == (RemediationState.FAILED, True)
        [note] = taken.events(EventReason.REMEDIATION_FAILED)
        assert THEIRS in note
    assert tries(taken) == 1, "the others read whether the name is free by now"
    assert alice.attached_policies == []
    assert taken.counted()["failed"] == 2


def test_once_the_name_is_free_the_next_pass_acts(
    taken: RemediationHarness, alice: SandboxUser, admin: IAMClient
) -> None:
    taken.run()
    admin.delete_policy(PolicyArn=THEIRS)
    taken.run()
    assert alice.attached_policies == [ARN]


def test_who_may_not_list_policies_backs_off(
    taken: RemediationHarness, account: Account, alice: SandboxUser, admin: IAMClient
) -> None:
    account.deny(["iam:ListPolicies"])
    for _ in range(8):
        taken.run()
    [note] = taken.events(EventReason.REMEDIATION_FAILED)
    assert "ListPolicies: AccessDenied" in note
    assert tries(taken) == 4, "at the first, second, fourth and eighth pass"
    admin.delete_policy(PolicyArn=THEIRS)
    for _ in range(8):
        taken.run()
    assert alice.attached_policies == [ARN]


def test_a_restart_says_it_no_second_time(taken: RemediationHarness, account: Account) -> None:
    taken.run()
    before = taken.report(account)
    taken.start()
    taken.run()
    assert len(taken.events(EventReason.REMEDIATION_FAILED)) == 1
    assert unchanged(taken.report(account), before)


def test_a_policy_at_our_place_without_our_tag_costs_no_try(
    ready: RemediationHarness, account: Account, admin: IAMClient
) -> None:
    admin.create_policy(PolicyName=Variant.CONSOLE, Path="/mfa-operator/", PolicyDocument=ANYTHING)
    ready.aws.calls.clear()
    for _ in range(3):
        ready.run()
    assert tries(ready) == 0
    assert "managed-by=mfa-operator" in ready.record(account, "alice").message
    assert len(ready.events(EventReason.REMEDIATION_FAILED)) == 1
    assert "Intended" not in [
        finding.remediation.state
        for version in ready.cluster.published
        for finding in version.status.findings
        if finding.remediation
    ]
