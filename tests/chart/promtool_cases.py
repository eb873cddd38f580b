"""Cases for promtool's own rule tests: series minute by minute, and which alerts fire at which minutes."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.chart.alert_cases import Labels

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules.yaml"


class Scenario:
    """One case for promtool: series minute by minute, and at which minutes which alerts fire."""

    def __init__(self, name: str, alert: str) -> None:
        self.name, self._alert = name, alert
        self._series: list[dict[str, str]] = []
        self._checks: list[dict[str, Any]] = []

    def series(self, name: str, labels: Labels, samples: Sequence[float | str | None]) -> Scenario:
        """Samples from minute 0 on; None is none, "stale" the marker of a series that is gone."""
        text = " ".join("_" if sample is None else str(sample) for sample in samples)
        self._series.append({"series": selector(name, labels), "values": text})
        return self

    def firing(self, minutes: Sequence[int], *labels: Labels) -> Scenario:
        """At each of these minutes the alert fires with just these label sets."""
        expr = f'ALERTS{{alertname="{self._alert}", alertstate="firing"}}'
        for minute in minutes:
            fixed = {"alertname": self._alert, "alertstate": "firing"}
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


def run(promtool: Path, directory: Path, *scenarios: Scenario | dict[str, Any]) -> subprocess.CompletedProcess[str]:
    cases = [each.to_dict() if isinstance(each, Scenario) else each for each in scenarios]
    file = directory / "cases.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": cases}))
    return subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)


def expect(promtool: Path, directory: Path, *scenarios: Scenario) -> None:
    done = run(promtool, directory, *scenarios)
    assert done.returncode == 0, done.stdout + done.stderr
