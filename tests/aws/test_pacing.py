"""An account that throttles at 20 requests a second, as IAM does: everybody is judged, and others do not notice."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mfa_operator.api.enums import FindingReason, UserState
from mfa_operator.api.policy import PolicySpec
from mfa_operator.aws.errors import Throttled
from mfa_operator.scheduling.due import PassAbandoned
from mfa_sandbox.aws import Account, EmbeddedAws
from mfa_sandbox.aws.faults import RateLimit
from tests.aws.audit_world import FIRST, ID, Auditing, states, unknown
from tests.fixtures.operator import eventually
from tests.fixtures.remediation_harness import RemediationHarness

VIOLATORS = 60
LIVE_CALLS = 2 * VIOLATORS
OTHER = "444455556666"
PATIENCE = 30.0


def violators(account: Account, count: int = VIOLATORS) -> dict[str, UserState]:
    names = [f"user-{number:02}" for number in range(count)]
    for name in names:
        account.user(name, password=True)
    account.force_report()
    return dict.fromkeys(names, UserState.VIOLATING)


def limited(op: Auditing, account: Account, per_second: float = 20.0) -> RateLimit:
    return op.aws.faults.limit(account.id, per_second, seconds=op.hasty.now)


def test_nobody_is_unknown_for_throttling_alone(op: Auditing, account: Account) -> None:
    expected = violators(account)
    limit = limited(op, account)
    audit = op.audit(account)
    assert states(audit) == expected
    assert audit.failures == ()
    assert 0 < limit.throttled <= LIVE_CALLS // 4
    assert op.sessions.pacing.paced(account.id)


def test_a_slow_account_is_audited_too(op: Auditing, account: Account) -> None:
    """Others may use up nearly all that IAM gives the account."""
    expected = violators(account, 20)
    limited(op, account, per_second=1.5)
    audit = op.audit(account)
    assert (states(audit), audit.failures) == (expected, ())


def test_policies_and_roles_that_share_an_account_share_its_rate(op: Auditing, account: Account) -> None:
    """The second role has a collector of its own, with threads of its own."""
    expected = violators(account)
    limit = limited(op, account)
    policies = [op.policy(account), op.policy(account, external_id="acme"), op.policy(account, external_id="other")]

    def audit(policy: PolicySpec) -> dict[str, UserState]:
        return states(op.auditor.audit(policy, policy.accounts[0], None, op.clock.utc_now()))

    with ThreadPoolExecutor(len(policies)) as pool:
        assert list(pool.map(audit, policies)) == [expected] * len(policies)
    assert len(op.auditor._collectors) == len(policies)
    assert limit.throttled <= len(policies) * LIVE_CALLS // 4


def test_while_one_account_waits_another_does_not(
    op: Auditing, aws: EmbeddedAws, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    violators(account)
    other = aws.world.account(OTHER)
    expected = violators(other)
    limited(op, account)
    waiting, go_on = threading.Event(), threading.Event()

    def pause(seconds: float, stopping: threading.Event) -> bool:
        waiting.set()
        assert go_on.wait(PATIENCE)
        return op.hasty.pause(seconds, stopping)

    monkeypatch.setattr("mfa_operator.aws.pacing._pause", pause)
    with ThreadPoolExecutor(1) as pool:
        paced = pool.submit(op.audit, account)
        assert waiting.wait(PATIENCE)
        audit = op.auditor.audit(op.policy(other), op.policy(other).accounts[0], None, op.clock.utc_now())
        assert states(audit) == expected
        assert not paced.done()
        assert not op.sessions.pacing.paced(OTHER)
        go_on.set()
        paced.result(PATIENCE)


def test_who_waits_gives_up_at_once_when_the_operator_stops(
    op: Auditing, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    violators(account)
    limited(op, account)
    waiting = threading.Event()

    def for_an_hour(_: float, stopping: threading.Event) -> bool:
        waiting.set()
        return stopping.wait(3600)

    monkeypatch.setattr("mfa_operator.aws.pacing._pause", for_an_hour)
    with ThreadPoolExecutor(1) as pool:
        paced = pool.submit(op.audit, account)
        assert waiting.wait(PATIENCE)
        op.sessions.stopping.set()
        with pytest.raises(PassAbandoned):
            paced.result(PATIENCE)


def test_without_end_the_account_fails_as_throttled(op: Auditing, aws: EmbeddedAws, account: Account) -> None:
    expected = violators(account)
    limit = aws.faults.limit(account.id, 0.0, burst=1.0, seconds=op.hasty.now)
    assert isinstance(op.fails(account), Throttled)
    assert limit.throttled < 200
    # Nobody asks again and again: a pass soon after ends with its first questions, and botocore's tries of one report.
    before = limit.throttled
    assert isinstance(op.fails(account), Throttled)
    assert limit.throttled - before <= 2 + 5
    aws.faults.clear()
    op.hasty.pause(120, op.sessions.stopping)
    assert states(op.later(account)) == expected


def test_users_that_could_not_be_asked_are_unknown(op: Auditing, aws: EmbeddedAws, account: Account) -> None:
    """The lists come, then AWS throttles for good: a bounded number of requests, and nobody is compliant."""
    expected = violators(account)
    limit = aws.faults.limit(account.id, 0.0, burst=FIRST.total() + 20, seconds=op.hasty.now)
    audit = op.audit(account)
    left = unknown(audit)
    assert set(left.values()) == {FindingReason.LOOKUP_FAILED}
    assert VIOLATORS - 20 <= len(left) < VIOLATORS
    assert states(audit) == expected | dict.fromkeys(left, UserState.UNKNOWN)
    assert {failure.code for failure in audit.failures} == {"Throttling"}
    assert limit.throttled < 200


def test_a_write_does_not_wait_for_its_turn(op: Auditing, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may come between the last check and it; whoever asks next waits for two."""
    violators(account, 20)
    limited(op, account)
    op.audit(account)
    session = op.sessions.account(op.policy(account).accounts[0])
    waits: list[float] = []

    def pause(seconds: float, _: threading.Event) -> bool:
        waits.append(seconds)
        return False

    monkeypatch.setattr("mfa_operator.aws.pacing._pause", pause)
    op.hasty.pause(10, op.sessions.stopping)
    session.ask("DeleteLoginProfile", lambda iam: iam.delete_login_profile(UserName="user-00"))
    assert waits == []
    session.ask("GetUser", lambda iam: iam.get_user(UserName="user-00"))
    assert len(waits) == 1


