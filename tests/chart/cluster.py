"""What a cluster has before the chart comes: the kinds of the Prometheus Operator, and the names of the chart's own."""

from __future__ import annotations

from typing import Any

from tests.controlplane import Kubectl
from tests.fixtures.operator import eventually

RESTRICTED = [f"pod-security.kubernetes.io/{mode}=restricted" for mode in ("enforce", "warn")]
POLICY_CRD = "mfapolicies.mfa-operator.io"
REPORT_CRD = "mfareports.mfa-operator.io"


def wait_until_served(kubectl: Kubectl, *crds: str) -> None:
    """Until these kinds, or both of ours, can be listed.

    A CRD that is deleted before can hang in its finalizer for minutes.
    """
    crds = crds or (POLICY_CRD, REPORT_CRD)
    kubectl("wait", "--for=condition=Established", "--timeout=60s", *(f"crd/{crd}" for crd in crds))

    def unserved() -> list[str]:
        paths = [f"/apis/{group}/v1alpha1/{plural}" for plural, _, group in (crd.partition(".") for crd in crds)]
        return [path for path in paths if kubectl("get", "--raw", path, check=False).returncode]

    eventually(lambda: not unserved(), f"{', '.join(crds)} can be listed")


def monitoring_crd(kind: str) -> dict[str, Any]:
    """A stand-in for a kind of the Prometheus Operator, which takes anything."""
    plural = f"{kind.lower()}s"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com",
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                    },
                }
            ],
        },
    }
