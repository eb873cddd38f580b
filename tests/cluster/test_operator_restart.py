"""The operator ends, in order or not, and comes again: nothing is lost, repeated or skipped."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from tests.cluster.agreement import assert_all_agree, policy_gauges
from tests.fixtures.operator import eventually
from tests.fixtures.shared_operator import SharedOperator, named

HERD = 20
LONG_AGO = "2024-02-29T12:00:00Z"


def test_a_restart_in_order_changes_nothing(shared: SharedOperator) -> None:
    account, closed = shared.account("alice"), shared.account()
    closed.suspended = True
    shared.policies.apply("steady", accounts=named(account, closed), gracePeriod="8760h")
    shared.policies.apply("paused", accounts=named(account), suspend=True)
    shared.policies.wait_for_pass("steady")
    shared.policies.wait_for_pass("paused")
    report = shared.policies.reports()[f"steady-{account.id}"]
    report["findings"][0]["firstSeen"] = LONG_AGO
    shared.patch_status("mfar", f"steady-{account.id}", status=report)
    shared.policies.request_pass("steady")
    assert_all_agree(shared)
    before, events = shared.policies.get("steady"), shared.policies.events()
    metrics = policy_gauges(shared.operator, shared.namespace)

    assert shared.operator.terminate() == 0
    assert "ERROR" not in shared.operator.log
    lease = json.loads(
        shared.policies.kubectl("-n", "mfa-operator", "get", "lease", "mfa-operator", "-o", "json").stdout
    )
    assert not lease["spec"].get("holderIdentity")
    shared.operator = shared.launch()

    eventually(lambda: policy_gauges(shared.operator, shared.namespace) == metrics, "the metrics are there again")
    assert "steady begins" not in shared.operator.log
    assert shared.policies.get("steady") == before
    shared.policies.request_pass("steady")
    assert shared.policies.findings("steady", account.id)["alice"]["firstSeen"] == LONG_AGO
    assert shared.policies.events() == events
    assert_all_agree(shared)


def test_a_restart_asks_half_of_what_a_first_pass_asks_at_most(shared: SharedOperator) -> None:
    """The credential report is the same: the violators of the MfaReport are not asked about again."""
    violators = [f"user-{number}" for number in range(8)]
    account = shared.account(*violators)
    for number in range(4):
        account.user(f"app-{number}", password=True, mfa=["virtual"])
    # An overdue pass comes within a tenth of the interval.
    shared.policies.apply("costly", accounts=named(account), interval="1m")
    first = shared.policies.wait_for_pass("costly")
    findings = shared.policies.findings("costly", account.id)
    cost = len(shared.aws.calls.select(account=account.id))

    shared.operator.kill()
    # One of them is deleted and made again, with a device.
    account.existing_user("user-3").delete()
    account.user("user-3", password=True, mfa=["security_key"])
    shared.patch_status("mfap", "costly", status={"lastPassTime": LONG_AGO, "nextPassTime": LONG_AGO})
    shared.free_lease()
    shared.operator = shared.launch()
    eventually(lambda: shared.policies.status("costly")["lastPassTime"] > first["lastPassTime"], "a pass")

    again = shared.aws.calls.select(account=account.id)[cost:]
    assert len(again) <= cost / 2
    assert {call.parameters["UserName"] for call in again if "UserName" in call.parameters} == {"user-3"}
    del findings["user-3"]
    assert shared.policies.findings("costly", account.id) == findings
    assert_all_agree(shared)


def test_changes_during_downtime_are_served_with_spread_passes(shared: SharedOperator) -> None:
    account, other = shared.account("alice"), shared.account("bob")
    spec = {"accounts": named(account), "interval": "1m"}
    herd = [f"herd-{number:02}" for number in range(HERD)]
    everyone = (*herd, "edited", "asked", "deleted", "not-due")
    shared.policies.apply_all(dict.fromkeys(everyone, spec) | {"not-due": {"accounts": named(account)}})
    first = {name: shared.policies.wait_for_pass(name) for name in everyone}
    events = shared.policies.events()

    shared.operator.kill()
    shared.patch_status("mfap", *herd, status={"lastPassTime": LONG_AGO, "nextPassTime": LONG_AGO})
    shared.policies.apply("edited", **spec | {"accounts": named(account, other)})
    shared.kubectl("annotate", "mfap", "asked", "mfa-operator.io/requestedAt=please")
    shared.kubectl("delete", "mfap", "deleted")
    shared.free_lease()
    shared.operator = shared.launch()

    def passed(name: str) -> datetime | None:
        last = datetime.fromisoformat(statuses[name]["lastPassTime"])
        return last if last > datetime.fromisoformat(first[name]["lastPassTime"]) else None

    def all_passed() -> bool:
        statuses.update({item["metadata"]["name"]: item["status"] for item in shared.policies.all()})
        return all(passed(name) for name in (*herd, "edited", "asked"))

    statuses: dict[str, Any] = {}
    eventually(all_passed, "every pass that was missed")
    # All may run together: they would begin in the same second, were they not spread over six.
    begun = sorted(filter(None, map(passed, herd)))
    assert begun[11] - begun[0] >= timedelta(seconds=1)
    assert statuses["edited"]["summary"]["accounts"] == 2
    assert "/edited begins: SpecChanged" in shared.operator.log
    assert "/asked begins: Requested" in shared.operator.log
    assert "/not-due begins" not in shared.operator.log
    for name in herd:
        assert statuses[name]["findings"] == first[name]["findings"]
        assert (
            shared.operator.log.count(f"/{name} begins: Restart") == shared.operator.log.count(f"/{name} begins:") == 1
        )
    new = [event for event in shared.policies.events() if event not in events]
    assert [(event["reason"], event["regarding"]["name"]) for event in new] == [("NewViolations", "edited")]
    assert_all_agree(shared)


def test_a_stop_in_the_middle_of_a_pass(shared: SharedOperator) -> None:
    """It hangs on one account: other policies do not wait for it, nor does the end of the process."""
    seen, closed, hanging = shared.account("alice"), shared.account(), shared.account("bob")
    closed.suspended = True
    fault = shared.aws.faults.add("ListUsers", "delay", account=hanging.id, times=None, delay=300)
    shared.policies.apply("stuck", accounts=named(seen, closed, hanging))
    eventually(lambda: fault.hits and shared.policies.findings("stuck", seen.id), "a pass that hangs on one account")
    findings = shared.policies.findings("stuck", seen.id)
    shared.policies.apply("other", accounts=named(shared.account("carol"), seen))
    assert shared.policies.wait_for_pass("other")["summary"]["violating"] == 2
    assert "lastPassTime" not in shared.policies.status("stuck")

    assert shared.operator.terminate() == 0
    assert "not waiting any longer for the passes of" in shared.operator.log
    assert "lastPassTime" not in shared.policies.status("stuck")
    shared.aws.faults.clear()
    shared.free_lease()
    shared.operator = shared.launch()

    status = shared.policies.wait_for_pass("stuck")
    assert sorted(account["state"] for account in status["accounts"]) == ["Audited", "Audited", "Denied"]
    assert shared.policies.findings("stuck", seen.id) == findings
    eventually(lambda: shared.policies.events("AccountFailed", "stuck"), "the Event that follows the status")
    reasons = sorted(event["reason"] for event in shared.policies.events(policy="stuck"))
    assert reasons == ["AccountFailed", "NewViolations", "NewViolations"]
    assert_all_agree(shared)
