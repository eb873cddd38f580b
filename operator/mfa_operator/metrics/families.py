"""From figures of policies to the metric families that Prometheus reads. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from mfa_operator.api.enums import AccountState, UserState
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
UP = {AccountState.AUDITED: 1, AccountState.FAILED: 0, AccountState.DENIED: 0}
Figures = Mapping[PolicyRef, PolicyFigures]
Sample = tuple[tuple[str, ...], float]
Accounts = Mapping[PolicyRef, Mapping[str, AccountFigures]]
"""What is shown of each policy's accounts, by account_id."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with all its series."""

    name: str
    """Without `_total`."""
    help_text: str
    labels: tuple[str, ...]
    samples: Iterable[Sample]
    """Values of the labels in their order, and the number; to be read once."""
    type: Literal["gauge", "counter"] = "gauge"

    def to_metric(self) -> Metric:
        """As prometheus-client has it."""
        make = GaugeMetricFamily if self.type == "gauge" else CounterMetricFamily
        family = make(self.name, self.help_text, labels=self.labels)
        for values, number in self.samples:
            family.add_metric(values, number)
        return family


def account_families(accounts: Accounts) -> Iterator[Family]:
    """Everything that stands in the figures of accounts, save who violates.

    What is not known has no series, and neither has a count of 0: ten thousand accounts with every series that is
    possible are more than a Prometheus wants. `compliant` alone is always there, so that a sum over the states is.
    """
    rows = list(_rows(accounts))
    yield Family(
        "mfa_policy_users",
        "IAM users of the account by verdict, as of the last successful audit; they add up to all users. A state"
        " without users has no series, except compliant.",
        (*ACCOUNT, "state"),
        (
            ((*labels, STATES[state]), count)
            for labels, account in rows
            if account.counts
            for state, count in account.counts.states.items()
            if count or state is UserState.COMPLIANT
        ),
    )
    yield Family(
        "mfa_policy_account_up",
        "1 if the last attempt to audit the account succeeded, else 0; no series while it is Pending.",
        ACCOUNT,
        ((labels, UP[account.state]) for labels, account in rows if account.state in UP),
    )
    yield Family(
        "mfa_policy_account_info",
        "1, with the account's name as the policy has it, or its id.",
        (*ACCOUNT, "account_name"),
        (((*labels, account.name), 1) for labels, account in rows),
    )
    yield Family(
        "mfa_policy_quarantined_users",
        "IAM users under quarantine, as of the last successful audit; counted in mfa_policy_users as well. No"
        " series where nobody is.",
        ACCOUNT,
        (
            (labels, account.counts.quarantined)
            for labels, account in rows
            if account.counts and account.counts.quarantined
        ),
    )
    yield Family(
        "mfa_policy_last_success_timestamp_seconds",
        "When the account was last audited successfully.",
        ACCOUNT,
        _times((labels, account.last_success) for labels, account in rows),
    )
    yield Family(
        "mfa_policy_credential_report_timestamp_seconds",
        "When AWS made the credential report that the last successful audit began with.",
        ACCOUNT,
        _times((labels, account.credential_report_time) for labels, account in rows),
    )
    yield Family(
        "mfa_policy_oldest_violation_timestamp_seconds",
        "When the oldest violation that still stands was first seen.",
        ACCOUNT,
        _times((labels, account.oldest_violation) for labels, account in rows),
    )


