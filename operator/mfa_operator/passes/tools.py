"""What all passes share: who audits, acts, writes and counts, and the settings that hold for every policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from mfa_operator.api.objects import Policy
from mfa_operator.api.policy import Account
from mfa_operator.api.status import ReportStatus
from mfa_operator.config.access_rules import AccessRules
from mfa_operator.config.settings import EventSettings
from mfa_operator.kube.cluster import Cluster, StoredReport
from mfa_operator.metrics.exporter import Metrics
from mfa_operator.passes.auditor import Audit, Auditor


class Remediator(Protocol):
    """Acts on the verdicts of one account, between judging and publishing."""

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
        """Returns the report to publish and the report as stored last. Raises ClusterError, PassAbandoned."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What all passes share."""

    cluster: Cluster
    auditor: Auditor
    metrics: Metrics
    access: Callable[[], AccessRules] = AccessRules
    """Gives the rules in force now."""
    remediator: Remediator | None = None
    events: EventSettings = EventSettings()
    """What commands and links in Events look like."""
    interval_override: timedelta | None = None
    """Replaces every spec.interval."""
    user_violation_info: bool = False
    """Results keep the names of all violators, for the info gauge."""

    def interval(self, policy: Policy) -> timedelta:
        return self.interval_override or policy.spec.interval.delta
