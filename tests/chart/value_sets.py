"""The sets of values whose manifests are kept in golden/ and applied to a real API server."""

from __future__ import annotations

from typing import Any

# CRDs are held equal to deploy/crds by a test of their own.
NO_CRDS = {"crds": {"install": False}}

VALUE_SETS: dict[str, dict[str, Any]] = {
    "defaults": NO_CRDS,
    "single-replica": {**NO_CRDS, "replicas": 1, "topologySpreadConstraints": [], "service": {"enabled": False}},
    "namespaced": {
        **NO_CRDS,
        "watchNamespaces": ["security", "payments"],
        "access": [
            {"namespaces": ["security"], "accounts": ["1111*"], "remediation": "QuarantineUntilMfa"},
            {"namespaces": ["*"]},
        ],
        # As YAML reads an unquoted off.
        "remediation": False,
    },
    "eks-with-everything": {
        **NO_CRDS,
        "image": {"repository": "registry.example.com/security/mfa-operator", "digest": f"sha256:{'0a' * 32}"},
        "imagePullSecrets": [{"name": "registry"}],
        "access": [{"roles": ["arn:aws:iam::*:role/mfa-operator"], "remediation": "RemoveConsoleAccess"}],
        "maxConcurrentAccounts": 32,
        "serviceAccount": {
            "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::999988887777:role/mfa-operator-controller"}
        },
        "aws": {"region": "eu-central-1"},
        "proxy": {"https": "http://proxy.example.com:3128", "noProxy": ".svc,10.0.0.0/8"},
        "extraEnv": [{"name": "AWS_CA_BUNDLE", "value": "/etc/corporate/ca.pem"}],
        "extraEnvFrom": [{"configMapRef": {"name": "aws-settings", "optional": True}}],
        "extraVolumes": [{"name": "ca", "configMap": {"name": "corporate-ca"}}],
        "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/corporate", "readOnly": True}],
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "infra", "operator": "Exists"}],
        "podAnnotations": {"example.com/team": "security"},
        "podLabels": {"team": "security"},
        "commonLabels": {"example.com/cost-centre": "4711"},
        "metrics": {"userViolationInfo": True},
        "logs": {"format": "text", "level": "debug"},
        "serviceMonitor": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "metricRelabelings": [{"action": "labeldrop", "regex": "pod"}],
        },
        "prometheusRule": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "runbookBaseUrl": "https://git.example.com/mfa-operator/docs/runbooks/",
            "severities": {"MfaUserOverdue": "critical"},
            "disabled": ["MfaUserViolating"],
        },
        "networkPolicy": {
            "enabled": True,
            "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
            "extraEgress": [{"ports": [{"port": 3128, "protocol": "TCP"}]}],
        },
    },
    "bring-your-own": {
        **NO_CRDS,
        "serviceAccount": {"create": False, "name": "given"},
        "rbac": {"create": False},
        # What OpenShift wants: ids of its own choice.
        "podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None},
        "podMonitor": {"enabled": True},
        "fullnameOverride": "mfa",
    },
}
