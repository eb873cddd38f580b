"""What the operator's writer does about objects that come, go and change hands while it works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mfa_operator.api.conversion import InvalidObject
from mfa_operator.api.enums import API_VERSION
from mfa_operator.api.status import PolicyStatus, ReportStatus
from mfa_operator.kube import reader
from mfa_operator.kube.cluster import Cluster, ClusterUnavailable, ObjectGone, PolicyIdentity, StaleData, WriteRefused
from mfa_sandbox.kubernetes import EmbeddedKubernetes
from tests.kube.operations import ACCOUNT, REF, REPORT, TRIES, WRITES, generation_of, report_status, users_of

NewPolicy = Callable[..., dict[str, Any]]


@pytest.fixture
def policy(kube: EmbeddedKubernetes, new_policy: NewPolicy) -> PolicyIdentity:
    return PolicyIdentity.of(kube.apply(new_policy()))


class TestRecreated:
    def test_a_recreated_policy_inherits_no_report(
        self, kube: EmbeddedKubernetes, cluster: Cluster, policy: PolicyIdentity, new_policy: NewPolicy
    ) -> None:
        kube.delete("mfapolicies", "default", "console-mfa")
        with pytest.raises(ObjectGone, match="default/console-mfa is gone"):
            cluster.write_policy_status(policy, PolicyStatus(observed_generation=7))
        kube.apply(new_policy())
        for late in (WRITES["policy status"], WRITES["create report"]):
            with pytest.raises(ObjectGone, match="another one has its name"):
                late.call(cluster, policy)
        assert "status" not in (kube.get("mfapolicies", "default", "console-mfa") or {})
        assert kube.list("mfareports") == []

    def test_the_report_of_an_earlier_policy_is_replaced(
        self, kube: EmbeddedKubernetes, cluster: Cluster, policy: PolicyIdentity
    ) -> None:
        old = cluster.write_report(policy, report_status("alice"), None)
        # The garbage collector takes its time: for a while the old report is still there.
        owner = {"apiVersion": API_VERSION, "kind": "MfaPolicy", "name": REF.name, "uid": "of-an-earlier-policy"}
        kube.patch("mfareports", "default", REPORT, {"metadata": {"ownerReferences": [owner]}})
        found = cluster.get_report(REF, ACCOUNT)
        assert found is not None
        assert found.owner_uid == "of-an-earlier-policy"
        new = cluster.write_report(policy, report_status("bob"), found)
        assert (new.owner_uid, new.status) == (policy.uid, report_status("bob"))
        assert new.uid != old.uid
        assert users_of(kube) == ["bob"]

    def test_a_deleted_policys_late_pass_keeps_the_new_report(
        self, kube: EmbeddedKubernetes, cluster: Cluster, policy: PolicyIdentity, new_policy: NewPolicy
    ) -> None:
        kube.delete("mfapolicies", "default", "console-mfa")
        successor = PolicyIdentity.of(kube.apply(new_policy()))
        theirs = cluster.write_report(successor, report_status("bob"), None)
        for stored in (None, theirs):
            with pytest.raises(ObjectGone):
                cluster.write_report(policy, report_status("alice"), stored)
        assert cluster.get_report(REF, ACCOUNT) == theirs

    def test_a_report_says_in_which_organization_its_account_was_discovered(
        self, cluster: Cluster, policy: PolicyIdentity
    ) -> None:
        """Noted where it is created: a later write says nothing of it, and takes nothing away."""
        stored = cluster.write_report(policy, report_status("alice"), None, organization_id="o-a1b2c3d4e5")
        cluster.write_report(policy, report_status("bob"), stored)
        [listed] = cluster.policy_reports(REF)
        assert listed.organization_id == "o-a1b2c3d4e5"

    def test_a_report_that_somebody_deletes_is_created_again(
        self, kube: EmbeddedKubernetes, cluster: Cluster, policy: PolicyIdentity
    ) -> None:
        stored = cluster.write_report(policy, report_status("alice"), None)
        kube.delete("mfareports", "default", REPORT)
        again = cluster.write_report(policy, report_status("alice"), stored)
        assert again.uid != stored.uid
        assert users_of(kube) == ["alice"]

    def test_deleting_a_report_spares_another_of_its_name(
        self, kube: EmbeddedKubernetes, cluster: Cluster, policy: PolicyIdentity
    ) -> None:
        stored = cluster.write_report(policy, report_status("alice"), None)
        kube.delete("mfareports", "default", REPORT)
        again = cluster.write_report(policy, report_status("alice"), None)
        cluster.delete_report(stored)
        assert cluster.get_report(REF, ACCOUNT) == again
        cluster.delete_report(again)
        cluster.delete_report(again)
        assert cluster.get_report(REF, ACCOUNT) is None


class TestReading:
    def test_what_is_not_there_is_none(self, cluster: Cluster) -> None:
        assert cluster.get_policy(REF) is None
        assert cluster.get_report(REF, ACCOUNT) is None
        assert list(cluster.list_policies(None)) == []
        assert cluster.list_reports(REF) == []

    def test_an_expired_page_loses_and_doubles_nothing(
        self, kube: EmbeddedKubernetes, cluster: Cluster, new_policy: NewPolicy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reader, "POLICIES_PER_PAGE", 2)
        names = [f"policy-{number}" for number in range(6)]
        for name in names[:5]:
            kube.apply(new_policy(name))
        listing = cluster.list_policies(None)
        found = [next(listing)["metadata"]["name"] for _ in range(2)]
        kube.expire_watches()
        kube.apply(new_policy(names[5]))
        found += [body["metadata"]["name"] for body in listing]
        assert sorted(found) == names
        assert kube.requests.count(verb="list") == 1 + 1 + 3

    def test_lists_that_expire_again_and_again_end(
        self, kube: EmbeddedKubernetes, cluster: Cluster, new_policy: NewPolicy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reader, "POLICIES_PER_PAGE", 1)
        for name in ("first", "second"):
            kube.apply(new_policy(name))
        listing = cluster.list_policies(None)
        next(listing)
        kube.faults.add(verb="list", status=410, times=None)
        with pytest.raises(ClusterUnavailable, match="mfapolicies in all namespaces"):
            next(listing)
        assert kube.requests.count(verb="list") == 1 + TRIES

    def test_policies_of_the_namespaces_alone(
        self, kube: EmbeddedKubernetes, cluster: Cluster, new_policy: NewPolicy
    ) -> None:
        for namespace in ("default", "kube-system"):
            kube.apply(new_policy(), namespace=namespace)
        assert {body["metadata"]["namespace"] for body in cluster.list_policies(None)} == {"default", "kube-system"}
        assert [body["metadata"]["namespace"] for body in cluster.list_policies(["default"])] == ["default"]
        assert list(cluster.list_policies([])) == []

    def test_an_invalid_report_does_not_count_as_empty(
        self, kube: EmbeddedKubernetes, cluster: Cluster, policy: PolicyIdentity, caplog: pytest.LogCaptureFixture
    ) -> None:
        cluster.write_report(policy, report_status("alice"), None)
        status = {"findings": [{"user": "alice", "state": "Vanished"}]}
        kube.patch("mfareports", "default", REPORT, {"status": status}, subresource="status")
        with pytest.raises(InvalidObject, match=r"status.findings"):
            cluster.get_report(REF, ACCOUNT)
        assert cluster.list_reports(REF) == []
        assert REPORT in caplog.text

    def test_a_report_whose_status_was_never_written_has_no_findings(
        self, kube: EmbeddedKubernetes, cluster: Cluster, policy: PolicyIdentity
    ) -> None:
        WRITES["report status"].fails(kube, 403, times=None)
        with pytest.raises(WriteRefused):
            cluster.write_report(policy, report_status("alice"), None)
        for found in (cluster.get_report(REF, ACCOUNT), *cluster.list_reports(REF)):
            assert found is not None
            assert found.status == ReportStatus(account_id=ACCOUNT)


class TestStaleData:
    """Another leader wrote in the meantime: what this one knows is older, whenever its request arrives."""

    def test_a_policys_newer_status_is_not_replaced(
        self, kube: EmbeddedKubernetes, cluster: Cluster, policy: PolicyIdentity
    ) -> None:
        cluster.write_policy_status(policy, PolicyStatus(observed_generation=8))
        with pytest.raises(StaleData, match="default/console-mfa: it was changed by somebody else"):
            cluster.write_policy_status(policy, PolicyStatus(observed_generation=7))
        assert generation_of(kube) == 8

    def test_a_pass_may_write_twice(self, kube: EmbeddedKubernetes, cluster: Cluster, policy: PolicyIdentity) -> None:
        """That it is running, and what it found."""
        running = cluster.write_policy_status(policy, PolicyStatus(observed_generation=6))
        cluster.write_policy_status(running, PolicyStatus(observed_generation=7))
        assert generation_of(kube) == 7

    def test_an_edit_by_a_person_does_not_cost_the_status(
        self, kube: EmbeddedKubernetes, cluster: Cluster, policy: PolicyIdentity
    ) -> None:
        asked = {"metadata": {"annotations": {"mfa-operator.io/requestedAt": "now"}}, "spec": {"interval": "1h"}}
        kube.patch("mfapolicies", "default", "console-mfa", asked)
        cluster.write_policy_status(policy, PolicyStatus(observed_generation=1))
        assert generation_of(kube) == 1
        assert (kube.get("mfapolicies", "default", "console-mfa") or {})["spec"]["interval"] == "1h"

    @pytest.mark.parametrize("had_one", [True, False])
    def test_a_newer_report_is_not_replaced(
        self, kube: EmbeddedKubernetes, cluster: Cluster, policy: PolicyIdentity, had_one: bool
    ) -> None:
        read = cluster.write_report(policy, report_status("alice"), None) if had_one else None
        cluster.write_report(policy, report_status("bob"), read)
        with pytest.raises(StaleData, match="it was changed by somebody else"):
            cluster.write_report(policy, report_status("carol"), read)
        assert users_of(kube) == ["bob"]

    def test_a_labelled_report_is_replaced_and_keeps_its_label(
        self, kube: EmbeddedKubernetes, cluster: Cluster, policy: PolicyIdentity
    ) -> None:
        read = cluster.write_report(policy, report_status("alice"), None)
        kube.patch("mfareports", "default", REPORT, {"metadata": {"labels": {"team": "x"}}})
        cluster.write_report(policy, report_status("bob"), read)
        assert users_of(kube) == ["bob"]
        assert (kube.get("mfareports", "default", REPORT) or {})["metadata"]["labels"]["team"] == "x"

    def test_a_newer_report_is_not_deleted(
        self, kube: EmbeddedKubernetes, cluster: Cluster, policy: PolicyIdentity
    ) -> None:
        read = cluster.write_report(policy, report_status("alice"), None)
        newer = cluster.write_report(policy, report_status("bob"), read)
        with pytest.raises(StaleData):
            cluster.delete_report(read)
        kube.patch("mfareports", "default", REPORT, {"metadata": {"labels": {"team": "x"}}})
        cluster.delete_report(newer)
        assert kube.get("mfareports", "default", REPORT) is None
