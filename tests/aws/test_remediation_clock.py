"""Clocks jump, grace periods change: a deadline counts once it has passed and was published, and not before."""

from __future__ import annotations

from datetime import timedelta

from mfa_operator.api.enums import FindingState, RefusalReason
from mfa_sandbox.aws import Account
from tests.fixtures.remediation_stage import HOUR, MINUTE, Stage


def test_a_deadline_that_passes_between_two_passes(stage: Stage, account: Account) -> None:
    alice = account.user("alice", password=True)
    stage.policy(account, gracePeriod="1h")
    stage.run()
    stage.run(by=59 * MINUTE)
    assert alice.has_password
    assert stage.finding(account, "alice").state == FindingState.VIOLATING
    stage.run(by=MINUTE)
    assert not alice.has_password


def test_a_shorter_grace_period_is_published_first(stage: Stage, account: Account) -> None:
    alice = account.user("alice", password=True)
    stage.policy(account, gracePeriod="1h")
    stage.run()
    stage.policy(account, gracePeriod="0s")
    stage.run()
    assert alice.has_password
    assert stage.record(account, "alice").reason == RefusalReason.WITHIN_GRACE
    stage.run()
    assert not alice.has_password


def test_a_clock_set_back_keeps_everybody_within_grace(stage: Stage, account: Account) -> None:
    alice = account.user("alice", password=True)
    stage.policy(account, gracePeriod="1h")
    stage.run()
    stage.run(by=timedelta(days=-3))
    first_seen = stage.finding(account, "alice").first_seen
    assert first_seen is not None
    assert first_seen <= stage.clock.utc_now() + 5 * MINUTE, "firstSeen in the future would never end"
    stage.run(by=59 * MINUTE)
    assert alice.has_password


def test_a_clock_set_back_between_plan_and_look(stage: Stage, account: Account) -> None:
    alice = account.user("alice", password=True)
    stage.policy(account, gracePeriod="1h")
    stage.run()
    stage.at("get policy", lambda: stage.clock.advance(-2 * HOUR))
    stage.run(by=HOUR)
    assert alice.has_password
    assert stage.record(account, "alice").reason == RefusalReason.WITHIN_GRACE


def test_an_exemption_that_ends_during_the_pass_protects_until_the_next(stage: Stage, account: Account) -> None:
    alice = account.user("alice", password=True)
    ends = (stage.clock.utc_now() + 90 * MINUTE).strftime("%Y-%m-%dT%H:%M:%SZ")
    stage.policy(account, exemptions=[{"users": ["alice"], "reason": "On leave", "expires": ends}])
    stage.run()
    stage.at("act", lambda: stage.clock.advance(HOUR))
    stage.run(by=HOUR)
    assert alice.has_password
    stage.run()
    assert alice.has_password, "the violation is published for the first time"
    assert stage.record(account, "alice").reason == RefusalReason.NOT_PUBLISHED_YET
    stage.run()
    assert not alice.has_password
