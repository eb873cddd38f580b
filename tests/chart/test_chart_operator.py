"""The operator as the chart runs it: the Deployment's arguments, the installed service account, its every right."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mfa_sandbox.aws import Account, EmbeddedAws
from tests.chart.cluster import wait_until_served
from tests.chart.helm import CHART, NAMESPACE, RELEASE, Helm, Object
from tests.controlplane import ControlPlane, Kubectl
from tests.fixtures.operator import Launcher, OperatorProcess, Policies, eventually

ACCESS_FILE = "/etc/mfa-operator/access.yaml"
ACCESS = [{"namespaces": ["security"], "remediation": "QuarantineUntilMfa"}, {"namespaces": ["payments"]}]
FIRST, SECOND, THIRD = "111122223333", "222233334444", "333344445555"


class Pod:
    """What the kubelet would make of the Deployment: arguments, and the ConfigMap mounted as it does it."""

    def __init__(self, kubectl: Kubectl, directory: Path) -> None:
        self.kubectl = kubectl
        self.mount = directory / "etc"
        self.mount.mkdir()
        (self.mount / "access.yaml").symlink_to("..data/access.yaml")

    def update(self) -> None:
        """Write the ConfigMap's present data beside the old, and swap a symlink."""
        content = self._get("configmap", f"{RELEASE}-access")["data"]["access.yaml"]
        version = self.mount / f"..{len(list(self.mount.iterdir()))}"
        version.mkdir()
        (version / "access.yaml").write_text(content)
        link = self.mount / "..data_tmp"
        link.symlink_to(version.name)
        link.replace(self.mount / "..data")

    def args(self) -> list[str]:
        pod = self._get("deployment", RELEASE)["spec"]["template"]["spec"]
        args: list[str] = pod["containers"][0]["args"]
        assert args[0] == "run"
        # The test's process has ports of its own.
        addresses = {"--metrics-address=:9090", "--health-address=:8080"}
        assert addresses < set(args)
        return [arg.replace(ACCESS_FILE, str(self.mount / "access.yaml")) for arg in args[1:] if arg not in addresses]

    def _get(self, *args: str) -> Any:
        return json.loads(self.kubectl("-n", NAMESPACE, "get", *args, "-o", "json").stdout)


Run = Callable[..., tuple[OperatorProcess, Pod]]


@pytest.fixture
def run(
    installer: Helm, bare_cluster: ControlPlane, kubectl: Kubectl, aws: EmbeddedAws, tmp_path: Path
) -> Iterator[Run]:
    """Installs the chart with the values, if any, and starts the operator that its Deployment describes."""
    pod = Pod(kubectl, tmp_path)
    kubeconfig = tmp_path / "kubeconfig"
    launcher = Launcher(kubeconfig, NAMESPACE, aws, tmp_path)

    def start(values: Object | None = None) -> tuple[OperatorProcess, Pod]:
        if values is not None:
            installer("install", RELEASE, str(CHART), "-n", NAMESPACE, values={"replicas": 0, **values})
            wait_until_served(kubectl)
            bare_cluster.service_account_kubeconfig(NAMESPACE, RELEASE, kubeconfig)
            pod.update()
        environment = {"POD_NAMESPACE": NAMESPACE, "POD_NAME": "mfa-operator-0"}
        return launcher(*pod.args(), environment=environment, everywhere=True), pod

    yield start
    launcher.stop()
    kubectl("-n", NAMESPACE, "delete", "lease", "--all")


@pytest.fixture
def accounts(aws: EmbeddedAws) -> tuple[Account, Account, Account]:
    made = aws.world.account(FIRST), aws.world.account(SECOND), aws.world.account(THIRD)
    for account in made:
        account.user("alice", password=True)
    return made


def named(*accounts: Account) -> list[dict[str, str]]:
    return [{"id": account.id, "roleArn": account.role_arn} for account in accounts]


