"""`mfa-operator demo --context`: the reader's own cluster, left as it was found."""

from __future__ import annotations

import subprocess

from tests.controlplane import ControlPlane
from tests.fixtures.operator import COMMAND, eventually


def test_own_cluster_is_used_and_left_as_it_was(control_plane: ControlPlane) -> None:
    kubectl = control_plane.kubectl
    done = subprocess.run(
        [COMMAND, "demo", "--once", f"--kubeconfig={control_plane.kubeconfig}", "--context=mfa-controlplane"],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "payments-prod" in done.stdout
    assert "Overdue" in done.stdout
    # The CRDs were there before, so they stay; the namespace was not.
    assert kubectl("get", "crd", "mfapolicies.mfa-operator.io").returncode == 0
    eventually(
        lambda: kubectl("get", "namespace", "mfa-demo", check=False).returncode != 0, "the namespace mfa-demo is gone"
    )


def test_an_unknown_context_is_one_message_and_status_3(control_plane: ControlPlane) -> None:
    done = subprocess.run(
        [COMMAND, "demo", "--once", f"--kubeconfig={control_plane.kubeconfig}", "--context=nowhere"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr
