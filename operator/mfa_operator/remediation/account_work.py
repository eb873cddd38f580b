"""The work on one account in one pass: others find out and act; here it is recorded, published and announced."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from mfa_operator.api.enums import EventReason, RefusalReason, RemediationAction, RemediationState, UserState
from mfa_operator.api.status import FindingRemediation
from mfa_operator.aws.collect import failure_reason
from mfa_operator.aws.errors import AwsFailure
from mfa_operator.kube.cluster import StoredReport
from mfa_operator.remediation import quarantines
from mfa_operator.remediation.checks import Checks
from mfa_operator.remediation.executor import execute
from mfa_operator.remediation.inputs import AccountPass, Environment, held_by_others
from mfa_operator.remediation.obstacles import Obstacles
from mfa_operator.remediation.outcomes import (
    Attempt,
    Blocked,
    Done,
    Failed,
    LeftOpen,
    LeftToOthers,
    LiveVerdict,
    Outcome,
    ProfileReplaced,
    Skipped,
)
from mfa_operator.remediation.planner import Decision
from mfa_operator.remediation.planning import make_plan
from mfa_operator.remediation.publisher import OBSERVED, Publisher
from mfa_operator.remediation.quarantines import AccountQuarantines
from mfa_operator.remediation.record_book import RecordBook
from mfa_operator.reporting.wording import account_label

logger = logging.getLogger(__name__)

_COUNTED_REFUSALS = {RefusalReason.LIMIT_REACHED: "refused_limit", RefusalReason.DRY_RUN: "dry_run"}
_PUBLISHED_AT_ONCE = (Done, Failed, LeftToOthers)
"""Outcomes that another policy, or a process after a crash, must see before anything else happens."""


class AccountWork:
    """One account in one pass, in one thread."""

    def __init__(
        self, environment: Environment, inputs: AccountPass, stored: StoredReport | None, obstacles: Obstacles
    ) -> None:
        self._environment, self._obstacles = environment, obstacles
        self.inputs = inputs
        self.blocked = ""
        """Why nobody can be put under quarantine in this account, in words; empty where nothing is known to."""
        self.book = RecordBook(inputs)
        self.publisher = Publisher(environment.cluster, environment.metrics, inputs, stored)
        collector = environment.auditor.collector(inputs.account)
        self._session = collector.session.on_behalf_of(inputs.policy.ref)
        self._stopping = self._session.sessions.stopping
        self._checks = Checks(environment, inputs, collector)
        self._quarantines = AccountQuarantines(inputs.policy, self._session, self._held_by_others)

    def run(self) -> str:
        """Returns what kept it from planning anything; empty where nothing did. Raises ClusterError, PassAbandoned."""
        try:
            self._find_quarantines()
        except AwsFailure as error:
            self._refuse_all(error)
            return str(error)
        skipped = ""
        decisions: tuple[Decision, ...] = ()
        try:
            quarantines.repair_drift(self.inputs, self._checks, self._quarantines, self._stopping)
            self._observe_intents()
            decisions = self._plan()
        except AwsFailure as error:
            self._refuse_all(error)
            skipped = str(error)
        self._act([decision for decision in decisions if decision.acts])
        self._lift()
        return skipped

    def unclaimed_quarantines(self) -> str | None:
        """Whom nobody accounts for, in words; None where that is not known. Raises ClusterError."""
        try:
            return quarantines.unclaimed(
                self.inputs, self._quarantines, self.book.held, self._environment.command_prefix
            )
        except AwsFailure as error:
            # What was done is to be published all the same.
            self.publisher.count_error(error)
            label = f"{self.inputs.policy.ref} {account_label(self.inputs.account.id, self.inputs.account.name)}"
            logger.warning("%s: quarantines were not compared with the reports: %s", label, error)
            return None

    def _held_by_others(self) -> frozenset[str]:
        namespaces = self._environment.namespaces or None
        reports = self._environment.cluster.list_account_reports(self.inputs.account.id, namespaces)
        return held_by_others(self.inputs.policy, reports)

    def _find_quarantines(self) -> None:
        """See which quarantines stand. Where none is to be expected nothing is asked: a role for removals alone need
        not allow it. Raises AwsFailure.
        """
        if self.inputs.action is RemediationAction.QUARANTINE or self.book.held:
            self.book.held &= self._quarantines.policies.all_members()

    def _observe_intents(self) -> None:
        """Compare the intents that an earlier pass left behind with what is there. Raises ClusterError."""
        for user, intent in self.inputs.intents().items():
            if user not in self.book.verdicts:
                continue
            if intent.action is RemediationAction.REMOVE_CONSOLE_ACCESS:
                self._conclude(self._observe_removal(user, intent))
            elif user in self.book.held:
                self._conclude(Attempt(Done(user, intent.action, OBSERVED, "done")))

    def _observe_removal(self, user: str, intent: FindingRemediation) -> Attempt:
        try:
            # Live: the credential report may be from before the profile was made.
            verdict = self._checks.verdict_now(user, self.book.verdicts[user].path)
        except AwsFailure as error:
            return Attempt(LeftOpen(user, unknown=failure_reason(error)), errors=(error,))
        seen = LiveVerdict(user, verdict)
        if verdict is None:
            return Attempt(None, seen)
        made, meant = verdict.console_since, intent.profile_created
        if verdict.console is False:
            return Attempt(Done(user, intent.action, OBSERVED, "done", meant), seen)
        if made and meant and made > meant:
            return Attempt(ProfileReplaced(user, intent.action), seen)
        return Attempt(None, seen)

    def _plan(self) -> tuple[Decision, ...]:
        """Plan, and record what is planned and what is not. Raises AwsFailure, ClusterError."""
        verdicts = [verdict for user, verdict in self.book.verdicts.items() if user not in self.book.settled]
        plan = make_plan(self.inputs, verdicts, self._environment.access(), self._session, self._quarantines)
        decided = {decision.verdict.user for decision in plan.decisions}
        for user in {verdict.user for verdict in verdicts} - decided - plan.in_force:
            self.book.drop(user)
        claim = not self.inputs.policy.spec.remediation.dry_run and self._checks.permits(self.inputs.action)
        for user in plan.in_force:
            self.book.keep_quarantine(user, self._environment.clock(), claim=claim)
        for decision in plan.decisions:
            news = self.book.note_decision(decision)
            if news and decision.refusal in _COUNTED_REFUSALS:
                self.publisher.count(decision.action, _COUNTED_REFUSALS[decision.refusal])
        return plan.decisions

    def _act(self, decisions: Sequence[Decision]) -> None:
        """Take the actions, one after the other. Where the quarantine's policy cannot be made, none is tried."""
        for decision in decisions:
            if not self.blocked:
                self.blocked = self._obstacle()
            if self.blocked:
                self._conclude(Attempt(Blocked(decision.verdict.user, self.blocked)))
            else:
                self._take_action(decision)

    def _obstacle(self) -> str:
        if self.inputs.action is not RemediationAction.QUARANTINE:
            return ""
        policies, variant = self._quarantines.policies, self._quarantines.wanted
        try:
            return self._obstacles.in_the_way(self.inputs.account.id, policies, variant)
        except AwsFailure:
            # The action itself meets it, and says so.
            return ""

    def _take_action(self, decision: Decision) -> None:
        """Announce the action, take it, record what came of it. Raises ClusterError, PassAbandoned."""
        user = decision.verdict.user
        self.book.intend(decision, self._environment.clock())
        self.publisher.publish(self.book.report())
        if not self.publisher.holds_intent(user):
            message = "the MfaReport in the cluster does not contain the intent"
            self._conclude(Attempt(Skipped(user, RefusalReason.NOT_PUBLISHED_YET, message)))
            return
        earlier = self.inputs.intents().get(user)
        attempt = execute(decision, earlier, self._checks, self._session, self._quarantines)
        self._conclude(attempt)
        if isinstance(attempt.outcome, Blocked):
            self.blocked = attempt.outcome.message
            interval = self.inputs.policy.spec.interval
            self._obstacles.met(self.inputs.account.id, self._quarantines.wanted, self.blocked, interval)

    def _lift(self) -> None:
        """Lift the quarantines of this policy that are not needed any more. Raises ClusterError, PassAbandoned."""
        inputs, book = self.inputs, self.book
        unneeded = [
            user
            for user in sorted(inputs.recorded_quarantines())
            if quarantines.unneeded(inputs, book.verdicts.get(user))
        ]
        for user in unneeded:
            before = inputs.record_before(user)
            if user not in book.held and before and before.state is not RemediationState.INTENDED:
                note = "quarantine lifted: the policy is no longer attached"
                self.publisher.emit_event(EventReason.QUARANTINE_LIFTED, note, user)
        if inputs.action is not RemediationAction.NONE and inputs.policy.spec.remediation.dry_run:
            return
        for user in unneeded:
            if user not in book.held:
                continue
            if user in self._quarantines.held_by_others:
                logger.info("%s: %s stays under quarantine because of another policy", inputs.policy.ref, user)
                # Published at once: two policies that both gave way to each other would leave it there for ever.
                self._conclude(Attempt(LeftToOthers(user)))
            else:
                verdict = book.verdicts[user]
                attempt = quarantines.lift(user, verdict, inputs, self._checks, self._quarantines, self._stopping)
                self._conclude(attempt)

    def _refuse_all(self, error: AwsFailure) -> None:
        """Nothing could be planned: say so on every Overdue user, and keep what is on record. Raises ClusterError."""
        self.publisher.count_error(error)
        logger.warning("%s account %s: remediation skipped: %s", self.inputs.policy.ref, self.inputs.account.id, error)
        intents = self.inputs.intents()
        for user, verdict in list(self.book.verdicts.items()):
            if user in self.book.settled:
                continue
            if user in intents:
                self._note(LeftOpen(user, unknown=failure_reason(error)))
            elif verdict.state is UserState.OVERDUE:
                self._note(Skipped(user, RefusalReason.LOOKUP_DENIED, str(error)))
            else:
                self.book.drop(user)

    def _conclude(self, attempt: Attempt) -> None:
        """Record what came of one user, publish it where others must see it, then say it. Raises ClusterError."""
        for error in attempt.errors:
            self.publisher.count_error(error)
        if attempt.seen:
            self.book.see(attempt.seen)
        if attempt.outcome:
            self._note(attempt.outcome)
            if isinstance(attempt.outcome, _PUBLISHED_AT_ONCE):
                self.publisher.publish(self.book.report())
            self.publisher.announce(attempt.outcome)

    def _note(self, outcome: Outcome) -> None:
        self.book.note(outcome, self._environment.clock())
