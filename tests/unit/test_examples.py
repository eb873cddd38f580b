"""The examples under deploy/examples work with the roles under deploy/aws as they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from mfa_operator.api.policy import Account
from mfa_operator.offline.policy_files import load_policy
from tests.unit.cloudformation import PSEUDO, Stack, load
from tests.unit.iam_evaluation import Decision, Request, evaluate

ROOT = Path(__file__).parents[2]
AWS = ROOT / "deploy" / "aws"
EXAMPLES = sorted((ROOT / "deploy" / "examples").glob("*.yaml"))
CLUSTER_ACCOUNT = "999988887777"
EXTERNAL_ID = "acme-7f3a"
"""The one that docs/aws-setup.md makes member roles with."""
WAITING = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", *EXAMPLES]
examples = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)


def place(account_id: str) -> dict[str, str]:
    return {**PSEUDO, "AWS::Partition": "aws", "AWS::AccountId": account_id}


def operator_role(**parameters: str) -> tuple[str, list[Any]]:
    """ARN and policies of the operator's own role."""
    stack = Stack(load(AWS / "operator-role.yaml"), place(CLUSTER_ACCOUNT), ClusterName="prod", **parameters)
    (role,) = stack.resources("AWS::IAM::Role").values()
    policies = [each["PolicyDocument"] for each in stack.resources("AWS::IAM::RolePolicy").values()]
    return f"arn:aws:iam::{CLUSTER_ACCOUNT}:role/{role['RoleName']}", policies


def member_role(account: Account, operator: str, **parameters: str) -> tuple[str, Any]:
    """ARN and trust policy of the member role in the account."""
    template = load(AWS / "member-role.yaml")
    stack = Stack(template, place(account.id), OperatorPrincipalArn=operator, **parameters)
    (role,) = stack.resources("AWS::IAM::Role").values()
    return f"arn:aws:iam::{account.id}:role{role['Path']}{role['RoleName']}", role["AssumeRolePolicyDocument"]


def as_identity_policy(trust: Any, principal: str) -> Any:
    """The statements of a trust policy that name the principal, as if they were in a policy of its own."""
    statements = [statement for statement in trust["Statement"] if statement["Principal"] == {"AWS": principal}]
    kept = [{key: value for key, value in each.items() if key != "Principal"} for each in statements]
    return {"Version": trust["Version"], "Statement": [{**each, "Resource": "*"} for each in kept]}


def may_assume(account: Account, operator: dict[str, str], member: dict[str, str]) -> bool:
    """Whether the operator gets into the account: by its own policies, and by the trust of the role there."""
    principal, policies = operator_role(**operator)
    role, trust = member_role(account, principal, **member)
    if account.role_arn != role:
        return False
    sent = {"sts:ExternalId": account.external_id} if account.external_id else {}
    # With Pod Identity the session has tags, which AssumeRole hands on.
    requests = [Request(action, role, sent) for action in ("sts:AssumeRole", "sts:TagSession")]
    return all(
        evaluate(documents, request) is Decision.ALLOW
        for request in requests
        for documents in (policies, [as_identity_policy(trust, principal)])
    )


@examples
@pytest.mark.parametrize("external_id", ["", EXTERNAL_ID], ids=["the default", "as documented"])
def test_the_shipped_roles_let_the_operator_into_every_account(path: Path, external_id: str) -> None:
    for account in load_policy(path).spec.accounts:
        assert may_assume(account, {}, {"ExternalId": external_id}), account


def test_roles_may_have_a_path_that_both_templates_know() -> None:
    account = Account(id="111122223333", role_arn="arn:aws:iam::111122223333:role/security/audit/mfa-operator")
    operator, member = {"MemberRolePath": "/security/audit/"}, {"RolePath": "/security/audit/"}
    assert may_assume(account, operator, member)
    assert not may_assume(account, {}, member)
    assert not may_assume(account, {"MemberRolePath": "/security/"}, member)


def test_what_does_not_fit_is_refused() -> None:
    role = "arn:aws:iam::111122223333:role/mfa-operator"
    assert may_assume(Account(id="111122223333", role_arn=role), {}, {})
    assert not may_assume(Account(id="111122223333"), {}, {})
    assert not may_assume(Account(id="111122223333", role_arn=f"{role}-2"), {}, {"RoleName": "mfa-operator-2"})
    for wrong in (None, "acme"):
        account = Account(id="111122223333", role_arn=role, external_id=wrong)
        assert not may_assume(account, {}, {"ExternalId": EXTERNAL_ID})


def test_the_documented_external_id_is_that_of_the_examples() -> None:
    text = (ROOT / "docs" / "aws-setup.md").read_text(encoding="utf-8")
    assert set(re.findall(r"ExternalId=([\w-]+)", text)) == {EXTERNAL_ID}


@examples
def test_an_example_that_acts_says_which_mode_its_role_needs(path: Path) -> None:
    remediation = load_policy(path).spec.remediation
    needed = {"QuarantineUntilMfa": "Quarantine", "RemoveConsoleAccess": "RemoveConsoleAccess"}
    if not remediation.dry_run:
        assert f"Mode={needed[remediation.action]}" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", WAITING, ids=lambda path: path.stem)
def test_who_waits_for_a_pass_waits_long_enough(path: Path) -> None:
    """kubectl gives up after 30 s by default; a first pass waits for AWS to make the credential report."""
    waits = re.findall(r"kubectl(?: -n \S+)? wait .*", path.read_text(encoding="utf-8"))
    assert [line for line in waits if "--timeout=10m" not in line] == []
