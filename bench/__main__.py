"""`python -m bench [SCENARIO …]`: measures, writes results/results.json, the pictures and the tables of README.md."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from bench import accounts, calls, events, imports, neighbours, operator_process, peers, readme, scale, verdicts

RESULTS = Path(__file__).parent / "results"

SCENARIOS: Mapping[str, Callable[[], object]] = {
    "calls": calls.measure,
    "imports": imports.measure,
    "peers": peers.measure,
    "verdicts": verdicts.measure,
    "accounts": accounts.measure,
    "scale": scale.measure,
    "writes": operator_process.writes,
    "start": operator_process.start,
    "idle": lambda: operator_process.idle(1),
    "idle-100": lambda: operator_process.idle(100),
    "soak": operator_process.soak,
    "neighbours": neighbours.measure,
    "events": events.measure,
}


@click.command()
@click.argument("scenarios", nargs=-1, type=click.Choice(list(SCENARIOS)))
def main(scenarios: Sequence[str]) -> None:
    """Measure the SCENARIOS (all of them by default); the others keep their last results."""
    path = RESULTS / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for name in scenarios or SCENARIOS:
        click.echo(f"{name} …", err=True)
        results[name] = {"at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "result": SCENARIOS[name]()}
        click.echo(json.dumps(results[name]["result"], indent=2))
        results["machine"] = {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "system": platform.system(),
        }
        path.write_text(json.dumps(results, indent=2) + "\n")
    if "peers" in results:
        from bench import plots

        plots.draw(results["peers"]["result"], RESULTS)
    readme.write(results)


if __name__ == "__main__":
    main()
