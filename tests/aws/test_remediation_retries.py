"""A request that failed is tried again only if it is still right: whatever happened meanwhile, it is seen."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from mfa_operator.api.enums import EventReason, FindingState, RefusalReason, RemediationState
from mfa_operator.aws.writes import TRIES
from mfa_operator.kube.cluster import ObjectGone
from mfa_operator.scheduling.due import PassAbandoned
from mfa_sandbox.aws import Account, SandboxUser
from tests.aws.test_remediation_between import STOPS
from tests.fixtures.quarantined import ARN, KEYS, KEYS_ARN
from tests.fixtures.remediation_harness import MINUTE, QUARANTINE, REMOVE, RemediationHarness

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

ANYTHING = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
ACTIONS = {"DeleteLoginProfile": REMOVE, "AttachUserPolicy": QUARANTINE}


def new_password(harness: RemediationHarness, alice: SandboxUser, *, mfa: bool) -> None:
    """Somebody else removed the profile; later alice gets another one."""
    harness.clock.advance(MINUTE)
    if alice.has_password:
        alice.remove_password()
    alice.set_password()
    if mfa:
        alice.add_mfa("virtual")


def sent(harness: RemediationHarness, operation: str) -> int:
    return harness.aws.calls.count(operation)


@pytest.mark.parametrize("kind", ["throttling", "internal"])
@pytest.mark.parametrize("mfa", [True, False])
def test_a_new_password_outlives_a_removal_that_failed(
    ready: RemediationHarness, account: Account, alice: SandboxUser, kind: str, mfa: bool
) -> None:
    ready.policy(account, remediation=REMOVE)
    ready.aws.faults.add("DeleteLoginProfile", kind)
    ready.at("DeleteLoginProfile answered", lambda: new_password(ready, alice, mfa=mfa))
    ready.run()
    assert sent(ready, "DeleteLoginProfile") == 1
    assert alice.has_password
    if not mfa:
        finding = ready.finding(account, "alice")
        assert (finding.state, finding.first_seen) == (FindingState.OVERDUE, ready.clock.utc_now())


@pytest.mark.parametrize("operation", ACTIONS)
@pytest.mark.parametrize("stop", STOPS)
def test_every_forbidding_rule_stops_a_second_try(
    ready: RemediationHarness, account: Account, alice: SandboxUser, operation: str, stop: str
) -> None:
    ready.policy(account, remediation=ACTIONS[operation])
    ready.aws.faults.add(operation, "throttling")
    ready.at(f"{operation} answered", lambda: STOPS[stop](ready, account))
    with suppress(ObjectGone, PassAbandoned):
        ready.run()
    assert sent(ready, operation) == 1
    assert alice.has_password
    assert alice.attached_policies == []


USERS: dict[str, Callable[[RemediationHarness, Account, SandboxUser], object]] = {
    "enrolled": lambda _s, _a, alice: alice.add_mfa("security_key"),
    "password removed": lambda _s, _a, alice: alice.remove_password(),
    "deleted": lambda _s, _a, alice: alice.delete(),
    "another password": lambda harness, _a, alice: new_password(harness, alice, mfa=False),
}


@pytest.mark.parametrize("operation", ACTIONS)
@pytest.mark.parametrize("change", USERS)
def test_every_change_of_the_user_stops_a_second_try(
    ready: RemediationHarness, account: Account, alice: SandboxUser, operation: str, change: str
) -> None:
    ready.policy(account, remediation=ACTIONS[operation])
    ready.aws.faults.add(operation, "throttling")
    ready.at(f"{operation} answered", lambda: USERS[change](ready, account, alice))
    ready.run()
    assert sent(ready, operation) == 1
    assert ready.events(EventReason.REMEDIATION_FAILED) == []


@pytest.mark.parametrize("operation", ACTIONS)
def test_a_failure_that_passes_costs_one_more_check(
    ready: RemediationHarness, account: Account, alice: SandboxUser, operation: str
) -> None:
    ready.policy(account, remediation=ACTIONS[operation])
    ready.aws.faults.add(operation, "throttling", times=TRIES - 1)
    ready.run()
    assert ready.record(account, "alice").state == RemediationState.DONE
    assert sent(ready, operation) == TRIES
    # Before each request: the policy is read, and the user.
    first = ready.steps.index("report written")
    tried = [step for step in ready.steps[first:] if step in ("get policy", "GetUser", operation)]
    after_the_first = tried[tried.index(operation) + 1 :]
    assert after_the_first == ["get policy", "GetUser", operation] * (TRIES - 1)


@pytest.mark.parametrize("operation", ACTIONS)
def test_it_gives_up_until_the_next_pass(ready: RemediationHarness, account: Account, operation: str) -> None:
    ready.policy(account, remediation=ACTIONS[operation])
    ready.aws.faults.add(operation, "throttling", times=None)
    ready.run()
    assert sent(ready, operation) == TRIES
    assert ready.record(account, "alice").state == RemediationState.FAILED


class TestLostAnswers:
    def test_a_removal_is_seen_in_the_same_pass(self, ready: RemediationHarness, account: Account) -> None:
        ready.policy(account, remediation=REMOVE)
        ready.aws.faults.add("DeleteLoginProfile", "executed_answer_lost")
        ready.run()
        record = ready.record(account, "alice")
        assert (record.state, "removed" in record.message) == (RemediationState.DONE, True)
        assert sent(ready, "DeleteLoginProfile") == 1
        assert ready.counted() == {"done": 1}

    def test_a_password_given_since_is_not_taken_for_the_old_one(
        self, ready: RemediationHarness, account: Account, alice: SandboxUser
    ) -> None:
        ready.policy(account, remediation=REMOVE)
        ready.aws.faults.add("DeleteLoginProfile", "executed_answer_lost")
        ready.at("get policy", lambda: new_password(ready, alice, mfa=False), skip=1)
        ready.run()
        assert alice.has_password
        [note] = ready.events(EventReason.CONSOLE_ACCESS_REMOVED)
        assert "new login profile" in note
        assert ready.counted() == {"done": 1}
        assert ready.finding(account, "alice").state == FindingState.OVERDUE

    def test_where_only_the_answer_is_missing_the_intent_stays(
        self, ready: RemediationHarness, account: Account, alice: SandboxUser
    ) -> None:
        """alice enrols, and the profile is there: it may be going this moment, nobody can tell."""
        ready.policy(account, remediation=REMOVE)
        ready.aws.faults.add("DeleteLoginProfile", "internal")
        ready.at("DeleteLoginProfile answered", lambda: alice.add_mfa("virtual"))
        ready.run()
        assert ready.record(account, "alice").state == RemediationState.INTENDED
        assert ready.finding(account, "alice").state == FindingState.UNKNOWN
        ready.run()
        assert ready.users(account) == []
        assert (alice.has_password, sent(ready, "DeleteLoginProfile")) == (True, 1)

    def test_who_enrols_meanwhile_is_let_go(
        self, ready: RemediationHarness, account: Account, alice: SandboxUser
    ) -> None:
        """The quarantine is attached, and the pass cannot find that out."""
        ready.aws.faults.add("AttachUserPolicy", "executed_answer_lost")
        ready.at("AttachUserPolicy", lambda: ready.aws.faults.add("ListEntitiesForPolicy", "access_denied"))
        ready.run()
        assert ready.record(account, "alice").state == RemediationState.INTENDED
        alice.add_mfa("virtual")
        ready.run()
        assert alice.attached_policies == []
        assert sent(ready, "AttachUserPolicy") == 1
        assert ready.users(account) == []


class TestSteps:
    """Changes of several requests: the check comes before each."""

    def test_a_repair_stops_between_its_requests(
        self, held: RemediationHarness, account: Account, admin: IAMClient
    ) -> None:
        for _ in range(4):
            admin.create_policy_version(PolicyArn=ARN, PolicyDocument=ANYTHING, SetAsDefault=True)
        before = held.written()
        held.at("DeletePolicyVersion answered", lambda: held.policy(account, remediation=QUARANTINE, suspend=True))
        held.run()
        assert held.written()[len(before) :] == ["DeletePolicyVersion"]

    def test_a_repair_reads_the_policy_again_after_a_failure(self, held: RemediationHarness, admin: IAMClient) -> None:
        admin.create_policy_version(PolicyArn=ARN, PolicyDocument=ANYTHING, SetAsDefault=True)
        held.aws.faults.add("CreatePolicyVersion", "executed_answer_lost")
        before = held.aws.calls.count("CreatePolicyVersion")
        held.run()
        assert held.aws.calls.count("CreatePolicyVersion") - before == 1, "the first one was carried out"
        assert len(admin.list_policy_versions(PolicyArn=ARN)["Versions"]) == 3

    @pytest.mark.parametrize("leads", [True, False])
    def test_a_half_done_move_keeps_the_user_and_continues_later(
        self, held: RemediationHarness, account: Account, alice: SandboxUser, leads: bool
    ) -> None:
        held.policy(account, remediation=KEYS)

        def stop() -> None:
            held.leading = leads
            held.policy(account, remediation={**KEYS, "maxPerPass": 49})

        held.at("AttachUserPolicy answered", stop)
        with suppress(PassAbandoned):
            held.run()
        assert set(alice.attached_policies) == {ARN, KEYS_ARN}
        held.leading = True
        held.run()
        held.run()
        assert alice.attached_policies == [KEYS_ARN]
        assert held.record(account, "alice").state == RemediationState.DONE

    def test_who_enrols_while_the_policy_is_made_stays_free(
        self, ready: RemediationHarness, alice: SandboxUser
    ) -> None:
        ready.at("CreatePolicy answered", lambda: alice.add_mfa("virtual"))
        ready.run()
        assert ready.written() == ["CreatePolicy"]
        assert ready.counted() == {"skipped_compliant": 1}

    def test_a_lift_is_not_finished_for_who_lost_the_device_again(
        self, held: RemediationHarness, account: Account, alice: SandboxUser
    ) -> None:
        alice.add_mfa("virtual")
        held.aws.faults.add("DetachUserPolicy", "throttling")
        held.at("DetachUserPolicy answered", alice.remove_mfa)
        held.run()
        assert alice.attached_policies == [ARN]
        assert held.events(EventReason.QUARANTINE_LIFTED) == []
        held.run()
        assert held.report(account).summary.quarantined == 1


def test_with_users_all_a_new_login_profile_is_judged_again(
    harness: RemediationHarness, account: Account, alice: SandboxUser
) -> None:
    """The violation is the same, with or without a password: only the profile's CreateDate tells."""
    harness.policy(account, requirement={"users": "All"})
    harness.run()
    harness.at("GetUser", lambda: new_password(harness, alice, mfa=False))
    harness.run()
    assert alice.has_password
    assert harness.record(account, "alice").reason == RefusalReason.NOT_PUBLISHED_YET
    harness.run()
    assert not alice.has_password
