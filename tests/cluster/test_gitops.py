"""A policy that is kept in Git: however often it is synced, there is nothing to mend."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mfa_operator.sandbox.aws import EmbeddedAws
from tests.controlplane import Kubectl
from tests.fixtures.operator import Policies, StartOperator

MINIMAL = Path(__file__).parents[2] / "deploy" / "examples" / "minimal.yaml"
ID = "111122223333"


@pytest.mark.parametrize("manager", ["argocd-controller", "kustomize-controller"])
def test_a_policy_synced_twice_shows_no_drift(
    kubectl: Kubectl, namespace: str, aws: EmbeddedAws, start_operator: StartOperator, policies: Policies, manager: str
) -> None:
    aws.world.account(ID).user("alice", password=True)
    manifest = f"{MINIMAL.read_text()}      roleArn: arn:aws:iam::{ID}:role/mfa-operator\n"
    sync = ["-n", namespace, "apply", "--server-side", f"--field-manager={manager}", "-f", "-"]
    kubectl(*sync, input=manifest)
    before = policies.get("console-mfa")["metadata"]
    start_operator()
    assert policies.wait_for_pass("console-mfa")["summary"]["violating"] == 1

    diff = ["-n", namespace, "diff", "--server-side", f"--field-manager={manager}", "-f", "-"]
    assert kubectl(*diff, input=manifest).stdout == ""
    kubectl(*sync, input=manifest)
    after = policies.get("console-mfa")["metadata"]
    # Nothing of the operator's own on the object: no finalizer, annotation, label, and no new generation.
    kept = {key: before.get(key) for key in ("generation", "annotations", "labels", "finalizers")}
    assert {key: after.get(key) for key in kept} == kept
    stored = kubectl("-n", namespace, "get", "mfap", "console-mfa", "-o", "json", "--show-managed-fields").stdout
    owners = {(each["manager"], each.get("subresource")) for each in json.loads(stored)["metadata"]["managedFields"]}
    assert {name for name, subresource in owners if subresource != "status"} == {manager}
