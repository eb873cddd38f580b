"""Helm, Prometheus and Flux's kstatus for the tests of what is deployed: from the PATH or an own Go build."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.controlplane.binaries import kubernetes_version
from tests.go_build import GoBuild, required_version

_HERE = Path(__file__).parent
_HELM_MODULE = "helm.sh/helm/v3"
_PROMETHEUS_MODULE = "github.com/prometheus/prometheus"
_ACTIONLINT_MODULE = "github.com/rhysd/actionlint"


def _helm_ldflags() -> str:
    """Helm's version, and the Kubernetes version that `helm template` goes by: without them it takes 1.20."""
    major, minor, _ = kubernetes_version().removeprefix("v").split(".", 2)
    values = {f"{_HELM_MODULE}/internal/version.version": required_version(_HERE / "helm", _HELM_MODULE)}
    for package in ("pkg/chartutil", "pkg/lint/rules"):
        values[f"{_HELM_MODULE}/{package}.k8sVersionMajor"] = major
        values[f"{_HELM_MODULE}/{package}.k8sVersionMinor"] = minor
    return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in values.items())])


HELM = GoBuild(
    label="helm",
    module=_HERE / "helm",
    packages=(f"{_HELM_MODULE}/cmd/helm",),
    names=("helm",),
    versions={"helm": _HELM_MODULE},
    announcement="Helm (once; some 3 minutes, seconds when Go's caches are warm)",
    ldflags=_helm_ldflags(),
)
PROMETHEUS = GoBuild(
    label="prometheus",
    module=_HERE / "promtool",
    packages=(f"{_PROMETHEUS_MODULE}/cmd/prometheus", f"{_PROMETHEUS_MODULE}/cmd/promtool"),
    names=("prometheus", "promtool"),
    versions={"prometheus": _PROMETHEUS_MODULE},
    announcement="Prometheus and promtool (once; some 5 minutes, seconds when Go's caches are warm)",
    # Without the clients of every cloud, which find targets; and, without builtinassets, with no pages but the API.
    tags="remove_all_sd",
)
KSTATUS = GoBuild(
    label="kstatus",
    module=_HERE / "kstatus",
    packages=(".",),
    names=("kstatus",),
    versions={"kstatus": "github.com/fluxcd/cli-utils", "runtime": "github.com/fluxcd/pkg/runtime"},
    announcement="kstatus (once; a minute or two, seconds when Go's caches are warm)",
)
ACTIONLINT = GoBuild(
    label="actionlint",
    module=_HERE / "actionlint",
    packages=(f"{_ACTIONLINT_MODULE}/cmd/actionlint",),
    names=("actionlint",),
    versions={"actionlint": _ACTIONLINT_MODULE},
    announcement="actionlint (once; some 10 seconds)",
)


def find_helm() -> Path:
    """The program; always our own build: golden files hold what one version renders. Raises BinariesUnavailable."""
    return HELM.find() / "helm"


def find_promtool() -> Path:
    """The program, from the PATH where it is there. Raises BinariesUnavailable."""
    return Path(shutil.which("promtool") or PROMETHEUS.find() / "promtool")


def find_prometheus() -> Path:
    """The server, from the PATH where it is there. Raises BinariesUnavailable."""
    return Path(shutil.which("prometheus") or PROMETHEUS.find() / "prometheus")


def find_kstatus() -> Path:
    """tests/kstatus, which says what Flux says of an object. Raises BinariesUnavailable."""
    return KSTATUS.find() / "kstatus"


def find_actionlint() -> Path:
    """The program; always our own build, so that every machine has the same rules. Raises BinariesUnavailable."""
    return ACTIONLINT.find() / "actionlint"
