"""What is known of each policy's accounts between its passes, and what an earlier process left of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from mfa_operator.api.conversion import InvalidObject
from mfa_operator.api.objects import Policy, PolicyRef
from mfa_operator.api.status import ReportStatus
from mfa_operator.kube.cluster import Cluster
from mfa_operator.kube.report_pages import ListedReport
from mfa_operator.metrics.exporter import Metrics
from mfa_operator.passes.publishing import KnownPolicy, show
from mfa_operator.reporting.account_result import AccountResult, restored
from mfa_operator.reporting.figures import AccountFigures

logger = logging.getLogger(__name__)

Reports = Mapping[str, ListedReport]
"""By account id."""


class PolicyMemory:
    """The last results of all policies. Safe to use from several threads."""

    def __init__(self, cluster: Cluster, metrics: Metrics, clock: Callable[[], datetime], *, with_users: bool) -> None:
        """`with_users` keeps the names of all violators, for the info gauge."""
        self._cluster = cluster
        self._metrics = metrics
        self._clock = clock
        self._with_users = with_users
        self._lock = threading.Lock()
        self._known: dict[PolicyRef, KnownPolicy] = {}

    def own_reports(self, policy: Policy) -> dict[str, ListedReport]:
        """The reports of this very policy, and of none that had its name, by account id. Raises ClusterError."""
        found = self._cluster.policy_reports(policy.ref)
        return {report.account_id: report for report in found if report.owner_uid == policy.uid}

    def recall(self, policy: Policy, reports: Reports | None = None) -> Mapping[str, AccountResult]:
        """What this process knows of the policy or, where it knows nothing yet, what status and reports say.

        `reports`: the policy's own, if they were read; None: to be read if needed. Raises ClusterError.
        """
        with self._lock:
            known = self._known.get(policy.ref)
        # Another policy may have had its name.
        return known.results if known and known.uid == policy.uid else self.restore(policy, reports)

    def restore(self, policy: Policy, reports: Reports | None = None) -> Mapping[str, AccountResult]:
        """Take up what an earlier process found, and have the metrics say it. Raises ClusterError."""
        if reports is None:
            reports = self.own_reports(policy)
        results = restored(policy.status, readable(reports.values()), with_users=self._with_users)
        self.remember(policy, results.values())
        if results:
            show(self._metrics, policy, policy.status, AccountFigures.by_id(results.values()), self._clock())
        return results

    def remember(self, policy: Policy, results: Iterable[AccountResult]) -> None:
        known = KnownPolicy(policy.uid, {result.status.id: result for result in results})
        with self._lock:
            self._known[policy.ref] = known

    def forget(self, ref: PolicyRef) -> KnownPolicy | None:
        """Returns what was known."""
        with self._lock:
            return self._known.pop(ref, None)


def readable(reports: Iterable[ListedReport]) -> Iterator[ReportStatus]:
    """What the reports say; those that are invalid are logged and left out."""
    for report in reports:
        try:
            yield report.read().status
        except InvalidObject as error:
            logger.warning("MfaReport %s/%s: %s", report.namespace, report.name, error)
