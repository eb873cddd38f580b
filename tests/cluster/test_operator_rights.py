"""The rights of deploy/rbac.yaml: each is used, none is missing, and without any one of them something breaks."""

from __future__ import annotations

import copy
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import yaml

from mfa_sandbox.aws import Account
from tests.controlplane import ControlPlane
from tests.fixtures.operator import RBAC, OperatorProcess, Policies, eventually
from tests.fixtures.shared_operator import SharedOperator, named

USER = "system:serviceaccount:mfa-operator:mfa-operator"
KEPT, DROPPED = "200000000001", "200000000002"


class Right(NamedTuple):
    resource: str
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


def rules() -> list[dict[str, Any]]:
    manifests = yaml.safe_load_all(RBAC.read_text())
    return [rule for manifest in manifests if "rules" in manifest for rule in manifest["rules"]]


GRANTED = {Right(resource, verb) for rule in rules() for resource in rule["resources"] for verb in rule["verbs"]}


OWN_PROCESS = {right for right in GRANTED if right.resource == "leases"} | {
    Right("mfapolicies", "list"),
    Right("mfapolicies", "watch"),
}
"""What ends a process, or keeps it from its work: the other rights are lacking side by side, each in one namespace."""


@dataclass(frozen=True)
class Limited:
    """An operator that lacks one right in a namespace."""

    operator: OperatorProcess
    policies: Policies
    control_plane: ControlPlane

    def refused_watches(self) -> int:
        """How often the operator was refused a watch of this namespace."""
        path = f"/namespaces/{self.policies.namespace}/mfapolicies?"
        return sum(
            event["verb"] == "watch" and path in event["requestURI"] and event["responseStatus"]["code"] == 403
            for event in self.control_plane.audit_events()
        )

    def account(self, policy: str, account_id: str) -> dict[str, Any]:
        accounts: list[dict[str, Any]] = self.policies.status(policy).get("accounts", [])
        return next((account for account in accounts if account["id"] == account_id), {})

    def forbidden(self, right: Right) -> bool:
        """Whether the operator's log tells what it may not do, and where."""
        what = rf'cannot {right.verb} resource "{right.resource}" in API group "[a-z0-9.-]+" in the namespace'
        return re.search(rf'{what} "{self.policies.namespace}"', self.operator.log.replace("\\", "")) is not None


