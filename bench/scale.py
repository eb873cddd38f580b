"""Many policies x accounts x users: CPU an account, memory, calls; the audits alone, and the operator on a cluster."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import click
import yaml

from bench import manifests, processes, readme
from bench.fake_aws import FakeAws, account_id, fake_aws
from tests.controlplane import ControlPlane

ROOT = Path(__file__).parents[1]
SCRAPES = 3


@dataclass(frozen=True, slots=True)
class Size:
    """What is audited, and how AWS answers."""

    policies: int = 2
    accounts: int = 150
    users: int = 50
    width: int = 16
    delay_ms: float = 0
    rate: float = 0
    organization: bool = False
    """One policy that discovers its accounts, in place of those that name them; on a cluster only."""

    @property
    def all_accounts(self) -> int:
        return self.policies * self.accounts


def measure(size: Size | None = None) -> dict[str, Any]:
    """Both parts, at a size that takes two minutes."""
    size = size or Size()
    return {"size": _words(size), "rows": alone(size), "operator": on_a_cluster(size)}


def alone(size: Size, trees: Mapping[str, Path] | None = None) -> list[dict[str, Any]]:
    """Passes of the audits alone, without Kubernetes; `trees`: source trees to measure beside each other, by name."""
    rows: list[dict[str, Any]] = []
    for name, tree in (trees or {"": ROOT}).items():
        with fake_aws(size.users, delay_ms=size.delay_ms, rate=size.rate) as aws:
            command = [sys.executable, "-m", "bench.scale_accounts"]
            command += [str(number) for number in (size.policies, size.accounts, size.width)]
            environment = _environment(aws, tree)
            with subprocess.Popen(
                command, env=environment, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            ) as child:
                assert child.stdin
                assert child.stdout
                for line in child.stdout:
                    calls = aws.calls()
                    throttled = calls.pop("throttled", 0)
                    figures = json.loads(line)
                    figures["calls_an_account"] = round(calls.total() / size.all_accounts, 1)
                    rows.append(({"tree": name} if trees else {}) | figures | {"throttled": throttled})
                    child.stdin.write("\n")
                    child.stdin.flush()
    return rows


def on_a_cluster(size: Size, trees: Mapping[str, Path] | None = None) -> list[dict[str, Any]]:
    """The operator on a real API server: first pass, steady ones, after a restart, and a scrape of its metrics."""
    rows: list[dict[str, Any]] = []
    for name, tree in (trees or {"": ROOT}).items():
        with (
            ControlPlane() as control_plane,
            fake_aws(size.users, delay_ms=size.delay_ms, rate=size.rate, members=size.all_accounts) as aws,
            tempfile.TemporaryDirectory(prefix="mfa-bench-") as scratch,
        ):
            control_plane.apply_crds(tree / "deploy" / "crds")
            kubectl = control_plane.kubectl
            kubectl("create", "namespace", "bench")
            for number, made in enumerate(_policies(size)):
                file = Path(scratch) / f"{number}.yaml"
                file.write_text(yaml.safe_dump(made))
                kubectl("apply", "--server-side", "-f", str(file))
            rules = Path(scratch) / "access.yaml"
            rules.write_text(yaml.safe_dump({"access": [{"namespaces": ["bench"], "organization": True}]}))

            # Long enough that a pass ends before the next is due.
            interval = max(30, round(size.all_accounts * 0.04))
            run = _Operator(size, aws, tree, control_plane, f"{interval}s", rules)
            rows.extend(({"tree": name} if trees else {}) | row for row in run.measure())
    return rows


@dataclass(frozen=True, slots=True)
class _Operator:
    size: Size
    aws: FakeAws
    tree: Path
    control_plane: ControlPlane
    interval: str
    rules: Path
    """Access rules: who may discover must be allowed to."""

    def measure(self) -> Iterator[dict[str, Any]]:
        with self._process() as (pid, metrics):
            yield self._pass("first", pid, {})
            yield self._scrapes(pid, metrics)
            # The second pass writes what the first changed; from the third on nothing changes.
            self._wait_for_passes(self._times())
            yield self._pass("steady", pid, self._times())
        with self._process() as (pid, _):
            yield self._pass("restart", pid, self._times())

    def _pass(self, name: str, pid: int, before: dict[str, str]) -> dict[str, Any]:
        self.aws.calls()
        wall = cpu = 0.0
        calls = self.aws.calls()
        while not calls:
            # From the first call on: what the start costs is another figure.
            wall, cpu = time.monotonic(), processes.cpu_seconds(pid)
            time.sleep(0.02)
            calls = self.aws.calls()
        self._wait_for_passes(before)
        cpu = processes.cpu_seconds(pid) - cpu
        calls += self.aws.calls()
        audited = max(calls["ListUsers"], 1)
        return {
            "pass": name,
            "wall": round(time.monotonic() - wall, 1),
            "cpu_ms_an_account": round(1000 * cpu / audited, 2),
            "rss_mb": round(processes.resident_mb(pid)),
            "peak_mb": round(processes.peak_mb(pid)),
            "calls_an_account": round(calls.total() / audited, 1),
        }

    def _scrapes(self, pid: int, url: str) -> dict[str, Any]:
        cpu, size = processes.cpu_seconds(pid), 0
        begun = time.monotonic()
        for _ in range(SCRAPES):
            with build_opener(ProxyHandler({})).open(url, timeout=60) as answer:
                size = len(answer.read())
        wall = (time.monotonic() - begun) / SCRAPES
        cpu = (processes.cpu_seconds(pid) - cpu) / SCRAPES
        return {
            "pass": f"scrape, {size / 1e6:.2f} MB",
            "wall": round(wall, 2),
            "cpu_ms_an_account": round(1000 * cpu / self.size.all_accounts, 3),
            "rss_mb": round(processes.resident_mb(pid)),
            "peak_mb": round(processes.peak_mb(pid)),
            "calls_an_account": 0,
        }

    def _times(self) -> dict[str, str]:
        """When each policy was last audited; before its accounts are known, nothing was."""
        ready = '.status.conditions[?(@.type=="Ready")].status'
        columns = f"custom-columns=N:.metadata.name,T:.status.lastPassTime,R:{ready}"
        listed = self.control_plane.kubectl("-n", "bench", "get", "mfap", "--no-headers", "-o", columns).stdout
        rows = [line.split() for line in listed.splitlines()]
        return {name: at if audited == "True" else "<none>" for name, at, audited in rows}

    def _wait_for_passes(self, before: Mapping[str, str]) -> None:
        deadline = time.monotonic() + 1800
        while any(at in ("<none>", before.get(name)) for name, at in self._times().items()):
            if time.monotonic() > deadline:
                raise TimeoutError("the policies were not audited within half an hour")
            time.sleep(1)

    @contextmanager
    def _process(self) -> Iterator[tuple[int, str]]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [
            *(
                sys.executable,
                "-m",
                "mfa_operator",
                "run",
                f"--kubeconfig={self.control_plane.kubeconfig}",
                "--log-level=error",
            ),
            f"--metrics-address=127.0.0.1:{port}",
            "--health-address=127.0.0.1:0",
            f"--max-concurrent-accounts={self.size.width}",
            f"--interval-override={self.interval}",
            f"--config={self.rules}",
        ]
        process = subprocess.Popen(command, env=_environment(self.aws, self.tree))
        try:
            yield process.pid, f"http://127.0.0.1:{port}/metrics"
        finally:
            process.terminate()
            process.wait(timeout=60)


def _environment(aws: FakeAws, tree: Path) -> dict[str, str]:
    paths = os.pathsep.join([str(tree / "operator"), str(ROOT)])
    return os.environ | dict(aws.environment) | {"PYTHONPATH": paths, "NO_PROXY": "127.0.0.1,localhost"}


def _policies(size: Size) -> list[dict[str, object]]:
    if size.organization:
        made = manifests.policy("scale-0", [])
        return [{**made, "spec": {"organization": {}}}]
    return [
        manifests.policy(
            f"scale-{policy}", [account_id(policy * size.accounts + number) for number in range(size.accounts)]
        )
        for policy in range(size.policies)
    ]


def _words(size: Size) -> str:
    if size.organization:
        return f"an organization of {size.all_accounts} accounts x {size.users} users, {size.width} accounts at once"
    return f"{size.policies} policies x {size.accounts} accounts x {size.users} users, {size.width} accounts at once"


@click.command()
@click.option("--policies", default=Size().policies, show_default=True)
@click.option("--accounts", default=Size().accounts, show_default=True, help="Of each policy.")
@click.option("--users", default=Size().users, show_default=True, help="Of each account; one in ten violates.")
@click.option("--width", default=Size().width, show_default=True, help="Accounts under way at once.")
@click.option("--delay-ms", default=0.0, help="Time that AWS takes for each answer.")
@click.option("--rate", default=0.0, help="Requests a second and account beyond which AWS throttles; 0: never.")
@click.option("--cluster/--no-cluster", default=True, help="Also the operator on a real API server.")
@click.option(
    "--baseline",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another source tree (git archive REVISION | tar -x -C DIR), measured beside this one, twice in turn.",
)
@click.option(
    "--organization",
    type=click.IntRange(min=1),
    metavar="ACCOUNTS",
    help="In place of --policies and --accounts: one policy that discovers so many accounts, on a cluster.",
)
def main(cluster: bool, baseline: Path | None, organization: int | None, **numbers: float) -> None:
    """Measure one size and print the tables; nothing is recorded."""
    size = Size(**numbers)  # type: ignore[arg-type]  # as click has it from the defaults
    if organization:
        size = replace(size, policies=1, accounts=organization, organization=True)
    click.echo(_words(size))
    trees = {"baseline": baseline, "this": ROOT} if baseline else None
    parts = (on_a_cluster,) if organization else (alone, on_a_cluster) if cluster else (alone,)
    for part in parts:
        rows = part(size, trees)
        if trees:
            rows += part(size, dict(reversed(trees.items())))
        click.echo(f"\n{readme.table(rows)}")


if __name__ == "__main__":
    main()
