"""The dashboard: every query is right, asks only for what the operator exports, and finds something."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from mfa_operator.api.enums import ErrorReason, RemediationAction
from mfa_operator.api.objects import PolicyRef
from mfa_operator.api.status import Counts
from mfa_operator.metrics.exporter import Metrics
from mfa_operator.reporting.figures import AccountFigures, PolicyFigures
from tests.chart.dashboard import DASHBOARD, PANELS, TARGETS, filled

# What Grafana puts in.
GRAFANA = {"interval": "5m", "rate_interval": "10m", "range_": "1h"}
NOW = datetime(1970, 1, 1, 2, tzinfo=UTC)
COUNTS = Counts(users=20, compliant=6, violating=3, overdue=2, exempt=5, unknown=1, quarantined=1)
# Labels that PromQL or the scrape adds.
ADDED_LABELS = {"le"}


def query(target: dict[str, Any]) -> str:
    return filled(target["expr"], **GRAFANA)


@pytest.fixture(scope="module")
def exported() -> Metrics:
    """A policy with two accounts, one of which cannot be audited now, and everything has happened once."""
    metrics = Metrics(version="1.2.3")
    metrics.set_leader(True)
    ref = PolicyRef("security", "console-mfa")
    accounts = {
        account_id: AccountFigures(
            name=f"account-{account_id[0]}",
            up=up,
            counts=COUNTS,
            last_success=NOW - timedelta(minutes=20),
            credential_report_time=NOW - timedelta(hours=1),
            oldest_violation=NOW - timedelta(hours=2),
        )
        for account_id, up in (("111122223333", True), ("222233334444", False))
    }
    metrics.set_policy(ref, PolicyFigures(timedelta(minutes=15), NOW, NOW + timedelta(days=9), accounts))
    metrics.observe_pass(ref, 3.0)
    for account_id in accounts:
        metrics.count_error(ref, account_id, ErrorReason.THROTTLED)
        metrics.count_remediation(ref, account_id, RemediationAction.QUARANTINE, "done")
    for code in ("200", "Throttling"):
        metrics.count_aws_request("iam", "ListUsers", code)
    return metrics


def exported_labels(metrics: Metrics) -> dict[str, set[str]]:
    """Labels of every sample name."""
    found: dict[str, set[str]] = {}
    for metric in metrics.collect():
        for sample in metric.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize("name", TARGETS)
def test_asks_only_for_metrics_and_labels_that_are_exported(exported: Metrics, name: str) -> None:
    panel, target = TARGETS[name]
    labels = exported_labels(exported)
    selectors = re.findall(r"\b(mfa_\w+)(?:\{([^}]*)\})?", query(target))
    assert selectors
    known = set(ADDED_LABELS)
    for metric, matchers in selectors:
        assert metric in labels, f"{metric} is not exported"
        known |= labels[metric]
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) <= labels[metric]
    grouped = re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", target["expr"])
    assert {label.strip() for group in grouped for label in group.split(",") if label.strip()} <= known
    assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= known
    assert panel["description"]


def test_each_query_finds_something(exported: Metrics, promtool: Path, tmp_path: Path) -> None:
    """promtool evaluates each over two hours of the operator's own metrics, counters counting."""
    expected = [(f"count({query(target)}) > bool 0", "2h", {"{}": 1.0}) for _, target in TARGETS.values()]
    evaluate(promtool, tmp_path, list(_input_series(exported)), expected)


Expected = tuple[str, str, dict[str, float]]
"""A query, when it is asked, and the values by labels that it must give."""


def evaluate(promtool: Path, tmp_path: Path, series: list[dict[str, str]], expected: Iterable[Expected]) -> None:
    """Have promtool ask queries of series that have a sample a minute."""
    asked = [
        {
            "expr": expr,
            "eval_time": at,
            "exp_samples": [{"labels": labels, "value": value} for labels, value in values.items()],
        }
        for expr, at, values in expected
    ]
    case = {"interval": "1m", "input_series": series, "promql_expr_test": asked}
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": [case]}))
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _input_series(metrics: Metrics) -> Iterator[dict[str, str]]:
    for metric in metrics.collect():
        for sample in metric.samples:
            pairs = ",".join(f'{key}="{value}"' for key, value in sample.labels.items())
            grows = metric.type in {"counter", "histogram"} and sample.value
            yield {
                "series": f"{sample.name}{{{pairs}}}",
                "values": f"{float(sample.value)}+{float(sample.value) if grows else 0}x120",
            }


