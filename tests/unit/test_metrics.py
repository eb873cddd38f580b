"""What Prometheus reads from the operator: names, types and labels are a contract with dashboards and alerts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import urllib3
from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from mfa_operator.api.enums import AccountState, ErrorReason, RemediationAction
from mfa_operator.api.objects import PolicyRef
from mfa_operator.api.status import Counts
from mfa_operator.metrics.exporter import Metrics
from mfa_operator.process.listen import listen
from mfa_operator.reporting.figures import AccountFigures, PolicyFigures, Serving

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
REF = PolicyRef("security", "console-mfa")
OTHER = PolicyRef("payments", "console-mfa")
PAYMENTS, STAGING = "111122223333", "444455556666"
POLICY = {"policy_namespace", "policy"}
ACCOUNT = POLICY | {"account_id"}
CONTRACT: dict[str, tuple[str, set[str]]] = {
    "mfa_policy_users": ("gauge", ACCOUNT | {"state"}),
    "mfa_policy_accounts": ("gauge", POLICY | {"state"}),
    "mfa_policy_account_up": ("gauge", ACCOUNT),
    "mfa_policy_last_success_timestamp_seconds": ("gauge", ACCOUNT),
    "mfa_policy_last_pass_timestamp_seconds": ("gauge", POLICY),
    "mfa_policy_interval_seconds": ("gauge", POLICY),
    "mfa_policy_credential_report_timestamp_seconds": ("gauge", ACCOUNT),
    "mfa_policy_oldest_violation_timestamp_seconds": ("gauge", ACCOUNT),
    "mfa_policy_exemption_next_expiry_timestamp_seconds": ("gauge", POLICY),
    "mfa_policy_discovery_up": ("gauge", POLICY),
    "mfa_policy_discovery_last_success_timestamp_seconds": ("gauge", POLICY),
    "mfa_policy_pass_duration_seconds": ("histogram", POLICY),
    "mfa_policy_errors_total": ("counter", ACCOUNT | {"reason"}),
    "mfa_policy_remediations_total": ("counter", ACCOUNT | {"action", "result"}),
    "mfa_policy_quarantined_users": ("gauge", ACCOUNT),
    "mfa_policy_user_violation_info": ("gauge", ACCOUNT | {"user", "reason"}),
    "mfa_policy_account_info": ("gauge", ACCOUNT | {"account_name"}),
    "mfa_policy_ready": ("gauge", POLICY),
    "mfa_policy_served_elsewhere": ("gauge", POLICY),
    "mfa_policy_suspended": ("gauge", POLICY),
    "mfa_aws_requests_total": ("counter", {"service", "operation", "code"}),
    "mfa_operator_build_info": ("gauge", {"version"}),
    "mfa_operator_overlooked_policies_total": ("counter", set()),
    "mfa_operator_leader": ("gauge", set()),
    "mfa_operator_oldest_due_pass_timestamp_seconds": ("gauge", set()),
    "mfa_operator_settings_up": ("gauge", set()),
}
COUNTS = Counts(
    users=21, console_users=15, compliant=1, violating=2, overdue=3, exempt=4, unknown=5, quarantined=2, remediated=1
)


def account(*, up: bool = True) -> AccountFigures:
    return AccountFigures(
        name="payments-prod",
        state=AccountState.AUDITED if up else AccountState.FAILED,
        counts=COUNTS,
        last_success=NOW - timedelta(minutes=1),
        credential_report_time=NOW - timedelta(hours=2),
        oldest_violation=NOW - timedelta(days=9),
        violations=(("alice", "NoMfa"), ("bob@example.com", "DeviceTypeNotAllowed")),
    )


def policy(**accounts: AccountFigures) -> PolicyFigures:
    return PolicyFigures(
        interval=timedelta(minutes=15),
        last_pass=NOW,
        next_exemption_expiry=NOW + timedelta(days=30),
        accounts={name.removeprefix("a"): figures for name, figures in accounts.items()},
        discovery_up=True,
        discovery_last_success=NOW,
    )


def count_everything(metrics: Metrics, ref: PolicyRef, account_id: str) -> None:
    metrics.observe_pass(ref, 3.0)
    metrics.count_error(ref, account_id, ErrorReason.THROTTLED)
    metrics.count_remediation(ref, account_id, RemediationAction.QUARANTINE, "done")


def full() -> Metrics:
    """Two policies of one name in two namespaces; the first has two accounts. Every metric has a sample."""
    metrics = Metrics(version="1.2.3", user_violation_info=True)
    metrics.set_policy(REF, policy(a111122223333=account(), a444455556666=account()))
    metrics.set_policy(OTHER, policy(a111122223333=account()))
    for ref in (REF, OTHER):
        metrics.set_serving(ref, Serving(ready=True, suspended=False))
        metrics.set_served_elsewhere(ref, elsewhere=True)
    for ref, account_id in ((REF, PAYMENTS), (REF, STAGING), (OTHER, PAYMENTS)):
        count_everything(metrics, ref, account_id)
    metrics.count_aws_request("iam", "ListUsers", "200")
    metrics.set_leader(True)
    metrics.set_queue(1, NOW)
    return metrics


def families(metrics: Metrics) -> dict[str, Metric]:
    """The operator's own metrics as Prometheus parses them, by the name that queries use."""
    text = generate_latest(metrics.registry).decode()
    return {
        family.name + "_total" * (family.type == "counter"): family
        for family in text_string_to_metric_families(text)
        if family.name.startswith("mfa_")
    }


