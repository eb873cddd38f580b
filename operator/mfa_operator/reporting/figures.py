"""The numbers of a policy that metrics export: last known, so that a failed account never looks recovered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from mfa_operator.api.status import Counts


@dataclass(frozen=True, slots=True)
class AccountFigures:
    """One account of one policy."""

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
class PolicyFigures:
    """One policy and all its accounts."""

    interval: timedelta
    last_pass: datetime | None
    next_exemption_expiry: datetime | None
    accounts: Mapping[str, AccountFigures]
