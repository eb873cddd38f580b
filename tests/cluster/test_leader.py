"""Several replicas on a real API server: one acts, another takes over, and no two ever act at once."""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mfa_sandbox.aws import EmbeddedAws
from tests.controlplane import ControlPlane, Kubectl
from tests.fixtures.operator import SHORT_TIMES, OperatorProcess, Policies, StartOperator, eventually

ACCOUNT = "111122223333"
LEASE_SECONDS = 15.0


@pytest.fixture
def holder(kubectl: Kubectl, free_lease: Callable[[], object]) -> Iterator[Callable[[], str]]:
    """Who holds the Lease, as the API server has it; the Lease is taken away before and after the test."""

    def read() -> str:
        lease = kubectl("-n", "mfa-operator", "get", "lease", "mfa-operator", "-o", "json", check=False)
        found: str = json.loads(lease.stdout)["spec"].get("holderIdentity", "") if lease.stdout else ""
        return found

    free_lease()
    yield read
    free_lease()


@pytest.fixture
def one_account(aws: EmbeddedAws, policies: Policies) -> Callable[[], dict[str, Any]]:
    """Makes a policy over one account with a violation."""
    aws.world.account(ACCOUNT).user("alice", password=True)
    role = f"arn:aws:iam::{ACCOUNT}:role/mfa-operator"
    return lambda: policies.apply("console-mfa", accounts=[{"id": ACCOUNT, "roleArn": role}])


def leads(operator: OperatorProcess) -> bool:
    return operator.sample("mfa_operator_leader") == 1.0


def ended(operator: OperatorProcess) -> int:
    """The exit status of a process that ends by itself."""
    eventually(lambda: operator.process.poll() is not None, "the process ends")
    return operator.process.wait()


def test_the_second_replica_takes_over_when_the_leader_is_killed(
    start_operator: StartOperator, policies: Policies, holder: Callable[[], str], one_account: Callable[[], object]
) -> None:
    first = start_operator(program=SHORT_TIMES)
    eventually(lambda: leads(first), "the first leads")
    second = start_operator(program=SHORT_TIMES)
    eventually(lambda: "; waiting" in second.log, "the second knows who leads")
    one_account()
    policies.wait_for_pass("console-mfa")
    # Ready though it waits: or no rollout of two replicas would ever be complete.
    assert second.get("/readyz")[0] == 200
    assert (leads(second), "pass over" in second.log) == (False, False)
    # The rights of deploy/rbac.yaml are all that is asked for.
    assert "permission" not in first.log + second.log
    before = holder()
    first.kill()
    # Nobody told the second one: it has to wait until the Lease has run out.
    eventually(lambda: leads(second), "the second leads")
    assert holder() not in ("", before)
    policies.request_pass("console-mfa")
    assert "pass over" in second.log


def test_a_leader_that_is_told_to_stop_gives_the_lease_back(
    start_operator: StartOperator, holder: Callable[[], str]
) -> None:
    first = start_operator()
    eventually(lambda: leads(first), "the first leads")
    assert first.terminate() == 0
    assert holder() == ""
    second = start_operator()
    eventually(lambda: leads(second), "the second leads without waiting", LEASE_SECONDS / 2)


def test_without_an_api_server_the_leader_ends_a_replica_waits(
    control_plane: ControlPlane, start_operator: StartOperator, holder: Callable[[], str]
) -> None:
    first = start_operator(program=SHORT_TIMES)
    eventually(lambda: leads(first), "the first leads")
    second = start_operator(program=SHORT_TIMES)
    with control_plane.without_apiserver():
        assert ended(first) == 1
        assert "ending, so that another process takes over" in first.log
        assert "Traceback" not in first.log
        assert second.get("/healthz")[0] == 200
    eventually(lambda: leads(second), "the second leads")


