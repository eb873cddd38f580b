"""The sets of values whose manifests are kept in golden/ and applied to a real API server."""

from __future__ import annotations

from typing import Any

# CRDs are held equal to deploy/crds by a test of their own.
NO_CRDS = {"crds": {"install": False}}

SIDECAR = {
    "name": "sidecar",
    "image": "registry.example.com/sidecar:1",
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
}

VALUE_SETS: dict[str, dict[str, Any]] = {
    "defaults": NO_CRDS,
    "single-replica": {**NO_CRDS, "replicas": 1, "topologySpreadConstraints": [], "service": {"enabled": False}},
    "namespaced": {
        **NO_CRDS,
        "watchNamespaces": ["security", "payments"],
        "policySelector": "team in (security, payments),!legacy",
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
        "events": {"queueUrl": "https://sqs.us-east-1.amazonaws.com/999988887777/mfa-operator-events"},
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
        "metrics": {"userViolationInfo": True, "perAccountLimit": 1000000},
        "logs": {"format": "text", "level": "debug"},
        "serviceMonitor": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "metricRelabelings": [{"action": "labeldrop", "regex": "pod"}],
        },
        "runbookBaseUrl": "https://git.example.com/mfa-operator/docs/runbooks/",
        "prometheusRule": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "severities": {"MfaUserOverdue": "critical"},
            "disabled": ["MfaUserViolating"],
        },
        "networkPolicy": {
            "enabled": True,
            "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
            "extraEgress": [{"ports": [{"port": 3128, "protocol": "TCP"}]}],
        },
    },
    # What people know from other charts.
    "umbrella": {
        **NO_CRDS,
        "global": {"imageRegistry": "mirror.example.com", "imagePullSecrets": ["mirror", {"name": "other"}]},
        "image": {"repository": "registry.example.com:5000/security/mfa-operator"},
        "imagePullSecrets": [{"name": "other"}],
        "namespaceOverride": "security",
        "revisionHistoryLimit": 3,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
        "deploymentAnnotations": {"reloader.stakater.com/auto": "true"},
        "serviceAccount": {"labels": {"team": "security"}},
        "caBundle": {"configMap": "corporate-ca", "key": "ca-certificates.crt"},
        "extraArgs": ["--context="],
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["192.0.2.53"]},
        "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["sts.example.com"]}],
        "runtimeClassName": "gvisor",
        "extraInitContainers": [SIDECAR | {"name": "wait-for-dns"}],
        "extraContainers": [SIDECAR],
        "livenessProbe": {"failureThreshold": 12},
        "readinessProbe": {"initialDelaySeconds": 1},
        "metrics": {"address": "[::]:19090"},
        "health": {"address": "0.0.0.0:18080"},
        "service": {"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv4"]},
        "podDisruptionBudget": {"maxUnavailable": "50%"},
        "serviceMonitor": {"enabled": True, "namespace": "payments", "honorLabels": True},
        "networkPolicy": {"enabled": True, "podIdentity": True},
        "extraObjects": [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "{{ .Release.Name }}-as-an-object", "namespace": "security"},
            },
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: as-a-string, namespace: {{ .Release.Namespace }}}\n",
        ],
    },
    "bring-your-own": {
        **NO_CRDS,
        "serviceAccount": {"create": False, "name": "given"},
        "rbac": {"create": False},
        # No ids at all.
        "podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None},
        "podMonitor": {"enabled": True},
        "fullnameOverride": "mfa",
    },
}
