"""Reads that lag behind writes by seconds, as IAM's may: nothing is done twice, and nothing is forgotten."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from mfa_operator.api.enums import EventReason, FindingState, RemediationAction, RemediationState
from mfa_operator.evaluation.verdicts import READS_MAY_LAG
from mfa_sandbox.aws import Account, EmbeddedAws
from tests.fixtures.promises import moved_dates
from tests.fixtures.remediation_harness import MINUTE, QUARANTINE, REMOVE, RemediationHarness

ID = "111122223333"
READS = ("ListUsers", "ListVirtualMFADevices", "GetUser", "GetLoginProfile", "ListMFADevices", "ListEntitiesForPolicy",
         "GetPolicy", "GetPolicyVersion")  # fmt: skip
BEHIND = (1, 2, 4)
"""So many passes, a minute each, reads are behind."""


class LaggingReads:
    """Answers each read as one that was sent `lag` ago or earlier was answered."""

    def __init__(self, harness: RemediationHarness, lag: timedelta) -> None:
        self._stage, self._lag = harness, lag
        self._answers: dict[str, list[tuple[datetime, int, Any]]] = {}

    def note_question(self, **event: Any) -> None:
        operation = event["event_name"].rsplit(".", 1)[1]
        event["context"]["question"] = f"{operation} {sorted(event['params'].items())}"

    def replace_answer(self, **event: Any) -> None:
        answer, response = event["parsed"], event["http_response"]
        now = self._stage.clock.utc_moment()
        known = self._answers.setdefault(event["context"]["question"], [])
        known.append((now, response.status_code, copy.deepcopy(answer)))
        old = [each for each in known if each[0] <= now - self._lag] or known[:1]
        _, response.status_code, old_answer = old[-1]
        answer.clear()
        answer.update(copy.deepcopy(old_answer))


@contextmanager
def lagging(harness: RemediationHarness, lag: timedelta) -> Iterator[None]:
    reads = LaggingReads(harness, lag)
    events = harness._boto3._session
    for operation in READS:
        events.register(f"provide-client-params.iam.{operation}", reads.note_question)
        events.register(f"after-call.iam.{operation}", reads.replace_answer)
    try:
        yield
    finally:
        for operation in READS:
            events.unregister(f"provide-client-params.iam.{operation}", reads.note_question)
            events.unregister(f"after-call.iam.{operation}", reads.replace_answer)


@pytest.fixture
def account(aws: EmbeddedAws) -> Account:
    return aws.world.account(ID)


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("remediation", [REMOVE, QUARANTINE], ids=["remove", "quarantine"])
@pytest.mark.parametrize("restarts", [False, True], ids=["one process", "restarts"])
def test_one_action_is_taken_and_reported_once(
    harness: RemediationHarness, account: Account, behind: int, remediation: dict[str, Any], restarts: bool
) -> None:
    alice = account.user("alice", password=True)
    harness.policy(account, remediation=remediation)
    removal = RemediationAction(remediation["action"]) is RemediationAction.REMOVE_CONSOLE_ACCESS
    told = EventReason.CONSOLE_ACCESS_REMOVED if removal else EventReason.QUARANTINED
    harness.run()
    harness.start()
    with lagging(harness, behind * MINUTE - timedelta(seconds=30)):
        for _ in range(8):
            harness.run()
            if restarts:
                harness.start()
    assert alice.has_password is not removal
    assert len(harness.events(told)) == 1
    writes = harness.written()
    assert writes.count("DeleteLoginProfile" if removal else "AttachUserPolicy") == 1
    assert harness.record(account, "alice").state is RemediationState.DONE
    assert harness.finding(account, "alice").state is (FindingState.REMEDIATED if removal else FindingState.OVERDUE)
    assert list(moved_dates([published.status for published in harness.cluster.published])) == []


@pytest.mark.parametrize("behind", BEHIND)
def test_two_policies_remove_a_password_once(harness: RemediationHarness, account: Account, behind: int) -> None:
    """The second still sees what the first has removed."""
    alice = account.user("alice", password=True)
    policies = [harness.policy(account, name, remediation=REMOVE) for name in ("first", "second")]
    for ref in policies:
        harness.run(ref, by=timedelta())
    harness.start()
    with lagging(harness, behind * MINUTE - timedelta(seconds=30)):
        for _ in range(6):
            for ref in policies:
                harness.run(ref, by=MINUTE / 2)
    assert not alice.has_password
    assert harness.written() == ["DeleteLoginProfile"]
    assert harness.users(account, "first") == ["alice"]
    assert harness.users(account, "second") == []
    assert harness.counted()["done"] == 1
    assert set(harness.counted()) == {"done", "already_absent"}


def test_a_new_password_survives_a_lagging_read_of_the_old_one(harness: RemediationHarness, account: Account) -> None:
    """It was never published as a violation."""
    alice = account.user("alice", password=True)
    policies = [harness.policy(account, name, remediation=REMOVE) for name in ("first", "second")]
    for ref in policies:
        harness.run(ref, by=timedelta())
    harness.start()
    with lagging(harness, 5 * MINUTE):
        harness.run(policies[0])
        assert harness.written() == ["DeleteLoginProfile"]
        harness.clock.advance(MINUTE)
        alice.set_password()
        harness.run(policies[1])
    assert alice.has_password
    # Once it shows, it is a new violation of both, published first.
    harness.run(policies[1], by=6 * MINUTE)
    assert harness.finding(account, "alice", "second").state is FindingState.OVERDUE
    assert harness.written() == ["DeleteLoginProfile"]
    harness.run(policies[1])
    assert harness.written() == ["DeleteLoginProfile"] * 2


def test_a_new_password_is_a_new_violation_at_once(harness: RemediationHarness, account: Account) -> None:
    """However soon after the removal: it was created at another time."""
    alice = account.user("alice", password=True)
    harness.policy(account, remediation=REMOVE)
    harness.run()
    harness.run()
    assert not alice.has_password
    alice.set_password()
    harness.run()
    assert harness.finding(account, "alice").state is FindingState.OVERDUE
    harness.run()
    assert not alice.has_password


def test_what_shows_for_long_was_never_removed(harness: RemediationHarness, account: Account) -> None:
    account.user("alice", password=True)
    harness.policy(account, remediation=REMOVE)
    harness.run()
    harness.start()
    with lagging(harness, timedelta(days=1)):
        harness.run()
        assert harness.finding(account, "alice").state is FindingState.REMEDIATED
        harness.run(by=READS_MAY_LAG + MINUTE)
        assert harness.finding(account, "alice").state is FindingState.OVERDUE
