"""What the operator does to objects: only what is its own, only what has changed, and whatever people do to them."""

from __future__ import annotations

import copy
import json
from collections import Counter

import yaml

from tests.cluster.agreement import assert_all_agree
from tests.fixtures.operator import eventually
from tests.fixtures.shared_operator import SharedOperator, named

LONG_AGO = "2024-02-29T12:00:00Z"
GITOPS = ["apply", "--server-side", "--field-manager=gitops", "-f", "-"]


def test_nothing_of_ours_is_on_a_users_object(shared: SharedOperator) -> None:
    manifest = {
        "apiVersion": "mfa-operator.io/v1alpha1",
        "kind": "MfaPolicy",
        "metadata": {
            "name": "synced",
            "namespace": shared.namespace,
            "labels": {"team": "security"},
            "annotations": {"owner": "platform"},
        },
        "spec": {"accounts": named(shared.account("alice")), "interval": "24h"},
    }
    shared.kubectl(*GITOPS, input=yaml.safe_dump(manifest))
    first = shared.policies.get("synced")
    shared.policies.wait_for_pass("synced")
    shared.kubectl(*GITOPS, input=yaml.safe_dump(manifest))
    shared.policies.request_pass("synced")
    # What request_pass leaves, a person's.
    shared.kubectl("annotate", "mfap", "synced", "mfa-operator.io/requestedAt-")

    last = shared.policies.get("synced")
    assert last["spec"] == first["spec"]
    assert {"labels", "annotations", "generation", "uid"} <= last["metadata"].keys()
    for body in (first, last):
        for written in ("managedFields", "resourceVersion"):
            body["metadata"].pop(written, None)
    assert last["metadata"] == first["metadata"]

    shown = shared.kubectl("get", "mfap", "synced", "--show-managed-fields", "-o", "json")
    fields = [entry for entry in json.loads(shown)["metadata"]["managedFields"] if entry["manager"] == "mfa-operator"]
    assert [(entry["subresource"], list(entry["fieldsV1"])) for entry in fields] == [("status", ["f:status"])]
    shared.kubectl("diff", *GITOPS[1:], input=yaml.safe_dump(manifest))


def test_two_policies_of_one_account_fetch_once(shared: SharedOperator) -> None:
    account = shared.account("alice")
    shared.aws.calls.clear()
    # Both are known before the first one's answers are there: kept is only what another policy may ask for.
    shared.aws.faults.add("AssumeRole", "delay", account=account.id, delay=2)
    specs = {"strict": {"gracePeriod": "0s"}, "lenient": {"gracePeriod": "100h"}}
    shared.policies.apply_all({name: {"accounts": named(account), **spec} for name, spec in specs.items()})
    summaries = {name: shared.policies.wait_for_pass(name)["summary"] for name in ("strict", "lenient")}
    assert (summaries["strict"]["overdue"], summaries["lenient"]["violating"]) == (1, 1)
    for operation in ("AssumeRole", "GetCredentialReport", "ListUsers", "ListVirtualMFADevices", "GetLoginProfile"):
        assert shared.aws.calls.count(operation, account.id) == 1, operation


def test_an_account_taken_out_of_the_policy_leaves_nothing(shared: SharedOperator) -> None:
    gone, stays = shared.account("alice"), shared.account("bob")
    shared.policies.apply("shrinks", accounts=named(gone, stays))
    shared.policies.wait_for_pass("shrinks")
    assert shared.policies.findings("shrinks", gone.id)
    shared.policies.apply("shrinks", accounts=named(stays))
    status = shared.policies.wait_for_pass("shrinks")
    assert [account["id"] for account in status["accounts"]] == [stays.id]
    assert (status["summary"]["accounts"], status["summary"]["violating"]) == (1, 1)
    eventually(lambda: f"shrinks-{gone.id}" not in shared.policies.reports(), "its report goes")
    assert_all_agree(shared)
    exported = shared.operator.get("/metrics", shared.operator.metrics_url)[1]
    assert stays.id in exported
    assert gone.id not in exported


def test_a_report_deleted_by_hand_comes_back(shared: SharedOperator) -> None:
    account = shared.account("alice")
    shared.policies.apply("deleted", accounts=named(account))
    shared.policies.wait_for_pass("deleted")
    shared.kubectl("delete", "mfar", f"deleted-{account.id}")
    shared.policies.request_pass("deleted")
    assert set(shared.policies.findings("deleted", account.id)) == {"alice"}
    assert_all_agree(shared)