@pytest.mark.parametrize("where", ["everywhere", "in-its-namespaces"])
def test_does_all_its_jobs_and_uses_each_right_that_it_has(
    run: Run,
    accounts: tuple[Account, Account, Account],
    bare_cluster: ControlPlane,
    kubectl: Kubectl,
    installer: Helm,
    where: str,
) -> None:
    first, second, third = accounts
    seen = len(bare_cluster.audit_events())
    values = {"access": ACCESS, "watchNamespaces": [] if where == "everywhere" else ["security", "payments"]}
    operator, _ = run(values)
    security, payments = (Policies(kubectl, namespace) for namespace in ("security", "payments"))
    remediation = {"action": "QuarantineUntilMfa", "dryRun": False}
    security.apply("p", accounts=named(first, second), gracePeriod="0s", remediation=remediation)
    payments.apply("p", accounts=named(third), gracePeriod="0s", remediation=remediation)
    for policies in (security, payments):
        assert policies.wait_for_pass("p")["summary"]["overdue"]

    security.request_pass("p")
    assert security.findings("p", FIRST)["alice"]["remediation"]["state"] == "Done"
    # The access rules of the chart: payments may only look.
    payments.request_pass("p")
    assert payments.findings("p", THIRD)["alice"]["remediation"]["state"] == "Skipped"
    assert not third.existing_user("alice").attached_policies
    eventually(lambda: security.events("Quarantined", "p"), "an Event in the policy's namespace")
    # An account that is no longer named loses its report.
    security.apply("p", accounts=named(first), gracePeriod="0s", remediation=remediation)
    eventually(lambda: list(security.reports()) == [f"p-{FIRST}"], "the second account's report is gone")
    assert operator.terminate() == 0
    # The next one takes up what the reports say before its first pass.
    operator, _ = run()
    counts = {"policy_namespace": "security", "policy": "p", "account_id": FIRST, "state": "overdue"}
    eventually(lambda: operator.sample("mfa_policy_users", **counts) == 1, "the counts are restored")
    # The list lacks a report whose label somebody took away: it is read by its name.
    security.kubectl("-n", security.namespace, "label", "mfar", f"p-{FIRST}", "mfa-operator.io/policy-")
    security.request_pass("p")
    assert operator.terminate() == 0
    for policies in (security, payments):
        policies.kubectl("-n", policies.namespace, "delete", "mfap", "p")

    requests = [
        event
        for event in bare_cluster.audit_events()[seen:]
        if event["user"]["username"] == f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
    ]
    refused = [event["requestURI"] for event in requests if event["responseStatus"]["code"] == 403]
    assert not refused, "a right is missing"
    used = {
        (
            event["objectRef"]["apiGroup"],
            "/".join(filter(None, (event["objectRef"]["resource"], event["objectRef"].get("subresource")))),
            event["verb"],
        )
        for event in requests
    }
    granted = {
        (group, resource, verb)
        for kind in ("Role", "ClusterRole")
        for role in installer_roles(kubectl, kind)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert used == granted, "a right is of no use, or something was done that needs none"


def installer_roles(kubectl: Kubectl, kind: str) -> list[Object]:
    """The roles that are bound to the service account."""
    selector = f"app.kubernetes.io/instance={RELEASE}"
    items: list[Object] = json.loads(kubectl("get", kind, "-A", "-l", selector, "-o", "json").stdout)["items"]
    return [role for role in items if not any("aggregate-to" in label for label in role["metadata"]["labels"])]


def test_changed_access_rules_hold_without_a_restart(
    run: Run, accounts: tuple[Account, Account, Account], installer: Helm, kubectl: Kubectl
) -> None:
    _, pod = run({"access": ACCESS})
    payments = Policies(kubectl, "payments")
    payments.apply("q", accounts=named(accounts[0]))
    assert payments.wait_for_pass("q")["summary"]["violating"] == 1

    installer("upgrade", RELEASE, str(CHART), "-n", NAMESPACE, values={"replicas": 0, "access": ACCESS[:1]})
    pod.update()
    eventually(lambda: _ask(payments), "the new rules hold")
    (account,) = payments.status("q")["accounts"]
    assert (account["reason"], account["violating"]) == ("NotAllowed", 1)
    kubectl("-n", "payments", "delete", "mfap", "q")


def _ask(policies: Policies) -> bool:
    policies.request_pass("q")
    return bool(policies.status("q")["accounts"][0].get("reason"))
