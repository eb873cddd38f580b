"""Nobody is put under a quarantine that they could not leave: boundaries, SCPs and denials are found out before it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from mfa_operator.api.enums import RefusalReason, RemediationState
from mfa_sandbox.aws import Account, SandboxUser
from mfa_sandbox.aws.permissions import SERVICE_CONTROL
from tests.fixtures.quarantined import ARN
from tests.fixtures.remediation_harness import QUARANTINE, RemediationHarness


def document(effect: str, *actions: str) -> str:
    statement = {"Effect": effect, "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


S3_ONLY, ALL_IAM = document("Allow", "s3:*"), document("Allow", "iam:*", "s3:*")


def denying_policy(account: Account, alice: SandboxUser) -> None:
    policy = account.backend.create_policy("", "/", document("Deny", "iam:EnableMFADevice"), "no-mfa", [])
    account.backend.attach_user_policy(policy.arn, alice.name)


OBSTACLES: dict[str, tuple[Callable[[Account, SandboxUser], object], str]] = {
    "boundary": (lambda _, alice: alice.set_permissions_boundary(S3_ONLY), "the user's permissions boundary"),
    "SCP": (lambda account, _: account.deny(["iam:EnableMFADevice"], by=SERVICE_CONTROL), "a service control policy"),
    "own policy": (denying_policy, "a policy of the user"),
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_who_could_not_enrol_is_not_quarantined(
    ready: RemediationHarness, account: Account, alice: SandboxUser, obstacle: str
) -> None:
    forbid, words = OBSTACLES[obstacle]
    forbid(account, alice)
    attached = alice.attached_policies
    for _ in range(2):
        ready.run()
        record = ready.record(account, "alice")
        assert (record.state, record.reason) == (RemediationState.SKIPPED, RefusalReason.ENROLLING_FORBIDDEN)
        assert words in record.message
    assert alice.attached_policies == attached
    assert ready.written() == []


def test_a_boundary_that_lets_them_enrol_is_no_obstacle(ready: RemediationHarness, alice: SandboxUser) -> None:
    alice.set_permissions_boundary(ALL_IAM)
    ready.run()
    assert alice.attached_policies == [ARN]


@pytest.mark.parametrize(("types", "quarantined"), [(["Virtual"], False), (["Virtual", "SecurityKey"], True)])
def test_a_passkey_needs_no_virtual_device(
    ready: RemediationHarness, account: Account, alice: SandboxUser, types: list[str], quarantined: bool
) -> None:
    alice.set_permissions_boundary(document("Allow", "iam:EnableMFADevice"))
    ready.policy(account, requirement={"deviceTypes": types}, remediation=QUARANTINE)
    ready.run()
    assert alice.attached_policies == ([ARN] if quarantined else [])


@pytest.mark.parametrize("boundary", [True, False])
def test_a_role_that_may_not_simulate_spares_who_has_a_boundary(
    ready: RemediationHarness, account: Account, alice: SandboxUser, boundary: bool
) -> None:
    """Nobody knows what the boundary allows; without one the quarantine works as it does without the permission."""
    account.deny(["iam:SimulatePrincipalPolicy"])
    if boundary:
        alice.set_permissions_boundary(ALL_IAM)
    ready.run()
    assert alice.attached_policies == ([] if boundary else [ARN])
    if boundary:
        record = ready.record(account, "alice")
        assert record.reason == RefusalReason.ENROLLING_FORBIDDEN
        assert "boundary-of-alice" in record.message
        assert "iam:SimulatePrincipalPolicy" in record.message


def test_where_the_simulation_fails_nobody_is_touched(
    ready: RemediationHarness, account: Account, alice: SandboxUser
) -> None:
    ready.aws.faults.add("SimulatePrincipalPolicy", "throttling", times=None)
    ready.run()
    assert alice.attached_policies == []
    assert ready.record(account, "alice").reason == RefusalReason.LOOKUP_DENIED


def test_who_could_not_enrol_keeps_nobody_else_waiting(
    ready: RemediationHarness, account: Account, alice: SandboxUser
) -> None:
    alice.set_permissions_boundary(S3_ONLY)
    bob = account.user("bob", password=True)
    ready.policy(account, remediation={**QUARANTINE, "maxPerPass": 1})
    for _ in range(3):
        ready.run()
    assert (alice.attached_policies, bob.attached_policies) == ([], [ARN])
