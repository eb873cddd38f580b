"""The control plane that the other tests here stand on does what they take for granted."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.controlplane import (
    BinariesUnavailable,
    ControlPlane,
    Kubectl,
    KubectlError,
    StartError,
    binaries,
    find_binaries,
    kubernetes_version,
)
from tests.controlplane.process import PortTakenError, Process

NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
REPOSITORY = Path(__file__).parents[2]
SECONDS = 30.0


def executables(directory: Path, names: tuple[str, ...] = NAMES) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        (directory / name).write_text("#!/bin/sh\n", encoding="utf-8")
        (directory / name).chmod(0o755)
    return directory


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + SECONDS
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds


class TestControlPlane:
    def test_serves_the_version_of_go_mod_and_is_asked_with_the_same(self, kubectl: Kubectl) -> None:
        version: dict[str, Any] = json.loads(kubectl("version", "-o", "json").stdout)
        assert version["serverVersion"]["gitVersion"] == kubernetes_version()
        assert version["clientVersion"]["gitVersion"] == kubernetes_version()

    def test_url_ca_and_admin_token_are_enough_for_any_client(self, control_plane: ControlPlane) -> None:
        with urllib3.PoolManager(ca_certs=str(control_plane.ca_path)) as http:
            headers = {"Authorization": f"Bearer {control_plane.admin_token}"}
            answer = http.request("GET", f"{control_plane.url}/api/v1/secrets", headers=headers)
        assert answer.status == 200

    def test_a_deleted_namespace_goes_with_all_that_is_in_it(self, kubectl: Kubectl, namespace: str) -> None:
        kubectl("create", "configmap", "filled", "--namespace", namespace)
        kubectl("delete", "namespace", namespace, f"--timeout={SECONDS:.0f}s")
        assert "NotFound" in kubectl("get", "namespace", namespace, check=False).stderr
        kubectl("create", "namespace", namespace)
        assert "NotFound" in kubectl("get", "configmap", "filled", "--namespace", namespace, check=False).stderr

    def test_an_owned_object_is_collected_with_its_owner(self, kubectl: Kubectl, namespace: str) -> None:
        kubectl("create", "configmap", "owner", "--namespace", namespace)
        uid = kubectl("get", "configmap", "owner", "--namespace", namespace, "-o", "jsonpath={.metadata.uid}").stdout
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
        metadata = {"name": "owned", "namespace": namespace, "ownerReferences": [owner]}
        kubectl(
            "create",
            "-f",
            "-",
            input=json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}),
        )
        kubectl("delete", "configmap", "owner", "--namespace", namespace)
        kubectl("wait", "--for=delete", "configmap/owned", "--namespace", namespace, f"--timeout={SECONDS:.0f}s")

    def test_a_failed_call_says_what_kubectl_said(self, kubectl: Kubectl) -> None:
        with pytest.raises(KubectlError, match='namespaces "no-such" not found'):
            kubectl("get", "namespace", "no-such")


class TestServiceAccount:
    def test_may_do_what_its_role_says_and_nothing_else(
        self, control_plane: ControlPlane, kubectl: Kubectl, namespace: str, tmp_path: Path
    ) -> None:
        here = ("--namespace", namespace)
        kubectl("create", "serviceaccount", "reader", *here)
        kubectl("create", "role", "reader", "--verb=list", "--resource=configmaps", *here)
        kubectl("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={namespace}:reader", *here)
        path = control_plane.service_account_kubeconfig(namespace, "reader", tmp_path / "reader.kubeconfig")
        assert path.stat().st_mode & 0o077 == 0
        kubectl("get", "configmaps", kubeconfig=path)
        refused = kubectl("get", "secrets", kubeconfig=path, check=False)
        assert refused.returncode == 1
        assert f'User "system:serviceaccount:{namespace}:reader" cannot list resource "secrets"' in refused.stderr

    def test_a_token_is_had_only_for_an_account_that_exists(
        self, control_plane: ControlPlane, namespace: str, tmp_path: Path
    ) -> None:
        with pytest.raises(KubectlError, match='"nobody" not found'):
            control_plane.service_account_kubeconfig(namespace, "nobody", tmp_path / "kubeconfig")


class TestAudit:
    def test_requests_are_seen_one_by_one_with_verb_and_agent(
        self, control_plane: ControlPlane, kubectl: Kubectl, namespace: str
    ) -> None:
        kubectl("get", "leases", "--namespace", namespace)
        kubectl("get", "configmaps", "--namespace", namespace)

        def mine() -> list[dict[str, Any]]:
            events = control_plane.audit_events()
            return [e for e in events if namespace in e["requestURI"] and e["userAgent"].startswith("kubectl/")]

        assert eventually(lambda: len(mine()) > 0)
        assert [(e["verb"], e["objectRef"]["resource"], e["user"]["username"]) for e in mine()] == [
            ("list", "leases", "admin")
        ]


class TestRestart:
    def test_the_api_server_comes_back_at_its_address_with_its_data(
        self, control_plane: ControlPlane, kubectl: Kubectl, namespace: str
    ) -> None:
        url = control_plane.url
        kubectl("create", "configmap", "kept", "--namespace", namespace)
        with control_plane.without_apiserver():
            assert "refused" in kubectl("get", "namespaces", check=False).stderr
        assert control_plane.url == url
        kubectl("get", "configmap", "kept", "--namespace", namespace)


class TestProcesses:
    def test_one_that_ends_too_soon_is_told_of_with_its_log(self, tmp_path: Path) -> None:
        process = Process(["sh", "-c", "echo no such flag; exit 3"], tmp_path / "log")
        with pytest.raises(StartError, match=r"sh ended with status 3; .*\nno such flag"):
            process.await_ready(lambda: False, time.monotonic() + SECONDS)
        process.stop()

    def test_a_port_that_another_took_is_told_apart(self, tmp_path: Path) -> None:
        process = Process(["sh", "-c", "echo bind: address already in use; exit 1"], tmp_path / "log")
        with pytest.raises(PortTakenError):
            process.await_ready(lambda: False, time.monotonic() + SECONDS)
        process.stop()

    def test_children_end_when_their_parent_is_killed(self, tmp_path: Path) -> None:
        script = (
            "import pathlib, sys\n"
            "from tests.controlplane.process import Process\n"
            "child = Process(['sh', '-c', 'echo $$; exec sleep 600'], pathlib.Path(sys.argv[1]))\n"
            "sys.stdin.read()\n"
        )
        log = tmp_path / "log"
        parent = subprocess.Popen([sys.executable, "-c", script, log], cwd=REPOSITORY, stdin=subprocess.PIPE)
        try:
            assert eventually(lambda: log.exists() and log.read_text().endswith("\n"))
            # A handle on the process itself: readable once that has ended, whoever reaps it.
            child = os.pidfd_open(int(log.read_text()))
        finally:
            parent.send_signal(signal.SIGKILL)
            parent.communicate()
        with os.fdopen(child) as handle:
            ended = select.select([handle], [], [], SECONDS)[0]
            if not ended:
                signal.pidfd_send_signal(child, signal.SIGKILL)
        assert ended


class TestBinaries:
    def test_kubebuilder_assets_come_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KUBEBUILDER_ASSETS", str(executables(tmp_path)))
        assert find_binaries() == tmp_path

    def test_what_kubebuilder_assets_lack_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KUBEBUILDER_ASSETS", str(executables(tmp_path, ("etcd", "kubectl"))))
        with pytest.raises(BinariesUnavailable, match="lacks kube-apiserver, kube-controller-manager: "):
            find_binaries()

    def test_without_go_the_way_out_is_said(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(BinariesUnavailable, match=r"install Go .* or set KUBEBUILDER_ASSETS"):
            find_binaries()


class TestBuild:
    """With a `go` that writes empty programs and records how it was called."""

    GO = """#!/bin/sh
