"""What people do with kubectl by hand in `mfa-operator demo`."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mfa_sandbox.kubernetes import EmbeddedKubernetes
from tests.kube.objects import Object

Kubectl = Callable[..., str]
Eventually = Callable[..., None]


@pytest.fixture
def manifest(new_policy: Callable[..., Object]) -> str:
    return json.dumps(new_policy())


def interval(kube: EmbeddedKubernetes) -> str:
    policy = kube.get("mfapolicies", "default", "console-mfa")
    assert policy is not None
    return str(policy["spec"]["interval"])


def make_ready(kube: EmbeddedKubernetes) -> None:
    ready = {"type": "Ready", "status": "True", "reason": "PassSucceeded", "message": "2 of 2 accounts"}
    kube.patch(
        "mfapolicies",
        "default",
        "console-mfa",
        {"status": {"conditions": [ready], "summary": {"violating": 3, "overdue": 1, "accounts": 2}}},
        subresource="status",
    )


def test_create_only_once(kubectl: Kubectl, manifest: str) -> None:
    assert kubectl("create", "-f", "-", stdin=manifest) == "mfapolicy.mfa-operator.io/console-mfa created\n"

    refused = kubectl("create", "-f", "-", stdin=manifest, fails=True)
    assert "Error from server (AlreadyExists): " in refused
    assert 'mfapolicies.mfa-operator.io "console-mfa" already exists' in refused


@pytest.mark.parametrize("options", [[], ["--validate=false"], ["--server-side"]])
def test_apply_creates_changes_and_leaves_alone(
    kube: EmbeddedKubernetes, kubectl: Kubectl, new_policy: Callable[..., Object], options: list[str]
) -> None:
    def apply(**spec: object) -> str:
        return kubectl("apply", *options, "-f", "-", stdin=json.dumps(new_policy(**spec)))

    server_side = "--server-side" in options
    assert ("serverside-applied" if server_side else "created") in apply()
    assert ("serverside-applied" if server_side else "unchanged") in apply()
    assert ("serverside-applied" if server_side else "configured") in apply(interval="5m")
    assert interval(kube) == "5m"
    apply()
    assert interval(kube) == "15m"


def test_get_shows_the_crds_columns(kube: EmbeddedKubernetes, kubectl: Kubectl, policy: Object) -> None:
    make_ready(kube)

    header, row = kubectl("get", "mfap").splitlines()
    assert header.split() == ["NAME", "READY", "COMPLIANT", "VIOLATING", "OVERDUE", "ACCOUNTS", "LAST-PASS", "AGE"]
    assert row.split()[:5] == ["console-mfa", "True", "3", "1", "2"]
    assert "2 of 2 accounts" in kubectl("get", "mfap", "-o", "wide")
    assert kubectl("get", "mfa", "-A", "-o", "name") == "mfapolicy.mfa-operator.io/console-mfa\n"
    assert (
        json.loads(kubectl("get", "mfap", "console-mfa", "-o", "json"))["metadata"]["uid"] == policy["metadata"]["uid"]
    )
    assert 'mfapolicies.mfa-operator.io "absent" not found' in kubectl("get", "mfap", "absent", fails=True)


def test_patch_of_every_kind(kube: EmbeddedKubernetes, kubectl: Kubectl, policy: Object) -> None:
    kubectl("patch", "mfap", "console-mfa", "--type=merge", "-p", '{"spec":{"interval":"5m"}}')
    assert interval(kube) == "5m"
    operations = '[{"op":"replace","path":"/spec/interval","value":"6m"}]'
    kubectl("patch", "mfap", "console-mfa", "--type=json", "-p", operations)
    assert interval(kube) == "6m"
    kubectl(
        "patch", "mfap", "console-mfa", "--subresource=status", "--type=merge", "-p", '{"status":{"findingsTotal":7}}'
    )
    assert kube.list("mfap")[0]["status"] == {"findingsTotal": 7}
    refused = kubectl("patch", "mfap", "console-mfa", "-p", "{}", fails=True)
    assert "strategic-merge-patch+json is not supported" in refused


def test_annotate_asks_for_a_pass(kube: EmbeddedKubernetes, kubectl: Kubectl, policy: Object) -> None:
    kubectl("annotate", "mfap", "console-mfa", "mfa-operator.io/requestedAt=now")

    (changed,) = kube.list("mfap")
    assert changed["metadata"]["annotations"] == {"mfa-operator.io/requestedAt": "now"}
    assert changed["metadata"]["generation"] == 1


def test_edit(kube: EmbeddedKubernetes, kubectl: Kubectl, policy: Object, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/interval: 15m/interval: 7m/" "$1"\n', encoding="utf-8")
    editor.chmod(0o700)

    assert "edited" in kubectl("edit", "mfap", "console-mfa", EDITOR=str(editor))
    assert interval(kube) == "7m"


def test_get_w_shows_what_happens(
    kube: EmbeddedKubernetes,
    start_kubectl: Callable[..., subprocess.Popen[str]],
    policy: Object,
) -> None:
    process = start_kubectl("get", "mfap", "-w")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("NAME ")
    assert process.stdout.readline().split()[0] == "console-mfa"

    make_ready(kube)

    assert process.stdout.readline().split()[:2] == ["console-mfa", "True"]


@pytest.mark.parametrize("before", [True, False])
def test_wait_for_ready(
    kube: EmbeddedKubernetes,
    start_kubectl: Callable[..., subprocess.Popen[str]],
    eventually: Eventually,
    policy: Object,
    before: bool,
) -> None:
    if before:
        make_ready(kube)
    process = start_kubectl("wait", "--for=condition=Ready", "mfap/console-mfa", "--timeout=30s")
    if not before:
        eventually(lambda: kube.requests.count(verb="watch") > 0, "kubectl watches")
        make_ready(kube)

    output, errors = process.communicate(timeout=60)
    assert (output, errors) == ("mfapolicy.mfa-operator.io/console-mfa condition met\n", "")


def test_events_are_listed_and_described(kube: EmbeddedKubernetes, kubectl: Kubectl, policy: Object) -> None:
    about = {"apiVersion": "mfa-operator.io/v1alpha1", "kind": "MfaPolicy", "namespace": "default"}
    kube.apply(
        {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": "console-mfa.1"},
            "regarding": {**about, "name": "console-mfa", "uid": policy["metadata"]["uid"]},
            "reason": "Violations",
            "action": "Audit",
            "note": "3 users violate",
            "type": "Warning",
            "eventTime": policy["metadata"]["creationTimestamp"].replace("Z", ".000000Z"),
            "reportingController": "mfa-operator.io/operator",
            "reportingInstance": "pod-1",
        }
    )

    assert kubectl("get", "events").splitlines()[1].split()[1:4] == ["Warning", "Violations", "mfapolicy/console-mfa"]
    assert "3 users violate" in kubectl("events", "--for=mfapolicy/console-mfa")
    described = kubectl("describe", "mfap", "console-mfa")
    assert "Interval:       15m" in described
    events = described.partition("\nEvents:")[2].splitlines()
    kind, reason, _, source, *message = events[-1].split()
    assert (kind, reason, source) == ("Warning", "Violations", "mfa-operator.io/operator")
    assert message == ["3", "users", "violate"]


def test_explain_reads_the_crd(kubectl: Kubectl) -> None:
    explained = kubectl("explain", "mfap.spec.interval")

    assert "GROUP:      mfa-operator.io" in explained
    assert "FIELD: interval <string>" in explained


def test_delete_waits_until_all_is_gone(kube: EmbeddedKubernetes, kubectl: Kubectl, policy: Object) -> None:
    assert kubectl("delete", "mfap", "console-mfa").startswith('mfapolicy.mfa-operator.io "console-mfa" deleted')
    assert kube.list("mfap") == []
    assert "not found" in kubectl("delete", "mfap", "console-mfa", fails=True)
    assert kubectl("delete", "mfap", "console-mfa", "--ignore-not-found") == ""


def test_namespaces_come_and_go_by_manifest(kube: EmbeddedKubernetes, kubectl: Kubectl, manifest: str) -> None:
    kubectl("apply", "-f", "-", stdin='{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"security"}}')
    kubectl("apply", "-n", "security", "-f", "-", stdin=manifest)
    assert kubectl("get", "ns", "security").splitlines()[1].split()[:2] == ["security", "Active"]
    assert "security" in kubectl("get", "mfap", "-A")

    kubectl("delete", "ns", "security")
    assert kube.list("mfap") == []


def test_what_only_protobuf_would_carry_is_refused_in_words(kubectl: Kubectl) -> None:
    assert "use `kubectl apply -f`" in kubectl("create", "namespace", "security", fails=True)


def test_who_am_i_and_version(kubectl: Kubectl) -> None:
    assert "sandbox" in kubectl("auth", "whoami")
    assert json.loads(kubectl("version", "-o", "json"))["serverVersion"]["major"] == "1"
    assert "mfareports" in kubectl("api-resources", "--api-group=mfa-operator.io")
