"""What each alert goes by: series in a bad and in a good state, minute by minute, for promtool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Labels = dict[str, str]
Values = Callable[[int], float | None]
"""The sample at a minute since the beginning, whose Unix time is 0; None: no sample."""

POLICY = {"policy_namespace": "security", "policy": "console-mfa"}
ACCOUNT = {**POLICY, "account_id": "111122223333"}
REMEDIATION = {**ACCOUNT, "action": "QuarantineUntilMfa"}
MINUTE, HOUR, DAY = 60, 3600, 86400
INTERVAL = 15 * MINUTE


def always(value: float) -> Values:
    return lambda _minute: value


def now(minute: int) -> float:
    return minute * MINUTE


def never(_minute: int) -> None:
    return None


@dataclass(frozen=True)
class Series:
    """One series; `bad` and `good` are its values in these states."""

    name: str
    labels: Labels
    bad: Values
    good: Values


@dataclass(frozen=True)
class Alert:
    """One alert of deploy/prometheus/rules.yaml."""

    name: str
    severity: str
    labels: Labels
    series: tuple[Series, ...]
    fires_after: int
    """Minutes of the bad state after which it must fire; two minutes before that it must not."""
    text: tuple[str, ...]
    """Parts of summary and description, one minute after it fires."""


def users(state: str) -> Series:
    return Series("mfa_policy_users", {**ACCOUNT, "state": state}, bad=always(2), good=always(0))


UP = Series("mfa_policy_account_up", ACCOUNT, bad=always(0), good=always(1))
UP_THROUGHOUT = Series("mfa_policy_account_up", ACCOUNT, bad=always(1), good=always(1))
EVERY_15_MINUTES = Series("mfa_policy_interval_seconds", POLICY, bad=always(INTERVAL), good=always(INTERVAL))


def stopped(name: str) -> Series:
    """A timestamp that stands still, or keeps up."""
    return Series(name, ACCOUNT, bad=always(0), good=now)


ALERTS = (
    Alert(
        "MfaUserViolating",
        "info",
        ACCOUNT,
        (users("violating"),),
        fires_after=15,
        text=("2 console users of account 111122223333 have no accepted MFA device", "policy security/console-mfa"),
    ),
    Alert(
        "MfaUserOverdue",
        "warning",
        ACCOUNT,
        (users("overdue"),),
        fires_after=5,
        text=("2 console users of account 111122223333 still have no accepted MFA device",),
    ),
    Alert(
        "MfaUsersUnknown",
        "warning",
        ACCOUNT,
        (users("unknown"),),
        fires_after=60,
        text=("2 users of account 111122223333 could not be looked at",),
    ),
    Alert(
        "MfaExemptionExpiring",
        "info",
        POLICY,
        (
            Series(
                "mfa_policy_exemption_next_expiry_timestamp_seconds",
                POLICY,
                bad=always(6 * DAY),
                good=always(30 * DAY),
            ),
        ),
        fires_after=15,
        text=("security/console-mfa expires in 5d 23h 44m",),
    ),
    Alert(
        "MfaAccountUnreachable",
        "warning",
        ACCOUNT,
        (UP,),
        fires_after=30,
        text=("failed to audit account 111122223333 for half an hour",),
    ),
    Alert(
        "MfaAuditStale",
        "critical",
        ACCOUNT,
        (stopped("mfa_policy_last_success_timestamp_seconds"), EVERY_15_MINUTES),
        # Three intervals and half an hour, and the alert's own 5 minutes.
        fires_after=75 + 5 + 1,
        text=(
            "111122223333 has not been audited for 1h 22m",
            "more than three intervals of policy security/console-mfa",
        ),
    ),
    Alert(
        "MfaCredentialReportStale",
        "warning",
        ACCOUNT,
        (stopped("mfa_policy_credential_report_timestamp_seconds"), EVERY_15_MINUTES, UP_THROUGHOUT),
        # Two intervals and six hours, and the alert's own half hour.
        fires_after=390 + 30 + 1,
        text=("no newer credential report than one of 7h 2m 0s ago",),
    ),
    Alert(
        "MfaCredentialReportMissing",
        "warning",
        ACCOUNT,
        (
            UP_THROUGHOUT,
            Series("mfa_policy_credential_report_timestamp_seconds", ACCOUNT, bad=never, good=now),
        ),
        fires_after=60,
        text=("audited for an hour without a credential report",),
    ),
    Alert(
        "MfaOperatorDown",
        "critical",
        {},
        (Series("mfa_operator_leader", {}, bad=always(0), good=always(1)),),
        fires_after=5,
        text=("no replica of mfa-operator has said that it leads",),
    ),
    Alert(
        "MfaSettingsUnreadable",
        "warning",
        {},
        (Series("mfa_operator_settings_up", {}, bad=always(0), good=always(1)),),
        fires_after=5,
        text=("the settings file could not be read",),
    ),
    Alert(
        "MfaPolicyOverlooked",
        "warning",
        {},
        (Series("mfa_operator_overlooked_policies_total", {}, bad=float, good=always(1000)),),
        fires_after=2,
        text=("policies were found with no pass to come",),
    ),
)


def remediations(result: str) -> tuple[str, Labels]:
    return "mfa_policy_remediations_total", {**REMEDIATION, "result": result}
