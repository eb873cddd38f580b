"""kill -9 between any two steps of remediation: the next process finds out, finishes, and does nothing twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from mfa_operator.api.enums import EventReason, RemediationAction, RemediationState
from mfa_operator.api.objects import PolicyRef
from mfa_operator.aws.quarantine_document import Variant, policy_arn
from mfa_sandbox.aws import Account
from tests.fixtures.promises import lost_records, moved_dates, repeated, write_problems
from tests.fixtures.remediation_harness import QUARANTINE, READING, REMOVE, Crash, RemediationHarness

ANYTHING = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
KEYS = {**QUARANTINE, "quarantineAccessKeys": True}
ACTIONS = {
    "DeleteLoginProfile": RemediationAction.REMOVE_CONSOLE_ACCESS,
    "AttachUserPolicy": RemediationAction.QUARANTINE,
}


@dataclass
class Place:
    """An account of its own for each crash, and the policy over it."""

    harness: RemediationHarness
    account: Account
    name: str

    def policy(self, **spec: Any) -> PolicyRef:
        return self.harness.policy(self.account, name=self.name, **spec)

    @property
    def ref(self) -> PolicyRef:
        return next(ref for ref in self.harness.cluster.policies if ref.name == self.name)

    def run(self) -> None:
        self.harness.run(self.ref)

    @property
    def calls(self) -> list[tuple[int, str, str]]:
        """Index, operation and user of each call that changed something in the account."""
        return [
            (index, call.operation, call.parameters.get("UserName", ""))
            for index, call in enumerate(self.harness.aws.calls)
            if call.account_id == self.account.id and call.executed and not call.operation.startswith(READING)
        ]

    def attached(self, user: str) -> list[str]:
        return self.account.existing_user(user).attached_policies

    def arn(self, variant: Variant) -> str:
        return policy_arn("aws", self.account.id, variant)

    def problems(self) -> list[str]:
        """Every promise that was broken in this place."""
        cluster = self.harness.cluster
        versions = [one for one in cluster.published if one.status.account_id == self.account.id]
        problems = list(moved_dates([one.status for one in versions]))
        removals = []
        for index, operation, user in self.calls:
            history = [one.status for one in versions if one.after_calls <= index]
            if action := ACTIONS.get(operation):
                problems += write_problems(history, user, self.harness.aws.calls[index].time, action, timedelta())
            if operation == "DeleteLoginProfile":
                record = next(each for each in history[-1].findings if each.user == user).remediation
                removals.append((user, record.profile_created if record else None))
        return problems + repeated(removals)


def two_overdue(place: Place, remediation: dict[str, object]) -> None:
    for name in ("alice", "bob"):
        place.account.user(name, password=True)
    place.policy(remediation=remediation)
    place.run()


def quarantined(place: Place) -> None:
    two_overdue(place, QUARANTINE)
    place.run()


def enrolled(place: Place) -> None:
    quarantined(place)
    for user in place.account.users():
        user.add_mfa("virtual")


def edited(place: Place) -> None:
    quarantined(place)
    place.account.backend.create_policy_version(place.arn(Variant.CONSOLE), ANYTHING, True)


def then(setting: Callable[[Place], None], remediation: dict[str, object]) -> Callable[[Place], None]:
    def prepare(place: Place) -> None:
        setting(place)
        place.policy(remediation=remediation)

    return prepare


def removed(place: Place) -> None:
    users = place.account.users()
    assert [user.has_password for user in users] == [False, False]
    history = [one.status for one in place.harness.cluster.published if one.status.account_id == place.account.id]
    assert list(lost_records(history, ["alice", "bob"])) == []
    assert place.harness.report(place.account, place.name).summary.remediated == 2
    assert [name for _, name, _ in place.calls].count("DeleteLoginProfile") == 2


def carries(*variants: Variant) -> Callable[[Place], None]:
    def check(place: Place) -> None:
        for user in ("alice", "bob"):
            assert place.attached(user) == [place.arn(variant) for variant in variants]
        summary = place.harness.report(place.account, place.name).summary
        assert summary.quarantined == 2 * len(variants)
        states = [
            finding.remediation.state
            for finding in place.harness.report(place.account, place.name).findings
            if finding.remediation
        ]
        assert states == [RemediationState.DONE] * len(states)
        assert len(states) == (2 if variants else 0)

    return check


def removed_and_released(place: Place) -> None:
    removed(place)
    assert place.attached("alice") == place.attached("bob") == []
    assert place.harness.report(place.account, place.name).summary.quarantined == 0


def repaired(place: Place) -> None:
    carries(Variant.CONSOLE)(place)
    policy = place.account.backend.get_policy(place.arn(Variant.CONSOLE))
    current = next(version for version in policy.versions if version.is_default)
    assert current.document != ANYTHING


STORIES: dict[str, tuple[Callable[[Place], None], Callable[[Place], None]]] = {
    "removal": (lambda place: two_overdue(place, REMOVE), removed),
    "quarantine": (lambda place: two_overdue(place, QUARANTINE), carries(Variant.CONSOLE)),
    "lift": (enrolled, carries()),
    "lift, no action": (then(quarantined, {"action": "None"}), carries()),
    "to the keys": (then(quarantined, KEYS), carries(Variant.CONSOLE_AND_KEYS)),
    "to removal": (then(quarantined, REMOVE), removed_and_released),
    "repair": (edited, repaired),
}
TOLD = {"removal": EventReason.CONSOLE_ACCESS_REMOVED, "quarantine": EventReason.QUARANTINED}


def crash_points(steps: list[str]) -> list[int]:
    """The first step, and each that follows a change: a crash between two checks is the same as one before both."""
    changes = [
        step in ("report written", "event") or (step.endswith(" answered") and not step.startswith(READING))
        for step in steps
    ]
    return [0, *(number for number, changed in enumerate(changes[:-1], start=1) if changed)]


def places(harness: RemediationHarness) -> Callable[[int], Place]:
    return lambda number: Place(harness, harness.aws.world.account(f"{200000000000 + number}"), f"p{number}")


@pytest.mark.parametrize("story", STORIES)
def test_a_crash_before_any_step_is_made_good(harness: RemediationHarness, story: str) -> None:
    prepare, check = STORIES[story]
    place = places(harness)(0)
    prepare(place)
    place.run()
    steps = list(harness.steps)
    place.run()
    check(place)
    assert place.problems() == []
    assert len(crash_points(steps)) > 1
    for number in crash_points(steps):
        step = steps[number]
        place = places(harness)(number + 1)
        prepare(place)
        harness.cluster.events.clear()
        harness.crash_at = number
        with pytest.raises(Crash):
            place.run()
        harness.start()
        for _ in range(2):
            place.run()
        where = f"{story}: killed at step {number}, {step}, of {steps}"
        assert place.problems() == [], where
        try:
            check(place)
        except AssertionError as error:
            raise AssertionError(where) from error
        if story in TOLD:
            # An Event may be lost with the process; none is told twice.
            assert len(harness.events(TOLD[story])) in (1, 2), where
        before = place.calls, harness.report(place.account, place.name)
        place.run()
        assert (place.calls, harness.report(place.account, place.name)) == before, f"{where}: it comes to rest"


class TestIntents:
    """What the next process makes of an intent that it finds."""

    @pytest.fixture
    def interrupted(self, harness: RemediationHarness, account: Account) -> RemediationHarness:
        """alice's login profile was removed, and the process died before it could say so."""
        account.user("alice", password=True)
        harness.policy(account)
        harness.run()
        harness.at("DeleteLoginProfile answered", lambda: die(harness))
        with pytest.raises(Crash):
            harness.run()
        harness.start()
        assert not account.existing_user("alice").has_password
        return harness

    def test_gone_is_done(self, interrupted: RemediationHarness, account: Account) -> None:
        interrupted.run()
        record = interrupted.record(account, "alice")
        assert (record.state, record.message) == (RemediationState.DONE, "outcome observed after restart")
        assert len(interrupted.events(EventReason.CONSOLE_ACCESS_REMOVED)) == 1
        assert interrupted.counted() == {"done": 1}

    @pytest.mark.parametrize("stop", ["no action", "dry run", "not allowed", "switched off"])
    def test_what_was_done_is_recorded_whatever_forbids_actions(
        self, interrupted: RemediationHarness, account: Account, stop: str
    ) -> None:
        match stop:
            case "no action":
                interrupted.policy(account, remediation={"action": "None"})
            case "dry run":
                interrupted.policy(account, remediation={**REMOVE, "dryRun": True})
            case "not allowed":
                interrupted.rules = type(interrupted.rules)()
            case "switched off":
                interrupted.rules = interrupted.rules.without_remediation()
        interrupted.run()
        assert interrupted.record(account, "alice").state == RemediationState.DONE

    @pytest.mark.parametrize("operation", ["GetUser", "GetLoginProfile", "ListMFADevices"])
    def test_it_waits_until_aws_can_be_read(
        self, interrupted: RemediationHarness, account: Account, operation: str
    ) -> None:
        fault = interrupted.aws.faults.add(operation, "access_denied", times=None)
        for _ in range(2):
            interrupted.run()
            assert interrupted.record(account, "alice").state == RemediationState.INTENDED
        interrupted.aws.faults.remove(fault.id)
        interrupted.run()
        assert interrupted.record(account, "alice").state == RemediationState.DONE

    def test_a_profile_made_since_is_another_violation(self, interrupted: RemediationHarness, account: Account) -> None:
        account.existing_user("alice").set_password(interrupted.clock.moment + timedelta(seconds=30))
        interrupted.run()
        assert account.existing_user("alice").has_password
        [note] = interrupted.events(EventReason.CONSOLE_ACCESS_REMOVED)
        assert "new login profile" in note
        assert interrupted.record(account, "alice").reason == "NotPublishedYet"
        interrupted.run()
        assert len(interrupted.events(EventReason.CONSOLE_ACCESS_REMOVED)) == 2
        assert not account.existing_user("alice").has_password

    def test_a_user_who_is_gone_is_gone(self, interrupted: RemediationHarness, account: Account) -> None:
        account.existing_user("alice").delete()
        interrupted.run()
        assert interrupted.users(account) == []

    def test_a_namesake_inherits_no_intent(self, interrupted: RemediationHarness, account: Account) -> None:
        """Deleted and made again without a password: nobody removed theirs."""
        account.existing_user("alice").delete()
        account.user("alice")
        interrupted.run()
        assert interrupted.users(account) == []
        assert interrupted.events(EventReason.CONSOLE_ACCESS_REMOVED) == []

    def test_an_old_credential_report_proves_nothing(self, harness: RemediationHarness, account: Account) -> None:
        """It is from before the password was given: no console access, it says."""
        alice = account.user("alice")
        account.force_report()
        alice.set_password(harness.clock.moment + timedelta(minutes=1))
        harness.policy(account, maxStaleness="0s")
        harness.run(by=timedelta(minutes=2))
        harness.at("DeleteLoginProfile", lambda: die(harness))
        with pytest.raises(Crash):
            harness.run()
        harness.start()
        harness.policy(account, maxStaleness="4h")
        harness.run()
        harness.run()
        assert sum(call.executed for call in harness.aws.calls.select("DeleteLoginProfile")) == (not alice.has_password)
        assert alice.has_password is (harness.record(account, "alice").state != RemediationState.DONE)

    def test_a_role_for_removals_alone_suffices(self, interrupted: RemediationHarness, account: Account) -> None:
        account.deny(["iam:GetPolicy", "iam:ListEntitiesForPolicy"])
        interrupted.run()
        assert interrupted.record(account, "alice").state == RemediationState.DONE


def die(harness: RemediationHarness) -> None:
    harness.acting = False
    raise Crash
