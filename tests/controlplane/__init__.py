"""A real Kubernetes control plane (etcd, kube-apiserver, kube-controller-manager) on loopback, for tests."""

from tests.controlplane.binaries import BinariesUnavailable, find_binaries, kubernetes_version
from tests.controlplane.kubectl import Kubectl, KubectlError
from tests.controlplane.launcher import ControlPlane
from tests.controlplane.process import StartError

__all__ = [
    "BinariesUnavailable",
    "ControlPlane",
    "Kubectl",
    "KubectlError",
    "StartError",
    "find_binaries",
    "kubernetes_version",
]
