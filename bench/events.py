"""Events: from a message in the queue to the policy's status and the metric, with many a second over many accounts.

Each event is a device that is taken away from one more user, so that every change is told apart by the account's count
of violating users. The queue and AWS are the embedded ones, which share this process's Python with the sender; the API
server is a real one.
"""

from __future__ import annotations

import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import urllib3
import yaml

from bench import manifests, processes
from mfa_sandbox.aws import Account, EmbeddedAws
from tests.controlplane import ControlPlane, Kubectl

CRDS = Path(__file__).parents[1] / "deploy" / "crds"
ACCOUNTS, RATE, SECONDS = 100, 50.0, 20.0
"""The goal is for 300 seconds; `python -m bench.events --seconds 300` takes that long."""
PATIENCE = 60.0
NAME = "events"
_VIOLATING = re.compile(r'^mfa_policy_users\{([^}]*state="violating"[^}]*)\} ([0-9.]+)$', re.MULTILINE)
_ACCOUNT = re.compile(r'account_id="([0-9]{12})"')


@dataclass
class _Watched:
    """When each account's n-th violation was seen in one place; seconds on the monotonic clock."""

    seen: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def saw(self, counts: Mapping[str, int]) -> None:
        now = time.monotonic()
        for account_id, count in counts.items():
            times = self.seen[account_id]
            times += [now] * (count - len(times))

    def delays(self, sent: Mapping[str, list[float]]) -> list[float]:
        return [seen - at for account_id, times in sent.items() for at, seen in zip(times, self.seen[account_id])]  # noqa: B905 - the last may be missing


def measure(accounts: int = ACCOUNTS, rate: float = RATE, seconds: float = SECONDS) -> dict[str, Any]:
    """Delays from send to status and metric, what it costs the operator, and what is asked of AWS an event."""
    each = math.ceil(rate * seconds / accounts) + 1
    with (
        ControlPlane() as control_plane,
        EmbeddedAws() as aws,
        tempfile.TemporaryDirectory(prefix="mfa-bench-") as scratch,
    ):
        made = [aws.world.account(f"{100_000_000_000 + number}") for number in range(accounts)]
        for account in made:
            for number in range(each):
                account.user(f"user-{number}", password=True, mfa=["security_key"])
        control_plane.apply_crds(CRDS)
        kubectl = control_plane.kubectl
        kubectl("create", "namespace", "bench")
        policy = manifests.policy(NAME, [account.id for account in made], interval="24h")
        kubectl("apply", "-f", "-", input=yaml.safe_dump(policy))
        queue = aws.world.events_queue()
        with _operator(aws, control_plane.kubeconfig, queue.url, Path(scratch)) as (pid, metrics):
            wait = ("wait", f"mfap/{NAME}", "--for=jsonpath={.status.lastPassTime}", "--timeout=300s")
            kubectl("-n", "bench", *wait)
            aws.calls.clear()
            sent: dict[str, list[float]] = defaultdict(list)
            sender = threading.Thread(target=_send, args=(made, rate, seconds, sent), daemon=True)
            in_status, in_metric = _Watched(), _Watched()
            cpu, begun = processes.cpu_seconds(pid), time.monotonic()
            sender.start()
            _watch(kubectl, metrics, sender, round(rate * seconds), in_status, in_metric)
            took, cpu = time.monotonic() - begun, processes.cpu_seconds(pid) - cpu
            calls = Counter(call.operation for call in aws.calls)
            return {
                "accounts": accounts,
                "events_a_second": rate,
                "seconds": seconds,
                "events": sum(map(len, sent.values())),
                **_figures("status", in_status.delays(sent)),
                **_figures("metric", in_metric.delays(sent)),
                "cpu_percent": round(100 * cpu / took),
                "rss_mb": round(processes.resident_mb(pid)),
                "audits": calls["ListUsers"],
                "iam_calls": sum(number for name, number in calls.items() if not name.endswith(("Message", "Batch"))),
                "left_in_queue": len(queue),
            }


def _figures(where: str, delays: list[float]) -> dict[str, Any]:
    cuts = statistics.quantiles(delays, n=100)
    return {
        f"{where}_seen": len(delays),
        f"{where}_p50": round(cuts[49], 2),
        f"{where}_p99": round(cuts[98], 2),
        f"{where}_max": round(max(delays), 2),
    }


def _send(accounts: list[Account], rate: float, seconds: float, sent: dict[str, list[float]]) -> None:
    """Take devices away, one account after the other, at an even pace."""
    begun = time.monotonic()
    for number in range(round(rate * seconds)):
        time.sleep(max(begun + number / rate - time.monotonic(), 0.0))
        account = accounts[number % len(accounts)]
        sent[account.id].append(time.monotonic())
        account.existing_user(f"user-{number // len(accounts)}").remove_mfa()


def _watch(
    kubectl: Kubectl, metrics: str, sender: threading.Thread, events: int, in_status: _Watched, in_metric: _Watched
) -> None:
    """Read status and metrics in turn until everything that was sent was seen, or for too long."""
    http = urllib3.PoolManager()
    end = None
    while True:
        status = kubectl.read(f"/apis/mfa-operator.io/v1alpha1/namespaces/bench/mfapolicies/{NAME}")["status"]
        in_status.saw({account["id"]: account.get("violating", 0) for account in status["accounts"]})
        text = http.request("GET", metrics).data.decode()
        found = ((_ACCOUNT.search(labels), count) for labels, count in _VIOLATING.findall(text))
        in_metric.saw({account[1]: int(float(count)) for account, count in found if account})
        if not sender.is_alive():
            end = end or time.monotonic() + PATIENCE
            complete = all(sum(map(len, each.seen.values())) >= events for each in (in_status, in_metric))
            if complete or time.monotonic() > end:
                return
        time.sleep(0.2)


@contextmanager
def _operator(aws: EmbeddedAws, kubeconfig: Path, queue_url: str, scratch: Path) -> Iterator[tuple[int, str]]:
    """The operator's process id, and where its metrics are."""
    command = [
        str(Path(sys.executable).parent / "mfa-operator"),
        "run",
        f"--kubeconfig={kubeconfig}",
        "--metrics-address=127.0.0.1:0",
        "--health-address=127.0.0.1:0",
        f"--events-queue={queue_url}",
    ]
    log = scratch / "operator.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=os.environ | aws.environment(), stdout=output, stderr=output)
    try:
        while not (found := re.search(r"metrics on (\S+?), health", log.read_text())):
            time.sleep(0.1)
        yield process.pid, f"http://{found[1]}/metrics"
    finally:
        process.terminate()
        process.wait(timeout=20)


@click.command()
@click.option("--accounts", default=ACCOUNTS, show_default=True)
@click.option("--rate", default=RATE, show_default=True, help="Events a second, over all accounts.")
@click.option("--seconds", default=SECONDS, show_default=True)
def main(accounts: int, rate: float, seconds: float) -> None:
    """Measure once, and print the figures."""
    click.echo(json.dumps(measure(accounts, rate, seconds), indent=2))


if __name__ == "__main__":
    main()