def policy_families(figures: Figures) -> Iterator[Family]:
    """What stands in the figures of policies themselves."""
    policies = [((ref.namespace, ref.name), policy) for ref, policy in figures.items()]
    yield Family(
        "mfa_policy_accounts",
        "Accounts of the policy by result of the last attempt to audit them. Suspended and closed accounts of the"
        " organization are skipped; those that the policy leaves out are excluded.",
        (*POLICY, "state"),
        (((*labels, state), count) for labels, policy in policies for state, count in _account_states(policy).items()),
    )
    yield Family(
        "mfa_policy_last_pass_timestamp_seconds",
        "When the last pass over all accounts began, whether it succeeded or not.",
        POLICY,
        _times((labels, policy.last_pass) for labels, policy in policies),
    )
    yield Family(
        "mfa_policy_interval_seconds",
        "Time from one pass to the next, as the policy asks for.",
        POLICY,
        ((labels, policy.interval.total_seconds()) for labels, policy in policies),
    )
    yield Family(
        "mfa_policy_discovery_up",
        "1 where the last listing of the policy's organization was complete, 0 where it was not and an older list is in"
        " force. Only of policies with spec.organization.",
        POLICY,
        ((labels, policy.discovery_up) for labels, policy in policies if policy.discovery_up is not None),
    )
    yield Family(
        "mfa_policy_discovery_last_success_timestamp_seconds",
        "When the list of the organization's accounts that is in force was read. Only with spec.organization.",
        POLICY,
        _times((labels, policy.discovery_last_success) for labels, policy in policies),
    )
    yield Family(
        "mfa_policy_exemption_next_expiry_timestamp_seconds",
        "When the next of the policy's exemptions expires.",
        POLICY,
        _times((labels, policy.next_exemption_expiry) for labels, policy in policies),
    )


def serving_families(serving: Mapping[PolicyRef, Serving]) -> Iterator[Family]:
    """Whether policies are served. Alerts go by it: a policy that is suspended, or invalid, is audited by nobody."""
    policies = [((ref.namespace, ref.name), each) for ref, each in serving.items()]
    yield Family(
        "mfa_policy_ready",
        "1 where the policy's condition Ready is True, 0 where it is False; the condition's reason says why.",
        POLICY,
        ((labels, each.ready) for labels, each in policies if each.ready is not None),
    )
    yield Family(
        "mfa_policy_suspended",
        "1 where spec.suspend is true, else 0.",
        POLICY,
        ((labels, each.suspended) for labels, each in policies),
    )


def user_violations(accounts: Accounts) -> Family:
    """A series for every user that violates: personal data, and as many series as there are violations."""
    return Family(
        "mfa_policy_user_violation_info",
        "1 for each IAM user that violates the requirement.",
        (*ACCOUNT, "user", "reason"),
        (((*labels, *violation), 1) for labels, account in _rows(accounts) for violation in account.violations),
    )


def without_created(metrics: Iterable[Metric]) -> Iterator[Metric]:
    """The metrics without the `_created` time that prometheus-client gives each counter and histogram: nobody asks."""
    for metric in metrics:
        metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
        yield metric


def known(metrics: Iterable[Metric], figures: Figures) -> Iterator[Metric]:
    """The metrics with only those samples whose policy stands in the figures."""
    for metric in without_created(metrics):
        metric.samples = [sample for sample in metric.samples if _stands_in(figures, sample.labels)]
        yield metric


def policy_labels(ref: PolicyRef) -> dict[str, str]:
    return {"policy_namespace": ref.namespace, "policy": ref.name}


def _account_states(policy: PolicyFigures) -> dict[str, int]:
    counted = Counter(account.state for account in policy.accounts.values())
    by_state = {state.lower(): counted[state] for state in AccountState}
    return by_state | {"skipped": policy.skipped, "excluded": policy.excluded}


def _stands_in(figures: Figures, labels: Mapping[str, str]) -> bool:
    return "policy" not in labels or PolicyRef(labels["policy_namespace"], labels["policy"]) in figures


def _rows(accounts: Accounts) -> Iterator[tuple[tuple[str, str, str], AccountFigures]]:
    for ref, policy in accounts.items():
        for account_id, account in policy.items():
            yield (ref.namespace, ref.name, account_id), account


def _times(moments: Iterable[tuple[tuple[str, ...], datetime | None]]) -> Iterator[Sample]:
    return ((labels, moment.timestamp()) for labels, moment in moments if moment is not None)
