"""The Lease is renewed in time whatever the process computes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mfa_sandbox.kubernetes import EmbeddedKubernetes


def test_64_busy_threads_do_not_cost_the_lease(kube: EmbeddedKubernetes, tmp_path: Path) -> None:
    """In a process of its own: the API server here must have time to answer."""
    kubeconfig = kube.write_kubeconfig(tmp_path / "kubeconfig")
    command = [sys.executable, "-m", "tests.kube.busy_replica", str(kubeconfig)]
    replica = subprocess.run(command, cwd=Path(__file__).parents[2], timeout=120, check=False)
    assert replica.returncode == 0
