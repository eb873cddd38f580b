"""The dashboard: every query is right, asks only for what the operator exports, and finds something."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from mfa_operator.api.enums import ErrorReason, RemediationAction
from mfa_operator.api.objects import PolicyRef
from mfa_operator.api.status import Counts
from mfa_operator.figures import AccountFigures, PolicyFigures
from mfa_operator.metrics import Metrics

DASHBOARD: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "deploy" / "grafana" / "mfa-operator.json").read_text(encoding="utf-8")
)
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS = {f"{panel['title']}-{each['refId']}": (panel, each) for panel in PANELS for each in panel["targets"]}
VARIABLES = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
# What Grafana puts in, with everything chosen.
GRAFANA = {"$__rate_interval": "10m", "$__range": "1h", **{f"${name}": ".*" for name in VARIABLES}}
NOW = datetime(1970, 1, 1, 2, tzinfo=UTC)
COUNTS = Counts(users=20, compliant=6, violating=3, overdue=2, exempt=5, unknown=1, quarantined=1)
# Labels that PromQL or the scrape adds.
ADDED_LABELS = {"le"}


def query(target: dict[str, Any]) -> str:
    expr: str = target["expr"]
    # The longer names first: $policy begins $policy_namespace.
    for name in sorted(GRAFANA, key=len, reverse=True):
        expr = expr.replace(name, GRAFANA[name])
    assert "$" not in expr
    return expr


@pytest.fixture(scope="module")
def exported() -> Metrics:
    """A policy with two accounts, one of which cannot be audited now, and everything has happened once."""
    metrics = Metrics(version="1.2.3")
    metrics.set_leader(True)
    ref = PolicyRef("security", "console-mfa")
    accounts = {
        account_id: AccountFigures(
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
    case = {
        "interval": "1m",
        "input_series": list(_input_series(exported)),
        "promql_expr_test": [
            {
                "expr": f"count({query(target)}) > bool 0",
                "eval_time": "2h",
                "exp_samples": [{"labels": "{}", "value": 1}],
            }
            for _, target in TARGETS.values()
        ],
    }
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
    case = {
        "interval": "1m",
        "input_series": list(_input_series(exported)),
        "promql_expr_test": [
            {"expr": query(target), "eval_time": "2h", "exp_samples": [{"labels": "{}", "value": 6 / (6 + 3 + 2 + 1)}]}
        ],
    }
    file = tmp_path / "ratio.yaml"
    file.write_text(yaml.safe_dump({"tests": [case]}))
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


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
