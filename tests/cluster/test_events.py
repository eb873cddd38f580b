"""IAM's events reach status, reports and metrics within seconds, whatever the interval, with a real queue."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mfa_sandbox.aws import Account, EmbeddedAws
from mfa_sandbox.aws.queues import Queue
from mfa_sandbox.aws.wire import AwsError
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


def test_a_removed_device_shows_before_the_next_pass(
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
    assert policies.findings("p", ACCOUNT) == before
    assert policies.status("p")["summary"]["violating"] == 1


def test_kill_in_the_middle_of_a_batch_loses_nothing(
    account: Account,
    operator: OperatorProcess,
    policies: Policies,
    queue: Queue,
    aws: EmbeddedAws,
    start_operator: StartOperator,
    free_lease: Callable[[], object],
) -> None:
    """Twice, in the wrong order, and with a targeted pass under way: the next process does it all again, and once."""
    policies.apply("p", **SPEC)
    policies.wait_for_pass("p")
    aws.calls.clear()
    fault = aws.faults.add("ListUsers", "delay", account=ACCOUNT, times=None, delay=60)
    account.existing_user("alice").remove_mfa()
    for message in [*queue._messages, *queue._messages]:
        queue.send(message.body, aws.world.now())
    eventually(lambda: fault.hits, "the targeted pass is under way")
    operator.kill()
    aws.faults.remove(fault.id)
    assert len(queue) == 3
    assert state_of(policies, "alice") is None
    free_lease()
    start_operator(f"--events-queue={queue.url}")

    def served() -> bool:
        # They would come back by themselves in a minute. The poll of the killed process may take them once more.
        for message in list(queue._messages):
            with suppress(AwsError):
                if message.receives < 3:
                    queue.change_visibility(message.handle, 0)
        return state_of(policies, "alice") == "Violating" and len(queue) == 0

    eventually(served, "alice is a finding, and the messages are deleted")
    assert len([event for event in policies.events("NewViolations") if "alice" in event["note"]]) == 1


def test_a_queue_made_again_is_read_and_a_poll_delays_no_end(
    account: Account, operator: OperatorProcess, policies: Policies, queue: Queue, aws: EmbeddedAws
) -> None:
    policies.apply("p", **SPEC)
    policies.wait_for_pass("p")
    aws.world.queues.delete(queue)
    eventually(lambda: operator.sample("mfa_event_queue_up") == 0, "the metric says that the queue is gone")
    aws.world.events_queue()
    account.existing_user("alice").remove_mfa()
    eventually(lambda: state_of(policies, "alice") == "Violating", "alice is a finding")
    assert operator.sample("mfa_event_queue_up") == 1
    # A long poll of 20 s is under way, and the embedded AWS answers none before.
    assert operator.terminate() == 0
    assert "stopped" in operator.log


def test_a_flood_keeps_the_interval(
    account: Account, operator: OperatorProcess, policies: Policies, queue: Queue, aws: EmbeddedAws
) -> None:
    """Hundreds of forged messages about an account: targeted passes are few, and a requested pass comes at once."""
    policies.apply("p", **SPEC)
    policies.wait_for_pass("p")
    aws.calls.clear()
    for number in range(300):
        detail = {"eventName": "CreateUser", "requestParameters": {"userName": f"user-{number % 40}"}}
        queue.send(json.dumps({"source": "aws.iam", "account": ACCOUNT, "detail": detail}), aws.world.now())
    eventually(lambda: aws.calls.count("ListUsers", ACCOUNT) >= 1, "the first targeted pass")
    policies.request_pass("p")
    eventually(lambda: len(queue) == 0, "the messages are deleted")
    assert aws.calls.count("ListUsers", ACCOUNT) < 12
    assert policies.status("p")["summary"]["violating"] == 1
