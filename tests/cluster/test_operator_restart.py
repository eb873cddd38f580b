"""The operator ends, in order or not, and comes again: nothing is lost, repeated or skipped."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from tests.cluster.agreement import assert_all_agree, policy_gauges
from tests.fixtures.operator import eventually
from tests.fixtures.shared_operator import Bed, named

HERD = 20
LONG_AGO = "2024-02-29T12:00:00Z"


def test_a_restart_in_order_changes_nothing(bed: Bed) -> None:
    account, closed = bed.account("alice"), bed.account()
    closed.suspended = True
    bed.policies.apply("steady", accounts=named(account, closed), gracePeriod="8760h")
    bed.policies.apply("paused", accounts=named(account), suspend=True)
    bed.policies.wait_for_pass("steady")
    bed.policies.wait_for_pass("paused")
    report = bed.policies.reports()[f"steady-{account.id}"]
    report["findings"][0]["firstSeen"] = LONG_AGO
    bed.patch_status("mfar", f"steady-{account.id}", status=report)
    bed.policies.request_pass("steady")
    assert_all_agree(bed)
    before, events = bed.policies.get("steady"), bed.policies.events()
    metrics = policy_gauges(bed.operator, bed.namespace)

    assert bed.operator.terminate() == 0
    assert "ERROR" not in bed.operator.log
    lease = json.loads(bed.policies.kubectl("-n", "mfa-operator", "get", "lease", "mfa-operator", "-o", "json").stdout)
    assert not lease["spec"].get("holderIdentity")
    bed.operator = bed.launch()

    eventually(lambda: policy_gauges(bed.operator, bed.namespace) == metrics, "the metrics are there again")
    assert "steady begins" not in bed.operator.log
    assert bed.policies.get("steady") == before
    bed.policies.request_pass("steady")
    assert bed.policies.findings("steady", account.id)["alice"]["firstSeen"] == LONG_AGO
    assert bed.policies.events() == events
    assert_all_agree(bed)


def test_what_happened_while_it_was_dead_is_made_up_for_without_a_herd(bed: Bed) -> None:
    account, other = bed.account("alice"), bed.account("bob")
    # An overdue pass comes within a tenth of the interval.
    spec = {"accounts": named(account), "interval": "2m30s"}
    herd = [f"herd-{number:02}" for number in range(HERD)]
    everyone = (*herd, "edited", "asked", "deleted", "not-due")
    bed.policies.apply_all(dict.fromkeys(everyone, spec))
    first = {name: bed.policies.wait_for_pass(name) for name in everyone}
    events = bed.policies.events()

    bed.operator.kill()
    bed.patch_status("mfap", *herd, status={"lastPassTime": LONG_AGO, "nextPassTime": LONG_AGO})
    bed.policies.apply("edited", **spec | {"accounts": named(account, other)})
    bed.kubectl("annotate", "mfap", "asked", "mfa-operator.io/requestedAt=please")
    bed.kubectl("delete", "mfap", "deleted")
    bed.free_lease()
    bed.operator = bed.launch()

    def passed(name: str) -> datetime | None:
        last = datetime.fromisoformat(statuses[name]["lastPassTime"])
        return last if last > datetime.fromisoformat(first[name]["lastPassTime"]) else None

    def all_passed() -> bool:
        statuses.update({item["metadata"]["name"]: item["status"] for item in bed.policies.all()})
        return all(passed(name) for name in (*herd, "edited", "asked"))

    statuses: dict[str, Any] = {}
    eventually(all_passed, "every pass that was missed")
    # Eight at a time may run: they would begin in the same second, were they not spread over fifteen.
    begun = sorted(filter(None, map(passed, herd)))
    assert begun[7] - begun[0] >= timedelta(seconds=1)
    assert statuses["edited"]["summary"]["accounts"] == 2
    assert "/edited begins: SpecChanged" in bed.operator.log
    assert "/asked begins: Requested" in bed.operator.log
    assert "/not-due begins" not in bed.operator.log
    for name in herd:
        assert statuses[name]["findings"] == first[name]["findings"]
        assert bed.operator.log.count(f"/{name} begins: Restart") == bed.operator.log.count(f"/{name} begins:") == 1
    new = [event for event in bed.policies.events() if event not in events]
    assert [(event["reason"], event["regarding"]["name"]) for event in new] == [("NewViolations", "edited")]
    assert_all_agree(bed)


def test_a_stop_in_the_middle_of_a_pass(bed: Bed) -> None:
    """It hangs on one account: other policies do not wait for it, nor does the end of the process."""
    seen, closed, hanging = bed.account("alice"), bed.account(), bed.account("bob")
    closed.suspended = True
    fault = bed.aws.faults.add("ListUsers", "delay", account=hanging.id, times=None, delay=300)
    bed.policies.apply("stuck", accounts=named(seen, closed, hanging))
    eventually(lambda: fault.hits and bed.policies.findings("stuck", seen.id), "a pass that hangs on one account")
    findings = bed.policies.findings("stuck", seen.id)
    bed.policies.apply("other", accounts=named(bed.account("carol"), seen))
    assert bed.policies.wait_for_pass("other")["summary"]["violating"] == 2
    assert "lastPassTime" not in bed.policies.status("stuck")

    assert bed.operator.terminate() == 0
    assert "giving up on the passes of" in bed.operator.log
    assert "lastPassTime" not in bed.policies.status("stuck")
    bed.aws.faults.clear()
    bed.free_lease()
    bed.operator = bed.launch()

    status = bed.policies.wait_for_pass("stuck")
    assert [account["state"] for account in status["accounts"]] == ["Audited", "Denied", "Audited"]
    assert bed.policies.findings("stuck", seen.id) == findings
    eventually(lambda: bed.policies.events("AccountFailed", "stuck"), "the Event that follows the status")
    reasons = sorted(event["reason"] for event in bed.policies.events(policy="stuck"))
    assert reasons == ["AccountFailed", "NewViolations", "NewViolations"]
    assert_all_agree(bed)
