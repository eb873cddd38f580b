"""Random interleavings of users, policies, clock, failures and crashes: the promises of remediation hold throughout.

More examples with `make chaos`, by MFA_CHAOS_EXAMPLES.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mfa_operator.api.enums import RemediationAction
from mfa_operator.sandbox.aws import Account, EmbeddedAws, SandboxUser
from tests.fixtures.promises import deed_problems, moved_dates, repeated
from tests.fixtures.remediation_stage import NAMESPACE, QUARANTINE, REMOVE, Crash, staged

EXAMPLES = int(os.environ.get("MFA_CHAOS_EXAMPLES", "25"))
STEPS = 25
GRACE = timedelta(hours=2)
USERS = ("alice", "bob", "carol")
EXEMPT = {"exemptions": [{"users": ["bob"], "reason": "on leave"}]}
ACTIONS = {
    "DeleteLoginProfile": RemediationAction.REMOVE_CONSOLE_ACCESS,
    "AttachUserPolicy": RemediationAction.QUARANTINE,
}
FAULTS = ("throttling", "access_denied", "internal", "executed_answer_lost")
OPERATIONS = (
    "ListUsers",
    "GetLoginProfile",
    "ListMFADevices",
    "GetUser",
    "DeleteLoginProfile",
    "AttachUserPolicy",
    "DetachUserPolicy",
    "ListEntitiesForPolicy",
)
Names = st.sampled_from(USERS)


class Remediation(RuleBasedStateMachine):
    """One account, one policy at a time, one operator process at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._aws = self._stack.enter_context(EmbeddedAws())
        self._stage = self._stack.enter_context(staged(self._aws))
        self._account: Account = self._aws.world.account("111122223333")
        self._spec: dict[str, Any] = {"gracePeriod": "2h", "remediation": REMOVE}
        self._checked = 0
        self._removals: list[tuple[str, Any]] = []

    def teardown(self) -> None:
        self._stack.close()

    # People

    @initialize()
    def begin(self) -> None:
        for name in USERS:
            self._account.user(name, password=True)
        self._account.user("safe", password=True, mfa=["virtual"])
        self._apply()

    @rule(name=Names)
    def delete_or_recreate(self, name: str) -> None:
        if user := self._user(name):
            user.delete()
        else:
            self._account.user(name, password=True)

    @rule(name=Names)
    def give_or_take_password(self, name: str) -> None:
        if user := self._user(name):
            if user.has_password:
                user.remove_password()
            else:
                user.set_password()

    @rule(name=Names, kind=st.sampled_from(["virtual", "security_key"]))
    def give_or_take_mfa(self, name: str, kind: Any) -> None:
        if user := self._user(name):
            if user.mfa_serials:
                user.remove_mfa()
            else:
                user.add_mfa(kind)

    # Policy, clock, AWS

    @rule(
        remediation=st.sampled_from(
            [REMOVE, REMOVE, QUARANTINE, {**REMOVE, "maxPerPass": 1}, {**REMOVE, "dryRun": True}, {"action": "None"}]
        ),
        exemptions=st.sampled_from([{}, {}, EXEMPT]),
        suspend=st.sampled_from([False, False, False, True]),
    )
    def edit(self, remediation: dict[str, Any], exemptions: dict[str, Any], suspend: bool) -> None:
        self._spec = {"gracePeriod": "2h", "remediation": remediation, "suspend": suspend, **exemptions}
        self._apply()

    @rule()
    def delete_and_make_policy_again(self) -> None:
        for ref in list(self._stage.cluster.policies):
            self._stage.cluster.delete(ref)
            self._stage.reconciler.forget(ref)
        self._apply()

    @rule(hours=st.integers(1, 5))
    def let_time_pass(self, hours: int) -> None:
        self._stage.clock.advance(timedelta(hours=hours))

    @rule(operation=st.sampled_from(OPERATIONS), kind=st.sampled_from(FAULTS))
    def fail(self, operation: str, kind: Any) -> None:
        self._aws.faults.add(operation, kind, times=1)

    # The operator

    @rule()
    def pass_(self) -> None:
        self._stage.run()

    @rule()
    def overdue_pass(self) -> None:
        """Published, and past the deadline: this is where something happens."""
        self._stage.run()
        self._stage.run(by=GRACE + timedelta(minutes=1))

    @rule()
    def restart(self) -> None:
        self._stage.start()

    @precondition(lambda self: not self._spec.get("suspend"))
    @rule(step=st.integers(0, 20))
    def killed(self, step: int) -> None:
        """kill -9 before that step of remediation, if the pass gets so far."""
        self._stage.crash_at = step
        try:
            self._stage.run(by=GRACE + timedelta(minutes=1))
        except Crash:
            self._stage.start()
        self._stage.crash_at = None

    # The promises

    @invariant()
    def every_deed_was_announced_and_due(self) -> None:
        calls = list(self._aws.calls)
        for index in range(self._checked, len(calls)):
            call = calls[index]
            if call.operation not in ACTIONS or not call.executed or call.code:
                continue
            user = call.parameters["UserName"]
            history = [one.status for one in self._stage.cluster.published if one.after_calls <= index]
            action = ACTIONS[call.operation]
            assert list(deed_problems(history, user, call.time, action, GRACE)) == []
            if action is RemediationAction.REMOVE_CONSOLE_ACCESS:
                intent = next(finding for finding in history[-1].findings if finding.user == user).remediation
                assert intent is not None
                self._removals.append((user, intent.profile_created))
            assert not (self._spec.get("exemptions") and user == "bob"), "an exempt user was acted on"
            assert not self._spec.get("suspend")
            assert not self._spec["remediation"].get("dryRun", True)
        self._checked = len(calls)
        assert repeated(self._removals) == []

    @invariant()
    def first_seen_never_moves(self) -> None:
        by_owner: dict[str, list[Any]] = {}
        for one in self._stage.cluster.published:
            by_owner.setdefault(one.owner_uid, []).append(one.status)
        for history in by_owner.values():
            assert list(moved_dates(history)) == []

    def _user(self, name: str) -> SandboxUser | None:
        return next((user for user in self._account.users() if user.name == name), None)

    def _apply(self) -> None:
        account = {"id": self._account.id, "roleArn": self._account.role_arn}
        self._stage.cluster.apply("p", {"accounts": [account], **self._spec}, NAMESPACE)


@pytest.mark.timeout(120 + 20 * EXAMPLES)
class TestRemediation(Remediation.TestCase):  # type: ignore[misc, valid-type]  # hypothesis makes it at run time
    settings = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