def test_compliance_leaves_exempt_users_out_and_counts_unknown_ones_against_it(
    exported: Metrics, promtool: Path, tmp_path: Path
) -> None:
    _, target = TARGETS["Compliance-A"]
    evaluate(promtool, tmp_path, list(_input_series(exported)), [(query(target), "2h", {"{}": 6 / (6 + 3 + 2 + 1)})])


COUNTERS = {
    "Remediations-A": (
        'mfa_policy_remediations_total{policy_namespace="s",policy="p",account_id="1",action="a",result="done"}',
        '{action="a",result="done"}',
    ),
    "AWS throttles and errors-A": (
        'mfa_aws_requests_total{service="iam",operation="ListUsers",code="Throttling"}',
        '{code="Throttling"}',
    ),
}


@pytest.mark.parametrize("name", COUNTERS)
@pytest.mark.parametrize(
    ("samples", "drawn"),
    [
        # Minutes 31 and 45: a series begins with its first event, in the middle of a step and at its end.
        ("_x31 2x90", (None, 2, 0, 0, 0)),
        ("_x45 2x76", (None, 2, 0, 0, 0)),
        # A series that is there already, over a restart of the operator too.
        ("3x20 4x20 0x80", (1 * 16 / 15, 0, 0, 0, 0)),
        # Prometheus did not scrape for forty minutes.
        ("3x20 _x40 3x60", (0, None, None, 0, 0)),
    ],
    ids=["new", "new at the end of a step", "known", "gap"],
)
def test_each_event_is_drawn_once(
    promtool: Path, tmp_path: Path, name: str, samples: str, drawn: tuple[float | None, ...]
) -> None:
    """At the step of the panel, with what Grafana makes of it at a scrape interval of one minute."""
    panel, target = TARGETS[name]
    assert panel["interval"] == "15m"
    expr = filled(target["expr"], interval="15m", rate_interval="16m", range_="1d")
    series, labels = COUNTERS[name]
    expected = [
        (expr, f"{minute}m", {} if value is None else {labels: float(value)})
        for minute, value in zip((30, 45, 60, 75, 90), drawn, strict=True)
    ]
    evaluate(promtool, tmp_path, [{"series": series, "values": samples}], expected)


def test_one_failure_is_listed(promtool: Path, tmp_path: Path) -> None:
    """The account's policy is new, and its first pass failed."""
    labels = '{policy_namespace="s",policy="p",account_id="1",reason="timeout"}'
    _, target = TARGETS["Why: failures in this range-A"]
    series = [{"series": f"mfa_policy_errors_total{labels}", "values": "_x10 1x60"}]
    evaluate(promtool, tmp_path, series, [(query(target), "30m", {labels: 1.0})])


@pytest.mark.parametrize("name", ["Pass duration-A", "Pass duration-B"])
def test_a_pass_every_quarter_of_an_hour_suffices_for_the_duration(promtool: Path, tmp_path: Path, name: str) -> None:
    """The panel's step is long enough for the default interval: with a shorter one there were gaps."""
    panel, target = TARGETS[name]
    expr = filled(target["expr"], interval=panel["interval"], rate_interval=panel["interval"], range_="1d")
    labels = 'policy_namespace="s",policy="p"'
    series = [
        {
            "series": f'mfa_policy_pass_duration_seconds_bucket{{le="{le}",{labels}}}',
            "values": " ".join(f"{count}x14" for count in range(10)),
        }
        for le in ("5.0", "+Inf")
    ]
    # A comparison drops what is no number.
    expected = [(f"count({expr} >= 0)", f"{minute}m", {"{}": 1.0}) for minute in range(75, 90)]
    evaluate(promtool, tmp_path, series, expected)


def test_every_exported_metric_is_shown(exported: Metrics) -> None:
    shown = " ".join(target["expr"] for _, target in TARGETS.values())
    assert not [metric.name for metric in exported.collect() if metric.name not in shown]


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for one, other in combinations(DASHBOARD["panels"], 2):
        a, b = one["gridPos"], other["gridPos"]
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, f"{one['title']} and {other['title']} overlap"
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in DASHBOARD["panels"])
    rows = [panel["gridPos"]["y"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert all(first < second for first, second in pairwise(rows))


def test_the_data_source_is_the_readers_choice() -> None:
    sources = [each["datasource"]["uid"] for panel in PANELS for each in (panel, *panel["targets"])]
    assert set(sources) == {"${datasource}"}