def series(metrics: Metrics, **labels: str) -> list[str]:
    """Names of the series that have these labels."""
    return [
        sample.name
        for family in families(metrics).values()
        for sample in family.samples
        if labels.items() <= sample.labels.items()
    ]


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


AT = {"policy_namespace": "security", "policy": "console-mfa"}
IN_PAYMENTS = {**AT, "account_id": PAYMENTS}


class TestContract:
    def test_there_is_every_metric_and_no_other(self) -> None:
        assert families(full()).keys() == CONTRACT.keys()

    @pytest.mark.parametrize("name", CONTRACT)
    def test_has_its_type_and_labels(self, name: str) -> None:
        family = families(full())[name]
        kind, labels = CONTRACT[name]
        assert family.type == kind
        assert family.samples
        for sample in family.samples:
            assert sample.labels.keys() - ({"le"} if kind == "histogram" else set()) == labels

    def test_no_label_collides_with_prometheus_own(self) -> None:
        labels = {label for family in families(full()).values() for sample in family.samples for label in sample.labels}
        assert not labels & {"namespace", "instance", "job", "pod", "container"}

    def test_names_follow_prometheus_conventions(self) -> None:
        for name, family in families(full()).items():
            assert re.fullmatch(r"mfa_[a-z]+(_[a-z]+)*", name)
            assert family.documentation.endswith(".")
            assert name.endswith("_total") == (family.type == "counter")
            assert name.endswith("_seconds") == ("timestamp" in name or "duration" in name or "interval" in name)
            assert not re.search(
                r"_(milliseconds|minutes|hours|count|sum|bucket|created|gauge|counter|histogram)$", name
            )
            assert all(sample.name.startswith(name) for sample in family.samples)

    def test_it_is_openmetrics_too(self) -> None:
        text = generate_openmetrics(full().registry).decode()  # type: ignore[no-untyped-call]  # ships no types
        names = {family.name for family in parse_openmetrics(text)}  # type: ignore[no-untyped-call]  # ships no types
        assert {name for name in names if name.startswith("mfa_")} == {name.removesuffix("_total") for name in CONTRACT}

    def test_the_process_is_exported_too(self) -> None:
        """Under the names that dashboards for any Python program know."""
        metrics = full()
        assert (value(metrics, "process_resident_memory_bytes") or 0) > 1e6
        assert (value(metrics, "process_cpu_seconds_total") or 0) > 0
        assert value(metrics, "python_gc_collections_total", generation="0") is not None
        names = {family.name for family in text_string_to_metric_families(generate_latest(metrics.registry).decode())}
        assert "python_info" in names

    def test_a_fresh_operator_exports_itself_alone(self) -> None:
        metrics = Metrics(version="1.2.3")
        assert sorted(series(metrics)) == [
            "mfa_operator_build_info",
            "mfa_operator_leader",
            "mfa_operator_overlooked_policies_total",
            "mfa_operator_settings_up",
        ]
        assert value(metrics, "mfa_operator_overlooked_policies_total") == 0
        assert value(metrics, "mfa_operator_build_info", version="1.2.3") == 1
        assert value(metrics, "mfa_operator_leader") == 0

    def test_nothing_is_global(self) -> None:
        first, second = full(), Metrics(version="1.2.3")
        assert len(series(second)) < len(series(first))


