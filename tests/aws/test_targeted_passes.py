"""Targeted passes: what they read, what they publish, and that they act no sooner and no more than passes may."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from mfa_operator.api.enums import FindingState, RemediationState
from mfa_operator.api.objects import PolicyRef
from mfa_operator.scheduling.hints import Doubt, TargetedPassFailed
from mfa_sandbox.aws import Account, EmbeddedAws
from tests.fixtures.remediation_harness import HOUR, MINUTE, QUARANTINE, REMOVE, Crash, RemediationHarness, staged

Unseen = Mapping[str, frozenset[str] | None]
SOON = timedelta(seconds=10)


@pytest.fixture
def harness(aws: EmbeddedAws) -> Iterator[RemediationHarness]:
    with staged(aws) as made:
        yield made


def run_targeted_pass(
    harness: RemediationHarness, account: Account, *users: str, ref: PolicyRef | None = None, by: timedelta = SOON
) -> Unseen:
    """A targeted pass because of an event that has just come, `by` after what happened last."""
    harness.clock.advance(by)
    harness.acting = False
    doubt = Doubt(frozenset(users), harness.clock.utc_moment())
    ref = ref or next(iter(harness.cluster.policies))
    return harness.reconciler.run_accounts(ref, {account.id: doubt})


def status(harness: RemediationHarness) -> Any:
    return harness.cluster.policies[next(iter(harness.cluster.policies))]["status"]


class TestReading:
    def test_reads_the_users_in_doubt_live_and_nobody_else(self, harness: RemediationHarness, account: Account) -> None:
        """The credential report of a pass ago still says that she has a device: no list shows a security key."""
        alice = account.user("alice", password=True, mfa=["security_key"])
        account.user("carol", password=True, mfa=["security_key"])
        harness.policy(account, gracePeriod="168h")
        harness.run()
        alice.remove_mfa()
        harness.aws.calls.clear()
        assert run_targeted_pass(harness, account, "alice") == {}
        assert harness.users(account) == ["alice"]
        assert [call.parameters["UserName"] for call in harness.aws.calls.select("ListMFADevices")] == ["alice"]
        assert len(harness.aws.calls) < 10

    def test_tells_of_whom_it_saw_nothing_new(self, harness: RemediationHarness, account: Account) -> None:
        account.user("alice", password=True)
        harness.policy(account, gracePeriod="168h")
        harness.run()
        bob = account.user("bob", password=True)
        seen = run_targeted_pass(harness, account, "alice", "bob", "nobody")
        assert seen == {account.id: frozenset({"alice", "nobody"})}
        assert run_targeted_pass(harness, account) == {account.id: None}
        bob.delete()
        assert run_targeted_pass(harness, account) == {}

    def test_one_fetch_serves_every_policy(self, harness: RemediationHarness, account: Account) -> None:
        account.user("alice", password=True)
        refs = [harness.policy(account, name, gracePeriod="168h") for name in ("p", "q")]
        for ref in refs:
            harness.run(ref)
        harness.clock.advance(SOON)
        harness.aws.calls.clear()
        doubt = {account.id: Doubt(frozenset({"alice"}), harness.clock.utc_moment())}
        for ref in refs:
            harness.reconciler.run_accounts(ref, doubt)
        assert harness.aws.calls.count("ListUsers") == 1
        assert harness.aws.calls.count("ListMFADevices") == 1

    def test_what_is_not_audited_is_not_looked_at(self, harness: RemediationHarness, account: Account) -> None:
        account.user("alice", password=True)
        ref = harness.policy(account, gracePeriod="168h")
        harness.run()
        harness.policy(account, gracePeriod="168h", suspend=True)
        harness.aws.calls.clear()
        assert run_targeted_pass(harness, account, "alice", ref=ref) == {}
        assert len(harness.aws.calls) == 0

    def test_a_hint_at_a_policy_whose_pass_is_to_come_comes_again(
        self, harness: RemediationHarness, account: Account
    ) -> None:
        """Before its first pass, and after an edit: nothing is audited, so nothing counts as published."""
        account.user("alice", password=True)
        ref = harness.policy(account, gracePeriod="168h")
        for edited in ({}, {"gracePeriod": "24h"}):
            harness.policy(account, **{"gracePeriod": "168h", **edited})
            harness.aws.calls.clear()
            with pytest.raises(TargetedPassFailed) as failed:
                run_targeted_pass(harness, account, "alice", ref=ref)
            assert failed.value.accounts == {account.id}
            assert len(harness.aws.calls) == 0
            harness.run()
            run_targeted_pass(harness, account, "alice", ref=ref)


class TestPublishing:
    def test_what_a_pass_stands_for_stays(self, harness: RemediationHarness, account: Account) -> None:
        alice = account.user("alice", password=True, mfa=["virtual"])
        harness.policy(account, gracePeriod="168h")
        harness.run()
        before = status(harness)
        alice.remove_mfa()
        run_targeted_pass(harness, account, "alice")
        after = status(harness)
        assert after["summary"]["violating"] == 1
        assert after["findings"][0]["user"] == "alice"
        same = ("lastPassTime", "nextPassTime", "observedGeneration", "lastHandledRequestedAt")
        assert [after.get(field) for field in same] == [before.get(field) for field in same]

    def test_one_that_sees_nothing_new_writes_nothing(self, harness: RemediationHarness, account: Account) -> None:
        account.user("alice", password=True)
        harness.policy(account, gracePeriod="168h")
        harness.run()
        before, reports = status(harness), len(harness.cluster.published)
        run_targeted_pass(harness, account, "alice")
        assert status(harness) is before
        assert len(harness.cluster.published) == reports

    def test_a_failed_account_is_reported_and_audited_next_pass(
        self, harness: RemediationHarness, account: Account
    ) -> None:
        account.user("alice", password=True)
        harness.policy(account, gracePeriod="168h")
        harness.run()
        account.suspended = True
        for _ in range(5):
            with pytest.raises(TargetedPassFailed):
                run_targeted_pass(harness, account, "alice")
        assert status(harness)["summary"]["accountsFailed"] == 1
        account.suspended = False
        harness.run(fresh=False, by=HOUR)
        assert status(harness)["summary"].get("accountsFailed", 0) == 0

    def test_a_hint_at_an_account_that_fails_comes_again(self, harness: RemediationHarness, account: Account) -> None:
        """What is remembered of its users is from before the event, and the next pass may go by it for hours."""
        other = harness.aws.world.account("444455556666")
        other.user("bob", password=True)
        alice = account.user("alice", password=True, mfa=["security_key"])
        accounts = [{"id": each.id, "roleArn": each.role_arn} for each in (account, other)]
        ref = harness.policy(account, accounts=accounts, gracePeriod="168h")
        harness.run()
        alice.remove_mfa()
        account.suspended = True
        harness.clock.advance(SOON)
        doubts = {
            account.id: Doubt(frozenset({"alice"}), harness.clock.utc_moment()),
            other.id: Doubt(frozenset({"bob"}), harness.clock.utc_moment()),
        }
        with pytest.raises(TargetedPassFailed) as failed:
            harness.reconciler.run_accounts(ref, doubts)
        assert failed.value.accounts == {account.id}
        assert failed.value.unseen == {other.id: frozenset({"bob"})}
        account.suspended = False
        run_targeted_pass(harness, account, "alice")
        assert harness.users(account) == ["alice"]


class TestActing:
    def overdue(self, harness: RemediationHarness, account: Account, count: int, **remediation: Any) -> None:
        for number in range(count):
            account.user(f"user-{number}", password=True)
        harness.policy(account, remediation={**REMOVE, **remediation})
        harness.run()

    def removed(self, harness: RemediationHarness) -> int:
        return harness.written().count("DeleteLoginProfile")

    def test_the_limit_of_a_pass_holds_for_the_whole_interval(
        self, harness: RemediationHarness, account: Account
    ) -> None:
        """However many events come between two passes."""
        self.overdue(harness, account, 9, maxPerPass=2)
        counts = []
        for _ in range(3):
            for _ in range(4):
                run_targeted_pass(harness, account, "user-0")
            counts.append(self.removed(harness))
            harness.run(by=HOUR)
            counts.append(self.removed(harness))
        # Two by targeted passes before the second pass; then each pass takes its own two and leaves none to them.
        assert counts == [2, 4, 4, 6, 6, 8]

    def test_the_limit_holds_where_the_clock_was_ahead_at_the_last_pass(
        self, harness: RemediationHarness, account: Account
    ) -> None:
        """An hour ahead, and set back since: nothing that was done since came after the time of that pass."""
        harness.policy(account, gracePeriod="0s", remediation={**REMOVE, "maxPerPass": 2})
        harness.run()
        harness.clock.advance(-HOUR)
        for number in range(9):
            account.user(f"user-{number}", password=True)
        for _ in range(5):
            run_targeted_pass(harness, account, "user-0")
        assert self.removed(harness) == 2

    def test_failed_tries_count_against_the_limit(self, harness: RemediationHarness, account: Account) -> None:
        self.overdue(harness, account, 5, maxPerPass=1)
        harness.aws.faults.add("DeleteLoginProfile", "access_denied", times=None)
        for _ in range(4):
            run_targeted_pass(harness, account, "user-0")
        assert harness.aws.calls.count("DeleteLoginProfile") == 1

    def test_nobody_is_acted_on_before_the_deadline(self, harness: RemediationHarness, account: Account) -> None:
        alice = account.user("alice", password=True, mfa=["virtual"])
        harness.policy(account, gracePeriod="1h")
        harness.run()
        alice.remove_mfa()
        for _ in range(10):
            run_targeted_pass(harness, account, "alice", by=MINUTE)
        assert harness.finding(account, "alice").state is FindingState.VIOLATING
        assert self.removed(harness) == 0

    def test_nobody_is_acted_on_in_the_pass_that_finds_them(
        self, harness: RemediationHarness, account: Account
    ) -> None:
        alice = account.user("alice", password=True, mfa=["virtual"])
        harness.policy(account, gracePeriod="0s")
        harness.run()
        alice.remove_mfa()
        run_targeted_pass(harness, account, "alice")
        assert harness.finding(account, "alice").state is FindingState.OVERDUE
        assert self.removed(harness) == 0

    def test_a_crash_in_a_targeted_pass_repeats_no_action(self, harness: RemediationHarness, account: Account) -> None:
        self.overdue(harness, account, 1)
        harness.at("DeleteLoginProfile answered", lambda: (_ for _ in ()).throw(Crash("kill -9")))
        with pytest.raises(Crash):
            run_targeted_pass(harness, account, "user-0")
        assert harness.record(account, "user-0").state is RemediationState.INTENDED
        harness.start()
        harness.forget_hooks()
        harness.reconciler.restore(harness.cluster.policies[next(iter(harness.cluster.policies))])
        run_targeted_pass(harness, account, "user-0")
        assert harness.record(account, "user-0").state is RemediationState.DONE
        assert self.removed(harness) == 1

    def test_who_enrolls_is_let_out_of_quarantine(self, harness: RemediationHarness, account: Account) -> None:
        alice = account.user("alice", password=True)
        harness.policy(account, remediation=QUARANTINE)
        harness.run()
        harness.run()
        assert len(alice.attached_policies) == 1
        alice.add_mfa("virtual")
        run_targeted_pass(harness, account, "alice")
        assert alice.attached_policies == []
        assert status(harness)["summary"].get("quarantined", 0) == 0


def test_without_results_of_every_account_no_sum_is_written(harness: RemediationHarness, account: Account) -> None:
    """A process that has just started knows of accounts what their reports say, and somebody may have deleted one."""
    other = harness.aws.world.account("444455556666")
    accounts = [{"id": each.id, "roleArn": each.role_arn} for each in (account, other)]
    alice = account.user("alice", password=True, mfa=["virtual"])
    ref = harness.policy(account, accounts=accounts, gracePeriod="168h")
    harness.run()
    body = harness.cluster.policies[ref]
    body["status"]["accounts"] = [each for each in body["status"]["accounts"] if each["id"] == account.id]
    del harness.cluster.reports["security", f"p-{other.id}"]
    harness.start()
    harness.reconciler.restore(body)
    alice.remove_mfa()
    before = status(harness)
    run_targeted_pass(harness, account, "alice")
    assert harness.users(account) == ["alice"]
    assert status(harness) == before


def test_one_account_at_a_time_leaves_none_out(harness: RemediationHarness, account: Account) -> None:
    """A pass that may take one place only used to end after its first account, and called that all of it."""
    harness.reconciler._width = 1
    others = [harness.aws.world.account(f"{number}" * 12) for number in (4, 5)]
    everybody = [account, *others]
    for each in everybody:
        each.user("alice", password=True)
    accounts = [{"id": each.id, "roleArn": each.role_arn} for each in everybody]
    ref = harness.policy(account, accounts=accounts, gracePeriod="168h")
    harness.run()
    assert status(harness)["summary"]["accounts"] == 3
    assert status(harness)["summary"]["violating"] == 3
    harness.clock.advance(SOON)
    doubt = Doubt(frozenset({"alice"}), harness.clock.utc_moment())
    unseen = harness.reconciler.run_accounts(ref, {each.id: doubt for each in everybody})
    assert unseen == {each.id: frozenset({"alice"}) for each in everybody}


def test_an_event_during_a_pass_brings_its_account_to_the_front(
    harness: RemediationHarness, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its users are read live, though what is remembered of a passkey holds until the next credential report."""
    harness.reconciler._width = 1
    second, third = (harness.aws.world.account(f"{number}" * 12) for number in (4, 5))
    everybody = [account, second, third]
    users = [each.user("alice", password=True, mfa=["security_key"]) for each in everybody]
    accounts = [{"id": each.id, "roleArn": each.role_arn} for each in everybody]
    ref = harness.policy(account, accounts=accounts, gracePeriod="168h")
    harness.run()
    auditor = harness.reconciler._tools.auditor
    audit, begun = auditor.audit, list[str]()

    def hinted(spec: Any, each: Any, *arguments: Any, **options: Any) -> Any:
        begun.append(each.id)
        if each.id == account.id:
            for user in users:
                user.remove_mfa()
            harness.clock.advance(SOON)
            for hinted_at in (account, third):
                harness.reconciler.hurry_account(ref, hinted_at.id, frozenset({"alice"}), harness.clock.utc_moment())
        return audit(spec, each, *arguments, **options)

    monkeypatch.setattr(auditor, "audit", hinted)
    harness.run(fresh=False, by=MINUTE)
    assert begun == [account.id, third.id, second.id]
    assert [found["accountId"] for found in status(harness)["findings"]] == [third.id]
    # Whoever is hinted at after the pass waits for the targeted one.
    harness.reconciler.hurry_account(ref, second.id, frozenset({"alice"}), harness.clock.utc_moment())
    harness.run(fresh=False, by=MINUTE)
    assert begun[3:] == [account.id, third.id, second.id]
