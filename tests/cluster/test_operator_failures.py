"""Accounts that cannot be audited: what is known of them stays, they are asked less often, and they recover at once."""

from __future__ import annotations

from typing import Any

from tests.cluster.agreement import assert_all_agree
from tests.fixtures.operator import eventually
from tests.fixtures.shared_operator import SharedOperator, named

OPERATOR_ARGS = ("--interval-override=500ms",)
COUNTS = ("users", "consoleUsers", "violating", "overdue", "exempt", "unknown", "lastSuccessTime")


def passes(shared: SharedOperator, policy: str) -> int:
    """How many were counted; until one is suspended another may follow at any moment."""
    return int(shared.samples("mfa_policy_pass_duration_seconds_count", policy).get((), 0))


def state(shared: SharedOperator, policy: str, account_id: str) -> dict[str, Any]:
    accounts: list[dict[str, Any]] = shared.policies.status(policy).get("accounts", [])
    return next((account for account in accounts if account["id"] == account_id), {})


def reasons(shared: SharedOperator, policy: str) -> list[str]:
    return [event["reason"] for event in shared.policies.events(policy=policy)]


def test_what_was_known_of_an_account_stays_when_it_fails(shared: SharedOperator) -> None:
    account = shared.account("alice")
    account.user("bob", password=True, mfa=["virtual"])
    account.user("robot", access_keys=1)
    spec = {"accounts": named(account)}
    shared.policies.apply("keeps", **spec)
    shared.policies.wait_for_pass("keeps")
    users = shared.samples("mfa_policy_users", "keeps")
    labels = {"account_id": account.id, "reason": "assume_role"}
    assert shared.samples("mfa_policy_errors_total", "keeps", **labels) == {}

    # No pass may be under way while the session that it has is taken away: sessions that were handed out before the
    # account was suspended would still do for an hour.
    shared.policies.apply("keeps", **spec, suspend=True)
    shared.policies.wait_for_pass("keeps")
    account.suspended = True
    account.expire_credentials()
    shared.policies.apply("keeps", **spec)
    eventually(lambda: state(shared, "keeps", account.id).get("state") == "Denied", "the account fails")
    shared.policies.apply("keeps", **spec, suspend=True)
    status = shared.policies.wait_for_pass("keeps")
    [failed] = status["accounts"]
    assert (failed["reason"], failed["users"], failed["violating"]) == ("AssumeRoleDenied", 3, 1)
    assert (status["summary"]["users"], status["summary"]["accountsFailed"]) == (3, 1)
    assert shared.samples("mfa_policy_users", "keeps") == users
    assert shared.samples("mfa_policy_account_up", "keeps") == {(("account_id", account.id),): 0}
    assert shared.samples("mfa_policy_errors_total", "keeps", **labels)[()] >= 1
    assert_all_agree(shared)


def test_a_failed_account_is_never_compliant(shared: SharedOperator) -> None:
    account = shared.account()
    account.user("bob", password=True, mfa=["virtual"])
    shared.policies.apply("doubts", accounts=named(account))
    status = shared.policies.wait_for_pass("doubts")
    assert {one["type"]: one["status"] for one in status["conditions"]} == {
        "Ready": "True",
        "Compliant": "True",
        "AccountsAudited": "True",
    }
    account.deny(["iam:ListUsers"])
    status = eventually(
        lambda: (status := shared.policies.status("doubts"))["summary"]["accountsFailed"] == 1 and status, "it fails"
    )
    assert {one["type"]: one["status"] for one in status["conditions"]} == {
        "Ready": "False",
        "Compliant": "Unknown",
        "AccountsAudited": "False",
    }
    shared.policies.apply("doubts", accounts=named(account), suspend=True)
    shared.policies.wait_for_pass("doubts")


def test_a_denied_account_is_tried_less_often_than_the_others(shared: SharedOperator) -> None:
    well, closed = shared.account("alice"), shared.account()
    closed.suspended = True
    spec = {"accounts": named(well, closed)}
    shared.policies.apply("backoff", **spec)
    eventually(lambda: passes(shared, "backoff") >= 9, "nine passes")
    shared.policies.apply("backoff", **spec, suspend=True)
    shared.policies.wait_for_pass("backoff")
    count = passes(shared, "backoff")
    # It leaves out none, one, three, seven, fifteen … passes: those that ask are the first, second, fourth, eighth …
    assert shared.aws.calls.count("AssumeRole", closed.id) == count.bit_length()
    # Not every one of them: a pass that begins late, right after the one before, may share what that one fetched.
    assert count // 2 < shared.aws.calls.count("ListUsers", well.id) <= count
    assert shared.samples("mfa_policy_errors_total", "backoff", account_id=closed.id, reason="assume_role") == {
        (): count.bit_length()
    }
    assert sorted(reasons(shared, "backoff")) == ["AccountFailed", "NewViolations"]
    assert_all_agree(shared)

    # Whoever mended it need not wait: a request, or as here an edit, asks at once.
    closed.suspended = False
    shared.policies.apply("backoff", **spec, suspend=False)
    shared.policies.wait_for_pass("backoff")
    assert state(shared, "backoff", closed.id)["state"] == "Audited"
    eventually(lambda: passes(shared, "backoff") >= count + 3, "two more passes")
    shared.policies.apply("backoff", **spec, suspend=True)
    shared.policies.wait_for_pass("backoff")
    assert sorted(reasons(shared, "backoff")) == ["AccountFailed", "AccountRecovered", "NewViolations"]


def test_a_request_asks_a_failing_account_at_once(shared: SharedOperator) -> None:
    account = shared.account()
    account.suspended = True
    shared.policies.apply("asked", accounts=named(account))
    # From the eighth pass on it is left out of seven.
    eventually(lambda: passes(shared, "asked") >= 8, "eight passes")
    account.suspended = False
    shared.kubectl("annotate", "mfap", "asked", "mfa-operator.io/requestedAt=now")
    eventually(lambda: "/asked begins: Requested" in shared.operator.log, "the requested pass begins")
    before = passes(shared, "asked")
    eventually(lambda: passes(shared, "asked") > before, "the requested pass ends")
    assert state(shared, "asked", account.id)["state"] == "Audited"
    shared.policies.apply("asked", accounts=named(account), suspend=True)
    shared.policies.wait_for_pass("asked")


def test_another_reason_is_told_once(shared: SharedOperator) -> None:
    account = shared.account()
    account.suspended = True
    shared.policies.apply("reasons", accounts=named(account))
    shared.policies.wait_for_pass("reasons")
    account.suspended = False
    account.deny(["iam:ListUsers"])
    shared.policies.request_pass("reasons")
    shared.policies.request_pass("reasons")
    shared.policies.apply("reasons", accounts=named(account), suspend=True)
    shared.policies.wait_for_pass("reasons")
    # The last pass has ended: an Event follows the status that it is about.
    notes = [event["note"] for event in shared.policies.events("AccountFailed", "reasons")]
    assert len(notes) == 2
    assert account.role_arn in notes[0]
    assert "ListUsers" in notes[1]
