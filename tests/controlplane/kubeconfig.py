"""Kubeconfig files for the throw-away control plane."""

from __future__ import annotations

import base64
from pathlib import Path

import yaml

CONTEXT = "mfa-controlplane"


def write_kubeconfig(path: Path, *, url: str, ca: Path, token: str, namespace: str = "default") -> Path:
    """Write a kubeconfig, readable by its owner only, with the context `mfa-controlplane`; returns the path.

    The CA is embedded, so the file can be copied elsewhere.
    """
    authority = base64.b64encode(ca.read_bytes()).decode("ascii")
    context = {"cluster": CONTEXT, "user": CONTEXT, "namespace": namespace}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": CONTEXT, "cluster": {"server": url, "certificate-authority-data": authority}},
        ],
        "users": [{"name": CONTEXT, "user": {"token": token}}],
        "contexts": [{"name": CONTEXT, "context": context}],
        "current-context": CONTEXT,
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path
