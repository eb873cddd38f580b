"""Quarantines that stand: mended where somebody edited them, kept, taken over, and lifted once nobody asks for them."""

from __future__ import annotations

import logging

import msgspec

from mfa_operator.api.enums import EventReason, RemediationAction, RemediationState, UserState
from mfa_operator.api.status import FindingRemediation
from mfa_operator.aws.errors import AwsFailure
from mfa_operator.aws.quarantine_document import Variant
from mfa_operator.evaluation.verdicts import Verdict
from mfa_operator.remediation import executor
from mfa_operator.remediation.session import Ledger
from mfa_operator.reporting.wording import many, shortened

logger = logging.getLogger(__name__)

ATTACHED_ALREADY = "the quarantine was attached already"
MAX_TOLD = 10
"""Users named in one Event: a command that is cut off is none. Once these are released, the next Event names others."""
_LIFT_REASONS = {
    UserState.COMPLIANT: "an accepted MFA device is there",
    UserState.EXEMPT: "the user is exempt now",
    UserState.NO_CONSOLE: "there is no console access any more",
}


def mend(ledger: Ledger) -> None:
    """Put the policy right where an edited one protects nobody. Raises AwsFailure, ClusterError, PassAbandoned."""
    wanted = ledger.policy.spec.remediation
    variant = Variant.of(access_keys=wanted.quarantine_access_keys)
    if wanted.action is not RemediationAction.QUARANTINE or wanted.dry_run or not ledger.permits(wanted.action):
        return
    if ledger.quarantines.drifted(variant) and executor.brake(ledger, wanted.action) is None:
        ledger.quarantines.ensure(variant)


def in_force(ledger: Ledger) -> frozenset[str]:
    """Overdue users who are under the quarantine that the policy asks for. Raises AwsFailure, ClusterError."""
    if ledger.wanted is not RemediationAction.QUARANTINE:
        return frozenset()
    return frozenset(
        user
        for user, verdict in ledger.verdicts.items()
        if verdict.state is UserState.OVERDUE
        and (carried := ledger.quarantines.carried(user))
        and carried == {ledger.quarantine_for(user)}
    )


def keep(ledger: Ledger, user: str) -> None:
    """Record a quarantine that stands already, whoever attached it: from now on this policy holds it, too.

    A policy that may not act, or is only trying, holds nothing: it would never lift it.
    """
    if user not in ledger.held and (ledger.policy.spec.remediation.dry_run or not ledger.permits(ledger.wanted)):
        ledger.drop(user)
        return
    ledger.held |= {user}
    before = ledger.record_before(user)
    if before and (before.action, before.state) == (RemediationAction.QUARANTINE, RemediationState.DONE):
        ledger.put(user, before)
    else:
        record = FindingRemediation(
            action=RemediationAction.QUARANTINE,
            state=RemediationState.DONE,
            time=ledger.around.clock(),
            message=ATTACHED_ALREADY,
        )
        ledger.put(user, record)


def lift(ledger: Ledger) -> None:
    """Lift the quarantines of this policy that nobody asks for any more. Raises ClusterError, PassAbandoned."""
    unneeded = [user for user in sorted(ledger.recorded_quarantines()) if _unneeded(ledger, user)]
    for user in unneeded:
        before = ledger.record_before(user)
        if user not in ledger.held and before and before.state is not RemediationState.INTENDED:
            ledger.tell(EventReason.QUARANTINE_LIFTED, user, "quarantine lifted: the policy is not attached any more")
    wanted = ledger.policy.spec.remediation
    if wanted.action is not RemediationAction.NONE and wanted.dry_run:
        return
    for user in unneeded:
        if user not in ledger.held:
            continue
        if user in ledger.held_by_others:
            logger.info("%s: %s stays under quarantine, which another policy asks for", ledger.policy.ref, user)
            ledger.released(user)
            # At once: two policies that both gave way to each other would leave it there for ever.
            ledger.publish()
        elif executor.brake(ledger, RemediationAction.QUARANTINE) is None:
            _release(ledger, user)


def unclaimed(ledger: Ledger) -> str:
    """Who is under quarantine although no report says so, in words; empty where nobody is.

    Raises AwsFailure, ClusterError.

    Reports can be deleted, and policies with them. Whose quarantine it was nobody knows then: another operator's,
    perhaps, so that lifting it is for people.
    """
    if ledger.wanted is not RemediationAction.QUARANTINE:
        return ""
    carriers = ledger.quarantines.all_members() - ledger.held
    users = sorted(carriers - ledger.held_by_others) if carriers else []
    if not users:
        return ""
    flags = " ".join(f"--user {user}" for user in users[:MAX_TOLD])
    return (
        f"{many(len(users), 'user')} under quarantine, which no report accounts for; if nothing else needs it, lift it "
        f"with `mfa-operator release --account {ledger.account.id} {flags}`"
    )


def _release(ledger: Ledger, user: str) -> None:
    try:
        ledger.quarantines.release(user)
    except AwsFailure as error:
        ledger.count_error(error)
        message = shortened(f"the quarantine could not be lifted: {error}")
        before, record = ledger.record_before(user), ledger.record(user)
        if record:
            ledger.put(user, msgspec.structs.replace(record, message=message))
        if before is None or before.message != message:
            ledger.tell(EventReason.REMEDIATION_FAILED, user, message)
        return
    ledger.released(user)
    reason = _LIFT_REASONS.get(ledger.verdicts[user].state, "the policy does not ask for it any more")
    ledger.tell(EventReason.QUARANTINE_LIFTED, user, f"quarantine lifted: {reason}")


def _unneeded(ledger: Ledger, user: str) -> bool:
    verdict = ledger.verdicts.get(user)
    if verdict is None or verdict.state is UserState.UNKNOWN:
        return False
    if verdict.state is UserState.OVERDUE:
        return ledger.wanted is RemediationAction.NONE
    return not _clock_set_back(ledger, verdict)


def _clock_set_back(ledger: Ledger, verdict: Verdict) -> bool:
    """Whether the user is within grace only because the clock was set back since the quarantine began."""
    before = ledger.record_before(verdict.user)
    return bool(verdict.state is UserState.VIOLATING and before and before.time and before.time > ledger.now)
