"""The embedded Kubernetes with the real CRDs, a fresh one for each test, and clients for it."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml
from kubernetes import client

from mfa_operator.kube.cluster import Cluster
from mfa_operator.kube.connection import connect
from mfa_sandbox.kubernetes import EmbeddedKubernetes
from tests.controlplane.binaries import cache_directory
from tests.kube.objects import POLICIES_PATH, Object
from tests.kube.operations import QUICK
from tests.not_run import cannot_run

CRDS = [
    yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parents[2] / "deploy" / "crds").glob("*.yaml"))
]


@pytest.fixture
def kube() -> Iterator[EmbeddedKubernetes]:
    with EmbeddedKubernetes(CRDS) as running:
        yield running


@pytest.fixture
def api(kube: EmbeddedKubernetes) -> Iterator[client.ApiClient]:
    """The official client, which repeats nothing by itself."""
    configuration = client.Configuration(host=kube.url)
    configuration.retries = False
    with client.ApiClient(configuration) as connected:
        yield connected


@pytest.fixture
def http(kube: EmbeddedKubernetes) -> Iterator[Callable[..., urllib3.BaseHTTPResponse]]:
    """Sends one request, for what the official client hides; keyword arguments are urllib3's."""
    with urllib3.PoolManager(retries=False, timeout=30) as pool:

        def send(method: str, path: str, **options: Any) -> urllib3.BaseHTTPResponse:
            return pool.request(method, kube.url + path, **options)

        yield send


@pytest.fixture
def patch(http: Callable[..., urllib3.BaseHTTPResponse]) -> Callable[..., urllib3.BaseHTTPResponse]:
    """Merges into the policy console-mfa; `path` is what follows the policy's own path."""

    def sent(body: object, *, path: str = "") -> urllib3.BaseHTTPResponse:
        headers = {"Content-Type": "application/merge-patch+json"}
        return http("PATCH", f"{POLICIES_PATH}/console-mfa{path}", body=json.dumps(body), headers=headers)

    return sent


@pytest.fixture
def new_policy() -> Callable[..., Object]:
    """Makes a policy's manifest of the smallest spec; keyword arguments are more fields of the spec."""

    def made(name: str = "console-mfa", **spec: object) -> Object:
        return {
            "apiVersion": "mfa-operator.io/v1alpha1",
            "kind": "MfaPolicy",
            "metadata": {"name": name},
            "spec": {"accounts": [{"id": "111122223333"}], **spec},
        }

    return made


@pytest.fixture
def policy(kube: EmbeddedKubernetes, new_policy: Callable[..., Object]) -> Object:
    """One that is there already."""
    return kube.apply(new_policy())


@pytest.fixture
def connected(kube: EmbeddedKubernetes, tmp_path: Path) -> Iterator[client.ApiClient]:
    """The client as the operator connects it: its own way of trying again must not multiply ours."""
    made, _ = connect(str(kube.write_kubeconfig(tmp_path / "kubeconfig")), None)
    with made:
        yield made


@pytest.fixture
def cluster(connected: client.ApiClient) -> Cluster:
    return Cluster(connected, reporting_instance="mfa-operator-0", retry=QUICK)


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Waits until a condition holds; fails with the text when it does not within the seconds given."""

    def waited(condition: Callable[[], bool], what: str, *, within: float = 10.0) -> None:
        deadline = time.monotonic() + within
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"not within {within} s: {what}")
            time.sleep(0.02)

    return waited


@pytest.fixture
def start_kubectl(kube: EmbeddedKubernetes, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts kubectl against the embedded Kubernetes; what still runs at the end of the test is ended."""
    # The one that the control plane's build made is as good; it is not built for this.
    built = Path(os.environ.get("KUBEBUILDER_ASSETS") or cache_directory()) / "kubectl"
    program = shutil.which("kubectl") or shutil.which(str(built))
    if program is None:
        cannot_run("NO kubectl, neither on the PATH nor built: what people do with it by hand goes untested here")
    kubeconfig = kube.write_kubeconfig(tmp_path / "kubeconfig")
    started = []

    def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [program, "--kubeconfig", str(kubeconfig), "--cache-dir", str(tmp_path / "cache"), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "HOME": str(tmp_path), **environment},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=10)


@pytest.fixture
def kubectl(start_kubectl: Callable[..., subprocess.Popen[str]]) -> Callable[..., str]:
    """Runs kubectl and returns what it printed; fails the test when it fails, or does not with `fails=True`."""

    def run(*arguments: str, stdin: str = "", fails: bool = False, **environment: str) -> str:
        process = start_kubectl(*arguments, **environment)
        output, errors = process.communicate(stdin, timeout=60)
        assert (process.returncode != 0) is fails, f"kubectl {' '.join(arguments)}: {output}{errors}"
        return errors if fails else output

    return run
