"""What remediation works with, and what it knows of one account before it does anything. Nothing here changes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from mfa_operator.api.enums import RemediationAction, RemediationState
from mfa_operator.api.objects import Body, Policy
from mfa_operator.api.policy import Account
from mfa_operator.api.status import Finding, FindingRemediation, ReportStatus
from mfa_operator.clock import utc_now
from mfa_operator.config.access_rules import AccessRules
from mfa_operator.evaluation.facts import Snapshot
from mfa_operator.evaluation.verdicts import Verdict
from mfa_operator.remediation.removed_profiles import RemovedProfiles

if TYPE_CHECKING:
    from mfa_operator.kube.cluster import Cluster, StoredReport
    from mfa_operator.metrics.exporter import Metrics
    from mfa_operator.passes.auditor import Audit, Auditor


_TRIED = (RemediationState.DONE, RemediationState.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What all passes share."""

    cluster: Cluster
    auditor: Auditor
    metrics: Metrics
    access: Callable[[], AccessRules]
    """Gives the rules in force now."""
    clock: Callable[[], datetime] = utc_now
    leading: Callable[[], bool] = lambda: True
    """Whether no other replica can act now; asked before actions."""
    namespaces: Sequence[str] = ()
    """Namespaces whose policies are served; empty: all."""
    command_prefix: str = ""
    """What stands before the commands that Events name."""
    removed: RemovedProfiles = field(default_factory=RemovedProfiles)
    still_ours: Callable[[Body], bool] = lambda _: True
    """Whether this operator still serves the policy, as it was just read."""
    still_covers: Callable[[Policy, Account], bool] = lambda *_: True
    """Whether the account is still one of the policy's, by the newest listing of its organization."""


@dataclass(frozen=True, slots=True)
class AccountPass:
    """One account in one pass, as the audit left it."""

    policy: Policy
    account: Account
    snapshot: Snapshot
    verdicts: tuple[Verdict, ...]
    console_users: int
    published: Mapping[str, Finding]
    """The report as it stood before this pass, by user; without those who were deleted since and have a namesake."""
    now: datetime
    acted_since: datetime | None = None
    """What was done since counts against the limits, too; None: nothing from before this pass does."""

    @classmethod
    def of(
        cls,
        policy: Policy,
        account: Account,
        audit: Audit,
        published: ReportStatus | None,
        now: datetime,
        *,
        acted_since: datetime | None = None,
    ) -> AccountPass:
        ids = {verdict.user: verdict.user_id for verdict in audit.verdicts}
        findings = {
            finding.user: finding
            for finding in (published.findings if published else ())
            if finding.is_about(ids.get(finding.user, finding.user_id))
        }
        console_users = audit.report.summary.console_users
        return cls(policy, account, audit.snapshot, audit.verdicts, console_users, findings, now, acted_since)

    @property
    def action(self) -> RemediationAction:
        """What the policy asks for."""
        return self.policy.spec.remediation.action

    def taken(self, planned: Collection[str]) -> int:
        """Actions since `acted_since` by the published report; those that failed count, too. 0 where it is None.

        `planned`: users who are planned for. An intent of theirs was compared with AWS, and was not carried out.
        """
        if self.acted_since is None:
            return 0
        since = self.acted_since
        records = {user: finding.remediation for user, finding in self.published.items() if finding.remediation}
        return sum(
            record.state in _TRIED or (record.state is RemediationState.INTENDED and user not in planned)
            for user, record in records.items()
            if record.time is not None and record.time >= since
        )

    def record_before(self, user: str) -> FindingRemediation | None:
        """What was published about the user's remediation before this pass."""
        finding = self.published.get(user)
        return finding.remediation if finding else None

    def some_record_said(self, message: str) -> bool:
        """Whether the published report says this of somebody's remediation."""
        return any(
            finding.remediation is not None and finding.remediation.message == message
            for finding in self.published.values()
        )

    def recorded_quarantines(self) -> frozenset[str]:
        """Users whom this policy put under quarantine, or meant to, as the published report says."""
        return quarantined_users(self.published.values())

    def intents(self) -> dict[str, FindingRemediation]:
        """Actions that were announced and of which no outcome was published, by user."""
        return {
            user: finding.remediation
            for user, finding in self.published.items()
            if finding.remediation and finding.remediation.state is RemediationState.INTENDED
        }


def quarantined_users(findings: Iterable[Finding]) -> frozenset[str]:
    """Users who are, or may be, under quarantine by these findings."""
    return frozenset(
        finding.user for finding in findings if finding.remediation and finding.remediation.holds_quarantine
    )


def held_by_others(policy: Policy, reports: Iterable[StoredReport]) -> frozenset[str]:
    """Users of an account whom other policies hold under quarantine, as the reports on that account say."""
    return frozenset[str]().union(
        *(quarantined_users(report.status.findings) for report in reports if report.owner_uid != policy.uid)
    )
