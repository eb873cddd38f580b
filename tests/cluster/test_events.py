"""IAM's events reach status, reports and metrics within seconds, whatever the interval, with a real queue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mfa_sandbox.aws import Account, EmbeddedAws
from mfa_sandbox.aws.queues import Queue
from tests.fixtures.operator import OperatorProcess, Policies, StartOperator, eventually

ACCOUNT = "111122223333"
QUARANTINE = {"action": "QuarantineUntilMfa", "dryRun": False, "maxPercent": 100}
SPEC: dict[str, Any] = {
    "interval": "24h",
    "accounts": [{"id": ACCOUNT, "roleArn": f"arn:aws:iam::{ACCOUNT}:role/mfa-operator"}],
}


@pytest.fixture
def account(aws: EmbeddedAws) -> Account:
    account = aws.world.account(ACCOUNT)
    account.user("alice", password=True, mfa=["security_key"])
    account.user("bob", password=True)
    return account


@pytest.fixture
def queue(account: Account, aws: EmbeddedAws) -> Queue:
    """Everything that happens in the account from now on is an event in it."""
    return aws.world.events_queue(visibility_timeout=30)


@pytest.fixture
def operator(queue: Queue, start_operator: StartOperator, tmp_path: Path) -> OperatorProcess:
    config = tmp_path / "access.yaml"
    config.write_text("access: [{remediation: QuarantineUntilMfa}]")
    return start_operator(f"--config={config}", f"--events-queue={queue.url}")


def state_of(policies: Policies, user: str) -> str | None:
    finding = policies.findings("p", ACCOUNT).get(user)
    return finding["state"] if finding else None


def test_a_device_that_is_taken_away_shows_without_waiting_for_a_pass(
    account: Account, operator: OperatorProcess, policies: Policies, queue: Queue
) -> None:
    policies.apply("p", **SPEC)
    before = policies.wait_for_pass("p")
    assert state_of(policies, "alice") is None
    account.existing_user("alice").remove_mfa()
    eventually(lambda: state_of(policies, "alice") == "Violating", "alice is a finding")
    eventually(lambda: policies.status("p")["summary"]["violating"] == 2, "the policy's status counts alice")
    labels = {"policy_namespace": policies.namespace, "policy": "p", "account_id": ACCOUNT, "state": "violating"}
    eventually(lambda: operator.sample("mfa_policy_users", **labels) == 2, "so does the metric")
    after = policies.status("p")
    assert (after["lastPassTime"], after["nextPassTime"]) == (before["lastPassTime"], before["nextPassTime"])
    assert any("alice" in event["note"] for event in policies.events("NewViolations"))
    eventually(lambda: len(queue) == 0, "the message is deleted")
    assert operator.sample("mfa_events_received_total", type="DeactivateMFADevice", result="hinted") == 1
    assert operator.sample("mfa_event_delay_seconds_count") == 1
    assert operator.sample("mfa_event_queue_up") == 1
    # A device again: resolved as fast.
    account.existing_user("alice").add_mfa("virtual")
    eventually(lambda: state_of(policies, "alice") is None, "alice is no finding any more")
    eventually(lambda: policies.status("p")["summary"]["violating"] == 1, "nor in the status")


def test_who_enrolls_under_quarantine_is_let_in_at_once(
    account: Account, operator: OperatorProcess, policies: Policies
) -> None:
    policies.apply("p", **SPEC, gracePeriod="0s", remediation=QUARANTINE)
    policies.wait_for_pass("p")
    policies.request_pass("p")
    bob = account.existing_user("bob")
    assert len(bob.attached_policies) == 1
    bob.add_mfa("virtual")
    eventually(lambda: bob.attached_policies == [], "the quarantine is lifted")
    eventually(lambda: policies.status("p")["summary"]["quarantined"] == 0, "the status says so")


def test_a_forged_message_changes_no_verdict(
    account: Account, operator: OperatorProcess, policies: Policies, queue: Queue, aws: EmbeddedAws
) -> None:
    policies.apply("p", **SPEC)
    policies.wait_for_pass("p")
    before = policies.findings("p", ACCOUNT)
    detail = {"eventName": "DeactivateMFADevice", "requestParameters": {"userName": "alice", "state": "Violating"}}
    forged = {"source": "aws.iam", "account": ACCOUNT, "detail": detail}
    for body in ("", "[" * 1000, json.dumps(forged), json.dumps({**forged, "account": "999988887777"})):
        queue.send(body or " ", aws.world.now())
    eventually(lambda: len(queue) == 0, "every message is deleted")
    # The look that saw nothing new is done once more.
    seen = aws.calls.count("ListMFADevices", ACCOUNT)
    eventually(lambda: aws.calls.count("ListMFADevices", ACCOUNT) > seen, "the second look")
    assert policies.findings("p", ACCOUNT) == before
    assert policies.status("p")["summary"]["violating"] == 1
