"""Remediation in one account: what the policy asks for, as far as the operator's own settings allow.

For each user, in this order: the intent goes into the MfaReport; the policy is read anew (still there, not edited) and
so are the operator's own rules; the user is looked at live and judged by the same rules once more; only then AWS is
told to act; the outcome goes into the report, and then into an Event and a counter. Whatever stops this in between
leaves an intent behind that the next pass compares with what is really there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from mfa_operator import action
from mfa_operator.access import AccessRules
from mfa_operator.api.enums import (
    EventReason,
    RefusalReason,
    RemediationAction,
    RemediationState,
    UserState,
)
from mfa_operator.api.objects import Policy, PolicyRef
from mfa_operator.api.policy import Account
from mfa_operator.api.status import ReportStatus
from mfa_operator.audit import Audit, Auditor
from mfa_operator.aws.errors import AwsFailure
from mfa_operator.clock import utc_now
from mfa_operator.cluster import Cluster, StoredReport
from mfa_operator.ledger import Ledger, Surroundings
from mfa_operator.metrics import Metrics
from mfa_operator.plan import Decision, Terms, plan, record
from mfa_operator.quarantine import Variant
from mfa_operator.remediation_terms import own_users

logger = logging.getLogger(__name__)

OBSERVED = "outcome observed after restart"
_COUNTED_REFUSALS = {RefusalReason.LIMIT_REACHED: "refused_limit", RefusalReason.DRY_RUN: "dry_run"}


class OperatorRemediator:
    """Acts on the verdicts of one account after the other; safe to use from several threads."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        auditor: Auditor,
        metrics: Metrics,
        access: Callable[[], AccessRules],
        leading: Callable[[], bool] = lambda: True,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """`access` gives the rules in force now, `leading` whether no other replica can act: asked before actions."""
        self._around = Surroundings(cluster, auditor, metrics, access, clock, leading)
        self._unlifted: dict[tuple[PolicyRef, str], frozenset[str]] = {}
        """Quarantines that could not be lifted, of users whom no finding mentions any more."""

    def act(
        self, policy: Policy, account: Account, audit: Audit, stored: StoredReport | None, now: datetime
    ) -> tuple[ReportStatus, StoredReport | None]:
        """Act on one account's Overdue users, and lift the quarantines that are not needed any more.

        Returns the report to publish, and the report as it was stored last. Raises ClusterError, PassAbandoned.
        """
        ledger = Ledger(self._around, policy, account, audit, stored, now)
        key = (policy.ref, account.id)
        recorded = ledger.recorded_quarantines() | self._unlifted.get(key, frozenset())
        if policy.spec.remediation.action is RemediationAction.NONE and not recorded and not ledger.intents():
            return audit.report, stored
        try:
            decisions, members = _prepare(ledger, recorded)
        except AwsFailure as error:
            ledger.count_error(error)
            logger.warning("%s account %s: no remediation in this pass: %s", policy.ref, account.id, error)
            _refuse_all(ledger, str(error))
            return ledger.report(), ledger.stored
        variant = Variant.of(access_keys=policy.spec.remediation.quarantine_access_keys)
        for decision in decisions:
            if decision.acts:
                action.take(ledger, decision, variant)
        self._unlifted[key] = _lift(ledger, recorded & members)
        return ledger.report(), ledger.stored


def _prepare(ledger: Ledger, recorded: frozenset[str]) -> tuple[list[Decision], frozenset[str]]:
    """Find out what is in force, compare intents with it, and plan.

    Returns the decisions and the users under quarantine. Raises AwsFailure, ClusterError.
    """
    wanted = ledger.policy.spec.remediation
    quarantines = wanted.action is RemediationAction.QUARANTINE
    variant = Variant.of(access_keys=wanted.quarantine_access_keys)
    members: frozenset[str] = frozenset()
    # A role that may only remove console access cannot answer this, and need not.
    if quarantines or recorded:
        members = ledger.quarantines.all_members()
    if quarantines and not wanted.dry_run and ledger.permits(wanted.action):
        # An edited policy protects nobody: mended before anything rests on it.
        ledger.quarantines.ensure_where_attached(variant)
    _observe(ledger, members)
    in_force = frozenset(
        user
        for user, verdict in ledger.verdicts.items()
        if quarantines and verdict.state is UserState.OVERDUE and user in ledger.quarantines.members(variant)
    )
    rules = ledger.around.access()
    terms = Terms(
        remediation=wanted,
        switched_on=rules.remediation,
        permitted=rules.permits(ledger.policy.ref.namespace, ledger.account, wanted.action),
        own_users=own_users(ledger.session, ledger.snapshot.own_user, ledger.verdicts.values()),
        console_users=ledger.console_users,
        now=ledger.now,
    )
    decisions = plan(list(ledger.verdicts.values()), ledger.published, terms, in_force=in_force)
    for user in in_force:
        _keep_in_force(ledger, user)
    for decision in decisions:
        _note(ledger, decision, held=decision.verdict.user in recorded & members)
    return decisions, members


