"""The dashboard: every query is right, asks only for what the operator exports, and finds something."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from mfa_operator.api.enums import AccountState, ErrorReason, RemediationAction
from mfa_operator.api.objects import PolicyRef
from mfa_operator.api.status import Counts
from mfa_operator.config.settings import RUNBOOK_BASE_URL
from mfa_operator.metrics.exporter import Metrics
from mfa_operator.reporting.figures import AccountFigures, PolicyFigures, Serving
from tests.chart.dashboard import ANNOTATIONS, DASHBOARD, PANELS, TARGETS, VARIABLES, filled

DEPLOY = Path(__file__).parents[2] / "deploy"
# What Grafana puts in.
GRAFANA = {"interval": "5m", "rate_interval": "10m", "range_": "1h"}
RULES = DEPLOY / "prometheus" / "rules.yaml"
GROUPS = yaml.safe_load(RULES.read_text())["groups"]
RECORDS = {rule["record"]: rule["expr"] for group in GROUPS for rule in group["rules"] if "record" in rule}
NOW = datetime(1970, 1, 1, 2, tzinfo=UTC)
COUNTS = Counts(users=20, compliant=6, violating=3, overdue=2, exempt=5, unknown=1, quarantined=1)
# Labels that PromQL or the scrape adds.
ADDED_LABELS = {"le", "cluster", "namespace", "job", "instance", "pod"}


BY_TITLE = {panel["title"]: panel for panel in PANELS}


def query(target: dict[str, Any]) -> str:
    return filled(target["expr"], **GRAFANA)


@pytest.fixture(scope="module")
def exported() -> Metrics:
    """A policy with two accounts, one of which cannot be audited now, and everything has happened once."""
    metrics = Metrics(version="1.2.3", user_violation_info=True)
    metrics.set_leader(True)
    metrics.set_queue(0, NOW)
    ref = PolicyRef("security", "console-mfa")
    accounts = {
        account_id: AccountFigures(
            name=f"account-{account_id[0]}",
            state=state,
            counts=COUNTS,
            last_success=NOW - timedelta(minutes=20),
            credential_report_time=NOW - timedelta(hours=1),
            oldest_violation=NOW - timedelta(hours=2),
            violations=(("alice", "NoMfa"),),
        )
        for account_id, state in (("111122223333", AccountState.AUDITED), ("222233334444", AccountState.FAILED))
    }
    figures = PolicyFigures(timedelta(minutes=15), NOW, NOW + timedelta(days=9), accounts)
    metrics.set_policy(ref, replace(figures, discovery_up=True, discovery_last_success=NOW))
    metrics.set_serving(ref, Serving(ready=True, suspended=False))
    metrics.set_served_elsewhere(PolicyRef("security", "of-another-operator"), elsewhere=True)
    metrics.observe_pass(ref, 3.0)
    for account_id in accounts:
        metrics.count_error(ref, account_id, ErrorReason.THROTTLED)
        metrics.count_remediation(ref, account_id, RemediationAction.QUARANTINE, "done")
    metrics.events.set_up(True)
    metrics.events.count_received("CreateUser", "hinted")
    metrics.events.observe_delay(2.0)
    for code in ("200", "Throttling"):
        metrics.count_aws_request("iam", "ListUsers", code)
    return metrics


def exported_labels(metrics: Metrics) -> dict[str, set[str]]:
    """Labels of every sample name."""
    found: dict[str, set[str]] = {}
    for metric in metrics.registry.collect():
        for sample in metric.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize("name", TARGETS)
def test_asks_only_for_metrics_and_labels_that_are_exported(exported: Metrics, name: str) -> None:
    panel, target = TARGETS[name]
    labels = exported_labels(exported)
    text = query(target)
    for record in re.findall(r"\w+:mfa_\w+:\w+", text):
        assert record in RECORDS
        text = text.replace(record, re.sub(r":\w+$", "", record).partition(":")[2])
    text = text.replace("mfa_policy_pass_age", "mfa_policy_interval_seconds")
    selectors = re.findall(r"\b((?:mfa|process|python)_\w+)(?:\{([^}]*)\})?", text)
    assert selectors
    known = set(ADDED_LABELS)
    for metric, matchers in selectors:
        assert metric in labels, f"{metric} is not exported"
        known |= labels[metric]
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) <= labels[metric] | ADDED_LABELS
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
    rules = {"rule_files": [str(RULES)], "evaluation_interval": "1m"}
    file.write_text(yaml.safe_dump({**rules, "tests": [case]}))
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _input_series(metrics: Metrics) -> Iterator[dict[str, str]]:
    for metric in metrics.registry.collect():
        for sample in metric.samples:
            pairs = ",".join(f'{key}="{value}"' for key, value in sample.labels.items())
            grows = metric.type in {"counter", "histogram"} and sample.value
            yield {
                "series": f"{sample.name}{{{pairs}}}",
                "values": f"{float(sample.value)}+{float(sample.value) if grows else 0}x120",
            }


def test_compliance_excludes_exempt_and_counts_unknown_against(
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
    account = 'policy_namespace="s",policy="p",account_id="1"'
    _, target = TARGETS["Why: failures in this range-A"]
    series = [
        {"series": f'mfa_policy_errors_total{{{account},reason="timeout"}}', "values": "_x10 1x60"},
        {"series": f'mfa_policy_account_info{{{account},account_name="prod"}}', "values": "_x10 1x60"},
    ]
    found = f'{{{account},account_name="prod",reason="timeout"}}'
    evaluate(promtool, tmp_path, series, [(query(target), "30m", {found: 1.0})])


def test_nobody_overdue_is_shown_as_0(promtool: Path, tmp_path: Path) -> None:
    """A state that no user is in has no series; where there are no series at all, nobody knows."""
    compliant = 'mfa_policy_users{policy_namespace="s",policy="p",account_id="1",state="compliant"}'
    asked = [query(TARGETS[f"{title} users-A"][1]) for title in ("Overdue", "Violating", "Unknown")]
    found = [(expr, "30m", {"{}": 0.0}) for expr in asked]
    evaluate(promtool, tmp_path, [{"series": compliant, "values": "3x60"}], found)
    evaluate(promtool, tmp_path, [], [(expr, "30m", {}) for expr in asked])
    _, target = TARGETS["Violating and overdue over 90 days-A"]
    states = {f'{{state="{state}"}}': 0.0 for state in ("overdue", "unknown", "violating")}
    evaluate(promtool, tmp_path, [{"series": compliant, "values": "3x60"}], [(query(target), "30m", states)])


def test_accounts_that_are_shown_as_totals_count_one_by_one(promtool: Path, tmp_path: Path) -> None:
    """Beside those that are shown by themselves."""
    series = [
        {
            "series": f'mfa_policy_accounts{{policy_namespace="s",policy="{policy}",state="{state}"}}',
            "values": f"{number}x60",
        }
        for policy, state, number in (
            ("big", "failed", 2),
            ("big", "denied", 5),
            ("big", "audited", 90),
            ("small", "failed", 1),
        )
    ]
    for policy, account_id in (("big", "s/big"), ("small", "1")):
        labels = f'policy_namespace="s",policy="{policy}",account_id="{account_id}"'
        series.append({"series": f"mfa_policy_account_up{{{labels}}}", "values": "0x60"})
    evaluate(promtool, tmp_path, series, [(query(TARGETS["Accounts not audited-A"][1]), "30m", {"{}": 8.0})])


def test_docs_count_the_first_error_of_an_account(promtool: Path, tmp_path: Path) -> None:
    """By the query that docs/metrics.md gives."""
    asked = re.findall(r"```promql\n(.*?)```", (DEPLOY.parent / "docs" / "metrics.md").read_text(), re.DOTALL)
    (expr,) = (" ".join(each.split()) for each in asked if "mfa_policy_errors_total" in each)
    labels = '{account_id="1",policy="p",policy_namespace="s",reason="timeout"}'
    errors = {"series": f"mfa_policy_errors_total{labels}", "values": "_x10 1x60"}
    evaluate(promtool, tmp_path, [errors], [(expr, "9m", {}), (f"sum({expr})", "30m", {"{}": 1.0})])


def test_an_account_of_several_policies_counts_once(promtool: Path, tmp_path: Path) -> None:
    """By the policy that finds most; in clusters of their own they are two."""
    series = []
    for cluster, policy, overdue, up in (("eu", "a", 3, 0), ("eu", "b", 2, 1), ("us", "a", 1, 0)):
        labels = f'cluster="{cluster}",policy_namespace="s",policy="{policy}",account_id="1"'
        series.append({"series": f'mfa_policy_users{{{labels},state="overdue"}}', "values": f"{overdue}x60"})
        series.append({"series": f"mfa_policy_account_up{{{labels}}}", "values": f"{up}x60"})
    expected: dict[str, dict[str, float]] = {
        "Overdue users-A": {"{}": 4},
        "Accounts not audited-A": {"{}": 1},
        "Violating and overdue over 90 days-A": {'{state="overdue"}': 4},
    }
    asked = [(query(TARGETS[name][1]), "30m", values) for name, values in expected.items()]
    evaluate(promtool, tmp_path, series, asked)


def test_no_query_over_months_asks_for_raw_series() -> None:
    for panel in PANELS:
        if panel.get("timeFrom") == "90d":
            for target in panel["targets"]:
                assert re.findall(r"(?<!:)\bmfa_\w+", target["expr"]) == []


def test_states_have_their_colour_everywhere() -> None:
    """Amber is within the grace period, red is past it."""
    colours = {"violating": "orange", "overdue": "red"}
    for state, colour in colours.items():
        assert BY_TITLE[f"{state.capitalize()} by account"]["fieldConfig"]["defaults"]["color"]["fixedColor"] == colour
        steps = BY_TITLE[f"{state.capitalize()} users"]["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert steps[-1]["color"] == colour
    fixed = {
        override["matcher"]["options"]: override["properties"][0]["value"]["fixedColor"]
        for override in BY_TITLE["Violating and overdue over 90 days"]["fieldConfig"]["overrides"]
    }
    assert fixed == {**colours, "unknown": "purple"}


def test_links_lead_to_runbooks_and_to_the_users_of_the_account() -> None:
    to_users = 0
    for panel in PANELS:
        for link in panel["fieldConfig"]["defaults"].get("links", ()):
            if link["title"] == "Runbook":
                base, _, page = link["url"].rpartition("/")
                assert base == RUNBOOK_BASE_URL
                assert (DEPLOY.parent / "docs" / "runbooks" / page).is_file()
            else:
                assert set(re.findall(r"var-(\w+)=", link["url"])) == VARIABLES.keys()
                assert link["url"].endswith(f"viewPanel={BY_TITLE['Users without MFA']['id']}")
                to_users += 1
    assert to_users >= 5


def test_an_annotation_for_each_remediation(exported: Metrics, promtool: Path, tmp_path: Path) -> None:
    (annotation,) = ANNOTATIONS
    expr = filled(annotation["expr"], **GRAFANA)
    evaluate(promtool, tmp_path, list(_input_series(exported)), [(f"count({expr})", "2h", {"{}": 2.0})])


@pytest.mark.parametrize("name", ["Pass duration-A", "Pass duration-B"])
def test_a_pass_every_15_minutes_suffices_for_the_duration(promtool: Path, tmp_path: Path, name: str) -> None:
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
    shown += " ".join(expr for record, expr in RECORDS.items() if record in shown)
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
    sources += [each["datasource"]["uid"] for each in ANNOTATIONS]
    assert set(sources) == {"${datasource}"}
