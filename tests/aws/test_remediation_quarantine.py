"""Quarantines: put, kept, repaired, moved and lifted, and what can go wrong with each."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from mfa_operator.api.enums import EventReason, FindingReason, FindingState, RemediationState
from mfa_operator.aws.quarantine_document import Variant, is_current
from mfa_operator.scheduling.due import PassAbandoned
from mfa_sandbox.aws import Account, SandboxUser
from tests.fixtures.quarantined import ARN, KEYS, KEYS_ARN
from tests.fixtures.remediation_harness import QUARANTINE, REMOVE, RemediationHarness

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

ANYTHING = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'


class TestPut:
    def test_a_user_with_a_path_is_quarantined_once(self, held: RemediationHarness, account: Account) -> None:
        assert held.written() == ["CreatePolicy", "AttachUserPolicy"]
        assert held.finding(account, "alice").state == FindingState.OVERDUE
        assert held.record(account, "alice").state == RemediationState.DONE
        assert (held.report(account).summary.quarantined, held.counted()) == (1, {"done": 1})
        before = held.report(account)
        held.run()
        assert held.report(account) == before
        assert held.written() == ["CreatePolicy", "AttachUserPolicy"]
        [event] = held.events(EventReason.QUARANTINED)
        assert re.search(r" \(MfaPolicy [a-z]+/[a-z]+, violating since \S+Z, deadline \S+Z\)$", event)

    def test_no_room_for_an_eleventh_policy(
        self, ready: RemediationHarness, account: Account, alice: SandboxUser
    ) -> None:
        for number in range(10):
            alice.attach_policy(f"p{number}")
        ready.run()
        record = ready.record(account, "alice")
        assert (record.state, len(alice.attached_policies)) == (RemediationState.FAILED, 10)
        assert "LimitExceeded" in record.message
        assert ready.counted() == {"failed": 1}
        assert len(ready.events(EventReason.REMEDIATION_FAILED)) == 1
        assert ready.report(account).summary.quarantined == 0

    def test_a_policy_of_our_name_without_our_tag_is_left_alone(
        self, ready: RemediationHarness, account: Account, alice: SandboxUser, admin: IAMClient
    ) -> None:
        admin.create_policy(PolicyName=Variant.CONSOLE.value, Path="/mfa-operator/", PolicyDocument=ANYTHING)
        account.user("bob", password=True)
        admin.attach_user_policy(UserName="bob", PolicyArn=ARN)
        ready.run()
        ready.run()
        for user in ("alice", "bob"):
            record = ready.record(account, user)
            assert (record.state, "managed-by=mfa-operator" in record.message) == (RemediationState.FAILED, True)
        assert ready.report(account).summary.quarantined == 0
        assert alice.attached_policies == []
        assert set(ready.written()) == {"CreatePolicy", "AttachUserPolicy"}, "the person's own"
        account.existing_user("bob").add_mfa("virtual")
        ready.run()
        assert account.existing_user("bob").attached_policies == [ARN]

    def test_one_that_stands_already_is_taken_over_without_a_word(
        self, held: RemediationHarness, account: Account, alice: SandboxUser
    ) -> None:
        """As after a policy was deleted and made anew, by GitOps for example."""
        held.cluster.delete(next(iter(held.cluster.policies)))
        held.policy(account, remediation=QUARANTINE)
        held.run()
        assert held.record(account, "alice").state == RemediationState.DONE
        assert (held.counted(), len(held.events(EventReason.QUARANTINED))) == ({"done": 1}, 1)
        alice.add_mfa("virtual")
        held.run()
        assert alice.attached_policies == []

    def test_a_policy_made_by_somebody_quicker_will_do(
        self, ready: RemediationHarness, alice: SandboxUser, admin: IAMClient
    ) -> None:
        def make() -> None:
            tags = [{"Key": "managed-by", "Value": "mfa-operator"}]
            admin.create_policy(PolicyName=Variant.CONSOLE, Path="/mfa-operator/", PolicyDocument=ANYTHING, Tags=tags)  # type: ignore[arg-type]  # a TypedDict

        ready.at("CreatePolicy", make)
        ready.run()
        assert alice.attached_policies == [ARN]
        assert document_is_ours(admin)

    def test_a_failure_after_a_faster_writer_keeps_the_report(
        self, ready: RemediationHarness, account: Account, admin: IAMClient
    ) -> None:
        def make() -> None:
            admin.create_policy(PolicyName=Variant.CONSOLE, Path="/mfa-operator/", PolicyDocument=ANYTHING)
            ready.aws.faults.add("GetPolicy", "access_denied", times=None)

        ready.at("CreatePolicy", make)
        ready.run()
        assert ready.record(account, "alice").state == RemediationState.FAILED
        [status] = next(iter(ready.cluster.policies.values()))["status"]["accounts"]
        assert status["state"] == "Audited"

    @pytest.mark.parametrize("operation", ["CreatePolicy", "AttachUserPolicy"])
    def test_an_answer_that_was_lost(
        self, ready: RemediationHarness, account: Account, alice: SandboxUser, operation: str
    ) -> None:
        """The call is not sent again blindly: what became of it is read first."""
        ready.aws.faults.add(operation, "executed_answer_lost")
        ready.run()
        assert ready.aws.calls.count(operation) == 1
        assert alice.attached_policies == [ARN]
        assert ready.record(account, "alice").state == RemediationState.DONE
        assert ready.counted() == {"done": 1}


def document_is_ours(admin: IAMClient, arn: str = ARN) -> bool:
    version = admin.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    found = admin.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    return is_current(found, "aws", "111122223333", Variant(arn.rsplit("/", 1)[1]))


class TestDrift:
    def test_an_edited_policy_with_five_versions_is_repaired(self, held: RemediationHarness, admin: IAMClient) -> None:
        for _ in range(4):
            admin.create_policy_version(PolicyArn=ARN, PolicyDocument=ANYTHING, SetAsDefault=True)
        held.run()
        assert document_is_ours(admin)
        versions = admin.list_policy_versions(PolicyArn=ARN)["Versions"]
        assert len(versions) == 5
        assert "v1" not in [version["VersionId"] for version in versions], "the oldest went"
        before = held.written()
        held.run()
        assert held.written() == before

    @pytest.mark.parametrize("operation", ["ListEntitiesForPolicy", "CreatePolicyVersion"])
    def test_a_failing_policy_gets_one_event_and_stays_as_it_is(
        self, held: RemediationHarness, account: Account, alice: SandboxUser, admin: IAMClient, operation: str
    ) -> None:
        account.user("bob", password=True)
        held.run()
        admin.create_policy_version(PolicyArn=ARN, PolicyDocument=ANYTHING, SetAsDefault=True)
        fault = held.aws.faults.add(operation, "access_denied", times=None)
        for _ in range(2):
            held.run()
            [note] = held.events(EventReason.REMEDIATION_FAILED)
            assert operation in note
            assert operation in held.record(account, "bob").message
            assert held.record(account, "alice").state == RemediationState.DONE
        held.aws.faults.remove(fault.id)
        held.run()
        assert document_is_ours(admin)
        assert account.existing_user("bob").attached_policies == [ARN]
        assert alice.attached_policies == [ARN]

    def test_who_was_detached_is_quarantined_again(
        self, held: RemediationHarness, account: Account, alice: SandboxUser, admin: IAMClient
    ) -> None:
        admin.detach_user_policy(UserName="alice", PolicyArn=ARN)
        held.run()
        assert alice.attached_policies == [ARN]
        assert held.record(account, "alice").state == RemediationState.DONE

    @pytest.mark.parametrize("stop", ["edited", "switched off", "not leading", "dry run"])
    def test_nothing_is_repaired_where_actions_are_forbidden(
        self, held: RemediationHarness, account: Account, admin: IAMClient, stop: str
    ) -> None:
        admin.create_policy_version(PolicyArn=ARN, PolicyDocument=ANYTHING, SetAsDefault=True)
        before = held.written()

        def pull() -> None:
            match stop:
                case "edited":
                    held.policy(account, remediation=QUARANTINE, suspend=True)
                case "switched off":
                    held.rules = held.rules.without_remediation()
                case "not leading":
                    held.leading = False

        if stop == "dry run":
            held.policy(account, remediation={**QUARANTINE, "dryRun": True})
        held.at("GetPolicyVersion answered", pull)
        with suppress(PassAbandoned):
            held.run()
        assert held.written() == before


class TestMove:
    """From one quarantine to the other, as quarantineAccessKeys changes."""

    @pytest.mark.parametrize("back", [False, True])
    def test_there_is_no_gap(self, held: RemediationHarness, account: Account, alice: SandboxUser, back: bool) -> None:
        held.policy(account, remediation=KEYS)
        held.run()
        if back:
            held.policy(account, remediation=QUARANTINE)
            held.run()
        assert alice.attached_policies == [ARN if back else KEYS_ARN]
        changes = [operation for operation in held.written() if operation.endswith("UserPolicy")]
        assert changes == ["AttachUserPolicy", *["AttachUserPolicy", "DetachUserPolicy"] * (2 if back else 1)]

    def test_no_room_for_the_move(self, held: RemediationHarness, account: Account, alice: SandboxUser) -> None:
        for number in range(9):
            alice.attach_policy(f"p{number}")
        held.policy(account, remediation=KEYS)
        held.run()
        record = held.record(account, "alice")
        assert (record.state, record.quarantined) == (RemediationState.FAILED, True)
        assert (ARN in alice.attached_policies, held.report(account).summary.quarantined) == (True, 1)
        alice.add_mfa("virtual")
        held.run()
        assert ARN not in alice.attached_policies, "what stands is not lost out of sight"

    def test_a_half_done_move_is_finished(self, held: RemediationHarness, account: Account, alice: SandboxUser) -> None:
        fault = held.aws.faults.add("DetachUserPolicy", "access_denied", times=None)
        held.policy(account, remediation=KEYS)
        held.run()
        assert set(alice.attached_policies) == {ARN, KEYS_ARN}
        held.aws.faults.remove(fault.id)
        held.run()
        assert alice.attached_policies == [KEYS_ARN]
        assert held.record(account, "alice").state == RemediationState.DONE

    def test_a_move_that_was_stopped_loses_nothing(
        self, held: RemediationHarness, account: Account, alice: SandboxUser
    ) -> None:
        held.policy(account, remediation=KEYS)
        held.at("report written", lambda: held.policy(account, remediation={**KEYS, "maxPerPass": 1}))
        held.run()
        assert (alice.attached_policies, held.record(account, "alice").state) == ([ARN], RemediationState.DONE)


class TestToRemoval:
    """From quarantine to removal, for who does not enrol."""

    def test_who_cannot_sign_in_needs_no_quarantine(
        self, held: RemediationHarness, account: Account, alice: SandboxUser
    ) -> None:
        held.policy(account, remediation=REMOVE)
        held.run()
        assert (alice.has_password, alice.attached_policies) == (False, [])
        record = held.record(account, "alice")
        assert (record.action, record.state, record.quarantined) == ("RemoveConsoleAccess", "Done", False)

    def test_a_removal_that_fails_leaves_the_quarantine(
        self, held: RemediationHarness, account: Account, alice: SandboxUser
    ) -> None:
        held.aws.faults.add("DeleteLoginProfile", "access_denied", times=None)
        held.policy(account, remediation=REMOVE)
        held.run()
        assert (alice.has_password, alice.attached_policies) == (True, [ARN])
        assert held.record(account, "alice").state == RemediationState.FAILED
        assert held.report(account).summary.quarantined == 1
        alice.add_mfa("virtual")
        held.run()
        assert alice.attached_policies == []

    def test_a_lift_that_fails_is_no_failed_removal(
        self, held: RemediationHarness, account: Account, alice: SandboxUser
    ) -> None:
        fault = held.aws.faults.add("DetachUserPolicy", "access_denied", times=None)
        held.policy(account, remediation=REMOVE)
        held.run()
        finding = held.finding(account, "alice")
        assert finding.reason == FindingReason.CONSOLE_ACCESS_REMOVED
        assert held.report(account).summary.quarantined == 1
        assert held.counted() == {"done": 2}
        held.start()
        held.run(by=timedelta(days=40))
        assert held.report(account).summary.quarantined == 1, "not forgotten with the removal"
        held.aws.faults.remove(fault.id)
        held.run()
        assert alice.attached_policies == []
        assert held.report(account).summary.quarantined == 0
