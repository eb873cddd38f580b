"""Which cluster the operator connects to, and what it says where the settings lead to none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.config import incluster_config

from mfa_operator import __version__
from mfa_operator.kube.connection import CONNECTIONS, ConnectionSettingsError, connect

WriteKubeconfig = Callable[..., Path]


def config(*names: str, current: str | None = None, user: dict[str, Any] | None = None) -> dict[str, Any]:
    """A kubeconfig with a context, a cluster and a user for each name; the first is current."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}.example.org"}} for name in names],
        "users": [{"name": name, "user": user or {"token": f"token-of-{name}"}} for name in names],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in names],
        "current-context": current or names[0],
    }


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No cluster around, no kubeconfig, an empty home."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))


@pytest.fixture
def write(tmp_path: Path) -> WriteKubeconfig:
    def write(name: str, content: object) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return write


def host_of(kubeconfig: Path | str | None, context: str | None = None) -> str:
    client, _ = connect(None if kubeconfig is None else str(kubeconfig), context)
    with client:
        return str(client.configuration.host)


class TestKubeconfig:
    def test_the_current_context_is_the_default(self, write: WriteKubeconfig) -> None:
        path = write("config", config("prod", "test", current="test"))
        assert host_of(path) == "https://test.example.org"
        assert host_of(path, "prod") == "https://prod.example.org"

    def test_the_environment_is_read_when_called_not_at_import(
        self, write: WriteKubeconfig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("prod", "test"):
            monkeypatch.setenv("KUBECONFIG", str(write(name, config(name))))
            assert host_of(None) == f"https://{name}.example.org"

    def test_several_files_in_the_environment_are_merged(
        self, write: WriteKubeconfig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = [write("prod", config("prod")), Path("/no/such/file"), write("test", config("test"))]
        monkeypatch.setenv("KUBECONFIG", ":".join(map(str, files)))
        assert host_of(None, "prod") == "https://prod.example.org"
        assert host_of(None, "test") == "https://test.example.org"

    def test_from_the_home_directory_at_last(self, write: WriteKubeconfig) -> None:
        write("home/.kube/config", config("home"))
        assert host_of(None) == "https://home.example.org"

    def test_one_given_wins_over_the_environment(self, write: WriteKubeconfig, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KUBECONFIG", str(write("environment", config("environment"))))
        assert host_of(write("given", config("given"))) == "https://given.example.org"

    def test_is_described_for_people_without_secrets(self, write: WriteKubeconfig) -> None:
        path = write("config", config("prod"))
        client, description = connect(str(path), "prod")
        with client:
            assert description == f"context prod of {path} (https://prod.example.org)"

    def test_is_never_written_to(self, write: WriteKubeconfig) -> None:
        path = write("config", config("prod"))
        path.chmod(0o400)
        before = path.read_text()
        assert host_of(path) == "https://prod.example.org"
        assert path.read_text() == before


class TestPod:
    @pytest.fixture(autouse=True)
    def pod(self, write: WriteKubeconfig, monkeypatch: pytest.MonkeyPatch) -> None:
        write("token", "token-of-the-pod")
        write("ca.crt", "certificate")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")

    def test_its_cluster_is_the_default(self, write: WriteKubeconfig, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KUBECONFIG", str(write("config", config("prod"))))
        client, description = connect(None, None)
        with client:
            assert client.configuration.host == "https://10.0.0.1:443"
            assert client.configuration.get_api_key_with_prefix("BearerToken") == "bearer token-of-the-pod"
        assert description == "the cluster this Pod runs in (https://10.0.0.1:443)"

    def test_a_kubeconfig_or_context_given_wins(self, write: WriteKubeconfig, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write("config", config("prod"))
        assert host_of(path) == "https://prod.example.org"
        monkeypatch.setenv("KUBECONFIG", str(path))
        assert host_of(None, "prod") == "https://prod.example.org"

    def test_half_a_service_account_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
        with pytest.raises(ConnectionSettingsError, match=r"service account of this Pod.*host"):
            connect(None, None)


class TestClient:
    def test_leaves_trying_again_to_its_caller_and_says_who_it_is(self, write: WriteKubeconfig) -> None:
        client, _ = connect(str(write("config", config("prod"))), None)
        with client:
            pool = client.rest_client.pool_manager.connection_pool_kw
            assert pool["retries"].total is False
            assert pool["maxsize"] == CONNECTIONS
            assert client.user_agent == f"mfa-operator/{__version__}"

    def test_what_only_judges_loads_no_client(self) -> None:
        modules = "kube.errors", "kube.objects", "reporting.figures", "reporting.events"
        imports = ", ".join(f"mfa_operator.{module}" for module in modules)
        code = f"import sys, {imports}; sys.exit('kubernetes' in sys.modules)"
        subprocess.run([sys.executable, "-c", code], check=True)


GOOD = config("prod")


class TestUnusableSettings:
    @pytest.mark.parametrize(
        ("content", "context", "says"),
        [
            (GOOD, "test", "has no context 'test'; it has prod"),
            ({**GOOD, "current-context": "gone"}, None, "gone"),
            ({**GOOD, "current-context": ""}, None, "current-context"),
            ({key: GOOD[key] for key in GOOD if key != "current-context"}, None, "current-context"),
            ({**GOOD, "clusters": []}, None, "prod"),
            ({**GOOD, "contexts": [{"name": "prod"}]}, None, "context"),
            (
                config("prod", user={"client-certificate": "/no/such/cert", "client-key": "/no/such/key"}),
                None,
                "/no/such",
            ),
            (config("prod", user={"client-certificate-data": "abcde"}), None, "base64"),
            ("{", None, "line 1"),
            ("", None, "empty"),
            ("just text", None, "cannot be used"),
            ("- a\n- list\n", None, "cannot be used"),
            ("clusters: 7\n", None, "cannot be used"),
        ],
    )
    def test_are_told_in_one_line_with_the_file(
        self, write: WriteKubeconfig, content: object, context: str | None, says: str
    ) -> None:
        path = write("config", content)
        with pytest.raises(ConnectionSettingsError, match=says) as error:
            connect(str(path), context)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize("missing", ["/no/such/file", "/no/such/file:/nor/this"])
    def test_a_missing_file_is_named(self, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
        with pytest.raises(ConnectionSettingsError, match=f"there is no kubeconfig at {missing}"):
            connect(missing, None)
        monkeypatch.setenv("KUBECONFIG", missing)
        with pytest.raises(ConnectionSettingsError, match=f"there is no kubeconfig at {missing}"):
            connect(None, None)

    def test_no_settings_at_all_name_the_default(self) -> None:
        with pytest.raises(ConnectionSettingsError, match=r"there is no kubeconfig at ~/\.kube/config"):
            connect(None, None)

    def test_a_directory_is_no_kubeconfig(self, tmp_path: Path) -> None:
        with pytest.raises(ConnectionSettingsError, match="cannot be used"):
            connect(str(tmp_path), None)


def test_only_the_api_groups_that_are_used_are_imported() -> None:
    """There are 700 models, which took 22 MB and half of the time that the process needs to start."""
    program = (
        "import sys, mfa_operator.process.lifecycle as _;"
        "print(sum(name.startswith('kubernetes.client.models.') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 60
