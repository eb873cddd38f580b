"""What the operator's writer does when the API server fails it: again, in bounds, or never again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kubernetes.client import ApiClient

from mfa_operator.api.status import PolicyStatus, ReportStatus
from mfa_operator.kube.cluster import (
    Cluster,
    ClusterUnavailable,
    ObjectGone,
    PolicyIdentity,
    ReadRefused,
    RetryPolicy,
    WriteRefused,
)
from mfa_operator.kube.connection import CONNECTIONS
from mfa_operator.scheduling.due import PassAbandoned
from mfa_sandbox.kubernetes import EmbeddedKubernetes
from mfa_sandbox.kubernetes.faults import Failure
from tests.kube.operations import EMIT, NOTE, QUICK, READS, REF, TRIES, WRITES, Operation, report_status, users_of

NewPolicy = Callable[..., dict[str, Any]]
EVERY = WRITES | READS
writes = pytest.mark.parametrize("operation", WRITES.values(), ids=WRITES)
reads = pytest.mark.parametrize("operation", READS.values(), ids=READS)
every = pytest.mark.parametrize("operation", EVERY.values(), ids=EVERY)
statuses = pytest.mark.parametrize("name", ["policy status", "report status"])


@pytest.fixture
def policy(kube: EmbeddedKubernetes, new_policy: NewPolicy) -> PolicyIdentity:
    return PolicyIdentity.of(kube.apply(new_policy()))


class TestPassingFailures:
    @every
    @pytest.mark.parametrize("status", [429, 500, 503, 504, "reset"])
    def test_are_tried_again(
        self,
        kube: EmbeddedKubernetes,
        cluster: Cluster,
        policy: PolicyIdentity,
        operation: Operation,
        status: Failure,
    ) -> None:
        operation.fails(kube, status, times=2)
        operation.call(cluster, policy)
        assert kube.faults.left == 0
        assert operation.done(kube)
        assert operation.requests(kube) == 3

    @writes
    def test_an_answer_that_is_lost_makes_nothing_twice(
        self, kube: EmbeddedKubernetes, cluster: Cluster, policy: PolicyIdentity, operation: Operation
    ) -> None:
        operation.fails(kube, "reset", applied=True)
        operation.call(cluster, policy)
        assert kube.faults.left == 0
        assert operation.done(kube)
        assert len(kube.list("mfareports")) <= 1

    @every
    @pytest.mark.parametrize("status", [429, 500, 503, "reset"])
    def test_are_tried_in_bounds(
        self,
        kube: EmbeddedKubernetes,
        cluster: Cluster,
        policy: PolicyIdentity,
        operation: Operation,
        status: Failure,
    ) -> None:
        operation.fails(kube, status, times=None)
        with pytest.raises(ClusterUnavailable, match=r"default/console-mfa|mfapolicies in|mfareports in"):
            operation.call(cluster, policy)
        assert operation.requests(kube) == TRIES

    def test_an_outage_ends(self, kube: EmbeddedKubernetes, cluster: Cluster, policy: PolicyIdentity) -> None:
        kube.stop()
        with pytest.raises(ClusterUnavailable, match="no answer"):
            cluster.write_policy_status(policy, PolicyStatus(observed_generation=7))
        kube.start()
        cluster.write_policy_status(policy, PolicyStatus(observed_generation=7))


class TestRefusals:
    @writes
    @pytest.mark.parametrize("status", [400, 401, 403, 405, 413, 415])
    def test_of_writes_are_final(
        self,
        kube: EmbeddedKubernetes,
        cluster: Cluster,
        policy: PolicyIdentity,
        operation: Operation,
        status: int,
    ) -> None:
        operation.fails(kube, status, times=None, message="because I say so")
        with pytest.raises(WriteRefused, match="because I say so") as refusal:
            operation.call(cluster, policy)
        assert refusal.value.status == status
        assert REF.name in refusal.value.name
        assert operation.requests(kube) == 1

    @reads
    @pytest.mark.parametrize("status", [401, 403])
    def test_of_reads_are_final(
        self,
        kube: EmbeddedKubernetes,
        cluster: Cluster,
        policy: PolicyIdentity,
        operation: Operation,
        status: int,
    ) -> None:
        operation.fails(kube, status, times=None, message="because I say so")
        with pytest.raises(ReadRefused, match="because I say so"):
            operation.call(cluster, policy)
        assert operation.requests(kube) == 1

    def test_a_policy_deleted_before_its_status_write_is_gone(
        self, kube: EmbeddedKubernetes, cluster: Cluster, policy: PolicyIdentity
    ) -> None:
        write = WRITES["policy status"]
        write.fails(kube, 404, times=None)
        with pytest.raises(ObjectGone, match="MfaPolicy default/console-mfa is gone"):
            write.call(cluster, policy)
        assert write.requests(kube) == 1

    @statuses
    def test_an_invalid_status_is_retried_once_on_a_fresh_read(
        self, kube: EmbeddedKubernetes, cluster: Cluster, policy: PolicyIdentity, name: str
    ) -> None:
        WRITES[name].fails(kube, 422, times=None, message="status.x: Invalid value")
        with pytest.raises(WriteRefused, match=r"\(422\): status.x: Invalid value"):
            WRITES[name].call(cluster, policy)
        assert WRITES[name].requests(kube) == 2
        kube.faults.clear()
        WRITES[name].fails(kube, 422)
        WRITES[name].call(cluster, policy)
        assert WRITES[name].done(kube)

    @pytest.mark.parametrize(
        "message",
        ["etcdserver: request is too large", "rpc error: trying to send message larger than max (2194568 vs. 2097152)"],
    )
    def test_too_large_for_etcd_is_final_although_it_comes_as_500(
        self, kube: EmbeddedKubernetes, cluster: Cluster, policy: PolicyIdentity, message: str
    ) -> None:
        write = WRITES["report status"]
        write.fails(kube, 500, times=None, message=message)
        with pytest.raises(WriteRefused, match=r"large.*; the status has [\d,]+ bytes and 1 findings") as refusal:
            write.call(cluster, policy)
        assert refusal.value.status == 413
        assert write.requests(kube) == 1


class TestConflicts:
    @statuses
    def test_each_further_try_is_based_on_a_fresh_read(
        self, kube: EmbeddedKubernetes, cluster: Cluster, policy: PolicyIdentity, name: str
    ) -> None:
        """The first is based on what the pass read."""
        write = WRITES[name]
        write.fails(kube, 409, times=2)
        write.call(cluster, policy)
        assert write.done(kube)
        assert write.requests(kube) == 3
        assert kube.requests.count(verb="get", resource=write.resource) == 2

    @statuses
    def test_are_tried_in_bounds(
        self, kube: EmbeddedKubernetes, cluster: Cluster, policy: PolicyIdentity, name: str
    ) -> None:
        WRITES[name].fails(kube, 409, times=None)
        with pytest.raises(ClusterUnavailable):
            WRITES[name].call(cluster, policy)
        assert WRITES[name].requests(kube) == TRIES

    def test_an_unchanged_report_is_rewritten_by_one_request(
        self, kube: EmbeddedKubernetes, cluster: Cluster, policy: PolicyIdentity
    ) -> None:
        stored = cluster.write_report(policy, report_status("alice"), None)
        kube.requests.clear()
        cluster.write_report(policy, report_status("bob"), stored)
        assert [(request.verb, request.call.subresource) for request in kube.requests] == [("update", "status")]
        assert users_of(kube) == ["bob"]


class TestEvents:
    def test_a_lost_answer_makes_no_second_event_and_no_alarm(
        self,
        kube: EmbeddedKubernetes,
        cluster: Cluster,
        policy: PolicyIdentity,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        EMIT.fails(kube, "reset", applied=True)
        cluster.emit(policy, NOTE)
        assert [event["note"] for event in kube.list("events")] == ["alice has no MFA"]
        assert caplog.records == []

    @pytest.mark.parametrize(("status", "requests"), [(403, 1), (422, 1), (500, 2), (429, 2), ("reset", 2)])
    def test_a_failure_is_logged_and_stops_no_pass(
        self,
        kube: EmbeddedKubernetes,
        cluster: Cluster,
        policy: PolicyIdentity,
        caplog: pytest.LogCaptureFixture,
        status: Failure,
        requests: int,
    ) -> None:
        EMIT.fails(kube, status, times=None)
        cluster.emit(policy, NOTE)
        assert EMIT.requests(kube) == requests
        [record] = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert "default/console-mfa" in record.getMessage()
        assert "NewViolations" in record.getMessage()


class TestStopping:
    def test_once_stopping_every_call_is_tried_once(
        self, kube: EmbeddedKubernetes, connected: ApiClient, policy: PolicyIdentity
    ) -> None:
        stopping = threading.Event()
        cluster = Cluster(connected, reporting_instance="a", stopping=stopping, retry=RetryPolicy(first=60.0))
        stopping.set()
        WRITES["policy status"].fails(kube, 503, times=None)
        with pytest.raises(ClusterUnavailable, match=r"default/console-mfa.*stopping"):
            cluster.write_policy_status(policy, PolicyStatus())
        assert WRITES["policy status"].requests(kube) == 1
        kube.faults.clear()
        cluster.write_policy_status(policy, PolicyStatus(observed_generation=7))
        assert WRITES["policy status"].done(kube)

    def test_a_wait_ends_when_stopping_begins(
        self,
        kube: EmbeddedKubernetes,
        connected: ApiClient,
        policy: PolicyIdentity,
        eventually: Callable[..., None],
    ) -> None:
        stopping = threading.Event()
        cluster = Cluster(connected, reporting_instance="a", stopping=stopping, retry=RetryPolicy(first=3600.0))
        WRITES["policy status"].fails(kube, 503, times=None)
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(cluster.write_policy_status, policy, PolicyStatus())
            eventually(lambda: WRITES["policy status"].requests(kube) == 1, "a try that fails")
            stopping.set()
            assert isinstance(writing.exception(timeout=30), ClusterUnavailable)
        assert WRITES["policy status"].requests(kube) == 1


class TestThreads:
    def test_many_write_at_once_over_connections_that_are_kept(
        self,
        kube: EmbeddedKubernetes,
        cluster: Cluster,
        new_policy: NewPolicy,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        accounts = [f"{number:012}" for number in range(2 * CONNECTIONS)]
        policy = PolicyIdentity.of(kube.apply(new_policy(accounts=[{"id": account} for account in accounts])))
        together = threading.Barrier(CONNECTIONS)

        def write(account: str) -> str:
            together.wait()
            return cluster.write_report(policy, ReportStatus(account_id=account), None).name

        with caplog.at_level(logging.WARNING, "urllib3"), ThreadPoolExecutor(CONNECTIONS) as pool:
            names = list(pool.map(write, accounts))
        assert names == [f"console-mfa-{account}" for account in accounts]
        assert {stored.status.account_id for stored in cluster.list_reports(REF)} == set(accounts)
        assert caplog.records == []


class TestLeadership:
    """Every request that changes something asks first whether this replica still leads, each retry included."""

    @pytest.mark.parametrize("operation", [*WRITES.values(), EMIT], ids=[*WRITES, "event"])
    def test_no_write_is_tried_again_once_it_is_lost(
        self, kube: EmbeddedKubernetes, connected: ApiClient, policy: PolicyIdentity, operation: Operation
    ) -> None:
        def check() -> None:
            if operation.requests(kube):
                raise PassAbandoned

        cluster = Cluster(connected, reporting_instance="a", check_before_write=check, retry=QUICK)
        operation.fails(kube, 503)
        with pytest.raises(PassAbandoned):
            operation.call(cluster, policy)
        assert operation.requests(kube) == 1

    @pytest.mark.parametrize("name", ["policy status", "create report", "event"])
    def test_nothing_is_written_after_it(
        self, kube: EmbeddedKubernetes, connected: ApiClient, policy: PolicyIdentity, name: str
    ) -> None:
        def check() -> None:
            raise PassAbandoned

        operation = {**WRITES, "event": EMIT}[name]
        with pytest.raises(PassAbandoned):
            operation.call(Cluster(connected, reporting_instance="a", check_before_write=check), policy)
        assert operation.requests(kube) == 0
