"""Events as the operator writes them, and what it may read, on a real API server with its rights alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kubernetes.client import ApiClient

from mfa_operator.api.enums import EventReason
from mfa_operator.api.objects import PolicyRef
from mfa_operator.kube.cluster import Cluster, PolicyIdentity, ReadRefused, RetryPolicy, WriteRefused
from mfa_operator.kube.connection import connect
from mfa_operator.reporting.events import EventNote
from tests.cluster.examples import FULL_REPORT, NAME, NOW, SPEC
from tests.controlplane import Kubectl
from tests.fixtures.operator import Policies

NOTE = EventNote(EventReason.NEW_VIOLATIONS, "Audit", "2 users can sign in without MFA: alice, bob")


@pytest.fixture
def client(service_account: Path) -> Iterator[ApiClient]:
    connected, _ = connect(str(service_account), None)
    with connected:
        yield connected


@pytest.fixture
def cluster(client: ApiClient) -> Cluster:
    retry = RetryPolicy(first=0.01)
    return Cluster(client, reporting_instance="mfa-operator-7d9f-x2x4k", retry=retry, clock=lambda: NOW)


@pytest.fixture
def policy(policies: Policies) -> PolicyIdentity:
    return PolicyIdentity.of(policies.apply(NAME, **SPEC))


class TestReading:
    def test_policies_of_all_namespaces_and_of_one(
        self, cluster: Cluster, policy: PolicyIdentity, policies: Policies
    ) -> None:
        assert policy in [PolicyIdentity.of(body) for body in cluster.list_policies(None)]
        assert [PolicyIdentity.of(body) for body in cluster.list_policies([policies.namespace])] == [policy]
        assert list(cluster.list_policies(["no-such-namespace"])) == []
        body = cluster.get_policy(policy.ref)
        assert body is not None
        assert body["spec"] == policies.get(NAME)["spec"]

    def test_what_the_service_account_may_not_is_refused(
        self, kubectl: Kubectl, namespace: str, service_account: Path, policy: PolicyIdentity, tmp_path: Path
    ) -> None:
        kubeconfig = json.loads(kubectl("config", "view", "--raw", "-o", "json", kubeconfig=service_account).stdout)
        kubectl("-n", namespace, "create", "serviceaccount", "nobody")
        token = kubectl("-n", namespace, "create", "token", "nobody").stdout.strip()
        kubeconfig["users"][0]["user"] = {"token": token}
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(kubeconfig))
        client, _ = connect(str(path), None)
        with client:
            cluster = Cluster(client, reporting_instance="a")
            with pytest.raises(ReadRefused, match=r'MfaPolicy .*403.*cannot get resource "mfapolicies"'):
                cluster.get_policy(policy.ref)
            with pytest.raises(WriteRefused, match=r"MfaReport .*403"):
                cluster.write_report(policy, FULL_REPORT, None)
            with pytest.raises(ReadRefused, match="mfapolicies in all namespaces"):
                list(cluster.list_policies(None))


class TestEvents:
    def test_are_seen_by_kubectl(self, cluster: Cluster, policy: PolicyIdentity, policies: Policies) -> None:
        cluster.emit(policy, NOTE)
        here = ("-n", policies.namespace)
        table = policies.kubectl(*here, "get", "events").stdout
        for shown in ("Warning", "NewViolations", f"mfapolicy/{NAME}", NOTE.note):
            assert shown in table
        described = policies.kubectl(*here, "describe", "mfap", NAME).stdout.split("Events:")[1]
        for shown in ("Warning", "NewViolations", "mfa-operator", NOTE.note):
            assert shown in described
        assert NOTE.note in policies.kubectl(*here, "events", f"--for=MfaPolicy/{NAME}").stdout

    def test_have_every_field_that_tools_filter_by(
        self, cluster: Cluster, policy: PolicyIdentity, policies: Policies
    ) -> None:
        cluster.emit(policy, NOTE)
        cluster.emit(policy, replace(NOTE, reason=EventReason.VIOLATIONS_RESOLVED))
        kinds = {event["reason"]: event["type"] for event in policies.events()}
        assert kinds == {"NewViolations": "Warning", "ViolationsResolved": "Normal"}
        [event] = policies.events("NewViolations")
        assert event["regarding"] == {
            "apiVersion": "mfa-operator.io/v1alpha1",
            "kind": "MfaPolicy",
            "name": NAME,
            "namespace": policies.namespace,
            "uid": policy.uid,
        }
        assert event["eventTime"] == "2026-05-04T03:02:01.000000Z"
        assert event["reportingController"] == "mfa-operator"
        assert event["reportingInstance"] == "mfa-operator-7d9f-x2x4k"
        assert event["action"] == "Audit"

    def test_within_one_second_their_times_tell_their_order(
        self, client: ApiClient, policy: PolicyIdentity, policies: Policies
    ) -> None:
        cluster = Cluster(client, reporting_instance="a")
        notes = [f"note {number}" for number in range(5)]
        for note in notes:
            cluster.emit(policy, replace(NOTE, note=note))
        events = policies.events()
        assert [event["note"] for event in events] == notes
        assert len({event["eventTime"] for event in events}) == len(notes)

    @pytest.mark.parametrize("note", ["x" * 1024, "x" * 1025, "ü" * 600, "🔑" * 3000], ids=len)
    def test_long_notes_are_cut(self, cluster: Cluster, policy: PolicyIdentity, policies: Policies, note: str) -> None:
        cluster.emit(policy, replace(NOTE, note=note))
        [event] = policies.events()
        kept = event["note"].removesuffix("…")
        assert note.startswith(kept)
        assert (kept == note) == (len(note.encode()) <= 1024)
        assert 1020 <= len(event["note"].encode()) <= 1024

    def test_the_longest_names_are_no_obstacle(self, client: ApiClient, policies: Policies) -> None:
        policy = PolicyIdentity.of(policies.apply("p" * 63, **SPEC))
        Cluster(client, reporting_instance="i" * 253).emit(policy, NOTE)
        [event] = policies.events()
        assert event["reportingInstance"] == "i" * 128

    def test_one_that_cannot_be_written_is_logged_and_stops_no_pass(
        self, cluster: Cluster, policy: PolicyIdentity, caplog: pytest.LogCaptureFixture
    ) -> None:
        elsewhere = PolicyIdentity(PolicyRef("no-such-namespace", NAME), policy.uid)
        with caplog.at_level(logging.WARNING):
            cluster.emit(elsewhere, NOTE)
        assert f"no-such-namespace/{NAME}" in caplog.text
        assert "NewViolations" in caplog.text
