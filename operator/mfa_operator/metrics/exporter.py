"""Prometheus metrics over the last known state; names and labels are a contract with dashboards and alerts.

A policy's series are there from its first set_policy to its forget, an account's while the policy's figures name it;
that holds for counters and histograms too.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from mfa_operator.api.enums import ErrorReason, RemediationAction
from mfa_operator.api.objects import PolicyRef
from mfa_operator.metrics.account_counter import AccountCounter
from mfa_operator.metrics.event_metrics import EventMetrics
from mfa_operator.metrics.exposition import wsgi_app
from mfa_operator.metrics.families import (
    POLICY,
    Family,
    account_families,
    known,
    policy_families,
    policy_labels,
    serving_families,
    user_violations,
)
from mfa_operator.metrics.server import MetricsServer
from mfa_operator.metrics.totals import shown_accounts
from mfa_operator.reporting.figures import PolicyFigures, Serving

PASS_BUCKETS = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800)
"""Seconds: from one small account to a thousand of them, throttled."""


@dataclass(frozen=True, slots=True)
class _Collector(Collector):
    """What a function yields at each scrape."""

    function: Callable[[], Iterable[Metric]]

    def collect(self) -> Iterable[Metric]:
        return self.function()


class Metrics:
    """Everything the operator exports. Safe to call from any thread; nothing in it is global."""

    def __init__(
        self,
        *,
        version: str,
        user_violation_info: bool = False,
        per_account_limit: int | None = None,
        settings_up: Callable[[], bool] = lambda: True,
    ) -> None:
        """`user_violation_info` exports names of users, which are personal data and many series.

        A policy of more than `per_account_limit` accounts shows totals only; None: every account of every policy.
        `settings_up` is asked at each scrape whether the operator's settings file can be read.
        """
        self._per_account_limit = per_account_limit
        self._lock = threading.Lock()
        self._figures: dict[PolicyRef, PolicyFigures] = {}
        self._serving: dict[PolicyRef, Serving] = {}
        self._elsewhere: set[PolicyRef] = set()
        self._version = version
        self._leading = False
        self._overlooked = 0
        self._oldest_due: datetime | None = None
        self._settings_up = settings_up
        self._user_violation_info = user_violation_info
        self._pass_duration = Histogram(
            "mfa_policy_pass_duration_seconds",
            "How long a pass over all accounts of the policy took.",
            POLICY,
            registry=None,
            buckets=PASS_BUCKETS,
        )
        self._errors = AccountCounter("mfa_policy_errors", "Failed tries to audit the account, by reason.", ("reason",))
        self._remediations = AccountCounter(
            "mfa_policy_remediations", "Remediations of users, by action and result.", ("action", "result")
        )
        self._aws_requests = Counter(
            "mfa_aws_requests",
            "Requests to AWS, by HTTP status or error code of the answer.",
            ("service", "operation", "code"),
            registry=None,
        )
        self.events = EventMetrics()
        self._small = CollectorRegistry()
        self._small.register(_Collector(self._small_metrics))
        self._small.register(self.events)
        # Of the process itself: CPU, memory, file descriptors; garbage collection; the Python that runs.
        ProcessCollector(registry=self._small)
        GCCollector(registry=self._small)
        PlatformCollector(registry=self._small)
        self.registry = CollectorRegistry()
        """All of it, as prometheus-client has it; what is served over HTTP is the same text, written faster."""
        self.registry.register(_Collector(self._small.collect))
        self.registry.register(_Collector(self._account_metrics))
        self.wsgi_app = wsgi_app(self.registry, self._small, self._account_families)

    def set_policy(self, ref: PolicyRef, figures: PolicyFigures) -> None:
        """Replace what is known of the policy; an account that is not named any more loses all its series."""
        with self._lock:
            if ref in self._figures:
                for account_id in self._figures[ref].accounts.keys() - figures.accounts.keys():
                    self._errors.forget_account(ref, account_id)
                    self._remediations.forget_account(ref, account_id)
            self._figures[ref] = figures

    def set_serving(self, ref: PolicyRef, serving: Serving) -> None:
        """Replace what is known of whether the policy is served; its figures stay."""
        with self._lock:
            self._serving[ref] = serving

    def set_served_elsewhere(self, ref: PolicyRef, *, elsewhere: bool) -> None:
        """Whether another operator serves the policy, which ours selects too."""
        with self._lock:
            if elsewhere:
                self._elsewhere.add(ref)
            else:
                self._elsewhere.discard(ref)

    def forget(self, ref: PolicyRef) -> None:
        """Drop every series of the policy."""
        with self._lock:
            self._serving.pop(ref, None)
            self._figures.pop(ref, None)
            self._elsewhere.discard(ref)
            self._errors.forget(ref)
            self._remediations.forget(ref)
            self._pass_duration.remove_by_labels(policy_labels(ref))

    def observe_pass(self, ref: PolicyRef, seconds: float) -> None:
        """Count a pass; it shows once the policy has figures."""
        self._pass_duration.labels(ref.namespace, ref.name).observe(seconds)

    def count_error(self, ref: PolicyRef, account_id: str, reason: ErrorReason) -> None:
        """Count a failure of the account; it shows once the policy's figures name the account."""
        self._errors.count(ref, account_id, reason.value)

    def count_remediation(self, ref: PolicyRef, account_id: str, action: RemediationAction, result: str) -> None:
        """Count what became of one planned action; it shows once the policy's figures name the account."""
        self._remediations.count(ref, account_id, action.value, result)

    def count_aws_request(self, service: str, operation: str, code: str) -> None:
        """Count a request on the wire; `code` is AWS's error code, or the HTTP status where there is none."""
        self._aws_requests.labels(service, operation, code).inc()

    def set_leader(self, leading: bool) -> None:
        """Whether this replica acts, for mfa_operator_leader."""
        self._leading = leading

    def set_queue(self, overlooked: int, oldest_due: datetime | None) -> None:
        """How many times so far a policy had no pass scheduled, and since when the next pass has been due to begin."""
        self._overlooked, self._oldest_due = overlooked, oldest_due

    def serve(self, listening: socket.socket) -> MetricsServer:
        """Serve the metrics over HTTP on the socket, which is then the server's to close."""
        return MetricsServer(self.wsgi_app, listening)

    def collect(self) -> Iterator[Metric]:
        """The operator's own metrics as they are now, without those of its process."""
        yield from self._small_metrics()
        yield from self._account_metrics()

    def _account_metrics(self) -> Iterator[Metric]:
        return (family.to_metric() for family in self._account_families())

    def _account_families(self) -> Iterator[Family]:
        """What has series by account: most of it."""
        with self._lock:
            figures = dict(self._figures)
        accounts = shown_accounts(figures, self._per_account_limit)
        yield from account_families(accounts)
        if self._user_violation_info:
            yield user_violations(accounts)
        yield self._errors.family(accounts)
        yield self._remediations.family(accounts)

    def _small_metrics(self) -> Iterator[Metric]:
        """Everything else."""
        with self._lock:
            figures = dict(self._figures)
            serving = dict(self._serving)
            elsewhere = sorted(self._elsewhere)
        yield Family(
            "mfa_policy_served_elsewhere",
            "1 where another operator serves the policy though ours selects it, too; ours does nothing for it.",
            POLICY,
            [((ref.namespace, ref.name), 1) for ref in elsewhere],
        ).to_metric()
        for family in (*policy_families(figures), *serving_families(serving), *self._operator_families()):
            yield family.to_metric()
        yield from known(self._pass_duration.collect(), figures)
        yield from known(self._aws_requests.collect(), figures)
        yield CounterMetricFamily(
            "mfa_operator_overlooked_policies",
            "Policies found without a scheduled pass though neither suspended nor invalid; their passes go on.",
            value=self._overlooked,
        )

    def _operator_families(self) -> Iterator[Family]:
        yield Family(
            "mfa_operator_oldest_due_pass_timestamp_seconds",
            "When the pass was due that has waited longest to begin; none where no pass waits.",
            (),
            [((), moment.timestamp()) for moment in (self._oldest_due,) if moment],
        )
        yield Family(
            "mfa_operator_settings_up",
            "0 while the settings file cannot be read or is wrong, and nothing is remediated; else 1.",
            (),
            [((), self._settings_up())],
        )
        yield Family("mfa_operator_build_info", "1, with the version that runs.", ("version",), [((self._version,), 1)])
        yield Family("mfa_operator_leader", "1 where this replica acts, 0 where it waits.", (), [((), self._leading)])
