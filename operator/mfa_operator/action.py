"""One action on one user: published, checked again, carried out, recorded."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from mfa_operator.api.enums import (
    EventReason,
    RefusalReason,
    RemediationAction,
    RemediationState,
    UserState,
)
from mfa_operator.api.status import FindingRemediation
from mfa_operator.aws import remediate
from mfa_operator.aws.errors import AwsFailure
from mfa_operator.cluster import ObjectGone
from mfa_operator.evaluate import Verdict, evaluate
from mfa_operator.exemptions import candidates
from mfa_operator.ledger import Ledger
from mfa_operator.plan import Decision, refusal_message
from mfa_operator.quarantine import Variant
from mfa_operator.schedule import PassAbandoned
from mfa_operator.wording import shortened

REMOVED = "login profile removed; access keys, if there are any, still work"

_REASONS_NOT_TO = {
    UserState.UNKNOWN: RefusalReason.LOOKUP_DENIED,
    UserState.EXEMPT: RefusalReason.EXEMPT,
    UserState.VIOLATING: RefusalReason.WITHIN_GRACE,
    UserState.OVERDUE: RefusalReason.NOT_PUBLISHED_YET,
}
_RESULTS_OF_NOTHING = {UserState.NO_CONSOLE: "already_absent", UserState.COMPLIANT: "skipped_compliant"}


def take(ledger: Ledger, decision: Decision, variant: Variant) -> None:
    """Act on one decision, with every check that comes before. Raises ClusterError, PassAbandoned."""
    user = decision.verdict.user
    ledger.records[user] = FindingRemediation(
        action=decision.action,
        state=RemediationState.INTENDED,
        time=ledger.around.clock(),
        profile_created=decision.verdict.console_since,
    )
    ledger.publish()
    if not ledger.intent_stored(user):
        # A CRD of an older release drops fields that it does not know, and says that all is well.
        ledger.skip(user, RefusalReason.NOT_PUBLISHED_YET, "the MfaReport in the cluster does not hold the intent")
        return
    if not ledger.around.leading():
        raise PassAbandoned(f"another replica may lead; {user} is left to it")
    if refusal := _brake(ledger, decision.action):
        ledger.skip(user, *refusal)
    elif verdict := _look_again(ledger, decision):
        _carry_out(ledger, decision.action, verdict, variant)


def _brake(ledger: Ledger, action: RemediationAction) -> tuple[RefusalReason, str] | None:
    """Whether anything says stop since the plan was made: the policy itself, or the operator's own settings."""
    body = ledger.around.cluster.get_policy(ledger.policy.ref)
    metadata = body["metadata"] if body else {}
    if metadata.get("uid") != ledger.policy.uid or metadata.get("deletionTimestamp"):
        raise ObjectGone(f"MfaPolicy {ledger.policy.ref} is gone")
    if metadata.get("generation") != ledger.policy.generation:
        # Suspended, dry run, another action, another exemption: whatever it is, the next pass plans by it.
        return RefusalReason.REMEDIATION_DISABLED, "the policy was edited during the pass; the next one plans anew"
    if not ledger.around.access().remediation:
        return RefusalReason.REMEDIATION_DISABLED, refusal_message(RefusalReason.REMEDIATION_DISABLED)
    if not ledger.permits(action):
        return RefusalReason.NOT_ALLOWED, refusal_message(RefusalReason.NOT_ALLOWED)
    return None


def _look_again(ledger: Ledger, decision: Decision) -> Verdict | None:
    """Judge the user once more, by what AWS says this moment; None where that is no reason to act."""
    before, now = decision.verdict, ledger.around.clock()
    spec, name = ledger.policy.spec, before.user
    tagged = any(exemption.tags for exemption in candidates(spec, ledger.account.id, name, before.path, now))
    try:
        facts = remediate.look(ledger.session, name, with_tags=tagged)
    except AwsFailure as error:
        ledger.count_error(error)
        ledger.skip(name, RefusalReason.LOOKUP_DENIED, str(error))
        return None
    ledger.collector.forget_user(before.user_id)
    if facts is None:
        del ledger.verdicts[name]
        del ledger.records[name]
        return None
    snapshot = replace(ledger.snapshot, users=(facts,), root=None)
    verdict = ledger.verdicts[name] = evaluate(spec, snapshot, ledger.published, now)[0]
    same_violation = (verdict.user_id, verdict.first_seen) == (before.user_id, before.first_seen)
    if verdict.state is UserState.OVERDUE and same_violation and verdict.console:
        return verdict
    del ledger.records[name]
    if verdict.state in _RESULTS_OF_NOTHING:
        ledger.count(decision.action, _RESULTS_OF_NOTHING[verdict.state])
    else:
        reason = _REASONS_NOT_TO[verdict.state] if verdict.console else RefusalReason.NO_CONSOLE
        ledger.skip(name, reason)
    return None


def _carry_out(ledger: Ledger, action: RemediationAction, verdict: Verdict, variant: Variant) -> None:
    user = verdict.user
    try:
        if action is RemediationAction.QUARANTINE:
            ledger.quarantines.attach(variant, user)
            ledger.done(action, user, f"{variant} attached until MFA is there", result="done")
            return
        removal = remediate.remove_login_profile(ledger.session, user)
        # Whoever cannot sign in needs no quarantine, and its record is about to be overwritten.
        if user in ledger.recorded_quarantines():
            ledger.quarantines.release(user)
    except AwsFailure as error:
        _failed(ledger, action, user, error)
        return
    ledger.done(action, user, REMOVED, result=str(removal), profile=verdict.console_since)


def _failed(ledger: Ledger, action: RemediationAction, user: str, error: AwsFailure) -> None:
    intent = ledger.records[user]
    ledger.count_error(error)
    if error.code == remediate.UNMODIFIABLE:
        message = f"{error.code}: AWS asks to try again later; a later pass will"
        ledger.records[user] = msgspec.structs.replace(intent, state=RemediationState.PLANNED, message=message)
    elif remediate.outcome_unknown(error):
        # The intent stays: the next pass sees what became of it.
        ledger.records[user] = msgspec.structs.replace(intent, message=shortened(f"no answer to the call: {error}"))
    else:
        ledger.records[user] = msgspec.structs.replace(
            intent, state=RemediationState.FAILED, time=ledger.around.clock(), message=shortened(str(error))
        )
        ledger.publish()
        ledger.tell(EventReason.REMEDIATION_FAILED, user, f"{action} failed: {error}")
        ledger.count(action, "failed")
