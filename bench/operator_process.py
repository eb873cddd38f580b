"""The operator as a process on the embedded AWS: idle cost, writes a pass, start, soak."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench import manifests, processes, worlds
from mfa_sandbox.aws import EmbeddedAws
from mfa_sandbox.demo.cluster import crds
from mfa_sandbox.kubernetes import EmbeddedKubernetes
from tests.controlplane import ControlPlane

IDLE_SECONDS = 60
SOAK_PASSES = 2000
STARTS = 3
LEASES = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "leases.coordination.k8s.io"},
    "spec": {
        "group": "coordination.k8s.io",
        "scope": "Namespaced",
        "names": {"plural": "leases", "singular": "lease", "kind": "Lease", "listKind": "LeaseList"},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ],
    },
}
"""What the operator is elected by; the embedded Kubernetes serves what is given to it, and nothing else."""
CRDS = Path(__file__).parents[1] / "deploy" / "crds"


@dataclass(frozen=True, slots=True)
class Bed:
    """What a measurement works with."""

    aws: EmbeddedAws
    kube: EmbeddedKubernetes
    scratch: Path

    @contextmanager
    def operator(self, *flags: str, kubeconfig: Path | None = None) -> Iterator[int]:
        """The operator's process id; on the embedded Kubernetes, if no other is named."""
        command = [
            str(Path(sys.executable).parent / "mfa-operator"),
            "run",
            f"--kubeconfig={kubeconfig or self.kube.write_kubeconfig(self.scratch / 'kubeconfig')}",
            "--metrics-address=127.0.0.1:0",
            "--health-address=127.0.0.1:0",
            "--log-level=warning",
            *flags,
        ]
        process = subprocess.Popen(command, env=os.environ | self.aws.environment())
        try:
            yield process.pid
        finally:
            process.terminate()
            process.wait(timeout=20)

    def passes(self, name: str) -> dict[str, Any]:
        body = self.kube.get("mfapolicies", "bench", name) or {}
        status: dict[str, Any] = body.get("status") or {}
        return status


@contextmanager
def bed(accounts: int, users: int) -> Iterator[Bed]:
    """Embedded AWS with so many accounts of so many users, and an embedded Kubernetes."""
    with (
        EmbeddedAws() as aws,
        EmbeddedKubernetes([*crds(), LEASES], namespaces=("default", "bench")) as kube,
        tempfile.TemporaryDirectory(prefix="mfa-bench-") as scratch,
    ):
        chance = random.Random(accounts)
        for number in range(accounts):
            worlds.seed(aws, account_id(number), users, chance=chance)
        yield Bed(aws, kube, Path(scratch))


def account_id(number: int) -> str:
    return f"{100_000_000_000 + number}"


def start() -> dict[str, float]:
    """From the start of the process to the first status on a real API server; one account with 100 users. Median."""
    waited: list[float] = []
    with ControlPlane() as control_plane, bed(1, 100) as there:
        kubectl = control_plane.kubectl
        control_plane.apply_crds(CRDS)
        kubectl("create", "namespace", "bench")
        for number in range(STARTS):
            name = f"start-{number}"
            kubectl("apply", "-f", "-", input=yaml.safe_dump(manifests.policy(name, [account_id(0)])))
            begun = time.monotonic()
            with there.operator(kubeconfig=control_plane.kubeconfig):
                kubectl("-n", "bench", "wait", f"mfap/{name}", "--for=jsonpath={.status.lastPassTime}", "--timeout=60s")
                waited.append(time.monotonic() - begun)
            kubectl("-n", "bench", "delete", "mfap", name)
    return {"runs": STARTS, "start_to_first_status_seconds": round(statistics.median(waited), 2)}


def idle(policies: int) -> dict[str, float]:
    """A minute in which nothing is due: memory, CPU, requests to the API server."""
    with bed(1, 100) as there:
        for number in range(policies):
            there.kube.apply(manifests.policy(f"policy-{number}", [account_id(0)], interval="24h"))
        with there.operator() as pid:
            wait(lambda: all("lastPassTime" in there.passes(f"policy-{number}") for number in range(policies)))
            before, requests = processes.cpu_seconds(pid), len(there.kube.requests)
            time.sleep(IDLE_SECONDS)
            return {
                "policies": policies,
                "rss_mb": round(processes.resident_mb(pid)),
                "cpu_percent": round(100 * (processes.cpu_seconds(pid) - before) / IDLE_SECONDS, 2),
                "api_requests_a_minute": round(60 * (len(there.kube.requests) - requests) / IDLE_SECONDS, 1),
            }


def writes() -> dict[str, int]:
    """What a steady pass writes to Kubernetes: ten accounts with violators, nothing changed since."""
    with bed(10, 100) as there:
        there.kube.apply(manifests.policy("steady", [account_id(number) for number in range(10)]))
        with there.operator():
            wait(lambda: "lastPassTime" in there.passes("steady"))
            first = there.passes("steady")["lastPassTime"]
            requests = len(there.kube.requests)
            annotation = {"mfa-operator.io/requestedAt": "again"}
            there.kube.patch("mfapolicies", "bench", "steady", {"metadata": {"annotations": annotation}})
            wait(lambda: there.passes("steady")["lastPassTime"] != first)
            asked = list(there.kube.requests)[requests:]
            verbs = Counter((request.verb, request.resource) for request in asked)
            return {
                "policy_status_writes": verbs["update", "mfapolicies"] + verbs["patch", "mfapolicies"],
                "report_writes": verbs["update", "mfareports"] + verbs["patch", "mfareports"],
                "reads": sum(count for (verb, _), count in verbs.items() if verb in ("get", "list")),
            }


def soak(passes: int = SOAK_PASSES) -> dict[str, object]:
    """Passes in fast forward: memory, threads and sockets must stay flat."""
    samples: list[dict[str, float]] = []
    with bed(3, 50) as there:
        there.kube.apply(manifests.policy("soak", [account_id(number) for number in range(3)]))
        with there.operator("--interval-override=50ms") as pid:
            done = 0
            while done < passes:
                time.sleep(0.5)
                done = there.aws.calls.count("ListUsers") // 3
                if done and (not samples or done - samples[-1]["passes"] >= passes // 40):
                    samples.append(
                        {
                            "passes": done,
                            "rss_mb": round(processes.resident_mb(pid), 1),
                            "threads": processes.threads(pid),
                            "sockets": processes.sockets(pid),
                        }
                    )
    # The first tenth fills caches and pools.
    settled = samples[len(samples) // 10 :]
    slope = statistics.linear_regression(
        [sample["passes"] for sample in settled], [sample["rss_mb"] for sample in settled]
    ).slope
    return {
        "passes": done,
        "rss_mb_first": settled[0]["rss_mb"],
        "rss_mb_last": settled[-1]["rss_mb"],
        "rss_mb_a_thousand_passes": round(1000 * slope, 2),
        "threads": sorted({sample["threads"] for sample in settled}),
        "sockets": sorted({sample["sockets"] for sample in settled}),
        "samples": samples,
    }


def wait(done: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not done within {seconds:.0f} s")
        time.sleep(0.02)
