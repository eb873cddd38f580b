"""Starts and stops a control plane: etcd, kube-apiserver and kube-controller-manager on loopback ports."""

from __future__ import annotations

import contextlib
import json
import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import urllib3

from tests.controlplane import flags
from tests.controlplane.binaries import find_binaries
from tests.controlplane.certificates import write_certificates
from tests.controlplane.kubeconfig import write_kubeconfig
from tests.controlplane.kubectl import Kubectl
from tests.controlplane.process import PortTakenError, Process, free_ports

START_SECONDS = 60.0
START_ATTEMPTS = 3
ESTABLISHED_TIMEOUT = "30s"


class ControlPlane:
    """A Kubernetes control plane without nodes: objects are stored, checked and collected, but no Pod runs.

    A context manager; everything it writes goes to a temporary directory that stop() removes, and its
    programs end with this process however that ends. Its attributes, save `binaries`, hold from start() to
    stop(): before and after they raise RuntimeError.
    """

    def __init__(self, binaries: Path | None = None, crds: Path | None = None) -> None:
        """Take the programs from the directory; None: find or build them (raises BinariesUnavailable).

        `crds`: a directory whose CRDs are served before the controllers start, as by apply_crds(). Of a CRD that comes
        later the garbage collector learns within 30 s, and deletes nothing of its kind before.
        """
        self.binaries = binaries or find_binaries()
        self._crds = crds
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._started: _Started | None = None
        self._helpers: list[Process] = []
        self._apiserver: Process | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where kube-apiserver listens, such as https://127.0.0.1:20000; restarts keep it."""
        return self._now.layout.url

    @property
    def ca_path(self) -> Path:
        """The CA certificate (PEM) that the server's certificate can be checked with."""
        return self._now.layout.certificates.ca

    @property
    def admin_token(self) -> str:
        """A bearer token for the user `admin` of the group system:masters."""
        return self._now.admin_token

    @property
    def kubeconfig(self) -> Path:
        """The admin's kubeconfig, its only context named mfa-controlplane."""
        return self.kubectl.kubeconfig

    @property
    def kubectl(self) -> Kubectl:
        """kubectl(*args, input=None, check=True, kubeconfig=None), as the admin where kubeconfig is None."""
        return self._now.kubectl

    def start(self) -> None:
        """Return once the API is ready and the controllers work.

        Raises StartError with the tail of a program's log if one ends or is not ready in time (nothing is
        left behind then), KubectlError if a CRD is refused, and RuntimeError if this is started already.
        """
        if self._scratch is not None:
            raise RuntimeError("the control plane is started already")
        for attempts_left in reversed(range(START_ATTEMPTS)):
            try:
                self._start()
            except PortTakenError:
                self.stop()
                if not attempts_left:
                    raise
            except BaseException:
                self.stop()
                raise
            else:
                return

    def stop(self) -> None:
        """End the programs and remove their files; does nothing if it is not started."""
        self._stop_apiserver()
        while self._helpers:
            self._helpers.pop().stop()
        if self._started is not None:
            self._started.http.clear()
            self._started = None
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    @contextlib.contextmanager
    def without_apiserver(self) -> Iterator[None]:
        """Inside, kube-apiserver is down and `url` refuses connections; after it, it is ready again.

        Every watch and connection is lost, nothing stored is. Raises StartError if it does not come back.
        """
        self._stop_apiserver()
        try:
            yield
        finally:
            self._start_apiserver()

    def restart_apiserver(self) -> None:
        """Stop and start kube-apiserver on its port and data; raises StartError if it is not ready in time."""
        with self.without_apiserver():
            pass

    def apply_crds(self, directory: Path) -> None:
        """Apply every manifest in the directory and return once its CRDs are served; raises KubectlError."""
        self.kubectl("apply", "--server-side", "-f", str(directory))
        condition = ["--for=condition=Established", f"--timeout={ESTABLISHED_TIMEOUT}"]
        self.kubectl("wait", *condition, "-f", str(directory))

    def service_account_kubeconfig(self, namespace: str, name: str, path: Path, duration: int = 3600) -> Path:
        """Write a kubeconfig with a fresh token (TokenRequest) of a service account; returns the path.

        `duration` is the token's life in seconds, 600 or more. Raises KubectlError if the API server refuses.
        """
        token = self.kubectl("create", "token", name, f"--namespace={namespace}", f"--duration={duration}s")
        return write_kubeconfig(path, url=self.url, ca=self.ca_path, token=token.stdout.strip(), namespace=namespace)

    def audit_events(self) -> list[dict[str, Any]]:
        """The audit event of each request so far about mfa-operator.io, Events or Leases, oldest first.

        One per request, also for a watch, whether it has ended or not. The server writes a request's event
        just after its response, so poll for the one of a request that has only now been answered.
        """
        log = self._now.layout.audit_log
        events: dict[str, dict[str, Any]] = {}
        # What follows the last line's end is still being written.
        for line in log.read_bytes().split(b"\n")[:-1]:
            event: dict[str, Any] = json.loads(line)
            events[event["auditID"]] = event
        return list(events.values())

    @property
    def _now(self) -> _Started:
        if self._started is None:
            raise RuntimeError("the control plane is not started")
        return self._started

    def _start(self) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="mfa-controlplane-", ignore_cleanup_errors=True)
        now = self._started = _Started(Path(self._scratch.name), self.binaries)
        layout = now.layout
        etcd = self._launch(flags.etcd(layout), scratch=layout.etcd_data)
        etcd.await_ready(lambda: now.answers(f"{layout.etcd_url}/health"), _deadline())
        self._start_apiserver()
        if self._crds is not None:
            self.apply_crds(self._crds)
        manager = self._launch(flags.controller_manager(layout))
        account = f"{layout.url}/api/v1/namespaces/default/serviceaccounts/default"
        manager.await_ready(lambda: now.answers(f"{layout.manager_url}/healthz") and now.answers(account), _deadline())

    def _start_apiserver(self) -> None:
        now = self._now
        log = now.layout.directory / "kube-apiserver.log"
        self._apiserver = Process(flags.apiserver(now.layout), log)
        self._apiserver.await_ready(lambda: now.answers(f"{now.layout.url}/readyz"), _deadline())

    def _stop_apiserver(self) -> None:
        if self._apiserver is not None:
            self._apiserver.stop()
            self._apiserver = None

    def _launch(self, command: list[str | Path], scratch: Path | None = None) -> Process:
        process = Process(command, self._now.layout.directory / f"{Path(command[0]).name}.log", scratch)
        self._helpers.append(process)
        return process


