"""What each alert goes by: series in a bad and in a good state, minute by minute, for promtool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Labels = dict[str, str]
Values = Callable[[int], float | None]
"""The sample at a minute since the beginning, whose Unix time is 0; None: no sample."""

CLUSTER = {"cluster": "eu-1"}
"""As a label that a scrape or Prometheus adds: it has to be on every alert."""
POLICY = {**CLUSTER, "policy_namespace": "security", "policy": "console-mfa"}
ACCOUNT = {**POLICY, "account_id": "111122223333"}
ACCOUNT_OF_NAMESPACE = {label: value for label, value in ACCOUNT.items() if label != "policy"}
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
    remembers: int = 0
    """Minutes for which it looks back."""


def users(state: str) -> Series:
    """A state that no user is in has no series."""
    return Series("mfa_policy_users", {**ACCOUNT, "state": state}, bad=always(2), good=never)


UP = Series("mfa_policy_account_up", ACCOUNT, bad=always(0), good=always(1))
UP_THROUGHOUT = Series("mfa_policy_account_up", ACCOUNT, bad=always(1), good=always(1))
EVERY_15_MINUTES = Series("mfa_policy_interval_seconds", POLICY, bad=always(INTERVAL), good=always(INTERVAL))


READY = Series("mfa_policy_ready", POLICY, bad=always(0), good=always(1))
SUSPENDED = Series("mfa_policy_suspended", POLICY, bad=always(1), good=always(0))


def passes(minutes: int, each: float) -> Values:
    """A counter that grows by `each` after so many minutes."""
    return lambda minute: minute // minutes * each


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
        text=("2 users of account 111122223333 could not be checked",),
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
        ACCOUNT_OF_NAMESPACE,
        (UP,),
        fires_after=30,
        text=("namespace security have failed to audit account 111122223333 for half an hour",),
    ),
    Alert(
        "MfaAuditStale",
        "critical",
        POLICY,
        (stopped("mfa_policy_last_success_timestamp_seconds"), EVERY_15_MINUTES),
        # Three intervals and half an hour, and the alert's own 5 minutes.
        fires_after=75 + 5 + 1,
        text=(
            "Policy security/console-mfa has not been audited for 1h 22m",
            "more than three of its intervals",
        ),
    ),
    Alert(
        "MfaCredentialReportStale",
        "warning",
        ACCOUNT,
        (stopped("mfa_policy_credential_report_timestamp_seconds"), EVERY_15_MINUTES, UP_THROUGHOUT),
        # Two intervals and six hours, and the alert's own half hour.
        fires_after=390 + 30 + 1,
        text=("newest credential report is 7h 2m 0s old",),
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
        text=("has been audited without a credential report",),
    ),
    Alert(
        "MfaManyAccountsFailing",
        "critical",
        CLUSTER,
        tuple(
            Series("mfa_policy_account_up", {**ACCOUNT, "account_id": f"{number:012}"}, bad=always(0), good=always(1))
            for number in range(3)
        ),
        fires_after=10,
        text=("3 AWS accounts cannot be audited", "probably for a common cause"),
    ),
    Alert(
        "MfaPolicyNotServed",
        "warning",
        POLICY,
        (READY, Series("mfa_policy_suspended", POLICY, bad=always(0), good=always(0))),
        fires_after=15,
        text=("no account of policy security/console-mfa has been audited", "The condition Ready says which"),
    ),
    Alert(
        "MfaDiscoveryFailed",
        "warning",
        POLICY,
        (
            Series("mfa_policy_discovery_up", POLICY, bad=always(0), good=always(1)),
            Series("mfa_policy_suspended", POLICY, bad=always(0), good=always(0)),
        ),
        fires_after=60,
        text=("the AWS organization of policy security/console-mfa could not be listed", "AccountsDiscovered says why"),
    ),
    Alert(
        "MfaPolicySuspended",
        "info",
        POLICY,
        (READY, SUSPENDED),
        fires_after=24 * 60,
        text=("security/console-mfa has been suspended for more than a day",),
    ),
    Alert(
        "MfaPolicyServedElsewhere",
        "warning",
        POLICY,
        (Series("mfa_policy_served_elsewhere", POLICY, bad=always(1), good=never),),
        fires_after=15,
        text=("Two operators select policy security/console-mfa", "The one in its status.servedBy serves it"),
    ),
    Alert(
        "MfaPassSlow",
        "warning",
        POLICY,
        (
            Series("mfa_policy_pass_duration_seconds_sum", POLICY, bad=passes(20, 1200), good=passes(15, 60)),
            Series("mfa_policy_pass_duration_seconds_count", POLICY, bad=passes(20, 1), good=passes(15, 1)),
            EVERY_15_MINUTES,
        ),
        fires_after=35,
        text=("security/console-mfa takes 20m 0s on average, longer than spec.interval",),
        remembers=360,
    ),
    Alert(
        "MfaQuarantinesLeft",
        "warning",
        ACCOUNT,
        (Series("mfa_policy_quarantined_users", ACCOUNT, bad=always(2), good=always(0)), SUSPENDED),
        fires_after=15,
        text=("2 users of account 111122223333 are under quarantine by policy security/console-mfa",),
    ),
    Alert(
        "MfaOperatorDown",
        "critical",
        CLUSTER,
        (Series("mfa_operator_leader", CLUSTER, bad=always(0), good=always(1)),),
        fires_after=5,
        text=("no replica of mfa-operator has reported that it leads",),
    ),
    Alert(
        "MfaSettingsUnreadable",
        "warning",
        CLUSTER,
        (Series("mfa_operator_settings_up", CLUSTER, bad=always(0), good=always(1)),),
        fires_after=5,
        text=("the settings file could not be read",),
    ),
    Alert(
        "MfaEventQueueDown",
        "warning",
        CLUSTER,
        (Series("mfa_event_queue_up", CLUSTER, bad=always(0), good=always(1)),),
        fires_after=10,
        text=("requests to the queue with IAM events have failed",),
    ),
    Alert(
        "MfaEventsStopped",
        "warning",
        CLUSTER,
        (
            Series(
                "mfa_events_received_total",
                {**CLUSTER, "type": "CreateUser", "result": "hinted"},
                bad=lambda minute: min(minute, 10 * 60),
                good=float,
            ),
            Series("mfa_event_queue_up", CLUSTER, bad=always(1), good=always(1)),
        ),
        # Ten hours with events, a day without, and the alert's own 5 minutes.
        fires_after=10 * 60 + 24 * 60 + 5,
        text=("no event has arrived for a day",),
    ),
    Alert(
        "MfaPassesLate",
        "warning",
        {},
        (Series("mfa_operator_oldest_due_pass_timestamp_seconds", {}, bad=always(0), good=now),),
        # A quarter of an hour, and the alert's own 5 minutes.
        fires_after=15 + 5 + 1,
        text=("A pass has been due for 22m",),
    ),
    Alert(
        "MfaPolicyOverlooked",
        "warning",
        CLUSTER,
        (Series("mfa_operator_overlooked_policies_total", CLUSTER, bad=float, good=always(1000)),),
        fires_after=2,
        text=("policies had no pass scheduled",),
    ),
)


def remediations(result: str) -> tuple[str, Labels]:
    return "mfa_policy_remediations_total", {**REMEDIATION, "result": result}