def _observe(ledger: Ledger, members: frozenset[str]) -> None:
    """Compare the intents that an earlier pass left behind with what is there."""
    for user, intent in ledger.intents().items():
        verdict = ledger.verdicts.get(user)
        if verdict is None:
            continue
        if intent.action is RemediationAction.QUARANTINE:
            if user in members:
                ledger.done(intent.action, user, OBSERVED, result="done")
            continue
        replaced = bool(
            verdict.console_since and intent.profile_created and verdict.console_since > intent.profile_created
        )
        if verdict.state is UserState.NO_CONSOLE:
            ledger.done(intent.action, user, OBSERVED, result="done", profile=intent.profile_created)
        elif replaced:
            # The profile that was meant is gone; the one that is there now belongs to a new violation.
            ledger.tell(EventReason.CONSOLE_ACCESS_REMOVED, user, f"{OBSERVED}; there is a new login profile since")
            ledger.count(intent.action, "done")


def _note(ledger: Ledger, decision: Decision, *, held: bool) -> None:
    """Record a decision. What holds the user under quarantine stays on record until something else is done."""
    user = decision.verdict.user
    before = ledger.record_before(user)
    if user in ledger.records:
        return
    if held and before:
        ledger.records[user] = before
        return
    noted = record(decision, before, ledger.now)
    if noted is None:
        return
    ledger.records[user] = noted
    news = before is None or (before.action, before.reason) != (noted.action, noted.reason)
    if decision.refusal in _COUNTED_REFUSALS and news:
        ledger.count(decision.action, _COUNTED_REFUSALS[decision.refusal])


def _keep_in_force(ledger: Ledger, user: str) -> None:
    """A quarantine that stands already, whoever attached the policy."""
    if user in ledger.records:
        return
    before = ledger.record_before(user)
    if before and before.action is RemediationAction.QUARANTINE and before.state is RemediationState.DONE:
        ledger.records[user] = before
    else:
        ledger.done(RemediationAction.QUARANTINE, user, "the policy was attached already", result="done")


def _refuse_all(ledger: Ledger, message: str) -> None:
    """Nothing could be planned: say so on every Overdue user, and keep what is on record."""
    for user, verdict in ledger.verdicts.items():
        before = ledger.record_before(user)
        if before and before.state in (RemediationState.DONE, RemediationState.INTENDED):
            ledger.records[user] = before
        elif verdict.state is UserState.OVERDUE:
            ledger.skip(user, RefusalReason.LOOKUP_DENIED, message)


def _lift(ledger: Ledger, quarantined: frozenset[str]) -> frozenset[str]:
    """Lift the quarantines that nobody needs any more. Returns those that should have been lifted and were not."""
    wanted = ledger.policy.spec.remediation
    unneeded = frozenset(user for user in quarantined if _lift_wanted(ledger, user))
    held = wanted.action is not RemediationAction.NONE and wanted.dry_run
    if held or not ledger.permits(RemediationAction.QUARANTINE):
        return unneeded
    failed = set()
    for user in sorted(unneeded):
        try:
            lifted = ledger.quarantines.release(user)
        except AwsFailure as error:
            failed.add(user)
            ledger.count_error(error)
            ledger.tell(EventReason.REMEDIATION_FAILED, user, f"the quarantine could not be lifted: {error}")
            continue
        ledger.records.pop(user, None)
        if lifted:
            ledger.tell(EventReason.QUARANTINE_LIFTED, user, f"quarantine lifted: {_lift_reason(ledger, user)}")
    return frozenset(failed)


def _lift_wanted(ledger: Ledger, user: str) -> bool:
    verdict = ledger.verdicts.get(user)
    if verdict is None or verdict.state is UserState.UNKNOWN:
        return False
    return verdict.state is not UserState.OVERDUE or ledger.policy.spec.remediation.action is RemediationAction.NONE


def _lift_reason(ledger: Ledger, user: str) -> str:
    reasons = {
        UserState.COMPLIANT: "an accepted MFA device is there",
        UserState.EXEMPT: "the user is exempt now",
        UserState.NO_CONSOLE: "there is no console access any more",
    }
    return reasons.get(ledger.verdicts[user].state, "the policy does not ask for it any more")
