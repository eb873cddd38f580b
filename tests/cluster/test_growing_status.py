"""A long pass: status and metrics grow while it runs, and nobody else waits for it."""

from __future__ import annotations

from typing import Any

from mfa_sandbox.aws import EmbeddedAws
from tests.fixtures.operator import SHORT_TIMES, Policies, StartOperator, eventually
from tests.fixtures.shared_operator import LONG_THERE

FIRST, HELD, OTHER = "111122223333", "222233334444", "333344445555"


def conditions(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {condition["type"]: (condition["status"], condition["message"]) for condition in status["conditions"]}


def test_a_long_first_pass_shows_what_it_has_found(
    aws: EmbeddedAws, start_operator: StartOperator, policies: Policies
) -> None:
    """One account of two hangs: the other's violation is seen, and counted, long before."""
    for account_id in (FIRST, HELD, OTHER):
        aws.world.account(account_id).user("alice", password=True, created=LONG_THERE)
    aws.faults.add("ListUsers", "delay", account=HELD, delay=6)
    operator = start_operator(program=SHORT_TIMES)
    role = "arn:aws:iam::{}:role/mfa-operator"
    policies.apply("long", accounts=[{"id": one, "roleArn": role.format(one)} for one in (HELD, FIRST)])
    policies.apply("short", accounts=[{"id": OTHER, "roleArn": role.format(OTHER)}])

    status = eventually(lambda: (found := policies.status("long")).get("accounts") and found, "a status that grows")
    assert [account["id"] for account in status["accounts"]] == [FIRST]
    assert (status["accountsTotal"], status["summary"]["accounts"], status["summary"]["violating"]) == (2, 2, 1)
    found = conditions(status)
    assert found["Reconciling"] == ("True", "a pass is under way: 1 of 2 accounts audited")
    assert found["Ready"] == ("Unknown", "the first pass has not ended yet: 1 of 2 accounts audited")
    assert found["Compliant"][0] == "Unknown"
    assert not {"lastPassTime", "observedGeneration"} & status.keys()
    labels = {"policy_namespace": policies.namespace, "policy": "long"}
    up = eventually(lambda: operator.samples("mfa_policy_account_up", **labels), "metrics that grow")
    assert up == {(("account_id", FIRST),): 1}
    assert policies.wait_for_pass("short")["summary"]["violating"] == 1
    assert not policies.status("long").get("lastPassTime")

    status = policies.wait_for_pass("long")
    found = conditions(status)
    assert ("Reconciling" in found, found["Ready"][0], found["Compliant"][0]) == (False, "True", "False")
    assert {account["id"]: account["state"] for account in status["accounts"]} == {FIRST: "Audited", HELD: "Audited"}
