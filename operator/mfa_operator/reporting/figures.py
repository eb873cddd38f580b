"""The numbers of a policy that metrics export: last known, so that a failed account never seems compliant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mfa_operator.api.enums import AccountState, ConditionType
from mfa_operator.api.policy import PolicySpec
from mfa_operator.api.status import Counts, PolicyStatus
from mfa_operator.evaluation.exemptions import next_expiry
from mfa_operator.reporting.account_result import AccountResult


@dataclass(frozen=True, slots=True)
class AccountFigures:
    """One account of one policy."""

    name: str
    """What people see; the id where the policy gives no name."""
    state: AccountState
    """Outcome of the last try to audit it."""
    counts: Counts | None
    """Users by state at the last success; None where there was none."""
    last_success: datetime | None
    credential_report_time: datetime | None
    oldest_violation: datetime | None
    """firstSeen of the oldest open violation."""
    violations: tuple[tuple[str, str], ...] = ()
    """(user, reason) of open violations, for the info gauge; empty where it is off."""

    @classmethod
    def of(cls, result: AccountResult) -> AccountFigures:
        status = result.status
        return cls(
            name=status.name or status.id,
            state=status.state,
            counts=result.counts,
            last_success=status.last_success_time,
            credential_report_time=result.credential_report_time,
            oldest_violation=result.oldest_violation,
            violations=result.violations,
        )

    @classmethod
    def by_id(cls, results: Iterable[AccountResult]) -> dict[str, AccountFigures]:
        """Of several accounts."""
        return {result.status.id: cls.of(result) for result in results}


@dataclass(frozen=True, slots=True)
class Serving:
    """Whether a policy is served; known of invalid policies too, which have no figures."""

    ready: bool | None
    """The condition Ready; None while it is Unknown."""
    suspended: bool

    @classmethod
    def of(cls, status: PolicyStatus, *, suspended: bool) -> Serving:
        """As the policy's status says."""
        ready = status.condition(ConditionType.READY)
        return cls(None if ready is None or ready.status == "Unknown" else ready.status == "True", suspended)


@dataclass(frozen=True, slots=True)
class PolicyFigures:
    """One policy and all its accounts."""

    interval: timedelta
    last_pass: datetime | None
    next_exemption_expiry: datetime | None
    accounts: Mapping[str, AccountFigures]
    skipped: int = 0
    """Accounts of the organization that are suspended or closed."""
    excluded: int = 0
    """Accounts of the organization that the policy leaves out."""
    discovery_up: bool | None = None
    """Whether the last listing of the organization succeeded; None where there is none, or nothing was listed yet."""
    discovery_last_success: datetime | None = None


def policy_figures(
    spec: PolicySpec, last_pass: datetime | None, accounts: Mapping[str, AccountFigures], now: datetime
) -> PolicyFigures:
    """The numbers for metrics from those of each account, by id."""
    return PolicyFigures(
        interval=spec.interval.delta,
        last_pass=last_pass,
        next_exemption_expiry=next_expiry(spec, now),
        accounts=accounts,
    )


def with_discovery(figures: PolicyFigures, status: PolicyStatus, last_success: datetime | None) -> PolicyFigures:
    """The same, with what the status says of the policy's organization; `last_success`: when it was listed."""
    condition = status.condition(ConditionType.ACCOUNTS_DISCOVERED)
    known = condition is not None and condition.status != "Unknown"
    return replace(
        figures,
        skipped=status.summary.accounts_skipped if status.summary else 0,
        excluded=status.summary.accounts_excluded if status.summary else 0,
        discovery_up=condition.status == "True" if condition and known else None,
        discovery_last_success=last_success if condition else None,
    )
