"""A policy that is kept in Git: however often it is synced, there is nothing to mend."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mfa_sandbox.aws import EmbeddedAws
from tests.chart.test_gitops import argo_health
from tests.chart.test_kstatus import ask, documented
from tests.controlplane import BinariesUnavailable, Kubectl
from tests.fixtures.operator import Policies, StartOperator, eventually
from tests.not_run import cannot_run
from tests.programs import find_kstatus

MINIMAL = Path(__file__).parents[2] / "deploy" / "examples" / "minimal.yaml"
ID = "111122223333"


@pytest.mark.parametrize("manager", ["argocd-controller", "kustomize-controller"])
def test_a_policy_synced_twice_shows_no_drift(
    kubectl: Kubectl, namespace: str, aws: EmbeddedAws, start_operator: StartOperator, policies: Policies, manager: str
) -> None:
    aws.world.account(ID).user("alice", password=True)
    manifest = MINIMAL.read_text(encoding="utf-8")
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


@pytest.fixture
def kstatus() -> Path:
    try:
        return find_kstatus()
    except BinariesUnavailable as error:
        cannot_run(f"NO PROGRAM: {error}")


def test_argo_cd_and_flux_read_what_the_operator_really_writes(
    aws: EmbeddedAws, start_operator: StartOperator, policies: Policies, kstatus: Path
) -> None:
    """The cases of tests/chart/test_gitops.py and test_kstatus.py are made by hand; these are from the API server."""
    account = aws.world.account(ID)
    account.user("alice", password=True)
    accounts = [{"id": ID, "roleArn": account.role_arn}]
    [check] = documented()["healthCheckExprs"]
    expressions = {name: check[name] for name in ("current", "failed")}

    def seen() -> tuple[str, str, str]:
        """What Argo CD says, what kstatus says, and what Flux says with the documented expressions."""
        body = policies.get("p")
        return argo_health(body)["status"], ask(kstatus, body)["status"], ask(kstatus, body, expressions)["status"]

    def ready(reason: str) -> bool:
        conditions = {each["type"]: each["reason"] for each in policies.status("p").get("conditions", ())}
        return conditions.get("Ready") == reason

    policies.apply("p", accounts=accounts)
    assert seen() == ("Progressing", "Current", "Unknown")
    start_operator()
    policies.wait_for_pass("p")
    assert seen() == ("Healthy", "Current", "Current")
    policies.apply("p", accounts=accounts, suspend=True)
    eventually(lambda: ready("Suspended"), "the suspension is told")
    assert seen() == ("Suspended", "InProgress", "Current")
    account.suspended = True
    policies.apply("p", accounts=accounts, suspend=False)
    eventually(lambda: ready("NoAccountAudited"), "the failed account is reported")
    assert seen() == ("Degraded", "InProgress", "Failed")
