"""Clocks jump, grace periods change: a deadline counts once it has passed and was published, and not before."""

from __future__ import annotations

from datetime import timedelta

from mfa_operator.api.enums import FindingState, RefusalReason
from mfa_sandbox.aws import Account
from tests.fixtures.remediation_harness import HOUR, MINUTE, RemediationHarness


def test_a_deadline_that_passes_between_two_passes(harness: RemediationHarness, account: Account) -> None:
    alice = account.user("alice", password=True)
    harness.policy(account, gracePeriod="1h")
    harness.run()
    harness.run(by=59 * MINUTE)
    assert alice.has_password
    assert harness.finding(account, "alice").state == FindingState.VIOLATING
    harness.run(by=MINUTE)
    assert not alice.has_password


def test_a_shorter_grace_period_is_published_first(harness: RemediationHarness, account: Account) -> None:
    alice = account.user("alice", password=True)
    harness.policy(account, gracePeriod="1h")
    harness.run()
    harness.policy(account, gracePeriod="0s")
    harness.run()
    assert alice.has_password
    assert harness.record(account, "alice").reason == RefusalReason.WITHIN_GRACE
    harness.run()
    assert not alice.has_password


def test_a_clock_set_back_keeps_everybody_within_grace(harness: RemediationHarness, account: Account) -> None:
    alice = account.user("alice", password=True)
    harness.policy(account, gracePeriod="1h")
    harness.run()
    harness.run(by=timedelta(days=-3))
    first_seen = harness.finding(account, "alice").first_seen
    assert first_seen is not None
    assert first_seen <= harness.clock.utc_now() + 5 * MINUTE, "firstSeen in the future would never end"
    harness.run(by=59 * MINUTE)
    assert alice.has_password


def test_a_clock_set_back_between_plan_and_check(harness: RemediationHarness, account: Account) -> None:
    alice = account.user("alice", password=True)
    harness.policy(account, gracePeriod="1h")
    harness.run()
    harness.at("get policy", lambda: harness.clock.advance(-2 * HOUR))
    harness.run(by=HOUR)
    assert alice.has_password
    assert harness.record(account, "alice").reason == RefusalReason.WITHIN_GRACE


def test_an_exemption_ending_during_a_pass_holds_until_the_next(harness: RemediationHarness, account: Account) -> None:
    alice = account.user("alice", password=True)
    ends = (harness.clock.utc_now() + 90 * MINUTE).strftime("%Y-%m-%dT%H:%M:%SZ")
    harness.policy(account, exemptions=[{"users": ["alice"], "reason": "On leave", "expires": ends}])
    harness.run()
    harness.at("act", lambda: harness.clock.advance(HOUR))
    harness.run(by=HOUR)
    assert alice.has_password
    harness.run()
    assert alice.has_password, "the violation is published for the first time"
    assert harness.record(account, "alice").reason == RefusalReason.NOT_PUBLISHED_YET
    harness.run()
    assert not alice.has_password
