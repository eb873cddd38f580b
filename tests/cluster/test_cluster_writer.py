"""Status and reports as the operator writes them, on a real API server with the rights of deploy/rbac.yaml."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mfa_operator.api.enums import EventReason
from mfa_operator.api.objects import read_policy
from mfa_operator.api.status import Counts, PolicyStatus, ReportStatus
from mfa_operator.kube.cluster import Cluster, ObjectGone, PolicyIdentity, RetryPolicy, WriteRefused
from mfa_operator.kube.connection import connect
from mfa_operator.reporting.events import EventNote
from tests.cluster.examples import (
    ACCOUNT,
    FULL_POLICY,
    FULL_REPORT,
    NAME,
    NOW,
    OTHER,
    REPORT,
    SPEC,
    InterruptedClient,
    conditions,
    status_of,
    violation,
)
from tests.fixtures.operator import Policies, eventually

NOTE = EventNote(EventReason.NEW_VIOLATIONS, "Audit", "alice can sign in without MFA")


@pytest.fixture
def client(service_account: Path) -> Iterator[InterruptedClient]:
    plain, _ = connect(str(service_account), None)
    with InterruptedClient(plain.configuration) as client:
        yield client


@pytest.fixture
def cluster(client: InterruptedClient) -> Cluster:
    return Cluster(client, reporting_instance="mfa-operator-7d9f-x2x4k", retry=RetryPolicy(first=0.01))


@pytest.fixture
def policy(policies: Policies) -> PolicyIdentity:
    return PolicyIdentity.of(policies.apply(NAME, **SPEC))


@pytest.fixture
def report(policies: Policies) -> Callable[[], dict[str, Any]]:
    """The report as an admin gets it; an empty dict where there is none."""

    def get() -> dict[str, Any]:
        return next((each for each in policies.all_reports() if each["metadata"]["name"] == REPORT), {})

    return get


Report = Callable[[], dict[str, Any]]


class TestReport:
    def test_is_created_with_owner_labels_and_status(
        self, cluster: Cluster, policy: PolicyIdentity, report: Report
    ) -> None:
        stored = cluster.write_report(policy, FULL_REPORT, None)
        body = report()
        assert body["metadata"]["labels"] == {
            "mfa-operator.io/policy": NAME,
            "mfa-operator.io/account-id": ACCOUNT,
        }
        assert body["metadata"]["ownerReferences"] == [
            {
                "apiVersion": "mfa-operator.io/v1alpha1",
                "kind": "MfaPolicy",
                "name": NAME,
                "uid": policy.uid,
                "controller": True,
            }
        ]
        assert body["status"]["findings"][0]["firstSeen"] == "2026-05-04T03:02:01Z"
        assert stored.status == FULL_REPORT
        assert (stored.uid, stored.resource_version) == (
            body["metadata"]["uid"],
            body["metadata"]["resourceVersion"],
        )
        assert cluster.get_report(policy.ref, ACCOUNT) == stored
        assert cluster.list_reports(policy.ref) == [stored]

    def test_an_update_leaves_nothing_of_the_old_status(
        self, cluster: Cluster, policy: PolicyIdentity, report: Report
    ) -> None:
        first = cluster.write_report(policy, FULL_REPORT, None)
        second = cluster.write_report(policy, status_of(violation("bob"), summary=Counts(users=1, violating=1)), first)
        assert second.uid == first.uid
        assert report()["status"] == {
            "accountId": ACCOUNT,
            "auditedAt": "2026-05-04T03:02:01Z",
            "summary": dict.fromkeys(msgspec.to_builtins(Counts()), 0) | {"users": 1, "violating": 1},
            "findings": [
                {
                    "user": "bob",
                    "state": "Violating",
                    "reason": "NoMfa",
                    "firstSeen": "2026-05-04T03:02:01Z",
                    "deadline": "2026-05-11T03:02:01Z",
                }
            ],
        }
        assert report()["metadata"]["ownerReferences"][0]["uid"] == policy.uid

    def test_goes_with_its_policy(
        self, cluster: Cluster, policy: PolicyIdentity, policies: Policies, report: Report
    ) -> None:
        cluster.write_report(policy, FULL_REPORT, None)
        policies.kubectl("-n", policies.namespace, "delete", "mfap", NAME)
        eventually(lambda: not report(), "the report goes with its policy")

    def test_written_by_somebody_in_between_is_written_again(
        self, cluster: Cluster, client: InterruptedClient, policy: PolicyIdentity, policies: Policies, report: Report
    ) -> None:
        stored = cluster.write_report(policy, FULL_REPORT, None)
        client.interrupt(
            lambda: policies.kubectl("-n", policies.namespace, "annotate", "mfar", REPORT, "example.org/mine=1")
        )

        written = cluster.write_report(policy, status_of(), stored)
        assert client.interrupted
        assert written.status == status_of()
        assert report()["metadata"]["annotations"] == {"example.org/mine": "1"}

    def test_deleted_by_somebody_in_between_is_created_again(
        self, cluster: Cluster, client: InterruptedClient, policy: PolicyIdentity, policies: Policies, report: Report
    ) -> None:
        stored = cluster.write_report(policy, FULL_REPORT, None)
        client.interrupt(lambda: policies.kubectl("-n", policies.namespace, "delete", "mfar", REPORT))
        written = cluster.write_report(policy, FULL_REPORT, stored)
        assert client.interrupted
        assert written.uid == report()["metadata"]["uid"] != stored.uid
        assert written.status == FULL_REPORT

    def test_of_an_earlier_policy_is_replaced(
        self, cluster: Cluster, policy: PolicyIdentity, policies: Policies, report: Report
    ) -> None:
        old = cluster.write_report(policy, FULL_REPORT, None)
        policies.kubectl("-n", policies.namespace, "delete", "mfap", NAME, "--cascade=orphan")
        successor = PolicyIdentity.of(policies.apply(NAME, **SPEC))
        found = cluster.get_report(successor.ref, ACCOUNT)
        assert found is not None
        assert found.owner_uid != successor.uid
        new = cluster.write_report(successor, status_of(), found)
        assert new.uid != old.uid
        assert report()["metadata"]["ownerReferences"][0]["uid"] == successor.uid

    def test_delete_takes_this_very_report(
        self, cluster: Cluster, policy: PolicyIdentity, policies: Policies, report: Report
    ) -> None:
        old = cluster.write_report(policy, FULL_REPORT, None)
        policies.kubectl("-n", policies.namespace, "delete", "mfar", REPORT)
        new = cluster.write_report(policy, FULL_REPORT, None)
        cluster.delete_report(old)
        assert report()["metadata"]["uid"] == new.uid
        cluster.delete_report(new)
        assert report() == {}
        cluster.delete_report(new)

    def test_lists_hold_the_reports_of_the_policy_alone(self, cluster: Cluster, policies: Policies) -> None:
        accounts = {"accounts": [{"id": ACCOUNT}, {"id": OTHER}]}
        both = [PolicyIdentity.of(policies.apply(name, **accounts)) for name in (NAME, "other")]
        for one in both:
            for account_id in (ACCOUNT, OTHER):
                cluster.write_report(one, ReportStatus(account_id=account_id), None)
        assert {stored.name for stored in cluster.list_reports(both[0].ref)} == {REPORT, f"{NAME}-{OTHER}"}

    def test_many_threads_write_at_once(self, cluster: Cluster, policies: Policies) -> None:
        accounts = [f"1{number:011}" for number in range(24)]
        policy = PolicyIdentity.of(policies.apply(NAME, accounts=[{"id": account} for account in accounts]))
        with ThreadPoolExecutor(8) as pool:
            written = pool.map(lambda id_: cluster.write_report(policy, ReportStatus(account_id=id_), None), accounts)
            assert [stored.status.account_id for stored in written] == accounts


class TestSize:
    def test_5000_findings_of_a_whole_account_fit(self, cluster: Cluster, policy: PolicyIdentity) -> None:
        users = (
            violation(f"{number:05}-{'u' * 40}", path="/engineering/", console_since=NOW) for number in range(5000)
        )
        status = status_of(violation("<root_account>"), *users)
        assert len(msgspec.json.encode(status)) > 1_000_000
        stored = cluster.write_report(policy, status, None)
        assert stored.status == status
        assert cluster.list_reports(policy.ref) == [stored]

    @pytest.mark.parametrize(
        ("padding", "limit"),
        [(190, "etcdserver: request is too large"), (300, "larger than max"), (500, "limit is 3145728")],
    )
    def test_what_does_not_fit_is_refused_with_its_size(
        self, cluster: Cluster, policy: PolicyIdentity, padding: int, limit: str
    ) -> None:
        status = status_of(*(violation(f"{number:05}", path=f"/{'x' * padding}/") for number in range(5000)))
        with pytest.raises(WriteRefused) as refusal:
            cluster.write_report(policy, status, None)
        assert refusal.value.status == 413
        assert limit in str(refusal.value)
        assert f"{policy.ref.namespace}/{REPORT}" in str(refusal.value)
        assert "bytes and 5,000 findings" in str(refusal.value)
        # The last good status stands; here none was written yet.
        stored = cluster.get_report(policy.ref, ACCOUNT)
        assert stored is not None
        assert stored.status == ReportStatus(account_id=ACCOUNT)


class TestPolicyStatus:
    def test_is_written_whole_and_replaces_what_was_there(
        self, cluster: Cluster, policy: PolicyIdentity, policies: Policies
    ) -> None:
        cluster.write_policy_status(policy, FULL_POLICY)
        assert read_policy(policies.get(NAME)).status == FULL_POLICY
        as_read = PolicyIdentity.of(policies.get(NAME))
        cluster.write_policy_status(as_read, PolicyStatus(observed_generation=1, conditions=conditions(ready=False)))
        status = policies.status(NAME)
        assert status.keys() == {"observedGeneration", "conditions"}
        assert [condition["status"] for condition in status["conditions"]] == ["False"]

    def test_lets_kubectl_wait_and_get(self, cluster: Cluster, policy: PolicyIdentity, policies: Policies) -> None:
        cluster.write_policy_status(policy, FULL_POLICY)
        policies.kubectl("-n", policies.namespace, "wait", "--for=condition=Ready", f"mfap/{NAME}", "--timeout=30s")
        assert NAME in policies.kubectl("-n", policies.namespace, "get", "mfap").stdout

    def test_touches_nothing_else_of_the_object(
        self, cluster: Cluster, policy: PolicyIdentity, policies: Policies
    ) -> None:
        before = policies.get(NAME)
        cluster.write_policy_status(policy, FULL_POLICY)
        cluster.write_report(policy, FULL_REPORT, None)
        cluster.emit(policy, NOTE)
        after = policies.get(NAME)
        assert after["spec"] == before["spec"]
        changing = {"managedFields", "resourceVersion"}
        assert {key: value for key, value in after["metadata"].items() if key not in changing} == {
            key: value for key, value in before["metadata"].items() if key not in changing
        }
        with_managers = policies.kubectl(
            "-n", policies.namespace, "get", "mfap", NAME, "-o", "json", "--show-managed-fields"
        )
        managed = json.loads(with_managers.stdout)["metadata"]["managedFields"]
        [ours] = [entry for entry in managed if entry["manager"] == "mfa-operator"]
        assert ours["subresource"] == "status"
        assert ours["fieldsV1"].keys() == {"f:status"}

    def test_an_edit_in_between_is_kept(
        self, cluster: Cluster, client: InterruptedClient, policy: PolicyIdentity, policies: Policies
    ) -> None:
        client.interrupt(lambda: policies.apply(NAME, **SPEC, interval="1h"))
        cluster.write_policy_status(policy, FULL_POLICY)
        assert client.interrupted
        after = policies.get(NAME)
        assert after["spec"]["interval"] == "1h"
        assert after["metadata"]["generation"] == 2
        assert after["status"]["observedGeneration"] == 1

    def test_of_a_policy_recreated_in_between_is_refused(
        self, cluster: Cluster, client: InterruptedClient, policy: PolicyIdentity, policies: Policies
    ) -> None:
        def recreate() -> None:
            policies.kubectl("-n", policies.namespace, "delete", "mfap", NAME)
            policies.apply(NAME, **SPEC)

        client.interrupt(recreate)
        with pytest.raises(ObjectGone, match="another one has its name"):
            cluster.write_policy_status(policy, FULL_POLICY)
        assert client.interrupted
        with pytest.raises(ObjectGone):
            cluster.write_policy_status(policy, FULL_POLICY)
        with pytest.raises(ObjectGone):
            cluster.write_report(policy, FULL_REPORT, None)
        assert policies.status(NAME) == {}
        assert policies.reports() == {}

    def test_of_a_policy_deleted_in_between_is_refused(
        self, cluster: Cluster, client: InterruptedClient, policy: PolicyIdentity, policies: Policies
    ) -> None:
        client.interrupt(lambda: policies.kubectl("-n", policies.namespace, "delete", "mfap", NAME))
        with pytest.raises(ObjectGone, match=f"MfaPolicy {policy.ref} is gone"):
            cluster.write_policy_status(policy, FULL_POLICY)
        assert cluster.get_policy(policy.ref) is None


class TestSchema:
    def test_an_invalid_report_is_refused_with_field_and_reason(self, cluster: Cluster, policy: PolicyIdentity) -> None:
        with pytest.raises(WriteRefused, match=r"status\.findings\[1\]: Duplicate value.*alice") as refusal:
            cluster.write_report(policy, status_of(violation("alice"), violation("alice")), None)
        assert refusal.value.status == 422
        assert refusal.value.name == f"MfaReport {policy.ref.namespace}/{REPORT}"

    def test_an_invalid_policy_status_is_refused_with_its_field(self, cluster: Cluster, policy: PolicyIdentity) -> None:
        [condition] = conditions(ready=True)
        too_long = msgspec.structs.replace(condition, message="x" * 40_000)
        with pytest.raises(WriteRefused, match=r"status\.conditions\[0\]\.message.*32768") as refusal:
            cluster.write_policy_status(policy, PolicyStatus(conditions=(too_long,)))
        assert refusal.value.status == 422
        assert len(str(refusal.value)) < 2000
