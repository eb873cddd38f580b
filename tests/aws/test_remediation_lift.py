"""Quarantines that nobody asks for any more are lifted, once, and never past a stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from mfa_operator.api.enums import EventReason, FindingReason, FindingState, RefusalReason, RemediationState
from mfa_operator.config.access_rules import AccessRules
from mfa_operator.kube.cluster import ObjectGone
from mfa_operator.kube.objects import MAX_NOTE
from mfa_sandbox.aws import Account, SandboxUser
from tests.fixtures.quarantined import ARN
from tests.fixtures.remediation_harness import HOUR, MINUTE, QUARANTINE, RemediationHarness

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

Event = Callable[[RemediationHarness, Account, SandboxUser], object]


def spec(**fields: Any) -> Event:
    return lambda harness, account, _: harness.policy(account, **fields)


REASONS: dict[str, tuple[Event, str]] = {
    "virtual MFA": (lambda _s, _a, alice: alice.add_mfa("virtual"), "MFA device"),
    "passkey": (lambda _s, _a, alice: alice.add_mfa("security_key"), "MFA device"),
    "exempt": (spec(remediation=QUARANTINE, exemptions=[{"users": ["alice"], "reason": "On leave"}]), "exempt"),
    "no action": (spec(remediation={"action": "None"}), "no longer asks"),
    "longer grace": (spec(remediation=QUARANTINE, gracePeriod="1h"), "no longer asks"),
    "password removed": (lambda _s, _a, alice: alice.remove_password(), "no longer has console access"),
}


class TestLift:
    @pytest.mark.parametrize("reason", REASONS)
    def test_it_is_lifted_with_one_event(
        self, held: RemediationHarness, account: Account, alice: SandboxUser, reason: str
    ) -> None:
        happens, words = REASONS[reason]
        happens(held, account, alice)
        held.run()
        assert alice.attached_policies == []
        [note] = held.events(EventReason.QUARANTINE_LIFTED)
        assert words in note
        held.run()
        assert len(held.events(EventReason.QUARANTINE_LIFTED)) == 1
        assert held.report(account).summary.quarantined == 0

    @pytest.mark.parametrize("reason", REASONS)
    @pytest.mark.parametrize("restart", [False, True])
    def test_a_lift_that_fails_is_shown_and_tried_again(
        self, held: RemediationHarness, account: Account, alice: SandboxUser, reason: str, restart: bool
    ) -> None:
        fault = held.aws.faults.add("DetachUserPolicy", "access_denied", times=None)
        REASONS[reason][0](held, account, alice)
        for _ in range(2):
            held.run()
            assert alice.attached_policies == [ARN]
            assert held.report(account).summary.quarantined == 1
            assert "could not be lifted" in held.record(account, "alice").message
            if restart:
                held.start()
        if reason in ("virtual MFA", "passkey", "password removed"):
            finding = held.finding(account, "alice")
            assert (finding.state, finding.reason) == (FindingState.REMEDIATED, FindingReason.QUARANTINE_NOT_LIFTED)
        assert len(held.events(EventReason.REMEDIATION_FAILED)) == 1
        held.aws.faults.remove(fault.id)
        held.run()
        assert alice.attached_policies == []
        assert len(held.events(EventReason.QUARANTINE_LIFTED)) == 1

    @pytest.mark.parametrize("stop", ["dry run", "switched off", "not allowed", "suspended", "edited", "deleted"])
    def test_access_is_not_given_back_where_it_is_forbidden(
        self, held: RemediationHarness, account: Account, alice: SandboxUser, stop: str
    ) -> None:
        alice.add_mfa("virtual")
        match stop:
            case "dry run":
                held.policy(account, remediation={**QUARANTINE, "dryRun": True})
            case "switched off":
                held.rules = held.rules.without_remediation()
            case "not allowed":
                held.rules = AccessRules()
            case "suspended":
                held.policy(account, remediation=QUARANTINE, suspend=True)
            case "edited":
                held.at("get policy", lambda: held.policy(account, remediation=QUARANTINE, interval="5m"))
            case "deleted":
                held.at("get policy", lambda: held.cluster.delete(next(iter(held.cluster.policies))))
        if stop == "deleted":
            with pytest.raises(ObjectGone):
                held.run()
        else:
            held.run()
        assert alice.attached_policies == [ARN]
        if stop in ("dry run", "switched off", "not allowed"):
            assert held.finding(account, "alice").reason == FindingReason.QUARANTINE_NOT_LIFTED

    def test_who_cannot_be_looked_at_stays(
        self, held: RemediationHarness, account: Account, alice: SandboxUser
    ) -> None:
        alice.add_mfa("security_key")
        held.aws.faults.add("ListMFADevices", "access_denied", times=None)
        held.run()
        assert alice.attached_policies == [ARN]
        assert held.record(account, "alice").state == RemediationState.DONE

    def test_a_clock_set_back_lifts_nothing(
        self, harness: RemediationHarness, account: Account, alice: SandboxUser
    ) -> None:
        harness.policy(account, remediation=QUARANTINE, gracePeriod="1h")
        harness.run()
        harness.run(by=HOUR)
        assert alice.attached_policies == [ARN]
        harness.run(by=-30 * MINUTE)
        assert alice.attached_policies == [ARN]

    def test_lifted_by_hand_is_taken_note_of(
        self, held: RemediationHarness, account: Account, alice: SandboxUser, admin: IAMClient
    ) -> None:
        alice.add_mfa("virtual")
        admin.detach_user_policy(UserName="alice", PolicyArn=ARN)
        held.run()
        held.run()
        assert held.users(account) == []
        [note] = held.events(EventReason.QUARANTINE_LIFTED)
        assert "no longer attached" in note

    def test_quarantines_in_a_dropped_account_get_one_event(
        self, held: RemediationHarness, account: Account, alice: SandboxUser
    ) -> None:
        held.policy(held.aws.world.account("444455556666"), remediation=QUARANTINE)
        for _ in range(2):
            held.run()
            assert alice.attached_policies == [ARN]
            [note] = held.events(EventReason.QUARANTINES_LEFT)
            assert f"`mfa-operator release --account {account.id} --role-arn {account.role_arn} --all`" in note

    def test_an_unrecorded_quarantine_gets_one_event_and_stays(
        self, held: RemediationHarness, account: Account, alice: SandboxUser, admin: IAMClient
    ) -> None:
        held.cluster.reports.clear()
        alice.add_mfa("virtual")
        for _ in range(2):
            held.run()
            assert alice.attached_policies == [ARN]
            [note] = held.events(EventReason.QUARANTINES_LEFT)
            assert "1 user under quarantine" in note
            assert f"`mfa-operator release --account {account.id} --role-arn {account.role_arn} --user alice`" in note
        admin.detach_user_policy(UserName="alice", PolicyArn=ARN)
        held.run()
        assert len(held.events(EventReason.QUARANTINES_LEFT)) == 1

    def test_trouble_in_between_makes_it_no_news(self, held: RemediationHarness, alice: SandboxUser) -> None:
        held.cluster.reports.clear()
        alice.add_mfa("virtual")
        held.run()
        held.aws.faults.add("ListEntitiesForPolicy", "access_denied")
        held.run()
        held.run()
        assert len(held.events(EventReason.REMEDIATION_FAILED)) == 1
        assert len(held.events(EventReason.QUARANTINES_LEFT)) == 1

    def test_many_are_reported_by_the_first_few_and_a_whole_command(
        self, held: RemediationHarness, account: Account, admin: IAMClient
    ) -> None:
        for number in range(12):
            user = account.user(f"{number:02}-{'u' * 61}", password=True, mfa=["virtual"])
            admin.attach_user_policy(UserName=user.name, PolicyArn=ARN)
        held.run()
        [note] = held.events(EventReason.QUARANTINES_LEFT)
        assert "12 users under quarantine" in note
        assert 8 <= note.count("--user ") <= 10
        assert note.endswith("`")
        assert len(note) < MAX_NOTE

    def test_what_another_policy_holds_is_accounted_for(self, held: RemediationHarness, account: Account) -> None:
        held.run(held.policy(account, "other", gracePeriod="1h", remediation=QUARANTINE))
        assert held.events(EventReason.QUARANTINES_LEFT) == []

    def test_a_user_made_anew_is_not_who_was_quarantined(
        self, held: RemediationHarness, account: Account, alice: SandboxUser
    ) -> None:
        alice.delete()
        held.clock.advance(MINUTE)
        account.user("alice", password=True)
        held.run()
        assert account.existing_user("alice").attached_policies == []
        assert held.record(account, "alice").reason == RefusalReason.NOT_PUBLISHED_YET
