"""What people do to policies acts at once: edits, requests, suspension, nonsense, deletion, a fresh start."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mfa_sandbox.aws import Account
from tests.cluster.agreement import assert_all_agree
from tests.fixtures.operator import eventually
from tests.fixtures.shared_operator import SharedOperator, named

LONG_AGO = "2024-02-29T12:00:00Z"
KEPT = ("lastPassTime", "summary", "accounts", "findings", "findingsTotal")


@pytest.fixture
def account(shared: SharedOperator) -> Account:
    return shared.account("alice")


def conditions(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {condition["type"]: (condition["status"], condition["reason"]) for condition in status["conditions"]}


def annotate(shared: SharedOperator, name: str, value: str) -> None:
    shared.kubectl("annotate", "--overwrite", "mfap", name, f"mfa-operator.io/requestedAt={value}")


def test_an_edit_acts_whatever_the_interval(shared: SharedOperator, account: Account) -> None:
    shared.policies.apply("edited", accounts=named(account), interval="24h")
    first = shared.policies.wait_for_pass("edited")
    assert first["summary"]["violating"] == 1
    shared.policies.apply("edited", accounts=named(account), interval="24h", gracePeriod="0s")
    status = shared.policies.wait_for_pass("edited")
    assert (status["observedGeneration"], status["summary"]["overdue"]) == (2, 1)
    assert status["findings"][0]["firstSeen"] == first["findings"][0]["firstSeen"]


def test_any_new_value_requests_a_pass_with_fresh_reads(shared: SharedOperator, account: Account) -> None:
    shared.policies.apply("asked", accounts=named(account), interval="24h")
    shared.policies.wait_for_pass("asked")
    account.existing_user("alice").add_mfa("virtual")
    annotate(shared, "asked", "please")
    status = eventually(
        lambda: (status := shared.policies.status("asked"))["summary"]["compliant"] == 1 and status,
        "the requested pass",
    )
    assert conditions(status)["Compliant"] == ("True", "AllCompliant")
    [resolved] = shared.policies.events("ViolationsResolved", "asked")
    assert (resolved["type"], "alice" in resolved["note"]) == ("Normal", True)
    account.existing_user("alice").remove_mfa()
    annotate(shared, "asked", "once more")
    eventually(lambda: shared.policies.status("asked")["summary"]["violating"] == 1, "the pass requested then")
    assert_all_agree(shared)


def test_a_policy_is_pending_until_its_first_pass_ends(shared: SharedOperator, account: Account) -> None:
    held = shared.aws.faults.add("ListUsers", "delay", account=account.id, delay=3)
    shared.policies.apply("new", accounts=named(account), interval="24h")
    status = eventually(lambda: shared.policies.status("new"), "a status while the first pass runs")
    assert conditions(status) == {
        "Ready": ("Unknown", "Pending"),
        "Compliant": ("Unknown", "NotAudited"),
        "Reconciling": ("True", "PassRunning"),
    }
    assert "observedGeneration" not in status
    assert "Reconciling" not in conditions(shared.policies.wait_for_pass("new"))
    assert held.hits == 1


def test_waiting_for_a_requested_pass_returns_on_that_pass(shared: SharedOperator, account: Account) -> None:
    """The pair of commands in docs/concepts.md."""
    shared.policies.apply("waited", accounts=named(account), interval="24h")
    shared.policies.wait_for_pass("waited")
    account.existing_user("alice").add_mfa("virtual")
    shared.aws.faults.add("ListUsers", "delay", account=account.id, delay=1)
    annotate(shared, "waited", LONG_AGO)
    shared.kubectl(
        "wait", "mfap", "waited", "--for=jsonpath={.status.lastHandledRequestedAt}=" + LONG_AGO, "--timeout=60s"
    )
    assert shared.policies.status("waited")["summary"]["compliant"] == 1


def test_suspension_keeps_what_is_known_and_ends_with_it(shared: SharedOperator, account: Account) -> None:
    shared.policies.apply("paused", accounts=named(account))
    before = shared.policies.wait_for_pass("paused")
    shared.aws.calls.clear()
    shared.policies.apply("paused", accounts=named(account), suspend=True)
    status = shared.policies.wait_for_pass("paused")
    assert conditions(status) == {
        "Ready": ("False", "Suspended"),
        "Compliant": ("False", "Violations"),
        "AccountsAudited": ("True", "AllAudited"),
    }
    assert {field: status[field] for field in KEPT} == {field: before[field] for field in KEPT}
    assert "nextPassTime" not in status
    annotate(shared, "paused", "all the same")
    eventually(lambda: shared.operator.log.count("paused is not audited: Suspended") == 2, "the request is heard")
    assert shared.policies.status("paused") == status | {"lastHandledRequestedAt": "all the same"}
    assert shared.aws.calls.count(account=account.id) == 0
    assert set(shared.policies.findings("paused", account.id)) == {"alice"}
    assert_all_agree(shared)

    account.existing_user("alice").add_mfa("hardware")
    shared.policies.apply("paused", accounts=named(account), suspend=False)
    status = shared.policies.wait_for_pass("paused")
    assert conditions(status) == {
        "Ready": ("True", "PassSucceeded"),
        "Compliant": ("True", "AllCompliant"),
        "AccountsAudited": ("True", "AllAudited"),
    }
    assert status["nextPassTime"]


def test_a_policy_suspended_from_its_beginning_is_never_audited(shared: SharedOperator, account: Account) -> None:
    shared.policies.apply("asleep", accounts=named(account), suspend=True)
    status = shared.policies.wait_for_pass("asleep")
    assert conditions(status) == {"Ready": ("False", "Suspended"), "Compliant": ("Unknown", "NotAudited")}
    assert shared.aws.calls.count(account=account.id) == 0
    assert shared.samples("mfa_policy_last_pass_timestamp_seconds", "asleep") == {}
    eventually(lambda: shared.samples("mfa_policy_suspended", "asleep") == {(): 1}, "metrics say that it is suspended")
    assert shared.samples("mfa_policy_ready", "asleep") == {(): 0}


def replace_spec(shared: SharedOperator, name: str, spec: dict[str, Any]) -> None:
    patch = json.dumps([{"op": "replace", "path": "/spec", "value": spec}])
    shared.kubectl("patch", "mfap", name, "--type=json", f"--patch={patch}")


NO_YEAR = "0000-06-30T00:00:00Z"


def test_a_spec_that_only_the_operator_refuses_loses_nothing(shared: SharedOperator, account: Account) -> None:
    shared.policies.apply("confused", accounts=named(account))
    before = shared.policies.wait_for_pass("confused")
    # A year that the API server knows and Python does not.
    confused = {"accounts": named(account), "exemptions": [{"users": ["a"], "reason": "x", "expires": NO_YEAR}]}
    replace_spec(shared, "confused", confused)
    status = shared.policies.wait_for_pass("confused")
    assert conditions(status) == {
        "Ready": ("False", "InvalidSpec"),
        "Compliant": ("Unknown", "NotAudited"),
        "Stalled": ("True", "InvalidSpec"),
    }
    assert "spec.exemptions[0].expires" in next(
        one["message"] for one in status["conditions"] if one["type"] == "Ready"
    )
    assert {field: status[field] for field in KEPT} == {field: before[field] for field in KEPT}
    eventually(lambda: shared.samples("mfa_policy_ready", "confused") == {(): 0}, "metrics say that it is not served")
    assert shared.samples("mfa_policy_suspended", "confused") == {(): 0}
    # Another edit that does not help is no news.
    replace_spec(shared, "confused", {**confused, "interval": "1h"})
    shared.policies.wait_for_pass("confused")
    [event] = shared.policies.events("InvalidSpec", "confused")
    assert (event["type"], "spec.exemptions[0].expires" in event["note"]) == ("Warning", True)
    seen = shared.policies.findings("confused", account.id)["alice"]["firstSeen"]

    replace_spec(shared, "confused", {"accounts": named(account)})
    status = shared.policies.wait_for_pass("confused")
    assert conditions(status) == {
        "Ready": ("True", "PassSucceeded"),
        "Compliant": ("False", "Violations"),
        "AccountsAudited": ("True", "AllAudited"),
    }
    eventually(lambda: shared.samples("mfa_policy_ready", "confused") == {(): 1}, "metrics say that it is served again")
    assert status["findings"][0]["firstSeen"] == seen == before["findings"][0]["firstSeen"]
    assert len(shared.policies.events("NewViolations", "confused")) == 1


def test_a_deleted_policy_takes_its_reports_and_series(shared: SharedOperator, account: Account) -> None:
    shared.policies.apply("deleted", accounts=named(account))
    shared.policies.wait_for_pass("deleted")
    name = "mfa_policy_pass_duration_seconds_count"
    assert shared.samples(name, "deleted") == {(): 1}
    shared.kubectl("delete", "mfap", "deleted")
    eventually(lambda: f"deleted-{account.id}" not in shared.policies.reports(), "the reports go")
    exported = eventually(
        lambda: (
            'policy="deleted"' not in (text := shared.operator.get("/metrics", shared.operator.metrics_url)[1]) and text
        ),
        "its series go",
    )
    assert account.id not in exported


def test_a_policy_that_is_being_deleted_is_not_audited(shared: SharedOperator, account: Account) -> None:
    shared.policies.apply("leaving", accounts=named(account))
    shared.policies.wait_for_pass("leaving")
    shared.kubectl("patch", "mfap", "leaving", "--type=merge", '-p={"metadata": {"finalizers": ["example.com/kept"]}}')
    shared.aws.calls.clear()
    shared.kubectl("delete", "mfap", "leaving", "--wait=false")
    eventually(lambda: "leaving is being deleted: no further pass" in shared.operator.log, "the deletion is noticed")
    assert shared.aws.calls.count(account=account.id) == 0
    shared.kubectl("patch", "mfap", "leaving", "--type=merge", '-p={"metadata": {"finalizers": null}}')


def test_a_policy_made_anew_under_its_name_starts_anew(shared: SharedOperator, account: Account) -> None:
    shared.policies.apply("reborn", accounts=named(account), gracePeriod="100h")
    first = shared.policies.wait_for_pass("reborn")
    uid = shared.policies.get("reborn")["metadata"]["uid"]
    # Nothing but the owner tells the old report from one of the new policy: the garbage collector is kept from it.
    name = f"reborn-{account.id}"
    report = shared.policies.reports()[name]
    report["findings"][0]["firstSeen"] = LONG_AGO
    shared.patch_status("mfar", name, status=report)
    shared.kubectl("delete", "mfap", "reborn", "--cascade=orphan")
    assert name in shared.policies.reports()

    created = shared.policies.apply("reborn", accounts=named(account), gracePeriod="100h")
    assert created["metadata"]["uid"] != uid
    status = shared.policies.wait_for_pass("reborn")
    [finding] = status["findings"]
    assert finding["state"] == "Violating"
    assert LONG_AGO < first["lastPassTime"] <= finding["firstSeen"]
    owners = json.loads(shared.kubectl("get", "mfar", name, "-o", "json"))["metadata"]["ownerReferences"]
    assert [owner["uid"] for owner in owners] == [created["metadata"]["uid"]]
    assert len(shared.policies.events("NewViolations", "reborn")) == 2
    assert_all_agree(shared)
