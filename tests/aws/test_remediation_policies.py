"""Several policies over one account: what one of them holds, no other gives back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mfa_operator.api.enums import EventReason, FindingState, RemediationState
from mfa_sandbox.aws import Account, SandboxUser
from tests.fixtures.quarantined import ARN, KEYS, KEYS_ARN
from tests.fixtures.remediation_harness import QUARANTINE, REMOVE, RemediationHarness


@pytest.fixture
def both(held: RemediationHarness, account: Account) -> RemediationHarness:
    """Two policies that hold alice: p, which put her under quarantine, and q of another namespace."""
    q = held.policy(account, name="q", namespace="other", remediation=QUARANTINE)
    held.run(q)
    held.run(q)
    return held


def run(harness: RemediationHarness, *names: str) -> None:
    for name in names:
        harness.run(next(ref for ref in harness.cluster.policies if ref.name == name))


STOPS: dict[str, dict[str, Any]] = {
    "no action": {"remediation": {"action": "None"}},
    "an exemption": {"remediation": QUARANTINE, "exemptions": [{"users": ["alice"], "reason": "Ours"}]},
    "more grace": {"remediation": QUARANTINE, "gracePeriod": "1h"},
}


def test_the_second_counts_what_stands_and_does_nothing(both: RemediationHarness, account: Account) -> None:
    assert both.written() == ["CreatePolicy", "AttachUserPolicy"]
    report = both.report(account, "q", "other")
    assert report.summary.quarantined == 1
    assert both.counted() == {"done": 1}
    assert len(both.events(EventReason.QUARANTINED)) == 1


@pytest.mark.parametrize("stops", STOPS)
@pytest.mark.parametrize("first", ["p", "q"])
def test_what_one_stops_asking_for_stays_while_the_other_asks(
    both: RemediationHarness, account: Account, alice: SandboxUser, first: str, stops: str
) -> None:
    namespaces = {"p": "security", "q": "other"}
    other = {"p": "q", "q": "p"}[first]
    both.policy(account, name=first, namespace=namespaces[first], **STOPS[stops])
    run(both, first, other, first, other)
    assert alice.attached_policies == [ARN]
    assert [name for name in both.written() if name == "DetachUserPolicy"] == []
    both.policy(account, name=other, namespace=namespaces[other], **STOPS[stops])
    run(both, other)
    assert alice.attached_policies == []
    assert len(both.events(EventReason.QUARANTINE_LIFTED)) == 1


def test_a_policy_that_never_held_her_gives_nothing_back(
    held: RemediationHarness, account: Account, alice: SandboxUser
) -> None:
    q = held.policy(account, name="q", exemptions=[{"users": ["alice"], "reason": "Ours"}], remediation=QUARANTINE)
    held.run(q)
    held.run(q)
    assert alice.attached_policies == [ARN]


def test_mfa_lets_her_go_whichever_policy_checks_first(both: RemediationHarness, alice: SandboxUser) -> None:
    alice.add_mfa("virtual")
    run(both, "q")
    assert alice.attached_policies == [ARN], "p holds her still, and may think otherwise of the device"
    run(both, "p")
    assert alice.attached_policies == []


def test_two_that_check_at_once_do_not_both_leave_it_to_the_other(both: RemediationHarness, alice: SandboxUser) -> None:
    alice.add_mfa("virtual")
    with ThreadPoolExecutor(2) as pool:
        passes = [pool.submit(run, both, name) for name in ("p", "q")]
    for one in passes:
        one.result()
    assert alice.attached_policies == []


def test_who_gives_way_says_so_before_the_other_can_check(both: RemediationHarness, alice: SandboxUser) -> None:
    alice.add_mfa("virtual")
    run(both, "q")
    assert "report written" in both.steps[: both.steps.index("acted")]


def test_one_that_is_only_trying_holds_nobody(held: RemediationHarness, account: Account, alice: SandboxUser) -> None:
    q = held.policy(account, name="q", remediation={**QUARANTINE, "dryRun": True})
    held.run(q)
    held.run(q)
    assert held.report(account, "q").summary.quarantined == 0
    alice.add_mfa("virtual")
    run(held, "p")
    assert alice.attached_policies == []


class TestTheyDiffer:
    """One asks for the quarantine that spares access keys, the other for the one that does not."""

    @pytest.fixture
    def differing(self, held: RemediationHarness, account: Account) -> RemediationHarness:
        q = held.policy(account, name="q", remediation=KEYS)
        held.run(q)
        held.run(q)
        return held

    def test_the_stricter_one_stands(self, differing: RemediationHarness, account: Account, alice: SandboxUser) -> None:
        assert alice.attached_policies == [KEYS_ARN]
        before = differing.written()
        run(differing, "p", "q", "p", "q")
        assert alice.attached_policies == [KEYS_ARN]
        assert differing.written() == before, "nobody undoes what the other did"
        assert {differing.record(account, "alice", name).state for name in ("p", "q")} == {RemediationState.DONE}

    def test_it_gives_way_to_the_milder_one_at_the_end(
        self, differing: RemediationHarness, account: Account, alice: SandboxUser
    ) -> None:
        differing.policy(account, name="q", remediation={"action": "None"})
        run(differing, "q")
        assert alice.attached_policies == [KEYS_ARN]
        run(differing, "p")
        assert alice.attached_policies == [ARN]


def test_two_removals_of_one_profile(harness: RemediationHarness, account: Account) -> None:
    """Both planned it, and both are at it."""
    account.user("alice", password=True)
    p, q = (harness.policy(account, name=name, remediation=REMOVE) for name in ("p", "q"))
    for ref in (p, q):
        harness.run(ref)
    with ThreadPoolExecutor(2) as pool:
        for one in [pool.submit(harness.run, ref) for ref in (p, q)]:
            one.result()
    assert harness.written() == ["DeleteLoginProfile"]
    assert harness.counted().get("done") == 1
    states = [harness.report(account, name).findings for name in ("p", "q")]
    assert sorted(finding.state for findings in states for finding in findings) == [FindingState.REMEDIATED]


def test_one_policys_failure_touches_no_other(held: RemediationHarness, account: Account, alice: SandboxUser) -> None:
    """A report of another policy that makes no sense, or that nobody rewrites any more, is no reason to fail."""
    bob = account.user("bob", password=True)
    q = held.policy(account, name="q", remediation=QUARANTINE, suspend=True)
    held.run(q)
    held.run()
    held.run()
    assert bob.attached_policies == [ARN]
    alice.add_mfa("virtual")
    held.run()
    assert alice.attached_policies == []
