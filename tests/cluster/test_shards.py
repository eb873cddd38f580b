"""Operators side by side, each with a selector and replicas of its own: every policy is served by one of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from mfa_operator.config.policy_selector import PolicySelector
from mfa_sandbox.aws import EmbeddedAws
from tests.controlplane import Kubectl
from tests.fixtures.operator import OperatorProcess, Policies, StartOperator, eventually

ACCOUNT = "111122223333"
SELECTORS = {"a": "shard in (a,both)", "b": "shard in (both, b)"}


@dataclass
class Shard:
    """Two replicas with one selector."""

    lease: str
    replicas: list[OperatorProcess]

    @property
    def leader(self) -> OperatorProcess:
        """The one that leads; waits until there is one."""

        def found() -> OperatorProcess | None:
            running = [each for each in self.replicas if each.process.poll() is None and each.listening()]
            return next((each for each in running if each.sample("mfa_operator_leader") == 1.0), None)

        leader: OperatorProcess = eventually(found, f"a leader by the Lease {self.lease}")
        return leader

    def shows(self, name: str) -> set[str]:
        """Policies that the leader has series of this metric of."""
        return {dict(labels)["policy"] for labels in self.leader.samples(name)}


@pytest.fixture
def leases(kubectl: Kubectl, namespace: str) -> Iterator[dict[str, str]]:
    """The Leases of the shards, which the service account may update, as the chart lets it with policySelector."""
    leases = {name: PolicySelector.parse(text).lease_name for name, text in SELECTORS.items()}
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": namespace, "namespace": "mfa-operator"},
        "rules": [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["update"]}],
    }
    subject = {"kind": "ServiceAccount", "name": "mfa-operator", "namespace": "mfa-operator"}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": role["metadata"],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": namespace},
        "subjects": [subject],
    }
    kubectl("apply", "-f", "-", input=yaml.safe_dump_all([role, binding]))
    yield leases
    kubectl("-n", "mfa-operator", "delete", "role,rolebinding", namespace)
    kubectl("-n", "mfa-operator", "delete", "lease", *leases.values(), "--ignore-not-found")


@pytest.fixture
def shards(leases: dict[str, str], start_operator: StartOperator) -> dict[str, Shard]:
    return {
        name: Shard(leases[name], [start_operator(f"--policy-selector={text}", wait=False) for _ in range(2)])
        for name, text in SELECTORS.items()
    }


@pytest.fixture
def label(kubectl: Kubectl, namespace: str) -> Any:
    return lambda name, shard: kubectl("-n", namespace, "label", "--overwrite", "mfap", name, f"shard={shard}")


def test_each_policy_is_served_by_one_shard_whatever_changes(
    shards: dict[str, Shard], policies: Policies, kubectl: Kubectl, aws: EmbeddedAws, label: Any
) -> None:
    aws.world.account(ACCOUNT).user("alice", password=True)
    spec = {"accounts": [{"id": ACCOUNT, "roleArn": f"arn:aws:iam::{ACCOUNT}:role/mfa-operator"}], "interval": "1m"}
    labelled = {"for-a": "a", "for-b": "b", "for-both": "both", "for-nobody": "c"}
    manifests = [policies.manifest(name, spec) for name in labelled]
    for manifest in manifests:
        manifest["metadata"]["labels"] = {"shard": labelled[manifest["metadata"]["name"]]}
    kubectl("apply", "-f", "-", input=yaml.safe_dump_all(manifests))
    a, b = shards["a"], shards["b"]

    def served_by(name: str) -> Shard | None:
        lease = policies.status(name).get("servedBy", {}).get("lease", "")
        return next((shard for shard in (a, b) if lease == f"mfa-operator/{shard.lease}"), None)

    for name in ("for-a", "for-b", "for-both"):
        policies.wait_for_pass(name)
        policies.request_pass(name)
    assert (served_by("for-a"), served_by("for-b")) == (a, b)
    assert policies.status("for-nobody") == {}
    first = served_by("for-both")
    assert first is not None
    second = b if first is a else a
    # One audits it, and the other says that it does not.
    eventually(lambda: second.shows("mfa_policy_served_elsewhere") == {"for-both"}, "the second says so")
    assert first.shows("mfa_policy_served_elsewhere") == set()
    assert "for-both" in first.shows("mfa_policy_users")
    assert "for-both" not in second.shows("mfa_policy_users")

    # A policy moves: it is no deletion, and what is known of it stays.
    known = policies.reports()[f"for-a-{ACCOUNT}"]["findings"][0]["firstSeen"]
    label("for-a", "b")
    eventually(lambda: served_by("for-a") is b, "the other shard serves it")
    eventually(lambda: "for-a" not in a.shows("mfa_policy_users"), "its series are gone here")
    eventually(lambda: "for-a" in b.shows("mfa_policy_users"), "and there instead")
    policies.request_pass("for-a")
    assert policies.reports()[f"for-a-{ACCOUNT}"]["findings"][0]["firstSeen"] == known
    assert policies.events("QuarantinesLeft") == []

    # A leader stops: its own replica goes on, also with what both select.
    before = first.leader
    assert before.terminate() == 0
    assert first.leader is not before
    policies.request_pass("for-both")
    assert served_by("for-both") is first
    assert "Traceback" not in "".join(each.log for shard in (a, b) for each in shard.replicas)