class TestValues:
    def test_states_are_those_of_the_counts_and_add_up_to_the_users(self) -> None:
        users = {
            sample.labels["state"]: sample.value
            for sample in families(full())["mfa_policy_users"].samples
            if IN_PAYMENTS.items() <= sample.labels.items()
        }
        assert users == {"compliant": 1, "violating": 2, "overdue": 3, "exempt": 4, "unknown": 5, "no_console": 6}
        assert sum(users.values()) == COUNTS.users

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("mfa_policy_account_up", 1.0),
            ("mfa_policy_quarantined_users", 2.0),
            ("mfa_policy_last_success_timestamp_seconds", (NOW - timedelta(minutes=1)).timestamp()),
            ("mfa_policy_credential_report_timestamp_seconds", (NOW - timedelta(hours=2)).timestamp()),
            ("mfa_policy_oldest_violation_timestamp_seconds", (NOW - timedelta(days=9)).timestamp()),
        ],
    )
    def test_of_an_account(self, name: str, expected: float) -> None:
        assert value(full(), name, **IN_PAYMENTS) == expected

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("mfa_policy_interval_seconds", 900.0),
            ("mfa_policy_last_pass_timestamp_seconds", NOW.timestamp()),
            ("mfa_policy_exemption_next_expiry_timestamp_seconds", (NOW + timedelta(days=30)).timestamp()),
            ("mfa_policy_pass_duration_seconds_count", 2.0),
            ("mfa_policy_pass_duration_seconds_sum", 6.0),
        ],
    )
    def test_of_a_policy(self, name: str, expected: float) -> None:
        assert value(full(), name, **AT) == expected

    def test_counters_count(self) -> None:
        metrics = full()
        metrics.count_error(REF, PAYMENTS, ErrorReason.THROTTLED)
        metrics.count_aws_request("iam", "ListUsers", "200")
        assert value(metrics, "mfa_policy_errors_total", **IN_PAYMENTS, reason="throttled") == 2
        assert value(metrics, "mfa_aws_requests_total", service="iam", operation="ListUsers", code="200") == 2
        done = {"action": "QuarantineUntilMfa", "result": "done"}
        assert value(metrics, "mfa_policy_remediations_total", **IN_PAYMENTS, **done) == 1

    def test_what_never_happened_has_no_series(self) -> None:
        """With thousands of accounts they would be most of all series."""
        metrics = Metrics(version="1.2.3")
        metrics.set_policy(REF, policy(a111122223333=replace(account(), counts=Counts(users=2, violating=2))))
        users = families(metrics)["mfa_policy_users"].samples
        # Without anybody compliant, too: the share of those who are is 0 then, and not unknown.
        assert {sample.labels["state"]: sample.value for sample in users} == {"compliant": 0, "violating": 2}
        for name in ("mfa_policy_errors_total", "mfa_policy_remediations_total", "mfa_policy_quarantined_users"):
            assert not families(metrics)[name].samples

    def test_what_is_not_known_has_no_sample(self) -> None:
        metrics = Metrics(version="1.2.3")
        unknown = AccountFigures(
            name=PAYMENTS,
            state=AccountState.DENIED,
            counts=None,
            last_success=None,
            credential_report_time=None,
            oldest_violation=None,
        )
        bare = replace(policy(a111122223333=unknown), last_pass=None, next_exemption_expiry=None)
        metrics.set_policy(REF, replace(bare, discovery_up=None, discovery_last_success=None))
        assert set(series(metrics, policy="console-mfa")) == {
            "mfa_policy_account_up",
            "mfa_policy_account_info",
            "mfa_policy_accounts",
            "mfa_policy_interval_seconds",
        }
        assert value(metrics, "mfa_policy_account_up", **IN_PAYMENTS) == 0

    def test_leadership_can_be_lost(self) -> None:
        metrics = full()
        metrics.set_leader(False)
        assert value(metrics, "mfa_operator_leader") == 0


class TestFailedAccount:
    def test_keeps_its_counts_and_is_not_up(self) -> None:
        metrics = full()
        before = families(metrics)["mfa_policy_users"].samples
        metrics.set_policy(REF, policy(a111122223333=account(up=False), a444455556666=account()))
        assert families(metrics)["mfa_policy_users"].samples == before
        assert value(metrics, "mfa_policy_account_up", **IN_PAYMENTS) == 0
        assert value(metrics, "mfa_policy_account_up", **AT, account_id=STAGING) == 1


