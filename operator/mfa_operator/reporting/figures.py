"""The numbers of a policy that metrics export: last known, so that a failed account never looks recovered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from mfa_operator.api.enums import ConditionType
from mfa_operator.api.status import Counts, PolicyStatus


@dataclass(frozen=True, slots=True)
class AccountFigures:
    """One account of one policy."""

    name: str
    """What people see; the id where the policy gives no name."""
    up: bool
    """Whether the last try to audit it succeeded."""
    counts: Counts | None
    """Users by state at the last success; None where there was none."""
    last_success: datetime | None
    credential_report_time: datetime | None
    oldest_violation: datetime | None
    """firstSeen of the oldest open violation."""
    violations: tuple[tuple[str, str], ...] = ()
    """(user, reason) of open violations, for the info gauge; empty where it is off."""


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
