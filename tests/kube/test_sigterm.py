"""The operator's process ends within 5 s of SIGTERM, whatever it does and whoever does not answer it."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from mfa_sandbox.aws import EmbeddedAws
from mfa_sandbox.kubernetes import EmbeddedKubernetes
from tests.fixtures.api_proxy import ApiProxy, Outcome
from tests.fixtures.operator import COMMAND, Launcher, OperatorProcess, aws_environment, eventually
from tests.fixtures.ready_command import Forked, ReadyCommand

PROMISED_SECONDS, SPARE_SECONDS = 5.0, 4.0
"""What the process promises, and what a machine with more to do than two CPUs can takes."""
ACCOUNTS = [f"{number:012}" for number in range(1, 65)]
DELAY = 2 * PROMISED_SECONDS
COMPUTING = (sys.executable, "-m", "tests.kube.computing_operator")


class HangingProxy(ApiProxy):
    """An API server that takes requests, from some moment on, and does not answer."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self.hanging = 0
        self._hangs: Callable[[str, str], bool] = lambda _method, _target: False
        self._released = threading.Event()

    def hang(self, which: Callable[[str, str], bool]) -> None:
        """From here on answer none of the requests, by method and path, that `which` is true of."""
        self._hangs = which

    def release(self) -> None:
        self._released.set()

    def take(self, method: str, target: str, body: bytes) -> Outcome | None:
        if self._hangs(method, target):
            self.hanging += 1
            self._released.wait(60)
            return "reset"
        return super().take(method, target, body)


def policy(name: str) -> dict[str, Any]:
    accounts = [{"id": each, "roleArn": f"arn:aws:iam::{each}:role/mfa-operator"} for each in ACCOUNTS]
    return {
        "apiVersion": "mfa-operator.io/v1alpha1",
        "kind": "MfaPolicy",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"accounts": accounts},
    }


@pytest.fixture
def proxy(kube: EmbeddedKubernetes) -> Iterator[HangingProxy]:
    with HangingProxy(kube.url) as running:
        yield running
        running.release()


@pytest.fixture
def start(
    kube: EmbeddedKubernetes, proxy: HangingProxy, aws: EmbeddedAws, tmp_path: Path, ready_command: ReadyCommand
) -> Iterator[Launcher]:
    """Forks the operator on a policy of many accounts, all of which AWS answers late."""
    for account_id in ACCOUNTS:
        aws.world.account(account_id).user("alice", password=True)
    aws.faults.add("ListUsers", "delay", times=None, delay=DELAY)
    kube.apply(policy("console-mfa"))
    kubeconfig = proxy.kubeconfig(kube.write_kubeconfig(tmp_path / "direct"), tmp_path / "kubeconfig")
    launcher = Launcher(kubeconfig, "default", aws, tmp_path, ready_command=ready_command)
    yield launcher
    for operator in launcher.started:
        if operator.process.poll() is None:
            operator.kill()


def ends_in_time(process: subprocess.Popen[bytes] | Forked) -> None:
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0
    assert time.monotonic() - began <= PROMISED_SECONDS + SPARE_SECONDS


def in_a_pass(operator: OperatorProcess, aws: EmbeddedAws) -> None:
    """Wait until AWS lets it wait."""
    eventually(lambda: aws.calls.operations()["AssumeRole"] >= 8, "accounts are being audited")
    assert operator.process.poll() is None


def test_while_aws_does_not_answer(start: Launcher, aws: EmbeddedAws) -> None:
    start.ready_command = None  # the program itself
    operator = start("--max-concurrent-accounts=64")
    in_a_pass(operator, aws)
    ends_in_time(operator.process)


def test_while_64_threads_compute(start: Launcher) -> None:
    operator = start("--max-concurrent-accounts=64", program=COMPUTING, wait=False)
    eventually(operator.listening, "it is up")
    eventually(lambda: "pass over default/console-mfa begins" in operator.log, "the pass, and with it the threads")
    ends_in_time(operator.process)


@pytest.mark.parametrize(
    "which",
    [
        lambda method, target: method == "PUT" and "/status" in target,
        lambda method, _target: method == "GET",
        lambda _method, target: "/leases/" in target,
        lambda _method, _target: True,
    ],
    ids=["status", "reads", "lease", "all"],
)
def test_while_the_api_server_does_not_answer(
    start: Launcher, kube: EmbeddedKubernetes, aws: EmbeddedAws, proxy: HangingProxy, which: Callable[[str, str], bool]
) -> None:
    aws.faults.clear()
    if which("PUT", "/status") and not which("GET", ""):
        proxy.hang(which)
        operator = start()
    else:
        operator = start()
        proxy.hang(which)
        # A pass begins with a read.
        kube.apply(policy("another"))
    eventually(lambda: proxy.hanging, "a request hangs", patience=120)
    ends_in_time(operator.process)


def test_during_a_scrape_that_nobody_reads(start: Launcher, aws: EmbeddedAws) -> None:
    operator = start()
    in_a_pass(operator, aws)
    address = urlsplit(operator.metrics_url)
    assert address.hostname
    assert address.port
    with (
        socket.create_connection((address.hostname, address.port)) as silent,
        socket.create_connection((address.hostname, address.port)) as deaf,
    ):
        silent.sendall(b"GET /met")
        deaf.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        ends_in_time(operator.process)


def test_while_nobody_reads_its_log(start: Launcher, aws: EmbeddedAws) -> None:
    """The pipe is full, and whoever logs waits."""
    reading, writing = os.pipe()
    size = fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writing, b" " * (size - 500))
    command = [str(COMMAND), "run", f"--kubeconfig={start.kubeconfig}", "--log-level=debug"]
    command += ["--metrics-address=127.0.0.1:0", "--health-address=127.0.0.1:0"]
    with subprocess.Popen(command, stderr=writing, env=os.environ | aws_environment(aws)) as process:
        eventually(lambda: unread(reading) > size - 200, "the pipe is full")
        process.send_signal(signal.SIGTERM)
        # By the signal where it had not even got so far as to handle it.
        assert process.wait(timeout=PROMISED_SECONDS + SPARE_SECONDS) in (0, -signal.SIGTERM)
    os.close(reading)
    os.close(writing)


def unread(pipe: int) -> int:
    """Bytes that wait in the pipe."""
    answer = fcntl.ioctl(pipe, termios.FIONREAD, bytes(4))
    return int.from_bytes(answer, sys.byteorder)
