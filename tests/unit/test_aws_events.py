"""The queue of IAM's events and what fills it: only the organization sends, over TLS; only the operator reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mfa_operator.aws import quarantine_document
from mfa_operator.aws.quarantine_document import Variant
from mfa_operator.iam_events.table import TABLE, About
from tests.unit import iam_lint
from tests.unit.cloudformation import PSEUDO, Stack, load
from tests.unit.iam_evaluation import Decision, Request, evaluate

AWS = Path(__file__).parents[2] / "deploy" / "aws"
QUEUE_TEMPLATE, RULE_TEMPLATE = load(AWS / "events-queue.yaml"), load(AWS / "events-rule.yaml")
PARTITION, ACCOUNT, REGION = (PSEUDO[f"AWS::{each}"] for each in ("Partition", "AccountId", "Region"))
ORGANIZATION = "o-a1b2c3d4e5"
OPERATOR = f"arn:{PARTITION}:iam::999988887777:role/mfa-operator-controller"
QUEUE = f"arn:{PARTITION}:sqs:{REGION}:{ACCOUNT}:mfa-operator-events"
SENDER = f"arn:{PARTITION}:iam::444455556666:role/mfa-operator-events"
SEND = {
    "aws:PrincipalOrgID": ORGANIZATION,
    "aws:PrincipalArn": SENDER,
    "aws:SecureTransport": "true",
}
READS = {"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}
ALLOW, NOTHING, DENY = Decision.ALLOW, Decision.IMPLICIT_DENY, Decision.EXPLICIT_DENY


def queue_stack(where: Mapping[str, str] = PSEUDO, /, **parameters: str) -> Stack:
    return Stack(QUEUE_TEMPLATE, {**PSEUDO, **where}, **{"OrganizationId": ORGANIZATION, **parameters})


def rule_stack(where: Mapping[str, str] = PSEUDO, /, **parameters: str) -> Stack:
    return Stack(RULE_TEMPLATE, {**PSEUDO, **where}, **{"QueueArn": QUEUE, **parameters})


def access_for(principal: str, **parameters: str) -> dict[str, Any]:
    """The statements of the queue's policy that concern a principal, as a policy of that principal."""
    (policy,) = queue_stack(**parameters).resources("AWS::SQS::QueuePolicy").values()
    document = policy["PolicyDocument"]
    concerned = [each for each in document["Statement"] if each["Principal"] in ("*", {"AWS": principal})]
    kept = [{key: value for key, value in each.items() if key != "Principal"} for each in concerned]
    return {"Version": document["Version"], "Statement": [{**each, "Resource": QUEUE} for each in kept]}


def answer(action: str, context: dict[str, str], principal: str = SENDER, **parameters: str) -> Decision:
    return evaluate([access_for(principal, **parameters)], Request(action, QUEUE, context))


@pytest.mark.parametrize(
    ("different", "decision"),
    [
        ({}, ALLOW),
        ({"aws:PrincipalOrgID": "o-zzzzzzzzzz"}, NOTHING),
        ({"aws:PrincipalArn": f"arn:{PARTITION}:iam::444455556666:role/admin"}, NOTHING),
        ({"aws:PrincipalArn": f"arn:{PARTITION}:iam::444455556666:role/other/mfa-operator-events"}, NOTHING),
        ({"aws:SecureTransport": "false"}, DENY),
    ],
    ids=["a member's rule", "another organization", "another role", "a role of another path", "plain http"],
)
def test_only_the_rules_of_the_organization_may_send(different: dict[str, str], decision: Decision) -> None:
    assert answer("sqs:SendMessage", SEND | different) is decision


@pytest.mark.parametrize("missing", ["aws:PrincipalOrgID", "aws:PrincipalArn"])
def test_who_is_in_no_organization_or_unknown_may_not_send(missing: str) -> None:
    context = {key: value for key, value in SEND.items() if key != missing}
    assert answer("sqs:SendMessage", context) is NOTHING


def test_who_sends_can_do_nothing_else() -> None:
    actions = {each for each in iam_lint.operations() if answer(each, SEND) is ALLOW}
    assert actions == {"sqs:SendMessage"}


def test_nothing_goes_over_plain_http_for_anybody() -> None:
    context = SEND | {"aws:SecureTransport": "false"}
    actions = {each for each in iam_lint.operations() if each.startswith("sqs:")}
    answers = {answer(each, context, OPERATOR, OperatorPrincipalArn=OPERATOR) for each in actions}
    assert answers == {DENY}


def test_an_operator_of_another_account_may_read_and_delete_only() -> None:
    def may(**parameters: str) -> set[str]:
        context = {"aws:SecureTransport": "true", "aws:PrincipalArn": OPERATOR, "aws:PrincipalOrgID": ORGANIZATION}
        return {each for each in iam_lint.operations() if answer(each, context, OPERATOR, **parameters) is ALLOW}

    assert may(OperatorPrincipalArn=OPERATOR) == READS
    assert may() == set()