def test_a_report_edited_by_hand_is_mended_at_the_next_pass(shared: SharedOperator) -> None:
    account = shared.account("alice")
    shared.policies.apply("edited", accounts=named(account))
    shared.policies.wait_for_pass("edited")
    name = f"edited-{account.id}"
    before = shared.policies.reports()[name]
    lie = copy.deepcopy(before)
    lie["summary"]["violating"], lie["summary"]["compliant"] = 0, 1
    lie["findings"][0]["state"] = "Overdue"
    lie["findings"][0]["deadline"] = LONG_AGO
    lie["findings"].append(lie["findings"][0] | {"user": "nobody"})
    shared.patch_status("mfar", name, status=lie)
    shared.policies.request_pass("edited")
    after = shared.policies.reports()[name]
    for report in (after, before):
        # A requested pass reads everybody once more.
        report.pop("auditedAt")
        report["findings"][0].pop("checkedAt")
    assert after == before
    assert_all_agree(shared)


def test_a_report_that_lost_its_labels_is_found_by_name(shared: SharedOperator) -> None:
    account = shared.account("alice")
    shared.policies.apply("unlabelled", accounts=named(account))
    shared.policies.wait_for_pass("unlabelled")
    name = f"unlabelled-{account.id}"
    report = shared.policies.reports()[name]
    report["findings"][0]["firstSeen"] = LONG_AGO
    shared.patch_status("mfar", name, status=report)
    shared.kubectl("label", "mfar", name, "mfa-operator.io/policy-")
    shared.policies.request_pass("unlabelled")
    assert shared.policies.findings("unlabelled", account.id)["alice"]["firstSeen"] == LONG_AGO
    assert len(shared.policies.events("NewViolations", "unlabelled")) == 1


def test_a_status_removed_by_hand_comes_back_with_first_seen(shared: SharedOperator) -> None:
    account, closed = shared.account("alice"), shared.account()
    shared.policies.apply("removed", accounts=named(account, closed))
    before = shared.policies.wait_for_pass("removed")
    report = shared.policies.reports()[f"removed-{account.id}"]
    report["findings"][0]["firstSeen"] = LONG_AGO
    shared.patch_status("mfar", f"removed-{account.id}", status=report)
    shared.patch_status("mfap", "removed", status=None)
    assert shared.policies.status("removed") == {}
    shared.policies.request_pass("removed")
    after = shared.policies.status("removed")
    assert after.keys() == before.keys() | {"lastHandledRequestedAt"}
    assert [(one["user"], one["state"], one["firstSeen"]) for one in after["findings"]] == [
        ("alice", "Overdue", LONG_AGO)
    ]
    assert shared.policies.findings("removed", account.id)["alice"]["firstSeen"] == LONG_AGO
    assert len(shared.policies.events("NewViolations", "removed")) == 1


def test_a_steady_pass_writes_only_the_policys_status(shared: SharedOperator) -> None:
    accounts = [shared.account("alice"), shared.account("bob")]
    shared.policies.apply("steady", accounts=named(*accounts))
    shared.policies.wait_for_pass("steady")
    before = len(shared.control_plane.audit_events())
    for _ in range(2):
        shared.policies.request_pass("steady")
    operator = "system:serviceaccount:mfa-operator:mfa-operator"

    def requests() -> Counter[tuple[str, str]]:
        events = [one for one in shared.control_plane.audit_events()[before:] if one["user"]["username"] == operator]
        return Counter(
            (event["verb"], "/".join(filter(None, (target["resource"], target.get("subresource"), target.get("name")))))
            for event, target in ((event, event["objectRef"]) for event in events)
            if target["resource"] != "leases"
        )

    written = ("update", "mfapolicies/status/steady")
    eventually(lambda: requests()[written] == 4, "every write is in the audit log")
    assert requests() == {
        # At the pass's start; writes go over what it read.
        ("get", "mfapolicies/steady"): 2,
        # All of the policy's reports at once.
        ("list", "mfareports"): 2,
        # That it is under way, for it was asked for, and what it found.
        written: 4,
    }
    assert len(shared.policies.events(policy="steady")) == 2