echo "$GOFLAGS|$GOWORK|$*" >> "$RECORD"
[ -z "$FAIL" ] || { echo "$FAIL"; exit 1; }
while [ "$1" != -o ]; do shift; done
mkdir -p "$2" && cd "$2"
for name in server kube-apiserver kube-controller-manager kubectl; do
  : > $name; chmod +x $name
done
"""

    @pytest.fixture
    def record(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        go = tmp_path / "bin" / "go"
        go.parent.mkdir()
        go.write_text(self.GO, encoding="utf-8")
        go.chmod(0o755)
        monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setenv("PATH", str(go.parent), prepend=os.pathsep)
        monkeypatch.setenv("GOFLAGS", "-mod=vendor -tags=odd")
        monkeypatch.setenv("RECORD", str(tmp_path / "record"))
        return tmp_path / "record"

    def test_is_made_once_with_flags_of_its_own_and_says_so(
        self, record: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert find_binaries() == find_binaries() == binaries.cache_directory()
        (call,) = record.read_text().splitlines()
        assert call.startswith("-mod=readonly|off|build -mod=readonly ")
        assert f"gitVersion={kubernetes_version()}" in call
        assert capsys.readouterr().err.count("building Kubernetes") == 1

    def test_is_made_once_by_runs_that_start_together(self, record: Path) -> None:
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda _: find_binaries(), range(2)))
        assert found == [binaries.cache_directory()] * 2
        assert len(record.read_text().splitlines()) == 1

    @pytest.mark.usefixtures("record")
    def test_what_a_killed_build_left_behind_is_built_anew(self) -> None:
        directory = executables(binaries.cache_directory(), ("etcd",))
        leftover = executables(directory.with_name(f".{directory.name}-killed"))
        assert not binaries.missing_from(find_binaries())
        assert not leftover.exists()

    @pytest.mark.usefixtures("record")
    def test_a_failure_shows_the_end_of_the_output(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FAIL", "no such module")
        with pytest.raises(BinariesUnavailable, match="no such module"):
            find_binaries()
        assert [p.name for p in binaries.cache_directory().parent.iterdir() if p.is_dir()] == []
