"""Random interleavings of users, policies, settings, clock, failures and crashes: the promises of remediation hold.

The same few stories in each `make test`, many new ones with `make chaos` (MFA_CHAOS_EXAMPLES).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mfa_operator.api.enums import RemediationAction
from mfa_operator.api.objects import PolicyRef
from mfa_operator.api.status import ReportStatus
from mfa_operator.config.access_rules import AccessRules
from mfa_operator.kube.cluster import ClusterUnavailable, ObjectGone, WriteRefused
from mfa_operator.scheduling.due import PassAbandoned
from mfa_sandbox.aws import Account, EmbeddedAws, SandboxUser
from tests.faults.state_at_call import StateAtCall, state_now
from tests.fixtures.promises import lost_records, moved_dates, repeated, write_problems
from tests.fixtures.remediation_harness import EVERYTHING, NAMESPACE, QUARANTINE, REMOVE, Crash, staged

EXAMPLES = int(os.environ.get("MFA_CHAOS_EXAMPLES", "30"))
STEPS = 25
GRACE = timedelta(hours=2)
MINUTE = timedelta(minutes=1)
ACCOUNT = "111122223333"
USERS = ("alice", "bob", "carol")
POLICIES = ("p", "q")
KEYS = {**QUARANTINE, "quarantineAccessKeys": True}
NOTHING = {"action": "None"}
WRITES = {
    "DeleteLoginProfile": RemediationAction.REMOVE_CONSOLE_ACCESS,
    "AttachUserPolicy": RemediationAction.QUARANTINE,
}
ASKED = ("ListUsers", "GetLoginProfile", "ListMFADevices", "GetUser", "ListEntitiesForPolicy", "GetPolicy", *WRITES,
         "DetachUserPolicy", "CreatePolicy")  # fmt: skip
FAULTS = ("throttling", "access_denied", "internal", "reset", "executed_answer_lost")
MOMENTS = ("write report", "report written", "get policy", "GetUser", "GetLoginProfile", "ListMFADevices")
"""Steps before it would be too late."""
RULES = {
    "everything": AccessRules.from_dict(EVERYTHING),
    "quarantine": AccessRules.from_dict({"access": [{"remediation": "QuarantineUntilMfa"}]}),
    "nothing": AccessRules(),
    "off": AccessRules.from_dict(EVERYTHING).without_remediation(),
}
Names = st.sampled_from(USERS)
Changes = st.sampled_from(["mfa", "password", "user"])


class Remediation(RuleBasedStateMachine):
    """One account, up to two policies over it, and one operator process at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._aws = self._stack.enter_context(EmbeddedAws())
        self._stage = self._stack.enter_context(staged(self._aws))
        self._account: Account = self._aws.world.account(ACCOUNT)
        self._states: list[tuple[int, StateAtCall]] = []
        self._removals: list[tuple[str, datetime | None]] = []
        self._to_be_on_record: set[tuple[PolicyRef, str, str]] = set()
        """Policy, its uid, and user: whoever lost the password to us and has got no other since."""
        self._changed: dict[str, int] = {}
        """How many calls there were when somebody last touched a user's password: writes are checked only later."""
        self._running: PolicyRef | None = None
        self._checked = 0
        self._step, self._stage.step = self._stage.step, self._watched_step  # type: ignore[method-assign]  # to look on
        self._stage.cluster._step = self._watched_step

    def teardown(self) -> None:
        try:
            self._settle()
        finally:
            self._stack.close()

    # People

    @initialize()
    def begin(self) -> None:
        for name in USERS:
            self._account.user(name, password=True)
        self._account.user("safe", password=True, mfa=["virtual"])
        self._apply("p", REMOVE)

    @rule(name=Names, what=Changes)
    def change_user(self, name: str, what: str) -> None:
        self._change(name, what)

    @rule(policy=st.sampled_from(POLICIES), name=Names, what=Changes, moment=st.sampled_from(MOMENTS))
    def change_user_during_an_action(self, policy: str, name: str, what: str, moment: str) -> None:
        if (what, moment) == ("password", "ListMFADevices"):
            # The look asks for the profile before the devices: what happens in between it cannot see. Whoever is put
            # under quarantine by that is let go by the next pass.
            moment = "GetLoginProfile"
        self._surprise(policy, moment, lambda: self._change(name, what))

    # Policies and settings

    @rule(
        name=st.sampled_from(POLICIES),
        remediation=st.sampled_from(
            [REMOVE, REMOVE, QUARANTINE, QUARANTINE, KEYS, {**REMOVE, "maxPerPass": 1}, {**REMOVE, "dryRun": True},
             {**QUARANTINE, "dryRun": True}, NOTHING]
        ),
        exempt=st.sampled_from([(), (), ("bob",)]),
        suspend=st.sampled_from([False, False, False, True]),
        moment=st.sampled_from([None, None, *MOMENTS[:3]]),
    )  # fmt: skip
    def edit(
        self, name: str, remediation: dict[str, Any], exempt: Iterable[str], suspend: bool, moment: str | None
    ) -> None:
        def apply() -> None:
            exemptions = [{"users": list(exempt), "reason": "On leave"}] if exempt else []
            self._apply(name, remediation, exemptions=exemptions, suspend=suspend)

        if moment:
            self._surprise(name, moment, apply)
        else:
            apply()

    @rule(name=st.sampled_from(POLICIES), again=st.booleans())
    def delete_policy(self, name: str, again: bool) -> None:
        ref = PolicyRef(NAMESPACE, name)
        if ref in self._stage.cluster.policies:
            spec = self._stage.cluster.policies[ref]["spec"]
            self._stage.cluster.delete(ref)
            self._stage.reconciler.forget(ref)
            if again:
                self._stage.cluster.apply(name, spec)

    @rule(rules=st.sampled_from(["everything", "everything", *RULES]), moment=st.sampled_from([None, *MOMENTS]))
    def change_settings(self, rules: str, moment: str | None) -> None:
        def change() -> None:
            self._stage.rules = RULES[rules]

        if moment:
            self._surprise("p", moment, change)
        else:
            change()

    # Clock and failures

    @rule(hours=st.integers(1, 5))
    def let_time_pass(self, hours: int) -> None:
        self._stage.clock.advance(timedelta(hours=hours))

    @rule(operation=st.sampled_from(ASKED), kind=st.sampled_from(FAULTS), times=st.sampled_from([1, 1, None]))
    def fail(self, operation: str, kind: Any, times: int | None) -> None:
        self._aws.faults.add(operation, kind, times=times)

    @rule()
    def mend(self) -> None:
        self._aws.faults.clear()

    @rule(error=st.sampled_from([WriteRefused("mfareports/p", 413, "too large"), ClusterUnavailable("away")]))
    def fail_to_write(self, error: Exception) -> None:
        def refuse() -> None:
            raise error

        self._stage.at("write report", refuse)

    # The operator

    @rule(name=st.sampled_from(POLICIES), by=st.sampled_from([MINUTE, GRACE + MINUTE]))
    def run(self, name: str, by: timedelta) -> None:
        self._run(name, by)

    @rule(name=st.sampled_from(POLICIES))
    def run_until_something_is_due(self, name: str) -> None:
        """Published, and past the deadline: this is where something happens."""
        self._run(name, MINUTE)
        self._run(name, GRACE + MINUTE)

    @rule(name=st.sampled_from(POLICIES), step=st.integers(0, 25), leading=st.booleans())
    def killed(self, name: str, step: int, leading: bool) -> None:
        """kill -9, or the loss of the Lease, at that step of remediation, if the pass gets so far."""
        if leading:
            self._stage.crash_at = step
        else:
            self._stage.at(MOMENTS[step % len(MOMENTS)], lambda: setattr(self._stage, "leading", False))
        self._run(name, GRACE + MINUTE)
        self._stage.crash_at, self._stage.leading = None, True
        self._stage.start()

    # The promises

    @invariant()
    def every_deed_was_announced_due_and_right(self) -> None:
        calls = list(self._aws.calls)
        for index in range(self._checked, len(calls)):
            call = calls[index]
            if not call.executed or call.operation not in (*WRITES, "DetachUserPolicy"):
                continue
            user = call.parameters["UserName"]
            state = [state for at, state in self._states if at <= index][-1]
            remediation = state.specs[state.policy].get("remediation", NOTHING)
            assert remediation == NOTHING or not remediation["dryRun"], "a dry run touches nothing"
            assert not state.specs[state.policy]["suspend"]
            if call.operation in WRITES:
                self._check_write(index, user, call.time, state, WRITES[call.operation])
            elif not self._carries(user):
                assert user not in state.held_elsewhere, f"{user} was let go although another policy holds them"
        self._checked = len(calls)
        assert repeated(self._removals) == []

    def _check_write(self, index: int, user: str, at: datetime, state: StateAtCall, action: RemediationAction) -> None:
        cluster = self._stage.cluster
        history = [one.status for one in cluster.published if one.after_calls <= index and one.ref == state.policy]
        assert list(write_problems(history, user, at, action, GRACE)) == []
        spec = state.specs[state.policy]
        assert spec["remediation"]["action"] == action, "an action that the policy does not ask for"
        assert state.allowed in (action, RemediationAction.REMOVE_CONSOLE_ACCESS), "an action that is not allowed"
        assert user in state.there - state.protected, "who enrolled, lost the password or is gone is spared"
        assert user not in [name for each in spec["exemptions"] for name in each["users"]], "the exempt are spared"
        if action is RemediationAction.REMOVE_CONSOLE_ACCESS:
            record = next(finding for finding in history[-1].findings if finding.user == user).remediation
            assert record is not None
            self._removals.append((user, record.profile_created))
            uid = next(one.owner_uid for one in reversed(cluster.published) if one.ref == state.policy)
            if index >= self._changed.get(user, 0):
                self._to_be_on_record.add((state.policy, uid, user))

    @invariant()
    def first_seen_never_moves(self) -> None:
        for history in self._histories().values():
            assert list(moved_dates(history)) == []

    def _settle(self) -> None:
        """Once nothing fails any more, everything comes to rest, and what was done is on record."""
        harness = self._stage
        harness.forget_hooks()
        harness.rules, harness.leading = RULES["everything"], True
        self._aws.faults.clear()
        harness.start()
        running = [ref for ref, body in harness.cluster.policies.items() if not body["spec"].get("suspend")]
        # Published first; then each pass may be limited to one of them.
        for _ in range(2 + len(USERS)):
            for ref in running:
                self._run(ref.name, GRACE + MINUTE)
        self.every_deed_was_announced_due_and_right()
        before = harness.written(), self._said_of_users(running)
        for ref in running:
            self._run(ref.name, MINUTE)
        assert (harness.written(), self._said_of_users(running)) == before, "it comes to rest"
        for ref in running:
            uid = harness.cluster.policies[ref]["metadata"]["uid"]
            removed = [user for policy, owner, user in self._to_be_on_record if (policy, owner) == (ref, uid)]
            assert list(lost_records(self._histories()[ref], removed)) == []
            intents = [
                finding.user
                for finding in self._histories()[ref][-1].findings
                if finding.remediation and finding.remediation.state == "Intended"
            ]
            assert intents == [], "no intent stays open"

    # Hands

    def _said_of_users(self, refs: Iterable[PolicyRef]) -> list[object]:
        """Not when: a newer credential report is news by itself, and so is a user who was checked again."""
        reports = [self._histories()[ref][-1] for ref in refs]
        return [
            (report.summary, [msgspec.structs.replace(finding, checked_at=None) for finding in report.findings])
            for report in reports
        ]

    def _watched_step(self, name: str) -> None:
        self._step(name)
        if name in (*WRITES, "DetachUserPolicy") and self._running:
            self._states.append((len(self._aws.calls), state_now(self._stage, self._account, self._running)))

    def _run(self, name: str, by: timedelta) -> None:
        ref = PolicyRef(NAMESPACE, name)
        if ref not in self._stage.cluster.policies:
            return
        self._running = ref
        try:
            with suppress(ObjectGone, ClusterUnavailable, PassAbandoned):
                self._stage.run(ref, by=by)
        except Crash:
            self._stage.start()
        finally:
            self._running = None

    def _surprise(self, policy: str, moment: str, happens: Callable[[], object]) -> None:
        """Let something happen in the middle of a pass that has reason to act."""
        self._run(policy, MINUTE)
        self._stage.at(moment, happens)
        self._run(policy, GRACE + MINUTE)

    def _change(self, name: str, what: str) -> None:
        user = self._user(name)
        if what != "mfa":
            self._to_be_on_record = {entry for entry in self._to_be_on_record if entry[2] != name}
            self._changed[name] = len(self._aws.calls)
        # A second later, or nothing could tell a new user or password from the one before.
        self._stage.clock.advance(timedelta(seconds=1))
        match what:
            case "user" if user:
                user.delete()
            case "user":
                self._account.user(name, password=True)
            case "password" if user and user.has_password:
                user.remove_password()
            case "password" if user:
                user.set_password()
            case "mfa" if user and user.mfa_serials:
                user.remove_mfa()
            case "mfa" if user:
                user.add_mfa("virtual" if len(name) % 2 else "security_key")

    def _user(self, name: str) -> SandboxUser | None:
        return next((user for user in self._account.users() if user.name == name), None)

    def _carries(self, name: str) -> bool:
        user = self._user(name)
        return bool(user and user.attached_policies)

    def _apply(self, name: str, remediation: dict[str, Any], **fields: Any) -> None:
        account = {"id": self._account.id, "roleArn": self._account.role_arn}
        spec = {"accounts": [account], "gracePeriod": "2h", "remediation": remediation}
        self._stage.cluster.apply(name, {**spec, "exemptions": [], "suspend": False, **fields})

    def _histories(self) -> dict[PolicyRef, list[ReportStatus]]:
        """Every version of the reports of the policies that are there now."""
        uids = {ref: body["metadata"]["uid"] for ref, body in self._stage.cluster.policies.items()}
        return {
            ref: history
            for ref, uid in uids.items()
            if (history := [one.status for one in self._stage.cluster.published if one.owner_uid == uid])
        }


Remediation.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    # The same stories on every machine, or a change would be blamed for what another story tells; new ones by chaos.
    derandomize="MFA_CHAOS_EXAMPLES" not in os.environ,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestRemediation = pytest.mark.timeout(120 + 10 * EXAMPLES)(Remediation.TestCase)
