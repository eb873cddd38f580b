"""Remediation in one account: what the policy asks for, as far as the operator's own settings allow.

For each user, in this order: the intent goes into the MfaReport; the policy is read anew (still there, not edited) and
so are the operator's own rules; the user is looked at live and judged by the same rules once more; only then AWS is
told to act; the outcome goes into the report, and then into an Event and a counter. Whatever stops this in between
leaves an intent behind that the next pass compares with what is really there.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from mfa_operator.api.enums import EventReason, RefusalReason, RemediationAction, UserState
from mfa_operator.api.objects import Policy, PolicyRef
from mfa_operator.api.policy import Account
from mfa_operator.api.status import FindingRemediation, ReportStatus
from mfa_operator.aws.collect import failure_reason
from mfa_operator.aws.errors import AwsFailure
from mfa_operator.clock import utc_now
from mfa_operator.config.access_rules import AccessRules
from mfa_operator.kube.cluster import Cluster, StoredReport
from mfa_operator.metrics.exporter import Metrics
from mfa_operator.passes.auditor import Audit, Auditor
from mfa_operator.remediation import executor, quarantines
from mfa_operator.remediation.executor import OBSERVED
from mfa_operator.remediation.own_users import own_users
from mfa_operator.remediation.planner import Decision, Terms, plan, record
from mfa_operator.remediation.session import Ledger, Surroundings

logger = logging.getLogger(__name__)

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
        namespaces: Sequence[str] = (),
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """Take what it works with.

        `access` gives the rules in force now, `leading` whether no other replica can act: asked before actions.
        `namespaces` are those whose policies are served; empty: all.
        """
        self._around = Surroundings(cluster, auditor, metrics, access, clock, leading, namespaces)
        self._lock = threading.Lock()
        self._accounts: dict[str, threading.Lock] = {}
        self._told: dict[tuple[PolicyRef, str, EventReason], str] = {}
        """What was told last time, by policy and account."""

    def act(
        self, policy: Policy, account: Account, audit: Audit, stored: StoredReport | None, now: datetime
    ) -> tuple[ReportStatus, StoredReport | None]:
        """Act on one account's Overdue users, and lift the quarantines that are not needed any more.

        Returns the report to publish, and the report as it was stored last. Raises ClusterError, PassAbandoned.
        """
        ledger = Ledger(self._around, policy, account, audit, stored, now)
        if ledger.wanted is RemediationAction.NONE and not ledger.recorded_quarantines() and not ledger.intents():
            return audit.report, stored
        with self._alone_in(account.id):
            trouble = _act(ledger)
            if not trouble:
                self._tell_unclaimed(ledger)
        self._tell_once(ledger, EventReason.REMEDIATION_FAILED, trouble and f"nothing can be done: {trouble}")
        return ledger.report(), ledger.stored

    def _tell_unclaimed(self, ledger: Ledger) -> None:
        try:
            unclaimed = quarantines.unclaimed(ledger)
        except AwsFailure as error:
            # What was done is to be published all the same.
            ledger.count_error(error)
            logger.warning(
                "%s account %s: quarantines not looked through: %s", ledger.policy.ref, ledger.account.id, error
            )
            return
        self._tell_once(ledger, EventReason.QUARANTINES_LEFT, unclaimed)

    def _tell_once(self, ledger: Ledger, reason: EventReason, message: str) -> None:
        """Tell of the account what is news: the same message as last time is none, and an empty one nothing at all."""
        key = ledger.policy.ref, ledger.account.id, reason
        if message and self._told.get(key) != message:
            ledger.tell_of_account(reason, message)
        self._told[key] = message

    def _alone_in(self, account_id: str) -> threading.Lock:
        """Two policies may name one account: what one does, the other sees before it acts."""
        with self._lock:
            return self._accounts.setdefault(account_id, threading.Lock())


def _act(ledger: Ledger) -> str:
    """Returns what kept it from planning anything; empty where nothing did."""
    ledger.held = ledger.recorded_quarantines()
    try:
        _find_quarantines(ledger)
    except AwsFailure as error:
        _refuse_all(ledger, error)
        return str(error)
    trouble = ""
    decisions: list[Decision] = []
    try:
        quarantines.mend(ledger)
        _observe(ledger)
        decisions = _decide(ledger)
    except AwsFailure as error:
        trouble = str(error)
        _refuse_all(ledger, error)
    for decision in decisions:
        if decision.acts:
            executor.take(ledger, decision)
    quarantines.lift(ledger)
    return trouble


def _find_quarantines(ledger: Ledger) -> None:
    """See which quarantines stand. Without any to be expected nothing is asked: a role for removals need not allow it.

    Raises AwsFailure.
    """
    if ledger.wanted is RemediationAction.QUARANTINE or ledger.held:
        ledger.held &= ledger.quarantines.all_members()


def _observe(ledger: Ledger) -> None:
    """Compare the intents that an earlier pass left behind with what is there. Raises ClusterError."""
    for user, intent in ledger.intents().items():
        if user not in ledger.verdicts:
            continue
        if intent.action is RemediationAction.REMOVE_CONSOLE_ACCESS:
            _observe_removal(ledger, user, intent)
        elif user in ledger.held:
            ledger.done(intent.action, user, OBSERVED, result="done")


def _observe_removal(ledger: Ledger, user: str, intent: FindingRemediation) -> None:
    try:
        # Live: the credential report may be from before the profile was made.
        verdict = executor.judge(ledger, user, ledger.verdicts[user].path)
    except AwsFailure as error:
        ledger.count_error(error)
        _leave_open(ledger, user, error)
        return
    if verdict is None:
        return
    made, meant = verdict.console_since, intent.profile_created
    if verdict.console is False:
        ledger.done(intent.action, user, OBSERVED, result="done", profile=meant)
    elif made and meant and made > meant:
        # The profile that was meant is gone; the one that is there now belongs to a new violation.
        ledger.tell(EventReason.CONSOLE_ACCESS_REMOVED, user, f"{OBSERVED}; there is a new login profile since")
        ledger.count(intent.action, "done")


def _leave_open(ledger: Ledger, user: str, error: AwsFailure) -> None:
    """Leave an intent as it is, on a finding that stays: a later pass sees what became of it."""
    ledger.settled.add(user)
    verdict = ledger.verdicts[user]
    if verdict.state in (UserState.NO_CONSOLE, UserState.COMPLIANT):
        ledger.verdicts[user] = replace(verdict, state=UserState.UNKNOWN, reason=failure_reason(error))


def _decide(ledger: Ledger) -> list[Decision]:
    """Plan, and record what is planned and what is not. Raises AwsFailure, ClusterError."""
    standing = quarantines.in_force(ledger)
    rules = ledger.around.access()
    terms = Terms(
        remediation=ledger.policy.spec.remediation,
        switched_on=rules.remediation,
        permitted=rules.permits(ledger.policy.ref.namespace, ledger.account, ledger.wanted),
        own_users=own_users(ledger.session, ledger.snapshot.own_user, ledger.verdicts.values()),
        console_users=ledger.console_users,
        now=ledger.now,
    )
    verdicts = [verdict for user, verdict in ledger.verdicts.items() if user not in ledger.settled]
    decisions = plan(verdicts, ledger.published, terms, in_force=standing)
    undecided = {verdict.user for verdict in verdicts} - {decision.verdict.user for decision in decisions}
    for user in undecided - standing:
        ledger.drop(user)
    for user in standing - ledger.settled:
        quarantines.keep(ledger, user)
    for decision in decisions:
        _note(ledger, decision)
    return decisions


def _note(ledger: Ledger, decision: Decision) -> None:
    """Record a decision. What holds the user under quarantine stays on record until something else is done."""
    user = decision.verdict.user
    before = ledger.record_before(user)
    noted = record(decision, before, ledger.now)
    if noted is None or user in ledger.held:
        ledger.drop(user)
        return
    ledger.put(user, noted)
    news = before is None or (before.action, before.reason) != (noted.action, noted.reason)
    if decision.refusal in _COUNTED_REFUSALS and news:
        ledger.count(decision.action, _COUNTED_REFUSALS[decision.refusal])


def _refuse_all(ledger: Ledger, error: AwsFailure) -> None:
    """Nothing could be planned: say so on every Overdue user, and keep what is on record."""
    ledger.count_error(error)
    logger.warning("%s account %s: no remediation in this pass: %s", ledger.policy.ref, ledger.account.id, error)
    intents = ledger.intents()
    for user, verdict in list(ledger.verdicts.items()):
        if user in ledger.settled:
            continue
        if user in intents:
            _leave_open(ledger, user, error)
        elif verdict.state is UserState.OVERDUE:
            ledger.skip(user, RefusalReason.LOOKUP_DENIED, str(error))
        else:
            ledger.drop(user)
