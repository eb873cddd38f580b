"""Who may list the organization's accounts: a role of its own, or the operator's by the delegation policy; no more."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit import iam_lint
from tests.unit.cloudformation import PSEUDO, Stack, load
from tests.unit.iam_evaluation import Decision, Request, evaluate

ROOT = Path(__file__).parents[2]
AWS, SOURCE = ROOT / "deploy" / "aws", ROOT / "operator" / "mfa_operator"
OPERATOR = f"arn:{PSEUDO['AWS::Partition']}:iam::999988887777:role/mfa-operator-controller"
LISTING = json.loads((AWS / "policies" / "organization.json").read_text(encoding="utf-8"))
ORGANIZATION_ROLE = load(AWS / "organization-role.yaml")
DELEGATION = load(AWS / "organization-delegation.yaml")


def role_stack(**parameters: str) -> Stack:
    return Stack(ORGANIZATION_ROLE, OperatorPrincipalArn=OPERATOR, **parameters)


def delegation_content() -> dict[str, Any]:
    (policy,) = (
        Stack(DELEGATION, OperatorPrincipalArn=OPERATOR).resources("AWS::Organizations::ResourcePolicy").values()
    )
    return dict(policy["Content"])


def test_the_organization_role_has_the_policy_of_the_file() -> None:
    (policy,) = role_stack().resources("AWS::IAM::RolePolicy").values()
    assert policy["PolicyDocument"] == LISTING


def test_it_can_only_read_the_organization() -> None:
    """Nothing of AWS Organizations that changes anything, and nothing of IAM, STS and SQS at all."""
    may = {each for each in iam_lint.operations() if evaluate([LISTING], Request(each)) is Decision.ALLOW}
    assert may == {f"organizations:{each.partition(':')[2]}" for each in may}
    assert {each for each in may if not each.startswith(("organizations:List", "organizations:Describe"))} == set()


def test_each_right_is_of_an_operation_that_discovery_calls() -> None:
    """By the names that stand in the code: a right that nobody uses is one too many."""
    code = "".join(
        (SOURCE / "aws" / f"{name}.py").read_text(encoding="utf-8")
        for name in ("organization", "organization_units", "unit_names")
    )
    called = {
        name for name in re.findall(r'"([A-Z][A-Za-z]+)"', code) if f"organizations:{name}" in iam_lint.operations()
    }
    assert {f"organizations:{name}" for name in called} == set(LISTING["Statement"][0]["Action"])


@pytest.mark.parametrize("external_id", ["", "acme-7f3a"], ids=["no external id", "external id"])
def test_the_organization_role_trusts_the_operator_alone(external_id: str) -> None:
    (role,) = role_stack(ExternalId=external_id).resources("AWS::IAM::Role").values()
    assume, tag = role["AssumeRolePolicyDocument"]["Statement"]

    assert role["RoleName"] == "mfa-operator-organization"
    assert (assume["Action"], tag["Action"]) == ("sts:AssumeRole", "sts:TagSession")
    assert assume["Principal"] == tag["Principal"] == {"AWS": OPERATOR}
    assert assume.get("Condition") == ({"StringEquals": {"sts:ExternalId": external_id}} if external_id else None)
    assert "Condition" not in tag


def test_the_delegation_allows_the_operator_the_same() -> None:
    content = delegation_content()
    (statement,) = content["Statement"]

    assert statement.pop("Principal") == {"AWS": OPERATOR}
    assert content == LISTING


@pytest.mark.parametrize(
    "wrong", ["*", "arn:aws:iam::111122223333:root", "arn:aws:iam::*:role/x", "arn:aws:sts::111122223333:role/x"]
)
def test_the_delegation_names_one_role_or_user(wrong: str) -> None:
    with pytest.raises(ValueError, match="does not match"):
        Stack(DELEGATION, OperatorPrincipalArn=wrong)
