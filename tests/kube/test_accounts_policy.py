"""`mfa-operator accounts --policy`: the policy as it stands in the cluster."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from mfa_sandbox.aws import EmbeddedAws
from mfa_sandbox.kubernetes import EmbeddedKubernetes
from tests.fixtures.ready_command import ReadyCommand

PAY = "111122223333"


def test_a_policy_of_the_cluster(
    aws: EmbeddedAws, kube: EmbeddedKubernetes, tmp_path: Path, ready_command: ReadyCommand
) -> None:
    aws.world.create_organization().join(PAY, "payments-prod")
    metadata = {"name": "p", "namespace": "default"}
    policy = {"apiVersion": "mfa-operator.io/v1alpha1", "kind": "MfaPolicy", "metadata": metadata}
    kube.apply({**policy, "spec": {"organization": {"exclude": {"accounts": [PAY]}}}})
    kubeconfig = kube.write_kubeconfig(tmp_path / "kubeconfig")

    def accounts(*args: str) -> subprocess.CompletedProcess[str]:
        arguments = ["accounts", *args, f"--kubeconfig={kubeconfig}", "-o", "json"]
        return ready_command.run(*arguments, env=os.environ | aws.environment(), cluster=True)

    done = accounts("--policy", "default/p")
    [found] = json.loads(done.stdout)["policies"]
    assert done.returncode == 0
    assert {each["name"]: each["skipped"] for each in found["accounts"]} == {
        "management": None,
        "payments-prod": "Excluded",
    }
    absent = accounts("--policy", "default/absent")
    assert (absent.returncode, absent.stdout) == (3, "")
    assert "there is no MfaPolicy default/absent" in absent.stderr
    assert "-f FILE, or --policy NAMESPACE/NAME" in accounts().stderr
