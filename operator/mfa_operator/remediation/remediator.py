"""Remediation in one account: what the policy asks for, as far as the operator's own settings allow.

For each user, in this order: the intent goes into the MfaReport; the policy is read again (still there, not edited) and
so are the operator's own rules; the user is read live and judged by the same rules once more; only then AWS is called;
the outcome goes into the report, and then into an Event and a counter. Whatever stops this in between leaves an intent
behind that the next pass compares with what is really there.
"""

from __future__ import annotations

import threading
from datetime import datetime

from mfa_operator.api.enums import EventReason, RemediationAction
from mfa_operator.api.objects import Policy, PolicyRef
from mfa_operator.api.policy import Account
from mfa_operator.api.status import ReportStatus
from mfa_operator.kube.cluster import StoredReport
from mfa_operator.passes.auditor import Audit
from mfa_operator.remediation.account_work import AccountWork
from mfa_operator.remediation.inputs import AccountPass, Environment
from mfa_operator.remediation.obstacles import Obstacles


class OperatorRemediator:
    """Acts on the verdicts of one account after the other; safe to use from several threads."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._obstacles = Obstacles()
        self._lock = threading.Lock()
        self._accounts: dict[str, threading.Lock] = {}
        self._last_events: dict[tuple[PolicyRef, str, EventReason], str] = {}
        """The message of the last Event about an account as a whole, by policy and account."""

    def act(
        self,
        policy: Policy,
        account: Account,
        audit: Audit,
        stored: StoredReport | None,
        now: datetime,
        *,
        acted_since: datetime | None = None,
    ) -> tuple[ReportStatus, StoredReport | None]:
        """Act on one account's Overdue users, and lift the quarantines that are not needed any more.

        `acted_since`: what was done since counts against the limits of this pass; None: only what it does itself.
        Returns the report to publish, and the report as it was stored last. Raises ClusterError, PassAbandoned.
        """
        published = stored.status if stored else None
        inputs = AccountPass.of(policy, account, audit, published, now, acted_since=acted_since)
        if inputs.action is RemediationAction.NONE and not inputs.recorded_quarantines() and not inputs.intents():
            return audit.report, stored
        work = AccountWork(self._environment, inputs, stored, self._obstacles)
        unclaimed: str | None = None
        with self._alone_in(account.id):
            skipped = work.run()
            if not skipped:
                unclaimed = work.unclaimed_quarantines()
        if unclaimed is not None:
            self._emit_once(work, EventReason.QUARANTINES_LEFT, unclaimed)
        failed = f"remediation skipped: {skipped}" if skipped else work.blocked
        self._emit_once(work, EventReason.REMEDIATION_FAILED, failed)
        return work.book.report(), work.publisher.stored

    def _emit_once(self, work: AccountWork, reason: EventReason, message: str) -> None:
        """An Event about the account where its message is not the last one's; none where it is empty."""
        key = work.inputs.policy.ref, work.inputs.account.id, reason
        if not message:
            self._last_events.pop(key, None)
            return
        # After a restart the findings tell what was said before.
        if self._last_events.get(key) != message and not work.inputs.some_record_said(message):
            work.publisher.emit_event(reason, message)
        self._last_events[key] = message

    def _alone_in(self, account_id: str) -> threading.Lock:
        """Two policies may name one account: what one does, the other sees before it acts."""
        with self._lock:
            return self._accounts.setdefault(account_id, threading.Lock())