class _Started:
    """What a start decides: ports, keys, tokens, and the files that hold them."""

    def __init__(self, directory: Path, binaries: Path) -> None:
        etcd, etcd_peer, apiserver, manager = free_ports(4)
        self.layout = flags.Layout(
            directory=directory,
            binaries=binaries,
            certificates=write_certificates(directory),
            etcd_port=etcd,
            etcd_peer_port=etcd_peer,
            apiserver_port=apiserver,
            manager_port=manager,
        )
        url, ca = self.layout.url, self.layout.certificates.ca
        self.admin_token, manager_token = secrets.token_urlsafe(), secrets.token_urlsafe()
        self.layout.tokens.write_text(
            f'{self.admin_token},admin,admin,"system:masters"\n'
            f'{manager_token},kube-controller-manager,kube-controller-manager,"system:masters"\n',
            encoding="utf-8",
        )
        write_kubeconfig(self.layout.manager_kubeconfig, url=url, ca=ca, token=manager_token)
        self.http = urllib3.PoolManager(ca_certs=str(ca), timeout=5.0, retries=False)
        self.kubectl = Kubectl(
            program=binaries / "kubectl",
            kubeconfig=write_kubeconfig(directory / "admin.kubeconfig", url=url, ca=ca, token=self.admin_token),
            cache=directory / "kubectl-cache",
            url=url,
            token=self.admin_token,
            http=self.http,
        )

    def answers(self, url: str) -> bool:
        """Whether the URL answers 200 to the admin now."""
        try:
            headers = {"Authorization": f"Bearer {self.admin_token}"}
            return self.http.request("GET", url, headers=headers).status == 200
        except urllib3.exceptions.HTTPError:
            return False


def _deadline() -> float:
    return time.monotonic() + START_SECONDS