def test_that_no_new_report_can_be_made_holds_nothing_back(op: Auditing, aws: EmbeddedAws, account: Account) -> None:
    violators(account, 2)
    aws.faults.add("GenerateCredentialReport", "throttling", times=None)
    op.audit(account)
    assert not op.sessions.pacing.paced(account.id)


def test_the_log_says_once_when_it_begins_and_when_it_ends(
    op: Auditing, account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="mfa_operator.aws.pacing")
    violators(account)
    limited(op, account)
    op.audit(account)
    assert caplog.messages == [f"AWS throttles account {ID}: requests to it are limited to 20 a second at first"]
    op.hasty.pause(120, op.sessions.stopping)
    op.later(account)
    assert caplog.messages[1:] == [f"AWS no longer throttles account {ID}: requests to it are not limited any more"]


def test_waiting_accounts_do_not_hold_up_the_others(
    harness: RemediationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two accounts are audited at a time, and two wait for their turn at AWS."""
    slow, fast = [100_000_000_001, 100_000_000_002], [100_000_000_003, 100_000_000_004, 100_000_000_005]
    accounts = [harness.aws.world.account(str(number)) for number in slow + fast]
    for account in accounts:
        violators(account, 20)
    for number in slow:
        harness.aws.faults.limit(str(number), 20.0, burst=10.0, seconds=lambda: 0.0)
    go_on = threading.Event()

    def pause(_: float, stopping: threading.Event) -> bool:
        assert go_on.wait(PATIENCE)
        harness.aws.faults.clear()
        return stopping.is_set()

    monkeypatch.setattr("mfa_operator.aws.pacing._pause", pause)
    entries = [{"id": account.id, "roleArn": account.role_arn} for account in accounts]
    ref = harness.cluster.apply("wide", {"accounts": entries})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(harness.run, ref)
        eventually(lambda: len(harness.cluster.reports) == len(fast), "reports of those that need not wait")
        assert not running.done()
        assert {key[1] for key in harness.cluster.reports} == {f"wide-{number}" for number in fast}
        go_on.set()
        running.result(PATIENCE)
    assert len(harness.cluster.reports) == len(accounts)