def test_the_operators_policy_is_about_that_queue_alone() -> None:
    document = json.loads((AWS / "policies" / "events.json").read_text(encoding="utf-8"))
    assert iam_lint.problems(document) == []
    others = (QUEUE.replace("mfa-operator-events", "payments"), f"{QUEUE}-2")
    for action in iam_lint.operations():
        assert (evaluate([document], Request(action, QUEUE)) is ALLOW) == (action in READS)
        assert [evaluate([document], Request(action, each)) for each in others] == [NOTHING, NOTHING]


def test_messages_are_encrypted_and_kept_for_minutes() -> None:
    (queue,) = queue_stack().resources("AWS::SQS::Queue").values()
    assert queue["SqsManagedSseEnabled"] is True
    assert queue["MessageRetentionPeriod"] == 300
    assert queue["QueueName"] == "mfa-operator-events"


@pytest.mark.parametrize(
    "wrong",
    [{"OrganizationId": "*"}, {"OrganizationId": ""}, {"SenderRolePath": "/*/"}, {"SenderRoleName": "*"}],
    ids=str,
)
def test_parameters_that_would_let_others_send_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="does not match"):
        queue_stack(**wrong)


def test_the_queue_takes_the_role_that_the_rule_sends_with() -> None:
    """By their defaults, and with a path that both are given."""
    for path in ("/", "/security/"):
        (role,) = rule_stack(RolePath=path).resources("AWS::IAM::Role").values()
        sender = f"arn:{PARTITION}:iam::444455556666:role{role['Path']}{role['RoleName']}"
        context = SEND | {"aws:PrincipalArn": sender}
        assert answer("sqs:SendMessage", context, SenderRolePath=path) is ALLOW


def test_the_rules_role_can_only_send_to_that_queue() -> None:
    (policy,) = rule_stack().resources("AWS::IAM::RolePolicy").values()
    document = policy["PolicyDocument"]
    assert iam_lint.problems(document) == []
    may = {each for each in iam_lint.operations() if evaluate([document], Request(each, QUEUE)) is ALLOW}
    assert may == {"sqs:SendMessage"}
    assert evaluate([document], Request("sqs:SendMessage", QUEUE.replace("mfa-", "x-"))) is NOTHING
    (role,) = rule_stack().resources("AWS::IAM::Role").values()
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert (trust["Principal"], trust["Action"]) == ({"Service": "events.amazonaws.com"}, "sts:AssumeRole")


def patterns(**parameters: str) -> dict[str, Any]:
    """What each rule of a stack matches; all send to the queue with the stack's role."""
    rules = rule_stack(**parameters).resources("AWS::Events::Rule").values()
    targets = [target for rule in rules for target in rule["Targets"]]
    assert {(target["Arn"], target["RoleArn"]) for target in targets} == {(QUEUE, "<Role>.Arn")}
    return {rule["Name"]: rule["EventPattern"] for rule in rules}


def table_names(*abouts: About) -> list[tuple[str, str]]:
    return sorted(key for key, about in TABLE.items() if about in abouts)


def matched(pattern: dict[str, Any]) -> list[tuple[str, str]]:
    (source,) = pattern["source"]
    return [(source, name) for name in pattern["detail"]["eventName"]]


def test_the_rule_sends_exactly_the_events_the_operator_reads() -> None:
    found = patterns()
    assert set(found) == {"mfa-operator-iam", "mfa-operator-quarantine"}
    assert matched(found["mfa-operator-iam"]) == table_names(About.USER)
    quarantine = table_names(About.QUARANTINE, About.QUARANTINE_POLICY)
    assert matched(found["mfa-operator-quarantine"]) == quarantine
    assert {f"iam:{name}" for pattern in found.values() for _, name in matched(pattern)} <= iam_lint.operations()


def test_of_policies_only_our_own_are_sent() -> None:
    suffixes = patterns()["mfa-operator-quarantine"]["detail"]["requestParameters"]["policyArn"]
    arns = [quarantine_document.policy_arn(PARTITION, ACCOUNT, variant) for variant in Variant]
    assert [[arn.endswith(each["suffix"]) for each in suffixes] for arn in sorted(arns)] == [
        [True, False],
        [False, True],
    ]


def test_the_management_account_sends_who_joined_and_left() -> None:
    found = patterns(OrganizationEvents="true")
    assert matched(found["mfa-operator-organization"]) == table_names(About.ORGANIZATION)
    assert set(found) - set(patterns()) == {"mfa-operator-organization"}


def test_rules_go_by_source_and_name_and_leave_out_what_failed() -> None:
    """Not by detail-type, which differs between partitions."""
    for pattern in patterns(OrganizationEvents="true").values():
        assert set(pattern) == {"source", "detail"}
        assert pattern["detail"]["errorCode"] == [{"exists": False}]


@pytest.mark.parametrize("stack", [queue_stack, rule_stack])
def test_another_region_than_iams_is_refused(stack: Any) -> None:
    """IAM's events come in one region of each partition; a rule anywhere else would wait for ever."""
    kind = "AWS::SQS::Queue" if stack is queue_stack else "AWS::Events::Rule"
    for region in ("us-east-1", "us-gov-west-1", "cn-north-1"):
        assert stack({"AWS::Region": region}).resources(kind)
    with pytest.raises(KeyError, match="eu-central-1"):
        stack({"AWS::Region": "eu-central-1"}).resources(kind)
