"""The command lines of the control plane's programs, and the audit policy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.controlplane.certificates import Certificates

HOST = "127.0.0.1"
# Metadata of what an operator does, cheap enough to leave on: not the API server's own renewing of its lease.
AUDIT_POLICY: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "users": ["system:apiserver"]},
        {
            "level": "Metadata",
            "resources": [
                {"group": "mfa-operator.io"},
                {"group": "", "resources": ["events"]},
                {"group": "events.k8s.io"},
                {"group": "coordination.k8s.io", "resources": ["leases"]},
            ],
        },
        {"level": "None"},
    ],
}


@dataclass(frozen=True)
class Layout:
    """Where one control plane keeps its files, and its ports."""

    directory: Path
    binaries: Path
    certificates: Certificates
    etcd_port: int
    etcd_peer_port: int
    apiserver_port: int
    manager_port: int

    @property
    def etcd_data(self) -> Path:
        return self.directory / "etcd"

    @property
    def etcd_url(self) -> str:
        return f"http://{HOST}:{self.etcd_port}"

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.apiserver_port}"

    @property
    def manager_url(self) -> str:
        return f"https://{HOST}:{self.manager_port}"

    @property
    def tokens(self) -> Path:
        return self.directory / "tokens.csv"

    @property
    def audit_log(self) -> Path:
        return self.directory / "audit.log"

    @property
    def manager_kubeconfig(self) -> Path:
        return self.directory / "kube-controller-manager.kubeconfig"


def etcd(layout: Layout) -> list[str | Path]:
    """The command of etcd; what it stores isn't synced to disk."""
    return [
        layout.binaries / "etcd",
        f"--data-dir={layout.etcd_data}",
        f"--listen-client-urls={layout.etcd_url}",
        f"--advertise-client-urls={layout.etcd_url}",
        f"--listen-peer-urls=http://{HOST}:{layout.etcd_peer_port}",
        "--unsafe-no-fsync=true",
        "--log-level=warn",
    ]


def apiserver(layout: Layout) -> list[str | Path]:
    """The command of kube-apiserver; writes the audit policy that it names."""
    policy = layout.directory / "audit-policy.yaml"
    policy.write_text(yaml.safe_dump(AUDIT_POLICY), encoding="utf-8")
    keys = layout.certificates
    return [
        layout.binaries / "kube-apiserver",
        f"--etcd-servers={layout.etcd_url}",
        f"--bind-address={HOST}",
        f"--advertise-address={HOST}",
        f"--secure-port={layout.apiserver_port}",
        "--endpoint-reconciler-type=none",
        f"--cert-dir={layout.directory / 'apiserver'}",
        f"--tls-cert-file={keys.server}",
        f"--tls-private-key-file={keys.server_key}",
        f"--client-ca-file={keys.ca}",
        f"--token-auth-file={layout.tokens}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={keys.service_account_public}",
        f"--service-account-signing-key-file={keys.service_account_key}",
        "--shutdown-delay-duration=0s",
        f"--audit-policy-file={policy}",
        f"--audit-log-path={layout.audit_log}",
        # Blocking: an event is in the file when its request ends, not a batch later.
        "--audit-log-mode=blocking",
        "--audit-log-maxsize=0",
    ]


def controller_manager(layout: Layout) -> list[str | Path]:
    """The command of kube-controller-manager, without the controllers that need nodes or kubeadm."""
    keys = layout.certificates
    return [
        layout.binaries / "kube-controller-manager",
        f"--kubeconfig={layout.manager_kubeconfig}",
        f"--authentication-kubeconfig={layout.manager_kubeconfig}",
        f"--authorization-kubeconfig={layout.manager_kubeconfig}",
        "--authorization-always-allow-paths=/healthz",
        f"--bind-address={HOST}",
        f"--secure-port={layout.manager_port}",
        "--leader-elect=false",
        "--controllers=*,-nodeipam,-bootstrapsigner,-tokencleaner",
        f"--cert-dir={layout.directory / 'controller-manager'}",
        f"--tls-cert-file={keys.server}",
        f"--tls-private-key-file={keys.server_key}",
        f"--root-ca-file={keys.ca}",
        f"--service-account-private-key-file={keys.service_account_key}",
    ]
