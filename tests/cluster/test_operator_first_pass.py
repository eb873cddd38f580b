"""From nothing to status: three accounts through AssumeRole, one of them denied."""

from __future__ import annotations

from mfa_sandbox.aws import EmbeddedAws
from tests.fixtures.operator import Policies, StartOperator, eventually

PROD, TEST, CLOSED = "111122223333", "222233334444", "333344445555"


def role(account_id: str) -> str:
    return f"arn:aws:iam::{account_id}:role/mfa-operator"


def test_three_accounts_one_denied(aws: EmbeddedAws, start_operator: StartOperator, policies: Policies) -> None:
    prod, test = aws.world.account(PROD), aws.world.account(TEST)
    prod.user("alice", password=True)
    prod.user("bob", password=True, mfa=["virtual"])
    prod.user("carol", password=True, mfa=["security_key"])
    prod.user("robot", access_keys=1)
    test.user("dave", password=True, mfa=["hardware"])
    aws.world.account(CLOSED).suspended = True
    operator = start_operator()
    policies.apply(
        "console-mfa",
        accounts=[{"id": PROD, "name": "prod", "roleArn": role(PROD)}]
        + [{"id": id_, "roleArn": role(id_)} for id_ in (TEST, CLOSED)],
    )
    status = policies.wait_for_pass("console-mfa")

    accounts = {account["id"]: account for account in status["accounts"]}
    assert [accounts[id_]["state"] for id_ in (PROD, TEST, CLOSED)] == ["Audited", "Audited", "Denied"]
    assert (accounts[PROD]["users"], accounts[PROD]["consoleUsers"], accounts[PROD]["violating"]) == (4, 3, 1)
    assert accounts[CLOSED]["reason"] == "AssumeRoleDenied"
    assert role(CLOSED) in accounts[CLOSED]["message"]
    conditions = {condition["type"]: condition for condition in status["conditions"]}
    assert (conditions["Ready"]["status"], conditions["Ready"]["reason"]) == ("True", "PassSucceeded")
    audited = conditions["AccountsAudited"]
    assert (audited["status"], audited["reason"], CLOSED in audited["message"]) == ("False", "AccountsFailed", True)
    assert (conditions["Compliant"]["status"], conditions["Compliant"]["reason"]) == ("False", "Violations")
    reports = policies.reports()
    assert set(reports) == {f"console-mfa-{account_id}" for account_id in (PROD, TEST, CLOSED)}
    states = {report["accountId"]: report["account"]["state"] for report in reports.values()}
    assert states == {PROD: "Audited", TEST: "Audited", CLOSED: "Denied"}
    assert list(policies.findings("console-mfa", PROD)) == ["alice"]

    labels = {"policy_namespace": policies.namespace, "policy": "console-mfa"}
    up = operator.samples("mfa_policy_account_up", **labels)
    assert up == {(("account_id", PROD),): 1, (("account_id", TEST),): 1, (("account_id", CLOSED),): 0}
    users = operator.samples("mfa_policy_users", **labels, account_id=PROD)
    assert users == {
        (("state", state),): count for state, count in (("compliant", 2), ("violating", 1), ("no_console", 1))
    }
    assert operator.samples("mfa_policy_users", **labels, account_id=CLOSED) == {}
    assert {event["reason"] for event in policies.events()} == {"NewViolations", "AccountFailed"}
    assert operator.terminate() == 0


def test_missing_credentials_name_the_restart_that_helps(
    aws: EmbeddedAws, start_operator: StartOperator, policies: Policies
) -> None:
    """The role was made after the pods, which have no credentials: the status says how to restart them."""
    aws.world.account(PROD).user("bob", password=True, mfa=["virtual"])
    prefix = "kubectl -n mfa-operator exec deploy/mfa-operator --"
    without = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "MFA_OPERATOR_COMMAND_PREFIX": prefix}
    operator = start_operator(environment=without)
    policies.apply("console-mfa", accounts=[{"id": PROD, "roleArn": role(PROD)}])
    status = policies.wait_for_pass("console-mfa")

    [account] = status["accounts"]
    assert account["reason"] == "CredentialsMissing"
    restart = "restart them: kubectl -n mfa-operator rollout restart deploy/mfa-operator"
    [ready] = [condition for condition in status["conditions"] if condition["type"] == "Ready"]
    # An Event follows the status that it is about.
    [event] = eventually(lambda: policies.events("AccountFailed", "console-mfa"), "the Event")
    for message in (account["message"], ready["message"], event["note"]):
        assert "no credentials" in message
        assert restart in message
    assert operator.terminate() == 0

    start_operator()
    policies.request_pass("console-mfa")
    assert [account["state"] for account in policies.status("console-mfa")["accounts"]] == ["Audited"]
