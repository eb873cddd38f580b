"""The evaluator gives the answers that AWS's documentation gives for its own examples."""

from typing import Any

import pytest

from tests.unit.iam_evaluation import Decision, Request, UnsupportedPolicy, evaluate

ALLOW, NOTHING, DENY = Decision.ALLOW, Decision.IMPLICIT_DENY, Decision.EXPLICIT_DENY
ALLOW_ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def policy(*statements: dict[str, Any], version: str = "2012-10-17") -> dict[str, Any]:
    return {"Version": version, "Statement": list(statements)}


def statement(effect: str = "Allow", **elements: Any) -> dict[str, Any]:
    elements = {name: value for name, value in elements.items() if value is not None}
    action = {} if "NotAction" in elements else {"Action": "*"}
    resource = {} if "NotResource" in elements else {"Resource": "*"}
    return {"Effect": effect, **action, **resource, **elements}


def decide(*statements: dict[str, Any], request: Request) -> Decision:
    return evaluate([policy(*statements)], request)


# Policy evaluation logic.


def test_nothing_is_allowed_by_default() -> None:
    assert evaluate([], Request("s3:ListBucket")) is NOTHING


def test_an_allow_overrides_the_default() -> None:
    assert decide(ALLOW_ALL, request=Request("s3:ListBucket")) is ALLOW


@pytest.mark.parametrize("deny_first", [True, False])
def test_a_deny_in_any_policy_wins_in_any_order(deny_first: bool) -> None:
    allow, deny = policy(ALLOW_ALL), policy(statement("Deny", Action="s3:*"))
    documents = [deny, allow] if deny_first else [allow, deny]

    assert evaluate(documents, Request("s3:ListBucket")) is DENY
    assert evaluate(documents, Request("ec2:RunInstances")) is ALLOW


def test_every_part_of_a_statement_must_match() -> None:
    one = statement(
        Action="iam:GetUser",
        Resource="arn:aws:iam::111122223333:user/Bob",
        Condition={"Bool": {"aws:SecureTransport": "true"}},
    )
    bob, https = "arn:aws:iam::111122223333:user/Bob", {"aws:SecureTransport": "true"}

    assert decide(one, request=Request("iam:GetUser", bob, https)) is ALLOW
    assert decide(one, request=Request("iam:PutUser", bob, https)) is NOTHING
    assert decide(one, request=Request("iam:GetUser", bob.lower(), https)) is NOTHING  # names are case-sensitive
    assert decide(one, request=Request("iam:GetUser", bob, {"aws:SecureTransport": "false"})) is NOTHING


# IAM JSON policy elements: Action, NotAction.


@pytest.mark.parametrize(
    ("pattern", "action", "matches"),
    [
        ("iam:ListAccessKeys", "IAM:listaccesskeys", True),
        ("iam:*AccessKey*", "iam:CreateAccessKey", True),
        ("iam:*AccessKey*", "iam:ListAccessKeys", True),
        ("iam:*AccessKey*", "iam:CreateUser", False),
        ("s3:*", "s3:GetObject", True),
        ("s3:*", "s3tables:GetTable", False),
        ("ec2:Describe?mages", "ec2:DescribeImages", True),
        ("*", "anything:AtAll", True),
    ],
)
def test_actions(pattern: str, action: str, matches: bool) -> None:
    assert decide(statement(Action=pattern), request=Request(action)) is (ALLOW if matches else NOTHING)


def test_not_action_with_allow_allows_all_but_the_named() -> None:
    one = statement(NotAction="s3:DeleteBucket", Resource="arn:aws:s3:::*")

    assert decide(one, request=Request("s3:GetObject", "arn:aws:s3:::bucket")) is ALLOW
    assert decide(one, request=Request("s3:DeleteBucket", "arn:aws:s3:::bucket")) is NOTHING


