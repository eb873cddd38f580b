"""`mfa-operator demo`, as a person meets it: on a terminal, and with --once."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
import urllib3
from kubernetes import dynamic

import mfa_operator
from mfa_operator.kube.connection import connect
from tests.fixtures.operator import COMMAND
from tests.fixtures.ready_command import ReadyCommand

STATES = ("Violating", "Overdue", "Exempt", "Unknown", "Denied", "Audited", "Pending", "Suspended")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A reader's own AWS and Kubernetes settings, none of which the demo may use, and a place for temporary files."""
    return os.environ | {
        "TMPDIR": str(tmp_path),
        "AWS_PROFILE": "production",
        "KUBECONFIG": str(tmp_path / "no-such-kubeconfig"),
        "TERM": "xterm-256color",
    }


def test_once_prints_every_state_and_leaves_nothing_behind(environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [COMMAND, "demo", "--once"], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for state in STATES:
        assert re.search(rf"\b{state}\b", done.stdout), f"no {state} in\n{done.stdout}"
    assert "alice" in done.stdout
    assert "payments-prod" in done.stdout
    assert "7 accounts: 5 to audit (5 from the organization), 1 skipped (1 Suspended), 1 excluded" in done.stdout
    assert "AccountsDiscovered=True Discovered" in done.stdout
    assert not list(tmp_path.iterdir())


def test_without_the_sandbox_it_says_what_to_install() -> None:
    """-S reads no .pth files: the libraries are found, and of the two distributions of this tree only the operator."""
    path = [str(Path(mfa_operator.__file__).parents[1]), sysconfig.get_path("purelib")]
    done = subprocess.run(
        [sys.executable, "-S", "-m", "mfa_operator", "demo", "--once"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "")
    (line,) = done.stderr.splitlines()
    assert "pip install 'mfa-operator[demo]'" in line
    assert "pip install ./sandbox" in line


def take_ctrl_c() -> None:
    """A test run in the background ignores Ctrl-C, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def demo(environment: dict[str, str]) -> Iterator[pexpect.spawn[str]]:
    """The demo on a terminal of its own."""
    child = pexpect.spawn(
        str(COMMAND),
        ["demo"],
        env=environment,
        dimensions=(50, 160),
        timeout=90,
        encoding="utf-8",
        preexec_fn=take_ctrl_c,
    )
    try:
        yield child
    finally:
        child.close(force=True)


def test_on_a_terminal_it_serves_metrics_and_ends_on_ctrl_c(demo: pexpect.spawn[str]) -> None:
    demo.expect(r"Metrics: (http://[0-9.:]+/metrics)")
    assert isinstance(demo.match, re.Match)
    url = demo.match.group(1)
    demo.expect("Try it in another terminal")
    # Without the flag kubectl asks the embedded Kubernetes for schemas, and gives up.
    demo.expect(r"kubectl apply --validate=false -f \S+employees\.yaml")
    demo.expect(r"Next pass: .*employees in \d+ s")
    metrics = urllib3.request("GET", url, retries=False).data.decode()
    assert 'mfa_policy_users{account_id="333344445555",policy="contractors"' in metrics
    demo.sendintr()
    demo.expect(pexpect.EOF)
    demo.wait()
    assert demo.exitstatus == 0


def test_edits_of_its_policies_do_not_end_it(demo: pexpect.spawn[str]) -> None:
    """An invalid spec is shown with its error, and a deleted policy is no longer shown."""
    demo.expect(r"Kubernetes: (\S+)")
    assert isinstance(demo.match, re.Match)
    api, _ = connect(demo.match.group(1), None)
    resources = dynamic.DynamicClient(api).resources  # type: ignore[no-untyped-call]  # it has no types
    policies = resources.get(kind="MfaPolicy")
    demo.expect(r"Next pass: .*employees in \d+ s, contractors in ")
    policies.patch(
        name="employees",
        namespace="mfa-demo",
        body={"spec": {"interval": "1d"}},
        content_type="application/merge-patch+json",
    )
    demo.expect(r"InvalidSpec.*invalid duration '1d'")
    demo.expect("employees has no next pass")
    policies.delete(name="contractors", namespace="mfa-demo")
    demo.expect(r"Next pass: \S*employees has no next pass +\(Ctrl-C")
    demo.sendintr()
    demo.expect(pexpect.EOF)
    demo.wait()
    assert demo.exitstatus == 0


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP])
def test_signals_end_it_and_leave_nothing(
    environment: dict[str, str], tmp_path: Path, ready_command: ReadyCommand, ending: signal.Signals
) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb"):
        running = ready_command.start("demo", env=environment, stdout=writing, stderr=writing)
    with os.fdopen(reading, encoding="utf-8") as output:
        while not output.readline().startswith("Kubernetes:"):
            assert running.poll() is None
        assert list(tmp_path.iterdir()), "the demo's folder is there"
        running.send_signal(ending)
        output.read()
        assert running.wait(30) == 128 + ending
    assert not list(tmp_path.iterdir())


def test_a_taken_port_is_one_message_and_status_3(environment: dict[str, str], ready_command: ReadyCommand) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    with server:
        port = server.getsockname()[1]
        done = ready_command.run("demo", "--once", "--metrics-port", port, env=environment, cluster=True)
    assert done.returncode == 3
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr
