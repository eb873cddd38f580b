"""One account's remediation in one pass, as it stands: verdicts, records, and the report made of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

import msgspec

from mfa_operator.api.enums import (
    EventReason,
    RefusalReason,
    RemediationAction,
    RemediationState,
    UserScope,
    UserState,
)
from mfa_operator.api.objects import Policy
from mfa_operator.api.policy import Account
from mfa_operator.api.status import Finding, FindingRemediation, ReportStatus
from mfa_operator.aws.errors import AwsFailure
from mfa_operator.aws.quarantine_document import Variant
from mfa_operator.aws.quarantine_policies import QuarantinePolicies
from mfa_operator.config.access_rules import AccessRules
from mfa_operator.kube.cluster import Cluster, StoredReport
from mfa_operator.metrics.exporter import Metrics
from mfa_operator.passes.auditor import Audit, Auditor
from mfa_operator.remediation.planner import refusal_message
from mfa_operator.reporting.account_report import account_report
from mfa_operator.reporting.events import EventNote
from mfa_operator.reporting.wording import account_label, shortened

_DONE_EVENTS = {
    RemediationAction.REMOVE_CONSOLE_ACCESS: EventReason.CONSOLE_ACCESS_REMOVED,
    RemediationAction.QUARANTINE: EventReason.QUARANTINED,
}
STILL_QUARANTINED = "under quarantine still"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What remediation works with."""

    cluster: Cluster
    auditor: Auditor
    metrics: Metrics
    access: Callable[[], AccessRules]
    """Gives the rules in force now."""
    clock: Callable[[], datetime]
    leading: Callable[[], bool]
    """Whether no other replica can act now."""
    namespaces: Sequence[str]
    """Namespaces whose policies are served; empty: all."""