class TestVanishing:
    def test_all_series_of_an_account_vanish_with_it(self) -> None:
        metrics = full()
        others = [series(metrics, account_id=PAYMENTS), series(metrics, policy_namespace="payments")]
        assert len(set(series(metrics, **AT, account_id=STAGING))) == 10
        metrics.set_policy(REF, policy(a111122223333=account()))
        assert series(metrics, account_id=STAGING) == []
        assert [series(metrics, account_id=PAYMENTS), series(metrics, policy_namespace="payments")] == others

    def test_all_series_of_a_policy_vanish_with_it(self) -> None:
        metrics = full()
        others = series(metrics, policy_namespace="payments")
        metrics.forget(REF)
        assert series(metrics, policy_namespace="security") == []
        assert series(metrics, policy_namespace="payments") == others
        metrics.forget(REF)

    def test_a_pass_in_flight_does_not_bring_a_forgotten_policy_back(self) -> None:
        metrics = full()
        metrics.forget(REF)
        count_everything(metrics, REF, PAYMENTS)
        assert series(metrics, policy_namespace="security") == []

    def test_a_pass_in_flight_does_not_bring_a_vanished_account_back(self) -> None:
        metrics = full()
        metrics.set_policy(REF, policy(a111122223333=account()))
        count_everything(metrics, REF, STAGING)
        assert series(metrics, account_id=STAGING) == []

    @pytest.mark.parametrize("back", ["account", "policy"])
    def test_counters_begin_anew_when_it_comes_back(self, back: str) -> None:
        metrics = full()
        if back == "policy":
            metrics.forget(REF)
        else:
            metrics.set_policy(REF, policy(a444455556666=account()))
        metrics.set_policy(REF, policy(a111122223333=account()))
        assert value(metrics, "mfa_policy_errors_total", **IN_PAYMENTS, reason="throttled") is None
        count_everything(metrics, REF, PAYMENTS)
        assert value(metrics, "mfa_policy_errors_total", **IN_PAYMENTS, reason="throttled") == 1
        assert value(metrics, "mfa_policy_pass_duration_seconds_count", **AT) == (1 if back == "policy" else 3)

    def test_what_the_first_pass_counts_shows_once_it_is_over(self) -> None:
        metrics = Metrics(version="1.2.3")
        count_everything(metrics, REF, PAYMENTS)
        metrics.set_policy(REF, policy(a111122223333=account()))
        assert value(metrics, "mfa_policy_errors_total", **IN_PAYMENTS, reason="throttled") == 1
        assert value(metrics, "mfa_policy_pass_duration_seconds_count", **AT) == 1


class TestTotals:
    """Policies with more accounts than the limit."""

    @pytest.fixture
    def metrics(self) -> Metrics:
        """One of two accounts shows totals, the other, of one, does not."""
        metrics = Metrics(version="1.2.3", user_violation_info=True, per_account_limit=1)
        late = replace(
            account(),
            last_success=NOW - timedelta(hours=3),
            credential_report_time=NOW - timedelta(hours=5),
            oldest_violation=NOW - timedelta(days=2),
        )
        metrics.set_policy(REF, policy(a111122223333=account(), a444455556666=late))
        metrics.set_policy(OTHER, policy(a111122223333=account()))
        for ref, account_id in ((REF, PAYMENTS), (REF, STAGING), (OTHER, PAYMENTS)):
            count_everything(metrics, ref, account_id)
        return metrics

    def test_take_the_place_of_accounts(self, metrics: Metrics) -> None:
        shown = {
            (sample.labels["policy_namespace"], sample.labels["account_id"])
            for family in families(metrics).values()
            for sample in family.samples
            if "account_id" in sample.labels
        }
        assert shown == {("security", "security/console-mfa"), ("payments", PAYMENTS)}
        assert not {"alice", "bob@example.com"} & {
            sample.labels["user"]
            for sample in families(metrics)["mfa_policy_user_violation_info"].samples
            if sample.labels["policy_namespace"] == "security"
        }

    @pytest.mark.parametrize(
        ("name", "labels", "expected"),
        [
            ("mfa_policy_users", {"state": "overdue"}, 6),
            ("mfa_policy_users", {"state": "no_console"}, 12),
            ("mfa_policy_quarantined_users", {}, 4),
            ("mfa_policy_account_up", {}, 1),
            ("mfa_policy_account_info", {"account_name": "all accounts of security/console-mfa"}, 1),
            ("mfa_policy_errors_total", {"reason": "throttled"}, 2),
            ("mfa_policy_remediations_total", {"action": "QuarantineUntilMfa", "result": "done"}, 2),
            ("mfa_policy_last_success_timestamp_seconds", {}, (NOW - timedelta(hours=3)).timestamp()),
            ("mfa_policy_credential_report_timestamp_seconds", {}, (NOW - timedelta(hours=5)).timestamp()),
            ("mfa_policy_oldest_violation_timestamp_seconds", {}, (NOW - timedelta(days=9)).timestamp()),
        ],
    )
    def test_are_sums_and_the_oldest_of_times(
        self, metrics: Metrics, name: str, labels: dict[str, str], expected: float
    ) -> None:
        assert value(metrics, name, **AT, account_id="security/console-mfa", **labels) == expected

    def test_an_account_that_fails_shows_and_hides_nothing(self, metrics: Metrics) -> None:
        old = replace(account(up=False), last_success=NOW - timedelta(days=90))
        metrics.set_policy(REF, policy(a111122223333=account(), a444455556666=old))
        total = {**AT, "account_id": "security/console-mfa"}
        assert value(metrics, "mfa_policy_account_up", **total) == 0
        last_success = value(metrics, "mfa_policy_last_success_timestamp_seconds", **total)
        assert last_success == (NOW - timedelta(minutes=1)).timestamp()
        assert value(metrics, "mfa_policy_accounts", **AT, state="failed") == 1
        assert value(metrics, "mfa_policy_users", **total, state="overdue") == 6

    def test_counters_do_not_fall_with_an_account_that_leaves(self, metrics: Metrics) -> None:
        metrics.set_policy(REF, policy(a111122223333=account(), a777788889999=account()))
        total = {**AT, "account_id": "security/console-mfa"}
        assert value(metrics, "mfa_policy_errors_total", **total, reason="throttled") == 2
        metrics.forget(REF)
        assert series(metrics, policy_namespace="security") == []


