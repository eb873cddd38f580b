"""`mfa-operator audit` as a whole process beside the tools that people would use instead, where they are installed."""

from __future__ import annotations

import json
import random
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench import manifests, processes, worlds
from mfa_sandbox.aws import EmbeddedAws

ACCOUNT = "111122223333"
ROOT = Path(__file__).parents[1]
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Tool:
    """A command to measure."""

    name: str
    command: list[str]
    sizes: tuple[int, ...]
    """Where it is run: a tool that needs minutes for a large account is left out there."""
    statuses: tuple[int, ...]
    """Exit statuses that mean that it did its work."""


def tools(scratch: Path) -> list[Tool]:
    """Us, and the peers whose virtual environments `make bench-peers` made."""
    policy = scratch / "policy.yaml"
    policy.write_text(yaml.safe_dump(manifests.policy("peers", [ACCOUNT], roles=False)))
    ours = [str(Path(sys.executable).parent / "mfa-operator"), "audit", "-f", str(policy), "-o", "json"]
    found = [Tool("mfa-operator", ours, (100, 1000, 5000), (1,))]
    prowler = ROOT / ".venv-prowler" / "bin" / "prowler"
    if prowler.exists():
        checks = ["--checks", "iam_user_mfa_enabled_console_access"]
        output = ["-M", "csv", "-o", str(scratch / "prowler"), "-b", "-f", "us-east-1", "--ignore-exit-code-3"]
        found.append(Tool("prowler", [str(prowler), "aws", *checks, *output], (100, 1000), (0,)))
    custodian = ROOT / ".venv-custodian" / "bin" / "custodian"
    if custodian.exists():
        rules = scratch / "custodian.yaml"
        credential = [
            {"type": "credential", "key": "password_enabled", "value": True},
            {"type": "credential", "key": "mfa_active", "value": False},
        ]
        rules.write_text(
            yaml.safe_dump({"policies": [{"name": "no-mfa", "resource": "aws.iam-user", "filters": credential}]})
        )
        # Without its cache, or it would judge an account by the users of the last, and a second run by the first's.
        fresh = ["--cache-period", "0", "--region", "us-east-1"]
        command = [str(custodian), "run", "-s", str(scratch / "custodian"), *fresh, str(rules)]
        found.append(Tool("custodian, report", command, (100, 1000, 5000), (0,)))
    return found


def measure(rounds: int = ROUNDS) -> list[dict[str, object]]:
    """Each tool on accounts of each size, taking turns; medians."""
    rows: list[dict[str, object]] = []
    for size in (100, 1000, 5000):
        with _world(size) as (aws, scratch):
            wanted = [tool for tool in tools(scratch) if size in tool.sizes]
            runs: dict[str, list[processes.Measured]] = {tool.name: [] for tool in wanted}
            calls: dict[str, int] = {}
            for round_number in range(-1, rounds):
                # The first round is not counted: it writes bytecode and fills the disk's cache.
                # Turns alternate in their order, so that no tool always meets a warm machine.
                for tool in wanted if round_number % 2 == 0 else reversed(wanted):
                    aws.calls.clear()
                    output = scratch / f"{tool.name}.out"
                    measured = processes.run(tool.command, _environment(aws), output=output)
                    if measured.status not in tool.statuses:
                        raise RuntimeError(f"{tool.name} ended with {measured.status}:\n{output.read_text()[-3000:]}")
                    if round_number >= 0:
                        runs[tool.name].append(measured)
                    calls[tool.name] = len(aws.calls)
                    shutil.rmtree(scratch / "custodian", ignore_errors=True)
            rows.extend(
                {
                    "users": size,
                    "tool": name,
                    "calls": calls[name],
                    "wall": round(statistics.median(each.wall for each in measured), 2),
                    "cpu": round(statistics.median(each.cpu for each in measured), 2),
                    "peak_mb": round(max(each.peak_mb for each in measured)),
                }
                for name, measured in runs.items()
            )
    return rows


def ratios(rows: list[dict[str, object]], figure: str = "wall", size: int = 1000) -> dict[str, float]:
    """How many times longer each peer takes than we do, by `wall` or `cpu` time."""
    times = {str(row["tool"]): float(str(row[figure])) for row in rows if row["users"] == size}
    ours = times.pop("mfa-operator")
    return {tool: round(time / ours, 1) for tool, time in times.items()}


@contextmanager
def _world(size: int) -> Iterator[tuple[EmbeddedAws, Path]]:
    with EmbeddedAws() as aws, tempfile.TemporaryDirectory(prefix="mfa-bench-") as scratch:
        worlds.seed(aws, ACCOUNT, size, chance=random.Random(size))
        # The report is there, as it is in an account that is looked at every day.
        aws.world.account(ACCOUNT).force_report()
        yield aws, Path(scratch)


def _environment(aws: EmbeddedAws) -> dict[str, str]:
    return aws.environment(aws.world.account(ACCOUNT).admin_credentials)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
