"""Publishing what a pass finds: metrics and the policy's status, while the pass goes on and at its end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from mfa_operator.api.enums import NOT_FAILED
from mfa_operator.api.objects import Policy, PolicyRef
from mfa_operator.api.status import PolicyStatus
from mfa_operator.kube.cluster import Cluster, PolicyAsRead, WriteRefused
from mfa_operator.metrics.exporter import Metrics
from mfa_operator.organization.account_list import AccountList
from mfa_operator.organization.discovery import Discovery
from mfa_operator.reporting.account_result import AccountResult
from mfa_operator.reporting.figures import AccountFigures, Serving, policy_figures, with_discovery
from mfa_operator.reporting.growing_status import Progress, growing_status, is_first_pass, pass_running_status
from mfa_operator.reporting.policy_status import policy_status

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a pass says how far it is."""

    metrics: timedelta = timedelta(seconds=2)
    status: timedelta = timedelta(seconds=10)
    """From one write of the status to the next, at least; a pass that takes long writes at most every tenth of the time
    that it has taken so far, so that one of an hour has some 50 writes."""

    def status_due(self, since: float, now: float) -> float:
        """When the next write is due after one at `now`, in a pass begun at `since`; monotonic seconds."""
        return now + max(self.status.total_seconds(), (now - since) / 10)


@dataclass(frozen=True, slots=True)
class KnownPolicy:
    """What is last known of one policy's accounts, between its passes."""

    uid: str
    results: Mapping[str, AccountResult]
    """By account id."""

    def quarantined(self) -> dict[str, int]:
        """Users under quarantine by account, of the accounts that have any."""
        counts = {account_id: result.counts for account_id, result in self.results.items()}
        return {account_id: each.quarantined for account_id, each in counts.items() if each and each.quarantined}


def show(
    metrics: Metrics,
    policy: Policy,
    status: PolicyStatus,
    accounts: Mapping[str, AccountFigures],
    now: datetime,
    discovery: Discovery | None = None,
) -> None:
    """Have the metrics say what is known of the policy; `accounts` by id."""
    figures = policy_figures(policy.spec, status.last_pass_time, accounts, now)
    listed = discovery.last_success if discovery else None
    metrics.set_policy(policy.ref, with_discovery(figures, status, listed))
    metrics.set_serving(policy.ref, Serving.of(status, suspended=policy.spec.suspend))


class PolicyPublisher:
    """What one pass over a policy has found so far, and what was known before of the accounts that are not done yet.

    For one thread, the pass's own.
    """

    def __init__(
        self,
        policy: Policy,
        accounts: AccountList,
        known: Mapping[str, AccountResult],
        *,
        cluster: Cluster,
        metrics: Metrics,
        now: datetime,
        asked_for: bool,
        pace: Pace,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`known`: what an earlier pass found, by account id.

        `asked_for`: the pass, by an edit or a request; so is the first one over an organization's accounts, which
        begins once they are listed.
        """
        self._policy = policy
        self._accounts = accounts
        self._ids = [account.id for account in accounts]
        self._known = known
        self._found: dict[str, AccountResult] = {}
        self._figures = AccountFigures.by_id(known.values())
        """Of all that is known by now, each made once: a long pass shows thousands of accounts every two seconds."""
        self._cluster = cluster
        self._metrics = metrics
        self._now = now
        self._asked_for = asked_for or (bool(self._ids) and is_first_pass(policy.status))
        self._pace = pace
        self._monotonic = monotonic
        self._begun = monotonic()
        self._metrics_due = self._begun
        self._status_due = pace.status_due(self._begun, self._begun)
        self._shown = 0
        self._written = 0
        self._last: PolicyAsRead = policy
        """What the next status is written over, and nothing else."""

    @property
    def ref(self) -> PolicyRef:
        return self._policy.ref

    @property
    def results(self) -> list[AccountResult]:
        """The last known of each account, in the policy's order; without those that nothing is known of yet."""
        known = (self._found.get(account_id) or self._known.get(account_id) for account_id in self._ids)
        return [result for result in known if result]

    @property
    def progress(self) -> Progress:
        audited = sum(result.audited for result in self._found.values())
        failed = sum(result.status.state not in NOT_FAILED for result in self._found.values())
        return Progress(audited, failed, len(self._ids))

    def begin(self) -> None:
        """Say that the pass is under way, where somebody waits for it. Raises ClusterError."""
        status = pass_running_status(self._policy.status, self._policy.generation, self._now)
        # The claim on a new policy has said so.
        if self._asked_for and status != self._policy.status:
            self._write(status)

    def ended(self, result: AccountResult) -> None:
        """Take in what became of one account."""
        self._found[result.status.id] = result
        self._figures[result.status.id] = AccountFigures.of(result)

    def turn(self) -> float:
        """Publish what is due by now; returns the seconds until something is due again. Raises ClusterError.

        A status that the API server refuses is no reason to end the pass: at its end it is written once more.
        """
        now = self._monotonic()
        if now >= self._metrics_due:
            if len(self._found) > self._shown:
                self._shown = len(self._found)
                self._show(self._last.status)
            self._metrics_due = now + self._pace.metrics.total_seconds()
        if now >= self._status_due:
            if len(self._found) > self._written:
                self._written = len(self._found)
                self._write_progress()
            self._status_due = self._pace.status_due(self._begun, self._monotonic())
        return max(min(self._metrics_due, self._status_due) - self._monotonic(), 0.0)

    def end(self, next_pass: datetime, requested_at: str) -> PolicyStatus:
        """The status after the pass; metrics show it from here on, whatever becomes of its write."""
        status = policy_status(
            self._policy.spec,
            self._policy.generation,
            self.results,
            self._last.status,
            self._now,
            next_pass,
            requested_at,
            self._accounts,
        )
        self._show(status)
        return status

    def end_targeted(self) -> PolicyStatus | None:
        """The status after a targeted pass: its times stay those of the last pass.

        Metrics show it from here on. None where nothing changed, or where not every account's last result is known: a
        sum over some of them would be wrong.
        """
        before = self._last.status
        if len(self.results) < len(self._ids):
            return None
        status = policy_status(
            self._policy.spec,
            self._policy.generation,
            self.results,
            before,
            self._now,
            before.next_pass_time,
            before.last_handled_requested_at,
            self._accounts,
        )
        status = msgspec.structs.replace(status, last_pass_time=before.last_pass_time)
        self._show(status)
        return status if status != before else None

    def write(self, status: PolicyStatus) -> None:
        """Write the status over what this pass wrote last. Raises ClusterError."""
        self._write(status)

    def _write(self, status: PolicyStatus) -> None:
        self._last = self._cluster.write_policy_status(self._last, status)

    def _write_progress(self) -> None:
        progress, policy = self.progress, self._policy
        logger.info("policy %s: %s so far", policy.ref, progress, extra={"policy": str(policy.ref)})
        status = growing_status(
            self._last.status,
            policy.generation,
            self.results,
            progress,
            self._now,
            asked_for=self._asked_for,
            listed=self._accounts,
        )
        try:
            self._write(status)
        except WriteRefused as error:
            logger.warning("the progress of the pass could not be written to the status of %s: %s", policy.ref, error)

    def _show(self, status: PolicyStatus) -> None:
        accounts = {each: self._figures[each] for each in self._ids if each in self._figures}
        show(self._metrics, self._policy, status, accounts, self._now, self._accounts.discovery)
