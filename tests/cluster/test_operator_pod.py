"""The operator as a Pod has it: no kubeconfig, the service account's files, and no file system that it may write to."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from mfa_sandbox.aws import EmbeddedAws
from tests.controlplane import ControlPlane, Kubectl
from tests.fixtures.operator import COMMAND, Policies, aws_environment
from tests.not_run import cannot_run

NAMESPACES = ["unshare", "--user", "--map-root-user", "--mount"]
# A mount namespace of its own, in which the kubelet's files are put where they belong and then nothing can be written.
POD = r"""
set -eu
mount -t tmpfs tmpfs /run
mkdir -p /run/secrets/kubernetes.io/serviceaccount
printf %s "$TOKEN" > /run/secrets/kubernetes.io/serviceaccount/token
cat "$CA" > /run/secrets/kubernetes.io/serviceaccount/ca.crt
unset TOKEN
for mounted in $(awk '{print $5}' /proc/self/mountinfo | sort -u); do
  mount -o remount,bind,ro "$mounted"
done
for directory in / /run /tmp /dev/shm "$HOME"; do
  if touch "$directory/written" 2> /dev/null; then echo "$directory can be written"; exit 1; fi
done
exec "$@"
"""


@pytest.fixture
def namespaces_of_its_own() -> None:
    asked = subprocess.run([*NAMESPACES, "true"], capture_output=True, text=True, check=False)
    if asked.returncode:
        cannot_run(f"NO NAMESPACES: unshare may not make them here: {asked.stderr.strip()}")


@pytest.mark.usefixtures("namespaces_of_its_own", "service_account")
def test_finds_its_cluster_by_itself_and_writes_nothing_to_disk(
    aws: EmbeddedAws, control_plane: ControlPlane, kubectl: Kubectl, policies: Policies, tmp_path: Path
) -> None:
    account = aws.world.account("111122223333")
    account.user("alice", password=True)
    host, _, port = control_plane.url.removeprefix("https://").partition(":")
    pod = {
        "TOKEN": kubectl("-n", "mfa-operator", "create", "token", "mfa-operator").stdout.strip(),
        "CA": str(control_plane.ca_path),
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": port,
        "POD_NAMESPACE": "mfa-operator",
        "POD_NAME": "mfa-operator-0",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "KUBECONFIG"))}
    arguments = [f"--namespace={policies.namespace}", "--metrics-address=127.0.0.1:0", "--health-address=127.0.0.1:0"]
    log_path = tmp_path / "log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [*NAMESPACES, "sh", "-c", POD, "sh", str(COMMAND), "run", *arguments],
            env=inherited | aws_environment(aws) | pod,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        policies.apply("p", accounts=[{"id": account.id, "roleArn": account.role_arn}])
        assert policies.wait_for_pass("p")["summary"]["violating"] == 1
    finally:
        process.terminate()
        status = process.wait(timeout=15)
        print(log_path.read_text())  # noqa: T201 - pytest shows it where the test failed
    assert status == 0
    assert "the cluster this Pod runs in" in log_path.read_text()