class Ledger:
    """What is known and was done; everything that is published goes through here."""

    def __init__(
        self,
        surroundings: Surroundings,
        policy: Policy,
        account: Account,
        audit: Audit,
        stored: StoredReport | None,
        now: datetime,
    ) -> None:
        self.around = surroundings
        self.policy = policy
        self.account = account
        self.snapshot = audit.snapshot
        self.console_users = audit.report.summary.console_users
        self.now = now
        self.stored = stored
        self.published: dict[str, Finding] = (
            {finding.user: finding for finding in stored.status.findings} if stored else {}
        )
        """The report as it stood before this pass, by user."""
        self.verdicts = {verdict.user: verdict for verdict in audit.verdicts}
        self.held: frozenset[str] = frozenset()
        """Users whom this policy put under quarantine, and who still are."""
        self.settled: set[str] = set()
        """Users of whom the record is final for this pass: nothing is to be planned for them."""
        # What was published stands until something else is decided: a report written in the middle loses nothing.
        self._records = {
            user: finding.remediation
            for user, finding in self.published.items()
            if finding.remediation and not finding.remediation.is_removal
        }
        self.collector = surroundings.auditor.collector(account)
        self.session = self.collector.session
        self.quarantines = QuarantinePolicies(self.session)

    @property
    def wanted(self) -> RemediationAction:
        """What the policy asks for."""
        return self.policy.spec.remediation.action

    def record_before(self, user: str) -> FindingRemediation | None:
        """What was published about the user's remediation before this pass."""
        finding = self.published.get(user)
        return finding.remediation if finding else None

    def recorded_quarantines(self) -> frozenset[str]:
        """Users whom this policy put under quarantine, or meant to, as the published report says."""
        return frozenset(
            user
            for user, finding in self.published.items()
            if finding.remediation and finding.remediation.holds_quarantine
        )

    def intents(self) -> dict[str, FindingRemediation]:
        """Actions that were meant, and of which no outcome was published, by user."""
        return {
            user: finding.remediation
            for user, finding in self.published.items()
            if finding.remediation and finding.remediation.state is RemediationState.INTENDED
        }

    def intent_stored(self, user: str) -> bool:
        """Whether the report in the cluster, as the API server gave it back, says what is about to be done."""
        findings = self.stored.status.findings if self.stored else ()
        return any(
            finding.user == user
            and finding.remediation is not None
            and finding.remediation.state is RemediationState.INTENDED
            for finding in findings
        )

    @cached_property
    def held_by_others(self) -> frozenset[str]:
        """Users of the account whom other policies hold under quarantine, as their reports say. Raises ClusterError."""
        reports = self.around.cluster.list_account_reports(self.account.id, self.around.namespaces or None)
        return frozenset(
            finding.user
            for report in reports
            if report.owner_uid != self.policy.uid
            for finding in report.status.findings
            if finding.remediation and finding.remediation.holds_quarantine
        )

    def quarantine_for(self, user: str) -> Variant:
        """Which quarantine the user is to be under, as far as this policy goes. Raises AwsFailure, ClusterError.

        Where two policies hold a user and differ, the stricter one stands: else each would undo what the other did.
        """
        wanted = Variant.of(access_keys=self.policy.spec.remediation.quarantine_access_keys)
        stricter = Variant.CONSOLE_AND_KEYS in self.quarantines.carried(user)
        return Variant.CONSOLE_AND_KEYS if stricter and user in self.held_by_others else wanted

    def permits(self, action: RemediationAction) -> bool:
        """Whether the operator's own settings allow the action here, this moment."""
        rules = self.around.access()
        return rules.remediation and rules.permits(self.policy.ref.namespace, self.account, action)

    def report(self) -> ReportStatus:
        """The account's report as things stand."""
        return account_report(
            self.account,
            self.snapshot,
            self.verdicts.values(),
            self.now,
            previous=self.published,
            records=self._records,
        )

    def publish(self) -> None:
        """Write the report now. Raises ClusterError."""
        self.stored = self.around.cluster.write_report(self.policy, self.report(), self.stored)

    def record(self, user: str) -> FindingRemediation | None:
        """What the report says of the user's remediation as things stand."""
        return self._records.get(user)

    def put(self, user: str, record: FindingRemediation) -> None:
        """Say this of the user; a quarantine that stands is never lost out of sight."""
        record = msgspec.structs.replace(record, quarantined=False)
        if user in self.held and not record.holds_quarantine:
            record = msgspec.structs.replace(record, quarantined=True)
        self._records[user] = record

    def drop(self, user: str) -> None:
        """Say nothing of the user any more, save that a quarantine stands."""
        self._records.pop(user, None)
        if user not in self.held:
            return
        before, verdict = self.record_before(user), self.verdicts.get(user)
        gone = verdict is not None and verdict.state is UserState.NO_CONSOLE
        if before and (before.action is RemediationAction.QUARANTINE or (before.is_removal and gone)):
            self.put(user, before)
        else:
            self.put(
                user,
                FindingRemediation(
                    action=RemediationAction.QUARANTINE,
                    state=RemediationState.DONE,
                    time=before.time if before else self.around.clock(),
                    message=STILL_QUARANTINED,
                ),
            )

    def released(self, user: str) -> None:
        """Take note that this policy does not hold the user under quarantine any more."""
        self.held -= {user}
        record = self._records.get(user)
        if record and record.action is not RemediationAction.QUARANTINE:
            self.put(user, record)
        else:
            self.drop(user)

    def skip(self, user: str, reason: RefusalReason, message: str = "", *, tried: bool = False) -> None:
        """Record that nothing is done about the user now, and why.

        A reason that was given before keeps its time, unless something was `tried`. A quarantine stays on record.
        """
        if user in self.held:
            self.drop(user)
            return
        before = self.record_before(user)
        same = before and not tried and (before.action, before.reason) == (self.wanted, reason)
        self._records[user] = FindingRemediation(
            action=self.wanted,
            state=RemediationState.SKIPPED,
            reason=reason,
            time=before.time if before and same else self.around.clock(),
            message=shortened(message or refusal_message(reason)),
        )

    def done(
        self, action: RemediationAction, user: str, message: str, *, result: str, profile: datetime | None = None
    ) -> None:
        """Record that an action was carried out, publish it, then tell by Event and counter. Raises ClusterError."""
        if action is RemediationAction.QUARANTINE:
            self.held |= {user}
        verdict = self.verdicts.get(user)
        if verdict and action is RemediationAction.REMOVE_CONSOLE_ACCESS:
            verdict = replace(verdict, console=False, console_since=None)
            if self.policy.spec.requirement.users is UserScope.CONSOLE:
                verdict = replace(verdict, state=UserState.NO_CONSOLE, reason=None)
            self.verdicts[user] = verdict
        self.put(
            user,
            FindingRemediation(
                action=action,
                state=RemediationState.DONE,
                time=self.around.clock(),
                message=message,
                profile_created=profile,
            ),
        )
        self.settled.add(user)
        self.publish()
        self.tell(_DONE_EVENTS[action], user, message)
        self.count(action, result)

    def tell(self, reason: EventReason, user: str, message: str) -> None:
        """An Event on the policy about one user."""
        self._emit(reason, f"{user} in {self._label}: {message}")

    def tell_of_account(self, reason: EventReason, message: str) -> None:
        """An Event on the policy about the account as a whole."""
        self._emit(reason, f"{self._label}: {message}")

    @property
    def _label(self) -> str:
        return account_label(self.account.id, self.account.name)

    def _emit(self, reason: EventReason, note: str) -> None:
        self.around.cluster.emit(self.policy, EventNote(reason, "Remediate", note))

    def count(self, action: RemediationAction, result: str) -> None:
        self.around.metrics.count_remediation(self.policy.ref, self.account.id, action, result)

    def count_error(self, error: AwsFailure) -> None:
        self.around.metrics.count_error(self.policy.ref, self.account.id, error.error_reason)
