"""What people do with kubectl by hand in `mfa-operator demo`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

from mfa_sandbox.kubernetes import EmbeddedKubernetes
from tests.kube.objects import Object

Kubectl = Callable[..., str]


def interval(kube: EmbeddedKubernetes) -> str:
    policy = kube.get("mfapolicies", "default", "console-mfa")
    assert policy is not None
    return str(policy["spec"]["interval"])


def make_ready(kube: EmbeddedKubernetes) -> None:
    ready = {"type": "Ready", "status": "True", "reason": "PassSucceeded", "message": "2 of 2 accounts"}
    status = {"conditions": [ready], "summary": {"violating": 3, "overdue": 1, "accounts": 2}}
    kube.patch("mfapolicies", "default", "console-mfa", {"status": status}, subresource="status")


def test_apply_creates_changes_and_leaves_alone(
    kube: EmbeddedKubernetes, kubectl: Kubectl, new_policy: Callable[..., Object]
) -> None:
    def apply(**spec: object) -> str:
        return kubectl("apply", "--validate=false", "-f", "-", stdin=json.dumps(new_policy(**spec)))

    assert apply(interval="15m") == "mfapolicy.mfa-operator.io/console-mfa created\n"
    assert "unchanged" in apply(interval="15m")
    assert "configured" in apply(interval="5m")
    assert interval(kube) == "5m"


def test_get_shows_the_crds_columns(kube: EmbeddedKubernetes, kubectl: Kubectl, policy: Object) -> None:
    make_ready(kube)

    header, row = kubectl("get", "mfap").splitlines()
    assert header.split()[:6] == ["NAME", "READY", "COMPLIANT", "VIOLATING", "OVERDUE", "ACCOUNTS"]
    assert row.split()[:5] == ["console-mfa", "True", "3", "1", "2"]
    assert "2 of 2 accounts" in kubectl("get", "mfap", "-o", "wide")
    assert kubectl("get", "mfa", "-A", "-o", "name") == "mfapolicy.mfa-operator.io/console-mfa\n"
    shown = json.loads(kubectl("get", "mfap", "console-mfa", "-o", "json"))
    assert shown["metadata"]["uid"] == policy["metadata"]["uid"]
    assert 'mfapolicies.mfa-operator.io "absent" not found' in kubectl("get", "mfap", "absent", fails=True)


def test_patch_of_spec_and_status(kube: EmbeddedKubernetes, kubectl: Kubectl, policy: Object) -> None:
    kubectl("patch", "mfap", "console-mfa", "--type=merge", "-p", '{"spec":{"interval":"5m"}}')
    assert interval(kube) == "5m"
    status = '{"status":{"findingsTotal":7}}'
    kubectl("patch", "mfap", "console-mfa", "--type=merge", "--subresource=status", "-p", status)
    assert kube.list("mfap")[0]["status"] == {"findingsTotal": 7}


def test_annotate_asks_for_a_pass(kube: EmbeddedKubernetes, kubectl: Kubectl, policy: Object) -> None:
    for value in ("now", "again"):
        kubectl("annotate", "--overwrite", "mfap", "console-mfa", f"mfa-operator.io/requestedAt={value}")

    (changed,) = kube.list("mfap")
    assert changed["metadata"]["annotations"] == {"mfa-operator.io/requestedAt": "again"}
    assert changed["metadata"]["generation"] == 1


def test_get_w_shows_what_happens(
    kube: EmbeddedKubernetes, start_kubectl: Callable[..., subprocess.Popen[str]], policy: Object
) -> None:
    process = start_kubectl("get", "mfap", "-w")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("NAME ")
    assert process.stdout.readline().split()[0] == "console-mfa"
    make_ready(kube)
    assert process.stdout.readline().split()[:2] == ["console-mfa", "True"]


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
    described = kubectl("describe", "mfap", "console-mfa")
    assert "111122223333" in described
    events = described.partition("\nEvents:")[2].splitlines()
    kind, reason, _, source, *message = events[-1].split()
    assert (kind, reason, source) == ("Warning", "Violations", "mfa-operator.io/operator")
    assert message == ["3", "users", "violate"]


def test_delete_waits_until_the_policy_and_its_reports_are_gone(
    kube: EmbeddedKubernetes, kubectl: Kubectl, policy: Object
) -> None:
    owner = {"apiVersion": policy["apiVersion"], "kind": "MfaPolicy", "name": "console-mfa"}
    owner["uid"] = policy["metadata"]["uid"]
    meta = {"name": "console-mfa-111122223333", "ownerReferences": [owner]}
    kube.apply({"apiVersion": policy["apiVersion"], "kind": "MfaReport", "metadata": meta})
    assert kubectl("delete", "mfap", "console-mfa").startswith('mfapolicy.mfa-operator.io "console-mfa" deleted')
    assert kube.list("mfap") == kube.list("mfar") == []
    assert "not found" in kubectl("delete", "mfap", "console-mfa", fails=True)