class TestAccountStates:
    def test_a_pending_account_is_neither_up_nor_down(self) -> None:
        """It has just joined; and where its policy shows totals, they are not down because of it."""
        pending = replace(account(), state=AccountState.PENDING, counts=None, last_success=None)
        for limit, expected in ((None, {PAYMENTS: 1.0}), (1, {"security/console-mfa": 1.0})):
            metrics = Metrics(version="1.2.3", per_account_limit=limit)
            metrics.set_policy(REF, policy(a111122223333=account(), a444455556666=pending))
            up = families(metrics)["mfa_policy_account_up"].samples
            assert {sample.labels["account_id"]: sample.value for sample in up} == expected

    def test_every_state_is_counted(self) -> None:
        metrics = Metrics(version="1.2.3")
        states = {f"a{number:012}": replace(account(), state=state) for number, state in enumerate(AccountState)}
        metrics.set_policy(REF, replace(policy(**states, a9=account()), skipped=3, excluded=4))
        found = {sample.labels["state"]: sample.value for sample in families(metrics)["mfa_policy_accounts"].samples}
        assert found == {**{state.lower(): 1 for state in AccountState}, "audited": 2, "skipped": 3, "excluded": 4}


class TestUserNames:
    def test_are_not_exported_unless_asked_for(self) -> None:
        metrics = Metrics(version="1.2.3")
        metrics.set_policy(REF, policy(a111122223333=account()))
        assert "mfa_policy_user_violation_info" not in families(metrics)
        assert b"alice" not in generate_latest(metrics.registry)

    def test_are_exported_where_asked_for(self) -> None:
        violation = {"user": "bob@example.com", "reason": "DeviceTypeNotAllowed"}
        assert value(full(), "mfa_policy_user_violation_info", **IN_PAYMENTS, **violation) == 1


class TestHttp:
    @pytest.fixture
    def http(self) -> Iterator[urllib3.PoolManager]:
        with urllib3.PoolManager() as http:
            yield http

    @pytest.mark.parametrize(
        ("host", "url"),
        [
            ("127.0.0.1", "http://127.0.0.1"),
            ("::1", "http://[::1]"),
            ("::", "http://127.0.0.1"),
            ("::", "http://[::1]"),
            ("", "http://127.0.0.1"),
            ("", "http://[::1]"),
        ],
    )
    def test_serves_the_exposition(self, http: urllib3.PoolManager, host: str, url: str) -> None:
        with closing(full().serve(listen((host, 0)))) as server:
            answer = http.request("GET", f"{url}:{server.port}/metrics")
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        served = {family.name for family in text_string_to_metric_families(answer.data.decode())}
        assert {name for name in served if name.startswith("mfa_")} == {
            name.removesuffix("_total") for name in CONTRACT
        }

    def test_an_address_in_use_is_an_error_at_once(self) -> None:
        with closing(full().serve(listen(("127.0.0.1", 0)))) as first, pytest.raises(OSError, match="in use"):
            listen(("127.0.0.1", first.port))

    def test_a_closed_server_frees_its_address(self) -> None:
        with closing(full().serve(listen(("127.0.0.1", 0)))) as first:
            port = first.port
        with closing(full().serve(listen(("127.0.0.1", port)))) as second:
            assert second.port == port
