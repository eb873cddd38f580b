"""One account's remediation in one pass, as it stands: verdicts, records, and the report made of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from mfa_operator.access import AccessRules
from mfa_operator.api.enums import (
    EventReason,
    RefusalReason,
    RemediationAction,
    RemediationState,
    UserState,
)
from mfa_operator.api.objects import Policy
from mfa_operator.api.policy import Account
from mfa_operator.api.status import Finding, FindingRemediation, ReportStatus
from mfa_operator.audit import Audit, Auditor
from mfa_operator.aws.errors import AwsFailure
from mfa_operator.aws.quarantine_policies import QuarantinePolicies
from mfa_operator.cluster import Cluster, StoredReport
from mfa_operator.events import EventNote
from mfa_operator.metrics import Metrics
from mfa_operator.plan import refusal_message
from mfa_operator.report import account_report
from mfa_operator.wording import account_label, shortened

_DONE_EVENTS = {
    RemediationAction.REMOVE_CONSOLE_ACCESS: EventReason.CONSOLE_ACCESS_REMOVED,
    RemediationAction.QUARANTINE: EventReason.QUARANTINED,
}


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
        self.records: dict[str, FindingRemediation] = {}
        self.collector = surroundings.auditor.collector(account)
        self.session = self.collector.session
        self.quarantines = QuarantinePolicies(self.session)

    def record_before(self, user: str) -> FindingRemediation | None:
        """What was published about the user's remediation before this pass."""
        finding = self.published.get(user)
        return finding.remediation if finding else None

    def recorded_quarantines(self) -> frozenset[str]:
        """Users whom this policy put under quarantine, or meant to, as the report says."""
        return frozenset(
            user
            for user, finding in self.published.items()
            if (done := finding.remediation)
            and done.action is RemediationAction.QUARANTINE
            and done.state in (RemediationState.DONE, RemediationState.INTENDED)
        )

    def intents(self) -> dict[str, FindingRemediation]:
        """Actions that were meant, and of which no outcome was recorded, by user."""
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
            records=self.records,
        )

    def publish(self) -> None:
        """Write the report now. Raises ClusterError."""
        self.stored = self.around.cluster.write_report(self.policy, self.report(), self.stored)

    def skip(self, user: str, reason: RefusalReason, message: str = "") -> None:
        """Record that nothing is done about the user now, and why; a reason that was given before keeps its time."""
        action, before = self.policy.spec.remediation.action, self.record_before(user)
        same = before and (before.action, before.reason) == (action, reason)
        self.records[user] = FindingRemediation(
            action=action,
            state=RemediationState.SKIPPED,
            reason=reason,
            time=before.time if before and same else self.around.clock(),
            message=shortened(message or refusal_message(reason)),
        )

    def done(
        self, action: RemediationAction, user: str, message: str, *, result: str, profile: datetime | None = None
    ) -> None:
        """Record that an action was carried out, publish it, then tell by Event and counter. Raises ClusterError."""
        self.records[user] = FindingRemediation(
            action=action,
            state=RemediationState.DONE,
            time=self.around.clock(),
            message=message,
            profile_created=profile,
        )
        verdict = self.verdicts.get(user)
        if verdict and action is RemediationAction.REMOVE_CONSOLE_ACCESS:
            self.verdicts[user] = replace(verdict, state=UserState.NO_CONSOLE, reason=None, console=False)
        self.publish()
        self.tell(_DONE_EVENTS[action], user, message)
        self.count(action, result)

    def tell(self, reason: EventReason, user: str, message: str) -> None:
        """An Event on the policy about one user."""
        note = f"{user} in {account_label(self.account.id, self.account.name)}: {message}"
        warning = reason is not EventReason.QUARANTINE_LIFTED
        self.around.cluster.emit(self.policy, EventNote(reason, warning, "Remediate", note), self.around.clock())

    def count(self, action: RemediationAction, result: str) -> None:
        self.around.metrics.count_remediation(self.policy.ref, self.account.id, action, result)

    def count_error(self, error: AwsFailure) -> None:
        self.around.metrics.count_error(self.policy.ref, self.account.id, error.error_reason)