def manifests(namespace: str, lacks: Right | None, home: str) -> Iterator[dict[str, Any]]:
    """A namespace in which the service account of the namespace `home` has all rights but one."""
    limited = copy.deepcopy(rules())
    for rule in limited:
        if lacks and lacks.resource in rule["resources"] and lacks.verb in rule["verbs"]:
            rule["verbs"].remove(lacks.verb)
    metadata = {"name": "mfa-operator", "namespace": namespace}
    rbac = "rbac.authorization.k8s.io"
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    allowed = [rule for rule in limited if rule["verbs"]]
    yield {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": metadata, "rules": allowed}
    yield {
        "apiVersion": f"{rbac}/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "mfa-operator"},
        "subjects": [{"kind": "ServiceAccount", "name": "mfa-operator", "namespace": home}],
    }
    if lacks == Right("leases", "update"):
        # Made by whoever led before, and given back.
        yield {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": {}}


@dataclass(frozen=True)
class World:
    """What came of it."""

    limited: dict[Right, Limited]
    used: set[Right]
    forbidden: list[dict[str, Any]]


@pytest.fixture(scope="module")
def world(module_shared: SharedOperator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    shared, kubectl = module_shared, module_shared.policies.kubectl
    namespaces = {right: f"test-{secrets.token_hex(4)}" for right in sorted(GRANTED)}
    side_by_side = [namespace for right, namespace in namespaces.items() if right not in OWN_PROCESS]
    home = f"test-{secrets.token_hex(4)}"
    homes = {right: namespace if right in OWN_PROCESS else home for right, namespace in namespaces.items()}
    kinds = [item for right, namespace in namespaces.items() for item in manifests(namespace, right, homes[right])]
    kubectl("apply", "-f", "-", input=yaml.safe_dump_all([*manifests(home, None, home), *kinds]))
    kept, dropped = shared.account("alice"), shared.account("bob")
    assert (kept.id, dropped.id) == (KEPT, DROPPED)
    used, forbidden = with_all_rights(shared, side_by_side, kept, dropped)

    # The next operator may not read the Lease of the one that served them, and would do nothing: docs/operations.md.
    removed = '[{"op": "remove", "path": "/status/servedBy"}]'
    for namespace in side_by_side:
        kubectl("-n", namespace, "patch", "mfap", "p", "--subresource=status", "--type=json", f"--patch={removed}")

    take_label(shared, namespaces[Right("mfareports", "get")])

    # What there is to do for those who lack one: a report less, another one, and an Event.
    apply_in(shared, namespaces.values(), {"p": {"accounts": named(kept)}, "q": {"accounts": named(kept)}})
    directory = tmp_path_factory.mktemp("limited")

    def launch(where: str, *served: str) -> OperatorProcess:
        path = directory / f"{where}.yaml"
        kubeconfig = shared.control_plane.service_account_kubeconfig(where, "mfa-operator", path)
        options = [f"--namespace={namespace}" for namespace in served]
        return shared.launch(*options, kubeconfig=kubeconfig, everywhere=True, wait=False)

    one_for_all = launch(home, *side_by_side)
    limited = {
        right: Limited(
            launch(namespace, namespace) if right in OWN_PROCESS else one_for_all,
            Policies(kubectl, namespace),
            shared.control_plane,
        )
        for right, namespace in namespaces.items()
    }
    yield World(limited, used, forbidden)
    for one in limited.values():
        # In no order: nobody waits for their Leases.
        one.operator.kill()
    kubectl("delete", "namespace", "--wait=false", home, *namespaces.values())


def take_label(shared: SharedOperator, namespace: str) -> None:
    """Somebody takes a report's label away: the list lacks it, and it has to be read by its name."""
    shared.policies.kubectl("-n", namespace, "label", "mfar", f"p-{KEPT}", "mfa-operator.io/policy-")


def apply_in(shared: SharedOperator, namespaces: Iterable[str], specs: Mapping[str, Mapping[str, Any]]) -> None:
    bodies = [
        Policies(shared.policies.kubectl, namespace).manifest(name, spec)
        for namespace in namespaces
        for name, spec in specs.items()
    ]
    shared.policies.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(bodies))


def with_all_rights(
    shared: SharedOperator, namespaces: list[str], kept: Account, dropped: Account
) -> tuple[set[Right], list[dict[str, Any]]]:
    """Audit a policy in each namespace, by an operator for all; returns the rights it used and what was forbidden."""
    served = [*namespaces, shared.namespace]
    before = len(shared.control_plane.audit_events())
    shared.policies.apply("p", accounts=named(kept, dropped))
    shared.policies.wait_for_pass("p")
    assert shared.operator.terminate() == 0
    take_label(shared, shared.namespace)
    shared.free_lease()
    shared.operator = shared.launch(everywhere=True)
    apply_in(shared, namespaces, {"p": {"accounts": named(kept, dropped)}})
    shared.policies.apply("p", accounts=named(kept))

    def all_passed() -> bool:
        items = shared.policies.kubectl.read("/apis/mfa-operator.io/v1alpha1/mfapolicies")["items"]
        ours = [item for item in items if item["metadata"]["namespace"] in served]
        return all(item.get("status", {}).get("observedGeneration") == item["metadata"]["generation"] for item in ours)

    eventually(all_passed, "a pass in each namespace")
    assert shared.operator.terminate() == 0
    events = [
        event
        for event in shared.control_plane.audit_events()[before:]
        if event["user"]["username"] == USER
        # Other tests leave namespaces that are being deleted, where nothing can be made.
        and event["objectRef"].get("namespace", shared.namespace) in (*served, "mfa-operator")
    ]
    targets = [
        ("/".join(filter(None, (event["objectRef"]["resource"], event["objectRef"].get("subresource")))), event)
        for event in events
    ]
    used = {Right(resource, event["verb"]) for resource, event in targets if event["responseStatus"]["code"] < 400}
    return used, [event for event in events if event["responseStatus"]["code"] in (401, 403)]


def test_all_rights_are_used_and_none_is_missing(world: World) -> None:
    assert world.forbidden == []
    assert world.used == GRANTED


def never_leads(one: Limited) -> bool:
    return ": leading\n" not in one.operator.log


def unaware_of_news(one: Limited) -> bool:
    one.policies.apply("late", accounts=[{"id": KEPT}])
    before = one.refused_watches()
    eventually(lambda: one.refused_watches() >= before + 3, "kopf tries for the third time")
    return not one.policies.status("late")


BROKEN: dict[Right, Callable[[Limited], object]] = {
    Right("mfapolicies", "get"): lambda one: (
        "pass over" in one.operator.log and one.policies.status("p")["observedGeneration"] == 1
    ),
    Right("mfapolicies", "list"): lambda one: one.operator.process.poll() == 1,
    Right("mfapolicies", "watch"): unaware_of_news,
    Right("mfapolicies/status", "update"): lambda one: not one.policies.status("q"),
    Right("mfareports", "get"): lambda one: one.account("p", KEPT).get("message", "").startswith("MfaReport"),
    Right("mfareports", "list"): lambda one: f"pass over {one.policies.namespace}/p failed" in one.operator.log,
    Right("mfareports", "create"): lambda one: one.account("q", KEPT).get("reason") == "WriteFailed",
    Right("mfareports", "delete"): lambda one: f"p-{DROPPED}" in one.policies.reports(),
    Right("mfareports/status", "update"): lambda one: one.account("q", KEPT).get("reason") == "WriteFailed",
    Right("events", "create"): lambda one: one.policies.status("q") and not one.policies.events(policy="q"),
    Right("leases", "create"): never_leads,
    Right("leases", "get"): never_leads,
    Right("leases", "update"): never_leads,
}


@pytest.mark.parametrize("right", BROKEN, ids=str)
def test_without_a_right_something_breaks_and_the_log_says_why(world: World, right: Right) -> None:
    one = world.limited[right]
    eventually(lambda: one.forbidden(right), f"the log tells that it cannot {right}")
    eventually(lambda: BROKEN[right](one), "what breaks without it")


def test_the_table_is_complete() -> None:
    assert set(BROKEN) == GRANTED
