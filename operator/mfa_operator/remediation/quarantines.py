"""Quarantines that stand: repaired where somebody edited the policy, kept, taken over, and lifted once not needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import cached_property

from mfa_operator.api.enums import RemediationAction, UserState
from mfa_operator.api.objects import Policy
from mfa_operator.aws.errors import AwsFailure
from mfa_operator.aws.quarantine_document import Variant
from mfa_operator.aws.quarantine_policies import QuarantinePolicies
from mfa_operator.aws.sessions import AccountSession
from mfa_operator.aws.writes import Write, carry_out
from mfa_operator.evaluation.verdicts import Verdict
from mfa_operator.remediation.checks import Checks
from mfa_operator.remediation.inputs import AccountPass
from mfa_operator.remediation.outcomes import Attempt, Lifted, LiftFailed, LiveVerdict
from mfa_operator.reporting.commands import release_command
from mfa_operator.reporting.wording import many, shortened

MAX_NAMED = 10
"""Users named in one Event: a command that is cut off is none. Once these are released, the next Event names others."""
MAX_UNCLAIMED = 900
"""Characters of the message about unclaimed quarantines: an Event's note holds 1,024 bytes, the account's name too."""
_LIFT_REASONS = {
    UserState.COMPLIANT: "the user has an accepted MFA device",
    UserState.EXEMPT: "the user is exempt now",
    UserState.NO_CONSOLE: "the user no longer has console access",
}


class AccountQuarantines:
    """Who is under which quarantine in one account, and which one a policy wants."""

    def __init__(self, policy: Policy, session: AccountSession, others: Callable[[], frozenset[str]]) -> None:
        """`others` gives the users whom other policies hold under quarantine; asked once, and only where needed."""
        self.policies = QuarantinePolicies(session)
        self._remediation = policy.spec.remediation
        self._others = others

    @cached_property
    def held_by_others(self) -> frozenset[str]:
        """Users of the account whom other policies hold under quarantine, as their reports say. Raises ClusterError."""
        return self._others()

    @property
    def wanted(self) -> Variant:
        return Variant.of(access_keys=self._remediation.quarantine_access_keys)

    def variant_for(self, user: str) -> Variant:
        """Which quarantine the user is to be under, as far as this policy goes. Raises AwsFailure, ClusterError.

        Where two policies hold a user and differ, the stricter one stands: else each would undo what the other did.
        """
        stricter = Variant.CONSOLE_AND_KEYS in self.policies.carried(user)
        return Variant.CONSOLE_AND_KEYS if stricter and user in self.held_by_others else self.wanted

    def in_force(self, verdicts: Iterable[Verdict]) -> frozenset[str]:
        """Overdue users who are under the quarantine that the policy asks for. Raises AwsFailure, ClusterError."""
        if self._remediation.action is not RemediationAction.QUARANTINE:
            return frozenset()
        return frozenset(
            verdict.user
            for verdict in verdicts
            if verdict.state is UserState.OVERDUE
            and (carried := self.policies.carried(verdict.user))
            and carried == {self.variant_for(verdict.user)}
        )


def repair_drift(
    inputs: AccountPass, checks: Checks, quarantines: AccountQuarantines, stopping: threading.Event
) -> None:
    """Put the policy right where an edited one protects nobody. Raises AwsFailure, ClusterError, PassAbandoned."""
    action, variant = inputs.action, quarantines.wanted
    may_act = not inputs.policy.spec.remediation.dry_run and checks.permits(action)
    if action is not RemediationAction.QUARANTINE or not may_act or not quarantines.policies.drifted(variant):
        return
    ending = carry_out(
        lambda: quarantines.policies.next_write_to_keep(variant), lambda: checks.check_still_allowed(action), stopping
    )
    if ending.error:
        raise ending.error


def unneeded(inputs: AccountPass, verdict: Verdict | None) -> bool:
    """Whether the policy does not ask for the user's quarantine any more."""
    if verdict is None or verdict.state is UserState.UNKNOWN:
        return False
    if verdict.state is UserState.OVERDUE:
        return inputs.action is RemediationAction.NONE
    return not _clock_set_back(inputs, verdict)


def lift(
    user: str,
    verdict: Verdict,
    inputs: AccountPass,
    checks: Checks,
    quarantines: AccountQuarantines,
    stopping: threading.Event,
) -> Attempt:
    """Lift the quarantine of a user of whom the audit says that it is not needed any more.

    Raises ClusterError, PassAbandoned.
    """
    seen: LiveVerdict | None = None

    def next_write() -> Write | None:
        return quarantines.policies.next_write_to_release(user)

    def check() -> str | None:
        """What stands against it; "" where there is nothing to say about that."""
        nonlocal seen
        if checks.check_still_allowed(RemediationAction.QUARANTINE):
            return ""
        try:
            now = checks.verdict_now(user, verdict.path)
        except AwsFailure as error:
            return str(error)
        checks.forget_user(verdict.user_id)
        seen = LiveVerdict(user, now)
        if now and not unneeded(inputs, now):
            return ""
        return "" if checks.check_own_settings(RemediationAction.QUARANTINE) else None

    ending = carry_out(next_write, check, stopping)
    errors = tuple(ending.errors)
    if why := ending.error or ending.stopped:
        return Attempt(LiftFailed(user, shortened(f"the quarantine could not be lifted: {why}")), seen, errors)
    if not ending.complete:
        return Attempt(None, seen, errors)
    state = seen.verdict.state if seen and seen.verdict else verdict.state
    reason = _LIFT_REASONS.get(state, "the policy no longer asks for it")
    return Attempt(Lifted(user, reason), seen, errors)


def unclaimed(
    inputs: AccountPass, quarantines: AccountQuarantines, held: frozenset[str], command_prefix: str = ""
) -> str:
    """Who is under quarantine although no report says so, in words; empty where nobody is.

    Raises AwsFailure, ClusterError.

    Reports can be deleted, and policies with them. Whose quarantine it was nobody knows then: another operator's,
    perhaps, so that lifting it is for people.
    """
    if inputs.action is not RemediationAction.QUARANTINE:
        return ""
    carriers = quarantines.policies.all_members() - held
    users = sorted(carriers - quarantines.held_by_others) if carriers else []
    if not users:
        return ""
    named = users[:MAX_NAMED]
    while True:
        command = release_command(inputs.account, named, prefix=command_prefix)
        note = (
            f"{many(len(users), 'user')} under quarantine, which no report records; if nothing else needs it, lift"
            f" it with `{command}`"
        )
        # The command has to be whole, whatever an Event's note holds.
        if len(note) <= MAX_UNCLAIMED or len(named) == 1:
            return note
        named = named[:-1]


def _clock_set_back(inputs: AccountPass, verdict: Verdict) -> bool:
    """Whether the user is within grace only because the clock was set back since the quarantine began."""
    before = inputs.record_before(verdict.user)
    return bool(verdict.state is UserState.VIOLATING and before and before.time and before.time > inputs.now)
