"""The real operator discovers the accounts of an organization on a real API server, and loses none when AWS fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.fixtures.operator import eventually
from tests.fixtures.shared_operator import SharedOperator

LEFT, STAYS, ASLEEP = "555566667777", "666677778888", "777788889999"


def covered(shared: SharedOperator) -> dict[str, str]:
    """State of every account, by id."""
    return {account["id"]: account["state"] for account in shared.policies.status("all").get("accounts", [])}


def condition(shared: SharedOperator, kind: str) -> tuple[str, str]:
    found = [each for each in shared.policies.status("all").get("conditions", []) if each["type"] == kind]
    return (found[0]["status"], found[0]["reason"]) if found else ("", "")


def restart(shared: SharedOperator, meanwhile: Callable[[], Any]) -> None:
    shared.operator.kill()
    meanwhile()
    shared.free_lease()
    shared.operator = shared.launch()


def test_discovered_accounts_stay_while_aws_fails(shared: SharedOperator) -> None:
    organization = shared.aws.world.create_organization()
    for account_id in (LEFT, STAYS, ASLEEP):
        shared.aws.world.account(account_id).user("alice", password=True)
        organization.join(account_id, f"team-{account_id[0]}")
    organization.suspend(ASLEEP)
    organization.empty_pages, organization.page_size = True, 1
    shared.policies.apply("all", organization={"exclude": {"accounts": [organization.management_id]}})

    # Without being asked for: the pass that follows the listing begins by itself.
    eventually(lambda: covered(shared) == {LEFT: "Audited", STAYS: "Audited"}, "the accounts are audited", patience=30)
    eventually(lambda: condition(shared, "AccountsDiscovered") == ("True", "Discovered"), "the condition says so")
    status = shared.policies.status("all")
    assert (status["summary"]["accountsSkipped"], status["summary"]["accountsExcluded"]) == (1, 1)
    assert {account["name"] for account in status["accounts"]} == {"team-5", "team-6"}
    assert shared.samples("mfa_policy_discovery_up", "all") == {(): 1}
    assert shared.samples("mfa_policy_discovery_last_success_timestamp_seconds", "all")
    seen = shared.policies.findings("all", LEFT)["alice"]["firstSeen"]
    noted = [report["metadata"]["annotations"] for report in shared.policies.all_reports()]
    assert noted == [{"mfa-operator.io/organization-id": organization.id}] * 2

    def refuse() -> None:
        organization.leave(LEFT)
        organization.management_id = STAYS

    restart(shared, refuse)
    shared.policies.request_pass("all")
    denied = ("False", "DiscoveryDenied")
    eventually(lambda: condition(shared, "AccountsDiscovered") == denied, "the condition says that it fails")
    assert covered(shared) == {LEFT: "Audited", STAYS: "Audited"}
    assert shared.policies.findings("all", LEFT)["alice"]["firstSeen"] == seen
    assert condition(shared, "Ready") == ("True", "PassSucceeded")
    eventually(lambda: shared.samples("mfa_policy_discovery_up", "all") == {(): 0}, "the metric says so")

    def allow() -> None:
        organization.management_id = shared.aws.world.home_id

    restart(shared, allow)
    shared.policies.request_pass("all")
    eventually(lambda: covered(shared) == {STAYS: "Audited"}, "who has left is not audited any more", patience=30)
    eventually(lambda: f"all-{LEFT}" not in shared.policies.reports(), "the report is gone")
    [event] = eventually(lambda: shared.policies.events("AccountLeft", "all"), "an Event says so")
    assert f"team-5 ({LEFT})" in event["note"]
    assert event["type"] == "Normal"
