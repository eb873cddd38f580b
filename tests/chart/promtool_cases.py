"""Cases for promtool's own rule tests: series minute by minute, and which alerts fire at which minutes."""

from __future__ import annotations

import functools
import json
import os
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.chart.alert_cases import Labels

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules.yaml"
Group = dict[str, Any]
"""A group of rules as a rule file has it."""


class Scenario:
    """One case for promtool: series minute by minute, and at which minutes which alerts fire."""

    def __init__(self, name: str, alert: str) -> None:
        """A case of one alert, or of all with the name ""."""
        self.name, self.alert = name, alert
        self._series: list[dict[str, str]] = []
        self._checks: list[dict[str, Any]] = []

    def series(self, name: str, labels: Labels, samples: Sequence[float | str | None]) -> Scenario:
        """Samples from minute 0 on; None is none, "stale" the marker of a series that is gone."""
        text = " ".join("_" if sample is None else str(sample) for sample in samples)
        self._series.append({"series": selector(name, labels), "values": text})
        return self

    def firing(self, minutes: Sequence[int], *labels: Labels) -> Scenario:
        """At each of these minutes the alert fires with just these label sets."""
        expr = f'ALERTS{{alertname="{self.alert}", alertstate="firing"}}'
        for minute in minutes:
            fixed = {"alertname": self.alert, "alertstate": "firing"}
            samples = [{"labels": selector("ALERTS", {**fixed, **each}), "value": 1} for each in labels]
            self._checks.append({"expr": expr, "eval_time": f"{minute}m", "exp_samples": samples})
        return self

    def only(self, minutes: Sequence[int], *alerts: Labels) -> Scenario:
        """At each of these minutes just these alerts fire, whatever their names."""
        for minute in minutes:
            samples = [{"labels": selector("ALERTS", {**each, "alertstate": "firing"}), "value": 1} for each in alerts]
            self._checks.append(
                {"expr": 'ALERTS{alertstate="firing"}', "eval_time": f"{minute}m", "exp_samples": samples}
            )
        return self

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "interval": "1m",
            "input_series": self._series,
            "promql_expr_test": self._checks,
        }


def selector(name: str, labels: Labels) -> str:
    pairs = ", ".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    return f"{name}{{{pairs}}}"


@functools.cache
def all_groups() -> list[Group]:
    groups: list[Group] = yaml.safe_load(RULES.read_text())["groups"]
    return groups


def groups_of(alerts: Collection[str]) -> list[Group]:
    """The file with these alerts and the records that they go by, and nothing else; none of it goes by other alerts."""
    rules = [rule for group in all_groups() for rule in group["rules"]]
    exprs = [rule["expr"] for rule in rules if rule.get("alert") in alerts]
    records: set[str] = set()
    while exprs:
        expr = exprs.pop()
        for rule in rules:
            if "record" in rule and rule["record"] in expr and rule["record"] not in records:
                records.add(rule["record"])
                exprs.append(rule["expr"])
    wanted = {*alerts, *records}
    kept = [
        {**group, "rules": [rule for rule in group["rules"] if rule.get("alert", rule.get("record")) in wanted]}
        for group in all_groups()
    ]
    return [group for group in kept if group["rules"]]


def run(
    promtool: Path,
    directory: Path,
    cases: Sequence[dict[str, Any]],
    alerts: Collection[str] = (),
    *,
    every_minutes: int = 1,
) -> subprocess.CompletedProcess[str]:
    """Run the cases on the rules of these alerts, or on the whole file; a minute of the whole file takes 2 ms."""
    rules = RULES
    if alerts:
        rules = directory / "rules.yaml"
        rules.write_text(json.dumps({"groups": groups_of(alerts)}))
    file = directory / "cases.yaml"
    file.write_text(
        json.dumps({"rule_files": [str(rules)], "evaluation_interval": f"{every_minutes}m", "tests": cases})
    )
    return subprocess.run(
        [promtool, "test", "rules", file],
        # Its garbage collector takes a fifth of the time otherwise.
        env={**os.environ, "GOGC": "400"},
        capture_output=True,
        text=True,
        check=False,
    )


def expect(promtool: Path, directory: Path, *scenarios: Scenario, every_minutes: int = 1) -> None:
    """Run the scenarios on the rules that they are about, evaluated every so many minutes."""
    alerts = {each.alert for each in scenarios}
    cases = [each.to_dict() for each in scenarios]
    done = run(promtool, directory, cases, () if "" in alerts else alerts, every_minutes=every_minutes)
    assert done.returncode == 0, done.stdout + done.stderr
