"""Where the control plane's programs come from: KUBEBUILDER_ASSETS, or a Go build in the user's cache."""

from __future__ import annotations

from pathlib import Path

from tests.go_build import BinariesUnavailable, GoBuild, required_version

__all__ = ["NAMES", "BinariesUnavailable", "cache_directory", "find_binaries", "kubernetes_version", "missing_from"]

NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
PACKAGES = (
    "go.etcd.io/etcd/server/v3",
    "k8s.io/kubernetes/cmd/kube-apiserver",
    "k8s.io/kubernetes/cmd/kube-controller-manager",
    "k8s.io/kubernetes/cmd/kubectl",
)
MODULE = Path(__file__).parent


def kubernetes_version() -> str:
    """The version of Kubernetes that go.mod asks for, such as v1.36.3."""
    return required_version(MODULE, "k8s.io/kubernetes")


def _ldflags() -> str:
    """Linker flags that set the version, without which Helm's and kubectl's version checks fail."""
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".", 2)
    values = {"gitMajor": major, "gitMinor": minor, "gitVersion": version, "gitTreeState": "clean"}
    # The first is what the programs say they are, the second what they call themselves in a User-Agent.
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(["-s", "-w", *(f"-X {p}.{key}={value}" for p in packages for key, value in values.items())])


BUILD = GoBuild(
    label="controlplane",
    module=MODULE,
    packages=PACKAGES,
    names=NAMES,
    versions={"kubernetes": "k8s.io/kubernetes", "etcd": "go.etcd.io/etcd/server/v3"},
    announcement=(
        f"Kubernetes {kubernetes_version()}"
        " (once; about 10 minutes and 3 GB of Go's caches on 2 cores, seconds when these are warm)"
    ),
    assets_variable="KUBEBUILDER_ASSETS",
    ldflags=_ldflags(),
    renamed={"server": "etcd"},
)


def find_binaries() -> Path:
    """The directory with kube-apiserver, kube-controller-manager, etcd and kubectl, built if need be.

    A cold build takes about ten minutes on two cores. Raises BinariesUnavailable, see GoBuild.find.
    """
    return BUILD.find()


def missing_from(directory: Path) -> list[str]:
    """The names of the programs that the directory doesn't hold as executable files."""
    return BUILD.missing_from(directory)


def cache_directory() -> Path:
    """Where the build belongs; its name changes with go.mod, go.sum and the linker flags."""
    return BUILD.cache_directory()
