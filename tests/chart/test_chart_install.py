"""The chart in a real cluster, by the real Helm: taken by the API server, upgraded, rolled back, gone again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.cluster import POLICY_CRD, wait_until_served
from tests.chart.helm import CHART, NAMESPACE, RELEASE, Helm, HelmError
from tests.chart.value_sets import VALUE_SETS
from tests.controlplane import ControlPlane, Kubectl
from tests.fixtures.operator import eventually

CRDS = {path.stem: yaml.safe_load(path.read_text()) for path in (CHART / "files" / "crds").glob("*.yaml")}
POLICY = {
    "apiVersion": "mfa-operator.io/v1alpha1",
    "kind": "MfaPolicy",
    "metadata": {"name": "console-mfa", "namespace": NAMESPACE},
    "spec": {"accounts": [{"id": "111122223333"}]},
}


def get(kubectl: Kubectl, *args: str) -> Any:
    return json.loads(kubectl("-n", NAMESPACE, "get", *args, "-o", "json").stdout)


def access_rules(kubectl: Kubectl) -> Any:
    return yaml.safe_load(get(kubectl, "configmap", f"{RELEASE}-access")["data"]["access.yaml"])


@pytest.mark.parametrize("name", VALUE_SETS)
def test_the_api_server_takes_each_set_without_a_warning(helm: Helm, kubectl: Kubectl, name: str) -> None:
    """Unknown fields are errors here, and a pod that the restricted standard refuses would be a warning."""
    done = kubectl(
        "apply",
        "--server-side",
        "--dry-run=server",
        "--validate=strict",
        "-f",
        "-",
        input=helm.render(VALUE_SETS[name]),
    )
    assert done.stderr == ""
    assert "deployment.apps/" in done.stdout


def test_pods_are_made_under_the_restricted_standard(installer: Helm, kubectl: Kubectl) -> None:
    notes = installer("install", RELEASE, str(CHART), "-n", NAMESPACE)
    assert "kubectl apply -f -" in notes
    assert f"Access: policies in {NAMESPACE} may audit any account, other policies none." in notes
    assert "Remediation: never; no access rule allows it." in notes
    pods = eventually(lambda: len(items := get(kubectl, "pods")["items"]) == 2 and items, "two pods")
    assert {pod["spec"]["serviceAccountName"] for pod in pods} == {RELEASE}


def test_the_policy_in_the_notes_is_one_that_the_cluster_takes(installer: Helm, kubectl: Kubectl) -> None:
    notes = installer("install", RELEASE, str(CHART), "-n", NAMESPACE)
    manifest = notes.partition("<<'EOF'\n")[2].partition("EOF")[0]
    kubectl("apply", "-f", "-", input=manifest.replace("\n   ", "\n").removeprefix("   "))
    assert get(kubectl, "mfap")["items"]


def test_upgrade_from_an_older_chart_rollback_and_uninstall(installer: Helm, kubectl: Kubectl, tmp_path: Path) -> None:
    installer("install", RELEASE, str(older_chart(tmp_path)), "-n", NAMESPACE)
    wait_until_served(kubectl)
    assert "suspend" not in policy_fields(kubectl)
    kubectl("apply", "-f", "-", input=yaml.safe_dump(POLICY))

    access = {"access": [{"namespaces": ["security"]}]}
    installer("upgrade", RELEASE, str(CHART), "-n", NAMESPACE, values=access)
    assert get(kubectl, "crd", POLICY_CRD)["spec"]["versions"] == CRDS["mfapolicies"]["spec"]["versions"]
    assert access_rules(kubectl) == access

    installer("rollback", RELEASE, "1", "-n", NAMESPACE)
    assert "suspend" not in policy_fields(kubectl)
    assert access_rules(kubectl) == {"access": [{"namespaces": [NAMESPACE]}]}
    assert get(kubectl, "mfap", "console-mfa")["spec"]["accounts"]

    installer("uninstall", RELEASE, "-n", NAMESPACE, "--wait")
    kinds = "deployment,serviceaccount,role,rolebinding,service,poddisruptionbudget,networkpolicy,configmap"
    selector = f"app.kubernetes.io/instance={RELEASE}"
    assert not get(kubectl, kinds, "-l", selector)["items"]
    assert not get(kubectl, "clusterrole,clusterrolebinding", "-l", selector)["items"]
    # What people wrote outlives the release, and a new one takes it up.
    assert get(kubectl, "mfap", "console-mfa")["spec"]["accounts"]
    installer("install", RELEASE, str(CHART), "-n", NAMESPACE)
    assert get(kubectl, "mfap", "console-mfa")["spec"]["accounts"]


def test_crds_that_are_not_to_be_kept_go_with_the_release(installer: Helm, kubectl: Kubectl) -> None:
    notes = installer("install", RELEASE, str(CHART), "-n", NAMESPACE, values={"crds": {"keep": False}})
    assert "crds.keep=false: uninstalling deletes the CRDs" in notes
    wait_until_served(kubectl)
    installer("uninstall", RELEASE, "-n", NAMESPACE, "--wait")
    assert POLICY_CRD not in kubectl("get", "crd", "-o", "name").stdout


def test_crds_applied_by_kubectl_are_taken_over_only_on_request(
    installer: Helm, bare_cluster: ControlPlane, kubectl: Kubectl
) -> None:
    bare_cluster.apply_crds(CHART / "files" / "crds")
    with pytest.raises(HelmError, match="invalid ownership metadata"):
        installer("install", RELEASE, str(CHART), "-n", NAMESPACE)
    installer("install", RELEASE, str(CHART), "-n", NAMESPACE, "--take-ownership")
    assert get(kubectl, "crd", POLICY_CRD)["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_a_second_release_is_told_to_leave_the_crds_alone(installer: Helm, kubectl: Kubectl) -> None:
    """And it installs with them left alone; what an uninstalled release left is Helm's to refuse or to take over."""
    installer("install", RELEASE, str(CHART), "-n", NAMESPACE, values={"replicas": 0})
    wait_until_served(kubectl)
    second = ("install", "second", str(CHART), "-n", "security")
    told = (
        f"The CRDs belong to the release {RELEASE} in namespace {NAMESPACE}: install this one with crds.install=false"
    )
    with pytest.raises(HelmError, match=told):
        installer(*second)
    installer(*second, values={"replicas": 0, "crds": {"install": False}, "watchNamespaces": ["security"]})
    installer("upgrade", RELEASE, str(CHART), "-n", NAMESPACE, values={"replicas": 0})
    installer("uninstall", "second", "-n", "security", "--wait")

    installer("uninstall", RELEASE, "-n", NAMESPACE, "--wait")
    with pytest.raises(HelmError, match="invalid ownership metadata"):
        installer(*second)
    installer(*second, "--take-ownership")
    installer("uninstall", "second", "-n", "security", "--wait")


