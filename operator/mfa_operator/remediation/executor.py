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
from mfa_operator.aws.remediate import Removal
from mfa_operator.evaluation.exemptions import candidates
from mfa_operator.evaluation.verdicts import Verdict, evaluate
from mfa_operator.kube.cluster import ObjectGone
from mfa_operator.remediation.planner import Decision, refusal_message
from mfa_operator.remediation.session import Ledger
from mfa_operator.reporting.wording import shortened
from mfa_operator.scheduling.due import PassAbandoned

OBSERVED = "outcome observed after restart"
REMOVED = {
    Removal.DONE: "login profile removed; access keys, if there are any, still work",
    Removal.ALREADY_ABSENT: "the login profile was gone already; access keys, if there are any, still work",
}

_REASONS_NOT_TO = {
    UserState.UNKNOWN: RefusalReason.LOOKUP_DENIED,
    UserState.EXEMPT: RefusalReason.EXEMPT,
    UserState.VIOLATING: RefusalReason.WITHIN_GRACE,
    UserState.OVERDUE: RefusalReason.NOT_PUBLISHED_YET,
}
_RESULTS_OF_NOTHING = {UserState.NO_CONSOLE: "already_absent", UserState.COMPLIANT: "skipped_compliant"}

Refusal = tuple[RefusalReason, str]


def take(ledger: Ledger, decision: Decision) -> None:
    """Act on one decision, with every check that comes before. Raises ClusterError, PassAbandoned."""
    user = decision.verdict.user
    ledger.put(
        user,
        FindingRemediation(
            action=decision.action,
            state=RemediationState.INTENDED,
            time=ledger.around.clock(),
            profile_created=decision.verdict.console_since,
        ),
    )
    ledger.publish()
    if not ledger.intent_stored(user):
        # A CRD of an older release drops fields that it does not know, and says that all is well.
        ledger.skip(user, RefusalReason.NOT_PUBLISHED_YET, "the MfaReport in the cluster does not hold the intent")
        return
    refusal = brake(ledger, decision.action)
    if refusal is None and (verdict := _look_again(ledger, decision)):
        # The look may have taken long.
        refusal = _forbidden(ledger, decision.action)
        if refusal is None:
            _carry_out(ledger, decision.action, verdict)
    if refusal:
        ledger.skip(user, *refusal)


def brake(ledger: Ledger, action: RemediationAction) -> Refusal | None:
    """Whether anything says stop since the plan was made: the policy itself, or the operator's own settings.

    To be asked before every single action. Raises ObjectGone, ClusterError, PassAbandoned.
    """
    if refusal := _forbidden(ledger, action):
        return refusal
    body = ledger.around.cluster.get_policy(ledger.policy.ref)
    metadata = body["metadata"] if body else {}
    if metadata.get("uid") != ledger.policy.uid or metadata.get("deletionTimestamp"):
        raise ObjectGone(f"MfaPolicy {ledger.policy.ref} is gone")
    if metadata.get("generation") != ledger.policy.generation:
        # Suspended, dry run, another action, another exemption: whatever it is, the next pass plans by it.
        return RefusalReason.REMEDIATION_DISABLED, "the policy was edited during the pass; the next one plans anew"
    return None


def judge(ledger: Ledger, name: str, path: str) -> Verdict | None:
    """The verdict on a user by what AWS says this moment, also for the report; None where there is no such user.

    Raises AwsFailure.
    """
    spec, now = ledger.policy.spec, ledger.around.clock()
    tagged = any(exemption.tags for exemption in candidates(spec, ledger.account.id, name, path, now))
    facts = remediate.look(ledger.session, name, with_tags=tagged)
    if facts is None:
        ledger.verdicts.pop(name, None)
        return None
    snapshot = replace(ledger.snapshot, users=(facts,), root=None)
    verdict = ledger.verdicts[name] = evaluate(spec, snapshot, ledger.published, now)[0]
    return verdict


def _forbidden(ledger: Ledger, action: RemediationAction) -> Refusal | None:
    if not ledger.around.leading():
        raise PassAbandoned("another replica may lead: what is left is left to it")
    if not ledger.around.access().remediation:
        return RefusalReason.REMEDIATION_DISABLED, refusal_message(RefusalReason.REMEDIATION_DISABLED)
    if not ledger.permits(action):
        return RefusalReason.NOT_ALLOWED, refusal_message(RefusalReason.NOT_ALLOWED)
    return None


def _look_again(ledger: Ledger, decision: Decision) -> Verdict | None:
    """Judge the user once more; None where that is no reason to act."""
    before = decision.verdict
    name = before.user
    try:
        verdict = judge(ledger, name, before.path)
    except AwsFailure as error:
        ledger.count_error(error)
        ledger.skip(name, RefusalReason.LOOKUP_DENIED, str(error), tried=True)
        return None
    ledger.collector.forget_user(before.user_id)
    if verdict is None:
        ledger.drop(name)
        return None
    same_violation = (verdict.user_id, verdict.first_seen) == (before.user_id, before.first_seen)
    if verdict.state is UserState.OVERDUE and same_violation and verdict.console:
        return verdict
    earlier = ledger.intents().get(name)
    if verdict.console is False and earlier and earlier.action is RemediationAction.REMOVE_CONSOLE_ACCESS:
        # IAM is eventually consistent: an earlier try whose answer was lost shows only now.
        ledger.done(earlier.action, name, OBSERVED, result="done", profile=earlier.profile_created)
    elif verdict.state in _RESULTS_OF_NOTHING:
        ledger.drop(name)
        ledger.count(decision.action, _RESULTS_OF_NOTHING[verdict.state])
    else:
        reason = _REASONS_NOT_TO[verdict.state] if verdict.console else RefusalReason.NO_CONSOLE
        ledger.skip(name, reason)
    return None


def _carry_out(ledger: Ledger, action: RemediationAction, verdict: Verdict) -> None:
    user = verdict.user
    try:
        if action is RemediationAction.QUARANTINE:
            variant = ledger.quarantine_for(user)
            ledger.quarantines.attach(variant, user)
            ledger.done(action, user, f"{variant} attached until MFA is there", result="done")
        else:
            removal = remediate.remove_login_profile(ledger.session, user)
            ledger.done(action, user, REMOVED[removal], result=str(removal), profile=verdict.console_since)
    except AwsFailure as error:
        _failed(ledger, action, user, error)
    finally:
        # Once more: another policy's audit may have looked at the user in between.
        ledger.collector.forget_user(verdict.user_id)


def _failed(ledger: Ledger, action: RemediationAction, user: str, error: AwsFailure) -> None:
    intent = ledger.record(user)
    assert intent is not None  # noqa: S101 - put there by take(), for the type checker
    before = ledger.record_before(user)
    ledger.count_error(error)
    if error.code == remediate.UNMODIFIABLE:
        message = f"{error.code}: AWS asks to try again later; a later pass will"
        ledger.put(user, msgspec.structs.replace(intent, state=RemediationState.PLANNED, message=message))
    elif remediate.outcome_unknown(error):
        # The intent stays: the next pass sees what became of it.
        ledger.put(user, msgspec.structs.replace(intent, message=shortened(f"no answer to the call: {error}")))
    else:
        message = shortened(str(error))
        ledger.put(
            user,
            msgspec.structs.replace(intent, state=RemediationState.FAILED, time=ledger.around.clock(), message=message),
        )
        ledger.publish()
        if before is None or (before.state, before.message) != (RemediationState.FAILED, message):
            ledger.tell(EventReason.REMEDIATION_FAILED, user, f"{action} failed: {error}")
        ledger.count(action, "failed")