@pytest.mark.parametrize(
    ("mfa", "action", "decision"),
    [
        ("true", "ec2:RunInstances", ALLOW),
        ("false", "ec2:RunInstances", DENY),
        (None, "ec2:RunInstances", DENY),
        ("false", "iam:CreateVirtualMFADevice", ALLOW),
    ],
)
def test_not_action_with_deny_leaves_the_named_to_others(mfa: str | None, action: str, decision: Decision) -> None:
    deny = statement("Deny", NotAction="iam:*", Condition={"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}})
    context = {} if mfa is None else {"aws:MultiFactorAuthPresent": mfa}

    assert decide(ALLOW_ALL, deny, request=Request(action, context=context)) is decision


# IAM JSON policy elements: Resource, NotResource.


@pytest.mark.parametrize(
    ("pattern", "resource", "matches"),
    [
        ("arn:aws:iam::111122223333:user/accounting/*", "arn:aws:iam::111122223333:user/accounting/Bob", True),
        ("arn:aws:iam::111122223333:user/accounting/*", "arn:aws:iam::111122223333:user/Bob", False),
        ("arn:aws:s3:::amzn-s3-demo-bucket/*/test/*", "arn:aws:s3:::amzn-s3-demo-bucket/1/test/object.jpg", True),
        ("arn:aws:s3:::amzn-s3-demo-bucket/*/test/*", "arn:aws:s3:::amzn-s3-demo-bucket/1/2/test/3/object.jpg", True),
        ("arn:aws:s3:::amzn-s3-demo-bucket/*/test/*", "arn:aws:s3:::amzn-s3-demo-bucket/1-test/object.jpg", False),
        ("arn:aws:s3:::amzn-s3-demo-bucket/*/test/*", "arn:aws:s3:::amzn-s3-demo-bucket/test/object.jpg", False),
        # As a segment's last character, and only there, * goes on over colons.
        ("arn:aws:sqs:us-east-2:*", "arn:aws:sqs:us-east-2:111122223333:queue1", True),
        ("arn:aws:sqs:*x:queue1", "arn:aws:sqs:us-east-2:111122223333x:queue1", False),
        ("arn:*:iam::*:role/x", "arn:aws-cn:iam::111122223333:role/x", True),
        ("arn:aws:iam::111122223333:user/B?b", "arn:aws:iam::111122223333:user/Bob", True),
        ("arn:aws:iam::111122223333:user/B?b", "arn:aws:iam::111122223333:user/Boob", False),
    ],
)
def test_resources(pattern: str, resource: str, matches: bool) -> None:
    request = Request("any:Action", resource)

    assert decide(statement(Resource=pattern), request=request) is (ALLOW if matches else NOTHING)
    assert decide(statement("Deny", NotResource=pattern), request=request) is (NOTHING if matches else DENY)


# IAM policy elements: Variables and tags.


@pytest.mark.parametrize(
    ("pattern", "version", "resource", "matches"),
    [
        ("arn:aws:s3:::bucket/${aws:username}/*", "2012-10-17", "arn:aws:s3:::bucket/Bob/x", True),
        ("arn:aws:s3:::bucket/${aws:username}/*", "2012-10-17", "arn:aws:s3:::bucket/Eve/x", False),
        ("arn:aws:s3:::bucket/${aws:username}/*", "2008-10-17", "arn:aws:s3:::bucket/Bob/x", False),
        ("arn:aws:s3:::bucket/${aws:username}/*", "2008-10-17", "arn:aws:s3:::bucket/${aws:username}/x", True),
        ("arn:aws:s3:::bucket/${AWS:UserName}", "2012-10-17", "arn:aws:s3:::bucket/Bob", True),
        ("arn:aws:s3:::bucket/${aws:PrincipalTag/team, 'all'}", "2012-10-17", "arn:aws:s3:::bucket/all", True),
        ("arn:aws:s3:::bucket/${aws:PrincipalTag/team}", "2012-10-17", "arn:aws:s3:::bucket/", False),
        ("arn:aws:s3:::bucket/${*}", "2012-10-17", "arn:aws:s3:::bucket/*", True),
        ("arn:aws:s3:::bucket/${*}", "2012-10-17", "arn:aws:s3:::bucket/x", False),
    ],
)  # fmt: skip
def test_variables(pattern: str, version: str, resource: str, matches: bool) -> None:
    request = Request("s3:GetObject", resource, {"aws:username": "Bob"})

    decision = evaluate([policy(statement(Resource=pattern), version=version)], request)

    assert decision is (ALLOW if matches else NOTHING)


def test_a_variables_value_is_literal() -> None:
    request = Request("s3:GetObject", "arn:aws:s3:::bucket/anyone", {"aws:username": "*"})

    assert decide(statement(Resource="arn:aws:s3:::bucket/${aws:username}"), request=request) is NOTHING


def test_one_unknown_variable_does_not_spoil_the_other_resources() -> None:
    one = statement(Resource=["arn:aws:s3:::${aws:nothing}", "arn:aws:s3:::bucket"])

    assert decide(one, request=Request("s3:GetObject", "arn:aws:s3:::bucket")) is ALLOW


# IAM JSON policy elements: Condition, Condition operators, Multivalued context keys.

ABSENT: dict[str, str | tuple[str, ...]] = {}


@pytest.mark.parametrize(
    ("condition", "context", "holds"),
    [
        ({"Bool": {"aws:MultiFactorAuthPresent": "false"}}, {"aws:MultiFactorAuthPresent": "false"}, True),
        ({"Bool": {"aws:MultiFactorAuthPresent": False}}, {"aws:multifactorauthpresent": "false"}, True),
        ({"Bool": {"aws:MultiFactorAuthPresent": "false"}}, {"aws:MultiFactorAuthPresent": "true"}, False),
        ({"Bool": {"aws:MultiFactorAuthPresent": "false"}}, ABSENT, False),
        ({"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}, ABSENT, True),
        ({"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}, {"aws:MultiFactorAuthPresent": "true"}, False),
        ({"StringEquals": {"aws:PrincipalTag/job": "iamuser-admin"}}, {"aws:PrincipalTag/job": "iamuser-admin"}, True),
        ({"StringEquals": {"aws:PrincipalTag/job": "iamuser-admin"}}, {"aws:PrincipalTag/job": "IAMuser-admin"}, False),
        ({"StringEqualsIgnoreCase": {"aws:PrincipalTag/job": "a"}}, {"aws:PrincipalTag/job": "A"}, True),
        ({"StringEquals": {"aws:PrincipalTag/job": ["a", "b"]}}, {"aws:PrincipalTag/job": "b"}, True),
        ({"StringNotEquals": {"aws:PrincipalTag/job": ["a", "b"]}}, {"aws:PrincipalTag/job": "b"}, False),
        ({"StringNotEquals": {"aws:PrincipalTag/job": "a"}}, ABSENT, True),
        ({"StringEquals": {"aws:PrincipalTag/job": "a"}}, ABSENT, False),
        ({"StringLike": {"s3:prefix": "home/*"}}, {"s3:prefix": "home/x/y"}, True),
        ({"StringNotLike": {"s3:prefix": "home/*"}}, {"s3:prefix": "home/x/y"}, False),
        ({"ArnLike": {"iam:PolicyARN": "arn:*:iam::*:policy/a*"}}, {"iam:PolicyARN": "arn:aws:iam::1:policy/ab"}, True),
        ({"ArnLike": {"iam:PolicyARN": "arn:*:policy/a"}}, {"iam:PolicyARN": "arn:aws:iam::1:policy/a"}, False),
        ({"ArnNotEquals": {"iam:PolicyARN": "arn:aws:s3:::a"}}, {"iam:PolicyARN": "arn:aws:s3:::b"}, True),
        ({"Null": {"aws:TokenIssueTime": "true"}}, ABSENT, True),
        ({"Null": {"aws:TokenIssueTime": "false"}}, ABSENT, False),
        ({"Null": {"aws:TokenIssueTime": "false"}}, {"aws:TokenIssueTime": "2026-01-01T00:00:00Z"}, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}, {"aws:TagKeys": ("a", "b")}, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}, {"aws:TagKeys": ("a", "c")}, False),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a"]}}, ABSENT, True),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": ["a"]}}, {"aws:TagKeys": ("a", "c")}, True),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": ["a"]}}, ABSENT, False),
        # All must hold: the keys of one operator, and the operators among themselves.
        ({"Bool": {"aws:A": "true", "aws:B": "true"}}, {"aws:A": "true", "aws:B": "false"}, False),
        ({"Bool": {"aws:A": "true"}, "StringEquals": {"aws:B": "x"}}, {"aws:A": "true", "aws:B": "x"}, True),
        ({"Bool": {"aws:A": "true"}, "StringEquals": {"aws:B": "x"}}, {"aws:A": "true", "aws:B": "y"}, False),
    ],
)  # fmt: skip
def test_conditions(condition: dict[str, Any], context: dict[str, str | tuple[str, ...]], holds: bool) -> None:
    request = Request("any:Action", context=context)

    assert decide(statement(Condition=condition), request=request) is (ALLOW if holds else NOTHING)


@pytest.mark.parametrize(
    "unknown",
    [
        statement(Condition={"NumericLessThan": {"aws:MultiFactorAuthAge": "3600"}}),
        statement(Condition={"Sometimes:Bool": {"aws:A": "true"}}),
        statement(Principal="*"),
        statement("Perhaps"),
        {"Effect": "Allow", "Action": "*"},
        {"Effect": "Allow", "Action": "*", "NotAction": "*", "Resource": "*"},
        statement("Deny", NotResource="arn:aws:s3:::${aws:nothing}"),
    ],
)
def test_an_unknown_construct_is_an_error_even_if_irrelevant(unknown: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedPolicy):
        decide(statement("Deny"), unknown, request=Request("s3:GetObject", "arn:aws:s3:::bucket"))