def test_no_process_lives_without_a_watch_after_an_api_restart(
    control_plane: ControlPlane,
    start_operator: StartOperator,
    policies: Policies,
    holder: Callable[[], str],
    one_account: Callable[[], object],
) -> None:
    operator = start_operator()
    one_account()
    policies.wait_for_pass("console-mfa")
    control_plane.restart_apiserver()
    # The API server refuses service accounts until it has read the roles: kopf may give up on that, or outlast it.
    policies.apply("console-mfa", accounts=[{"id": ACCOUNT}], interval="20m")

    def watches() -> bool:
        body = policies.get("console-mfa")
        return bool(body["status"]["observedGeneration"] == body["metadata"]["generation"])

    eventually(lambda: watches() or operator.process.poll() is not None, "it watches again, or ends")
    assert operator.process.poll() in (None, 1)
    assert "Traceback" not in operator.log


def test_a_leader_whose_lease_another_has_taken_ends_at_once(
    start_operator: StartOperator, kubectl: Kubectl, holder: Callable[[], str]
) -> None:
    first = start_operator()
    eventually(lambda: leads(first), "the first leads")
    taken = {"spec": {"holderIdentity": "somebody else"}}
    kubectl("-n", "mfa-operator", "patch", "lease", "mfa-operator", "--type=merge", "-p", json.dumps(taken))
    assert ended(first) == 1
    assert "held by somebody else now" in first.log
    assert holder() == "somebody else"


def test_a_leader_that_slept_through_its_lease_does_nothing_more(
    start_operator: StartOperator, policies: Policies, holder: Callable[[], str], one_account: Callable[[], object]
) -> None:
    first = start_operator(program=SHORT_TIMES)
    eventually(lambda: leads(first), "the first leads")
    second = start_operator(program=SHORT_TIMES)
    first.process.send_signal(signal.SIGSTOP)
    eventually(lambda: leads(second), "the second leads")
    one_account()
    policies.wait_for_pass("console-mfa")
    first.process.send_signal(signal.SIGCONT)
    assert ended(first) == 1
    assert "leadership lost" in first.log
    assert "pass over" not in first.log
    assert leads(second)


def test_without_the_right_to_list_policies_the_process_ends(
    control_plane: ControlPlane,
    start_operator: StartOperator,
    kubectl: Kubectl,
    namespace: str,
    tmp_path: Path,
) -> None:
    kubectl("-n", namespace, "create", "serviceaccount", "bare")
    verbs = ["--verb=create,get,update", "--resource=leases.coordination.k8s.io"]
    kubectl("-n", namespace, "create", "role", "leader", *verbs)
    kubectl("-n", namespace, "create", "rolebinding", "leader", "--role=leader", f"--serviceaccount={namespace}:bare")
    bare = control_plane.service_account_kubeconfig(namespace, "bare", tmp_path / "bare")
    operator = start_operator(kubeconfig=bare, wait=False)
    assert ended(operator) == 1
    # The Lease of another service account is in another namespace.
    assert f"Lease {namespace}/mfa-operator" in operator.log
    assert "cannot list resource" in operator.log
    assert "Traceback" not in operator.log


@dataclass
class MuteAws:
    """A server that takes connections and never answers."""

    url: str
    connections: list[socket.socket] = field(default_factory=list)


@pytest.fixture
def mute_aws() -> Iterator[MuteAws]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        aws = MuteAws(f"http://127.0.0.1:{server.getsockname()[1]}")

        def accept() -> None:
            while True:
                try:
                    aws.connections.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield aws
        server.shutdown(socket.SHUT_RDWR)
    thread.join()
    for connection in aws.connections:
        connection.close()


def test_a_pass_that_hangs_at_aws_does_not_block_the_end(
    start_operator: StartOperator,
    policies: Policies,
    holder: Callable[[], str],
    one_account: Callable[[], object],
    mute_aws: MuteAws,
) -> None:
    operator = start_operator(environment={"AWS_ENDPOINT_URL": mute_aws.url})
    one_account()
    eventually(lambda: mute_aws.connections, "the pass waits for AWS")
    operator.process.send_signal(signal.SIGTERM)
    assert operator.process.wait(timeout=5) == 0
    assert f"not waiting any longer for the passes of {policies.namespace}/console-mfa" in operator.log
    # Left to run out: while the pass may still do something, nobody else may.
    assert holder() != ""
    assert "lastPassTime" not in policies.status("console-mfa")
