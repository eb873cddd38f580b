"""What the operator does to objects: only what is its own, only what has changed, and whatever people do to them."""

from __future__ import annotations

import copy
import json
from collections import Counter

import yaml

from tests.cluster.agreement import assert_all_agree
from tests.fixtures.operator import eventually
from tests.fixtures.shared_operator import Bed, named

LONG_AGO = "2024-02-29T12:00:00Z"
GITOPS = ["apply", "--server-side", "--field-manager=gitops", "-f", "-"]


def test_nothing_of_ours_is_on_a_users_object(bed: Bed) -> None:
    manifest = {
        "apiVersion": "mfa-operator.io/v1alpha1",
        "kind": "MfaPolicy",
        "metadata": {
            "name": "synced",
            "namespace": bed.namespace,
            "labels": {"team": "security"},
            "annotations": {"owner": "platform"},
        },
        "spec": {"accounts": named(bed.account("alice")), "interval": "24h"},
    }
    bed.kubectl(*GITOPS, input=yaml.safe_dump(manifest))
    first = bed.policies.get("synced")
    bed.policies.wait_for_pass("synced")
    bed.kubectl(*GITOPS, input=yaml.safe_dump(manifest))
    bed.policies.request_pass("synced")
    # What request_pass leaves, a person's.
    bed.kubectl("annotate", "mfap", "synced", "mfa-operator.io/requestedAt-")

    last = bed.policies.get("synced")
    assert last["spec"] == first["spec"]
    assert {"labels", "annotations", "generation", "uid"} <= last["metadata"].keys()
    for body in (first, last):
        for written in ("managedFields", "resourceVersion"):
            body["metadata"].pop(written, None)
    assert last["metadata"] == first["metadata"]

    shown = bed.kubectl("get", "mfap", "synced", "--show-managed-fields", "-o", "json")
    fields = [entry for entry in json.loads(shown)["metadata"]["managedFields"] if entry["manager"] == "mfa-operator"]
    assert [(entry["subresource"], list(entry["fieldsV1"])) for entry in fields] == [("status", ["f:status"])]
    bed.kubectl("diff", *GITOPS[1:], input=yaml.safe_dump(manifest))


def test_two_policies_of_one_account_fetch_once(bed: Bed) -> None:
    account = bed.account("alice")
    bed.aws.calls.clear()
    specs = {"strict": {"gracePeriod": "0s"}, "lenient": {"gracePeriod": "100h"}}
    bed.policies.apply_all({name: {"accounts": named(account), **spec} for name, spec in specs.items()})
    summaries = {name: bed.policies.wait_for_pass(name)["summary"] for name in ("strict", "lenient")}
    assert (summaries["strict"]["overdue"], summaries["lenient"]["violating"]) == (1, 1)
    for operation in ("AssumeRole", "GetCredentialReport", "ListUsers", "ListVirtualMFADevices", "GetLoginProfile"):
        assert bed.aws.calls.count(operation, account.id) == 1, operation


def test_an_account_taken_out_of_the_policy_leaves_nothing(bed: Bed) -> None:
    gone, stays = bed.account("alice"), bed.account("bob")
    bed.policies.apply("shrinks", accounts=named(gone, stays))
    bed.policies.wait_for_pass("shrinks")
    assert bed.policies.findings("shrinks", gone.id)
    bed.policies.apply("shrinks", accounts=named(stays))
    status = bed.policies.wait_for_pass("shrinks")
    assert [account["id"] for account in status["accounts"]] == [stays.id]
    assert (status["summary"]["accounts"], status["summary"]["violating"]) == (1, 1)
    eventually(lambda: f"shrinks-{gone.id}" not in bed.policies.reports(), "its report goes")
    assert_all_agree(bed)
    exported = bed.operator.get("/metrics", bed.operator.metrics_url)[1]
    assert stays.id in exported
    assert gone.id not in exported


def test_a_report_deleted_by_hand_comes_back(bed: Bed) -> None:
    account = bed.account("alice")
    bed.policies.apply("deleted", accounts=named(account))
    bed.policies.wait_for_pass("deleted")
    bed.kubectl("delete", "mfar", f"deleted-{account.id}")
    bed.policies.request_pass("deleted")
    assert set(bed.policies.findings("deleted", account.id)) == {"alice"}
    assert_all_agree(bed)


def test_a_report_edited_by_hand_is_mended_at_the_next_pass(bed: Bed) -> None:
    account = bed.account("alice")
    bed.policies.apply("edited", accounts=named(account))
    bed.policies.wait_for_pass("edited")
    name = f"edited-{account.id}"
    before = bed.policies.reports()[name]
    lie = copy.deepcopy(before)
    lie["summary"]["violating"], lie["summary"]["compliant"] = 0, 1
    lie["findings"][0]["state"] = "Overdue"
    lie["findings"][0]["deadline"] = LONG_AGO
    lie["findings"].append(lie["findings"][0] | {"user": "nobody"})
    bed.patch_status("mfar", name, status=lie)
    bed.policies.request_pass("edited")
    after = bed.policies.reports()[name]
    assert {**after, "auditedAt": before["auditedAt"]} == before
    assert_all_agree(bed)


def test_a_status_removed_by_hand_comes_back_with_first_seen(bed: Bed) -> None:
    account, closed = bed.account("alice"), bed.account()
    bed.policies.apply("removed", accounts=named(account, closed))
    before = bed.policies.wait_for_pass("removed")
    report = bed.policies.reports()[f"removed-{account.id}"]
    report["findings"][0]["firstSeen"] = LONG_AGO
    bed.patch_status("mfar", f"removed-{account.id}", status=report)
    bed.patch_status("mfap", "removed", status=None)
    assert bed.policies.status("removed") == {}
    bed.policies.request_pass("removed")
    after = bed.policies.status("removed")
    assert after.keys() == before.keys() | {"lastHandledRequestedAt"}
    assert [(one["user"], one["state"], one["firstSeen"]) for one in after["findings"]] == [
        ("alice", "Overdue", LONG_AGO)
    ]
    assert bed.policies.findings("removed", account.id)["alice"]["firstSeen"] == LONG_AGO
    assert len(bed.policies.events("NewViolations", "removed")) == 1


def test_a_steady_pass_writes_the_policys_status_and_nothing_else(bed: Bed) -> None:
    accounts = [bed.account("alice"), bed.account("bob")]
    bed.policies.apply("steady", accounts=named(*accounts))
    bed.policies.wait_for_pass("steady")
    before = len(bed.control_plane.audit_events())
    for _ in range(2):
        bed.policies.request_pass("steady")
    operator = "system:serviceaccount:mfa-operator:mfa-operator"

    def requests() -> Counter[tuple[str, str]]:
        events = [one for one in bed.control_plane.audit_events()[before:] if one["user"]["username"] == operator]
        return Counter(
            (event["verb"], "/".join(filter(None, (target["resource"], target.get("subresource"), target.get("name")))))
            for event, target in ((event, event["objectRef"]) for event in events)
            if target["resource"] != "leases"
        )

    written = ("update", "mfapolicies/status/steady")
    eventually(lambda: requests()[written] == 4, "every write is in the audit log")
    assert requests() == {
        # At the pass's start, and for the resourceVersion of each write.
        ("get", "mfapolicies/steady"): 6,
        **{("get", f"mfareports/steady-{account.id}"): 2 for account in accounts},
        # That it is under way, for it was asked for, and what it found.
        written: 4,
    }
    assert len(bed.policies.events(policy="steady")) == 2
