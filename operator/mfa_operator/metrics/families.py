"""From figures of policies to the metric families that Prometheus reads. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from mfa_operator.api.enums import UserState
from mfa_operator.api.objects import PolicyRef
from mfa_operator.reporting.figures import AccountFigures, PolicyFigures, Serving

POLICY = ("policy_namespace", "policy")
ACCOUNT = (*POLICY, "account_id")
STATES = {
    UserState.COMPLIANT: "compliant",
    UserState.VIOLATING: "violating",
    UserState.OVERDUE: "overdue",
    UserState.EXEMPT: "exempt",
    UserState.UNKNOWN: "unknown",
    UserState.NO_CONSOLE: "no_console",
}
Figures = Mapping[PolicyRef, PolicyFigures]
Sample = tuple[tuple[str, ...], float]


def gauge(name: str, help_text: str, labels: tuple[str, ...], samples: Iterable[Sample]) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family


def policy_gauges(figures: Figures) -> Iterator[Metric]:
    """Everything that stands in the figures, save who violates. What is not known has no sample."""
    policies = [((ref.namespace, ref.name), policy) for ref, policy in figures.items()]
    accounts = list(_accounts(figures))
    yield gauge(
        "mfa_policy_users",
        "IAM users of the account by verdict, as of the last successful audit; they add up to all users.",
        (*ACCOUNT, "state"),
        (
            ((*labels, STATES[state]), count)
            for labels, account in accounts
            if account.counts
            for state, count in account.counts.states.items()
        ),
    )
    yield gauge(
        "mfa_policy_account_up",
        "1 where the last try to audit the account succeeded, else 0.",
        ACCOUNT,
        ((labels, account.up) for labels, account in accounts),
    )
    yield gauge(
        "mfa_policy_account_info",
        "1, with the account's name as the policy has it, or its id.",
        (*ACCOUNT, "account_name"),
        (((*labels, account.name), 1) for labels, account in accounts),
    )
    yield gauge(
        "mfa_policy_quarantined_users",
        "IAM users under quarantine, as of the last successful audit; counted in mfa_policy_users as well.",
        ACCOUNT,
        ((labels, account.counts.quarantined) for labels, account in accounts if account.counts),
    )
    yield gauge(
        "mfa_policy_last_success_timestamp_seconds",
        "When the account was last audited with success.",
        ACCOUNT,
        _times((labels, account.last_success) for labels, account in accounts),
    )
    yield gauge(
        "mfa_policy_credential_report_timestamp_seconds",
        "When AWS made the credential report that the last successful audit began with.",
        ACCOUNT,
        _times((labels, account.credential_report_time) for labels, account in accounts),
    )
    yield gauge(
        "mfa_policy_oldest_violation_timestamp_seconds",
        "When the oldest violation that still stands was first seen.",
        ACCOUNT,
        _times((labels, account.oldest_violation) for labels, account in accounts),
    )
    yield gauge(
        "mfa_policy_last_pass_timestamp_seconds",
        "When the last pass over all accounts began, whether it succeeded or not.",
        POLICY,
        _times((labels, policy.last_pass) for labels, policy in policies),
    )
    yield gauge(
        "mfa_policy_interval_seconds",
        "Time from one pass to the next, as the policy asks for.",
        POLICY,
        ((labels, policy.interval.total_seconds()) for labels, policy in policies),
    )
    yield gauge(
        "mfa_policy_exemption_next_expiry_timestamp_seconds",
        "When the next of the policy's exemptions expires.",
        POLICY,
        _times((labels, policy.next_exemption_expiry) for labels, policy in policies),
    )


def serving_gauges(serving: Mapping[PolicyRef, Serving]) -> Iterator[Metric]:
    """Whether policies are served. Alerts go by it: a policy that is suspended, or invalid, is audited by nobody."""
    policies = [((ref.namespace, ref.name), each) for ref, each in serving.items()]
    yield gauge(
        "mfa_policy_ready",
        "1 where the policy's condition Ready is True, 0 where it is False; the condition's reason says why.",
        POLICY,
        ((labels, each.ready) for labels, each in policies if each.ready is not None),
    )
    yield gauge(
        "mfa_policy_suspended",
        "1 where spec.suspend is true, else 0.",
        POLICY,
        ((labels, each.suspended) for labels, each in policies),
    )


def user_violations(figures: Figures) -> Metric:
    """A series for every user that violates: personal data, and as many series as there are violations."""
    return gauge(
        "mfa_policy_user_violation_info",
        "1 for each IAM user that violates the requirement.",
        (*ACCOUNT, "user", "reason"),
        (((*labels, *violation), 1) for labels, account in _accounts(figures) for violation in account.violations),
    )


def known(metrics: Iterable[Metric], figures: Figures) -> Iterator[Metric]:
    """The metrics with only those samples whose policy, and account, stand in the figures; no `_created` times."""
    for metric in metrics:
        metric.samples = [
            sample
            for sample in metric.samples
            if not sample.name.endswith("_created") and _stands_in(figures, sample.labels)
        ]
        yield metric


def policy_labels(ref: PolicyRef) -> dict[str, str]:
    return {"policy_namespace": ref.namespace, "policy": ref.name}


def _stands_in(figures: Figures, labels: Mapping[str, str]) -> bool:
    if "policy" not in labels:
        return True
    policy = figures.get(PolicyRef(labels["policy_namespace"], labels["policy"]))
    return policy is not None and ("account_id" not in labels or labels["account_id"] in policy.accounts)


def _accounts(figures: Figures) -> Iterator[tuple[tuple[str, str, str], AccountFigures]]:
    for ref, policy in figures.items():
        for account_id, account in policy.accounts.items():
            yield (ref.namespace, ref.name, account_id), account


def _times(moments: Iterable[tuple[tuple[str, ...], datetime | None]]) -> Iterator[Sample]:
    return ((labels, moment.timestamp()) for labels, moment in moments if moment is not None)
