"""The way out of one account's remediation: its MfaReport, Events about it, and counters."""

from __future__ import annotations

from mfa_operator.api.conversion import rfc3339
from mfa_operator.api.enums import EventReason, RemediationAction, RemediationState
from mfa_operator.api.status import ReportStatus
from mfa_operator.aws.errors import AwsFailure
from mfa_operator.kube.cluster import Cluster, StoredReport
from mfa_operator.metrics.exporter import Metrics
from mfa_operator.remediation.inputs import AccountPass
from mfa_operator.remediation.outcomes import (
    Blocked,
    Done,
    Failed,
    Lifted,
    LiftFailed,
    NotNeeded,
    Outcome,
    ProfileReplaced,
)
from mfa_operator.reporting.events import EventNote
from mfa_operator.reporting.wording import account_label

OBSERVED = "outcome observed after restart"
_DONE_EVENTS = {
    RemediationAction.REMOVE_CONSOLE_ACCESS: EventReason.CONSOLE_ACCESS_REMOVED,
    RemediationAction.QUARANTINE: EventReason.QUARANTINED,
}


class Publisher:
    """Writes what others found and did. Every method that writes to the cluster raises ClusterError."""

    def __init__(self, cluster: Cluster, metrics: Metrics, inputs: AccountPass, stored: StoredReport | None) -> None:
        self._cluster, self._metrics, self._inputs = cluster, metrics, inputs
        self._policy, self._account = inputs.policy, inputs.account
        self.stored = stored
        """The report as the API server gave it back last."""

    def publish(self, report: ReportStatus) -> None:
        self.stored = self._cluster.write_report(self._policy, report, self.stored)

    def holds_intent(self, user: str) -> bool:
        """Whether the report in the cluster, as the API server gave it back, says what is about to be done.

        A CRD of an older release drops fields that it does not know, and answers that all is well.
        """
        findings = self.stored.status.findings if self.stored else ()
        return any(
            finding.user == user
            and finding.remediation is not None
            and finding.remediation.state is RemediationState.INTENDED
            for finding in findings
        )

    def announce(self, outcome: Outcome) -> None:
        """Events and counters for what came of one user, where it is news."""
        user = outcome.user
        before = self._inputs.record_before(user)
        match outcome:
            case Done(action=action, message=message, result=result):
                self.emit_event(_DONE_EVENTS[action], self._with_cause(message, user), user)
                self.count(action, result)
            case ProfileReplaced(action=action):
                note = f"{OBSERVED}; the user has a new login profile since"
                self.emit_event(EventReason.CONSOLE_ACCESS_REMOVED, note, user)
                self.count(action, "done")
            case Failed(action=action, message=message):
                if before is None or (before.state, before.message) != (RemediationState.FAILED, message):
                    self.emit_event(EventReason.REMEDIATION_FAILED, f"{action} failed: {message}", user)
                self.count(action, "failed")
            case Blocked(message=message) if before is None or before.message != message:
                # The Event is one for the whole account.
                self.count(self._inputs.action, "failed")
            case NotNeeded(action=action, result=result) if result:
                self.count(action, result)
            case Lifted(message=message):
                self.emit_event(EventReason.QUARANTINE_LIFTED, f"quarantine lifted: {message}", user)
            case LiftFailed(message=message) if before is None or before.message != message:
                self.emit_event(EventReason.REMEDIATION_FAILED, message, user)

    def emit_event(self, reason: EventReason, message: str, user: str = "") -> None:
        """An Event on the policy, about one user or about the account as a whole."""
        label = account_label(self._account.id, self._account.name)
        note = f"{user} in {label}: {message}" if user else f"{label}: {message}"
        self._cluster.emit(self._policy, EventNote(reason, "Remediate", note))

    def _with_cause(self, message: str, user: str) -> str:
        """The same, with the policy that asks for the action, and since when the user violates it."""
        finding = self._inputs.published.get(user)
        times = (
            f", violating since {rfc3339(finding.first_seen)}, deadline {rfc3339(finding.deadline)}"
            if finding and finding.first_seen and finding.deadline
            else ""
        )
        return f"{message} (MfaPolicy {self._policy.ref}{times})"

    def count(self, action: RemediationAction, result: str) -> None:
        self._metrics.count_remediation(self._policy.ref, self._account.id, action, result)

    def count_error(self, error: AwsFailure) -> None:
        self._metrics.count_error(self._policy.ref, self._account.id, error.error_reason)
