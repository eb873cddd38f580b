"""What a cluster has before the chart comes: the kinds of the Prometheus Operator, and the names of the chart's own."""

from __future__ import annotations

from typing import Any

RESTRICTED = [f"pod-security.kubernetes.io/{mode}=restricted" for mode in ("enforce", "warn")]
POLICY_CRD = "mfapolicies.mfa-operator.io"
REPORT_CRD = "mfareports.mfa-operator.io"


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
