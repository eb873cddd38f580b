"""Where the control plane's programs come from: KUBEBUILDER_ASSETS, or a Go build in the user's cache."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
PACKAGES = (
    "go.etcd.io/etcd/server/v3",
    "k8s.io/kubernetes/cmd/kube-apiserver",
    "k8s.io/kubernetes/cmd/kube-controller-manager",
    "k8s.io/kubernetes/cmd/kubectl",
)
MODULE = Path(__file__).parent
OUTPUT_TAIL_LINES = 20


class BinariesUnavailable(Exception):
    """The programs can be neither found nor built; the message says what to do about it."""


def find_binaries() -> Path:
    """The directory with kube-apiserver, kube-controller-manager, etcd and kubectl, built if need be.

    A cold build takes about ten minutes on two cores; what is going on is said on stderr. Runs that need the
    same build at the same time wait for the first.

    Raises BinariesUnavailable if KUBEBUILDER_ASSETS is set and lacks one, if there is no Go, or if the build
    fails.
    """
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        directory = Path(assets).absolute()
        if missing := missing_from(directory):
            raise BinariesUnavailable(
                f"KUBEBUILDER_ASSETS={assets} lacks {', '.join(missing)}: add what is missing,"
                " or unset the variable to have them built with Go"
            )
        return directory
    directory = cache_directory()
    return directory if not missing_from(directory) else _build_once(directory)


def missing_from(directory: Path) -> list[str]:
    """The names of the programs that the directory doesn't hold as executable files."""
    return [n for n in NAMES if not ((directory / n).is_file() and os.access(directory / n, os.X_OK))]


def kubernetes_version() -> str:
    """The version of Kubernetes that go.mod asks for, such as v1.36.3."""
    return _required_version("k8s.io/kubernetes")


def cache_directory() -> Path:
    """Where the build belongs; its name changes with go.mod, go.sum and the linker flags."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(
        (MODULE / "go.sum").read_bytes() + (MODULE / "go.mod").read_bytes() + _ldflags().encode()
    ).hexdigest()
    versions = f"kubernetes-{kubernetes_version()}-etcd-{_required_version('go.etcd.io/etcd/server/v3')}"
    return root.absolute() / "mfa-operator" / "controlplane" / f"{versions}-{digest[:12]}"


def _required_version(module: str) -> str:
    text = (MODULE / "go.mod").read_text(encoding="utf-8")
    match = re.search(rf"^\t{re.escape(module)} (v\S+)", text, re.MULTILINE)
    if match is None:
        raise ValueError(f"{MODULE / 'go.mod'} does not require {module}")
    return match[1]


def _build_once(directory: Path) -> Path:
    go = shutil.which("go")
    if go is None:
        raise BinariesUnavailable(
            "no Go to build the control plane with: install Go 1.26 or later, or set KUBEBUILDER_ASSETS to a"
            f" directory that holds {', '.join(NAMES)}"
        )
    directory.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory.with_name(f"{directory.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _say(f"waiting for another run that builds {directory}")
        lock.acquire()
    try:
        if missing_from(directory):
            _build(go, directory)
    finally:
        lock.release()
    return directory


def _build(go: str, directory: Path) -> None:
    _say(
        f"building Kubernetes {kubernetes_version()} into {directory}"
        " (once; about 10 minutes and 3 GB of Go's caches on 2 cores, seconds when these are warm)"
    )
    prefix = f".{directory.name}-"
    for leftover in (directory, *directory.parent.glob(f"{prefix}*")):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=directory.parent, ignore_cleanup_errors=True) as scratch:
        output = Path(scratch) / "bin"
        command = [go, "build", "-mod=readonly", "-buildvcs=false", "-trimpath", f"-ldflags={_ldflags()}"]
        done = subprocess.run(
            [*command, "-o", f"{output}{os.sep}", *PACKAGES],
            cwd=MODULE,
            env=_go_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            tail = "\n".join(done.stdout.splitlines()[-OUTPUT_TAIL_LINES:])
            raise BinariesUnavailable(f"building the control plane failed (go build: {done.returncode}):\n{tail}")
        # Go names a program after its package: etcd's is go.etcd.io/etcd/server.
        (output / "server").rename(output / "etcd")
        output.rename(directory)


def _ldflags() -> str:
    """Linker flags that set the version, without which Helm's and kubectl's version checks fail."""
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".", 2)
    values = {"gitMajor": major, "gitMinor": minor, "gitVersion": version, "gitTreeState": "clean"}
    # The first is what the programs say they are, the second what they call themselves in a User-Agent.
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(["-s", "-w", *(f"-X {p}.{key}={value}" for p in packages for key, value in values.items())])


def _go_environment() -> dict[str, str]:
    cross = {"GOOS", "GOARCH", "GOEXPERIMENT"}
    kept = {key: value for key, value in os.environ.items() if key not in cross}
    # A non-empty GOFLAGS overrides both the environment's and the one kept by `go env -w`.
    return kept | {"GOFLAGS": "-mod=readonly", "GOWORK": "off", "GO111MODULE": "on", "CGO_ENABLED": "0"}


def _say(message: str) -> None:
    sys.stderr.write(f"controlplane: {message}\n")
    sys.stderr.flush()
