"""The programs that the chart, the alerts and the dashboard are tried with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.chart.cluster import POLICY_CRD, REPORT_CRD, RESTRICTED, monitoring_crd, wait_until_served
from tests.chart.helm import NAMESPACE, RELEASE, Helm
from tests.controlplane import BinariesUnavailable, ControlPlane, Kubectl
from tests.not_run import cannot_run
from tests.programs import find_helm, find_kstatus, find_prometheus, find_promtool

PROGRAMS: dict[str, Callable[[], Path]] = {
    "helm_program": find_helm,
    "kstatus": find_kstatus,
    "prometheus_program": find_prometheus,
    "promtool": find_promtool,
}
FOUND = pytest.StashKey[dict[str, Path | BinariesUnavailable]]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Have the programs built before the first test, whose time limit a cold build would break."""
    if session.config.option.collectonly:
        return
    for name in PROGRAMS:
        if any(name in getattr(item, "fixturenames", ()) for item in session.items):
            _find(session.config, name)


def _find(config: pytest.Config, name: str) -> Path | BinariesUnavailable:
    found = config.stash.setdefault(FOUND, {})
    if name not in found:
        capture = config.pluginmanager.getplugin("capturemanager")
        # Uncaptured, so that whoever waits for a build sees what for.
        with capture.global_and_fixture_disabled():
            try:
                found[name] = PROGRAMS[name]()
            except BinariesUnavailable as error:
                found[name] = error
    return found[name]


def _program(config: pytest.Config, name: str) -> Path:
    found = _find(config, name)
    if isinstance(found, BinariesUnavailable):
        cannot_run(f"NO PROGRAM: {found}")
    return found


@pytest.fixture(scope="session")
def helm_program(pytestconfig: pytest.Config) -> Path:
    return _program(pytestconfig, "helm_program")


@pytest.fixture(scope="session")
def promtool(pytestconfig: pytest.Config) -> Path:
    return _program(pytestconfig, "promtool")


@pytest.fixture(scope="session")
def prometheus_program(pytestconfig: pytest.Config) -> Path:
    return _program(pytestconfig, "prometheus_program")


@pytest.fixture(scope="session")
def kstatus(pytestconfig: pytest.Config) -> Path:
    return _program(pytestconfig, "kstatus")


@pytest.fixture(scope="session")
def helm(helm_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm without a cluster."""
    return Helm(helm_program, tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def bare_cluster(control_plane_programs: Path) -> Iterator[ControlPlane]:
    """Another control plane, without any CRD: the chart brings them, and takes them away."""
    with ControlPlane(control_plane_programs) as running:
        yield running


@pytest.fixture(scope="session")
def kubectl(bare_cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """Admin of the bare cluster, where the chart's namespaces are, with the strictest pod security."""
    kubectl = bare_cluster.kubectl
    for name in (NAMESPACE, "security", "payments"):
        kubectl("create", "namespace", name)
        kubectl("label", "namespace", name, *RESTRICTED)
    directory = tmp_path_factory.mktemp("monitoring")
    for kind in ("ServiceMonitor", "PodMonitor", "PrometheusRule"):
        (directory / f"{kind}.yaml").write_text(yaml.safe_dump(monitoring_crd(kind)), encoding="utf-8")
    bare_cluster.apply_crds(directory)
    return kubectl


@pytest.fixture
def installer(helm: Helm, bare_cluster: ControlPlane, kubectl: Kubectl) -> Iterator[Helm]:
    """Helm at the bare cluster; whatever is left of the release is removed after the test."""
    installer = Helm(helm.program, helm.home, bare_cluster.kubeconfig)
    yield installer
    if RELEASE in installer("list", "-q", "-n", NAMESPACE):
        installer("uninstall", RELEASE, "-n", NAMESPACE, "--wait")
    crds = [f"crd/{name}" for name in (POLICY_CRD, REPORT_CRD)]
    if left := kubectl("get", *crds, "--ignore-not-found", "-o", "name").stdout.split():
        wait_until_served(kubectl, *(name.split("/")[1] for name in left))
        kubectl("delete", *left)