def test_namespace_viewers_and_editors_may_do_so_with_policies(installer: Helm, kubectl: Kubectl) -> None:
    installer("install", RELEASE, str(CHART), "-n", NAMESPACE)
    for name, role in (("viewer", "view"), ("editor", "edit")):
        kubectl("-n", "security", "create", "rolebinding", name, f"--clusterrole={role}", f"--user={name}")

    def may(who: str, verb: str, resource: str, *more: str) -> bool:
        asked = kubectl("-n", "security", "auth", "can-i", verb, resource, f"--as={who}", *more, check=False)
        return asked.stdout.strip() == "yes"

    eventually(lambda: may("viewer", "list", "mfareports.mfa-operator.io"), "the roles are aggregated")
    eventually(lambda: may("editor", "update", "mfapolicies.mfa-operator.io"), "the roles are aggregated")
    assert not may("viewer", "update", "mfapolicies.mfa-operator.io")
    # firstSeen and intents stand in reports and status: nobody but the operator writes them.
    assert not may("editor", "update", "mfareports.mfa-operator.io")
    assert not may("editor", "update", "mfapolicies.mfa-operator.io", "--subresource=status")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"access": []}, "! access is an empty list"),
        ({"access": [{"accounts": ["*"]}]}, "Remediation: never; no access rule allows it."),
        (
            {"access": [{"remediation": "RemoveConsoleAccess"}]},
            "allowed up to RemoveConsoleAccess, where both an access rule and a policy allow it. Removal cannot",
        ),
        (
            {"access": [{"remediation": "QuarantineUntilMfa"}], "remediation": "off"},
            "! Remediation: switched off by remediation=off, although access rules allow up to QuarantineUntilMfa.",
        ),
        ({"watchNamespaces": ["security"]}, "Policies are watched in: security. In other namespaces"),
        ({"watchNamespaces": ["security"]}, "     namespace: security\n"),
        ({"access": [{"namespaces": ["team-*", "security"]}]}, "     namespace: security\n"),
        (
            {"access": [{"namespaces": ["first", "second"]}], "watchNamespaces": ["third", "second"]},
            "     namespace: second\n",
        ),
        ({"access": [{"namespaces": ["*"]}]}, f"     namespace: {NAMESPACE}\n"),
        ({"access": [{"accounts": ["*"]}]}, f"     namespace: {NAMESPACE}\n"),
        ({"access": []}, f"     namespace: {NAMESPACE}\n"),
        ({}, "each policy is served by only one of the two"),
        ({"image": {"repository": "registry.example.com/mfa"}}, "1. Wait for it"),
    ],
    ids=lambda each: "" if isinstance(each, str) else "-".join(each),
)
def test_the_notes_say_what_the_values_mean(
    helm: Helm, bare_cluster: ControlPlane, values: dict[str, Any], said: str
) -> None:
    """Nothing is installed, but without a cluster Helm shows no notes; the manifests are held to its API elsewhere."""
    installer = Helm(helm.program, helm.home, bare_cluster.kubeconfig)
    flags = ("--dry-run=client", "--disable-openapi-validation")
    notes = installer("install", RELEASE, str(CHART), "-n", NAMESPACE, *flags, values=values)
    assert said in notes.partition("NOTES:")[2]


def older_chart(directory: Path) -> Path:
    """The chart as an older version could have been: policies without `suspend`."""
    chart = directory / "older"
    shutil.copytree(CHART, chart)
    meta = yaml.safe_load((chart / "Chart.yaml").read_text())
    (chart / "Chart.yaml").write_text(yaml.safe_dump(meta | {"version": "0.0.9", "appVersion": "0.0.9"}))
    path = chart / "files" / "crds" / "mfapolicies.yaml"
    crd = yaml.safe_load(path.read_text())
    del spec_properties(crd)["suspend"]
    path.write_text(yaml.safe_dump(crd))
    return chart


def spec_properties(crd: Any) -> Any:
    return crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]


def policy_fields(kubectl: Kubectl) -> set[str]:
    return set(spec_properties(get(kubectl, "crd", POLICY_CRD)))
