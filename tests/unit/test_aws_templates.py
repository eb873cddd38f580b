"""What the roles under deploy/aws may do: the same by CloudFormation, Terraform and hand, and no more than is said."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mfa_operator.aws import quarantine_document
from mfa_operator.aws.quarantine_document import Variant
from tests.unit import iam_lint
from tests.unit.cloudformation import PSEUDO, Stack, load
from tests.unit.iam_evaluation import Decision, Request, evaluate

ROOT = Path(__file__).parents[2]
AWS = ROOT / "deploy" / "aws"
PARTITION, ACCOUNT = PSEUDO["AWS::Partition"], PSEUDO["AWS::AccountId"]
IAM = f"arn:{PARTITION}:iam::{ACCOUNT}:"
CLUSTER = f"arn:{PARTITION}:eks:{PSEUDO['AWS::Region']}:{ACCOUNT}:cluster/prod"
OPERATOR = f"arn:{PARTITION}:iam::999988887777:role/mfa-operator-controller"
ALLOW, NOTHING, DENY = Decision.ALLOW, Decision.IMPLICIT_DENY, Decision.EXPLICIT_DENY
POLICIES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (AWS / "policies").glob("*.json")}
MODES = {
    "Audit": ["audit"],
    "Quarantine": ["audit", "quarantine"],
    "RemoveConsoleAccess": ["audit", "remove-console-access"],
    "QuarantineAndRemoveConsoleAccess": ["audit", "quarantine", "remove-console-access"],
}
ALL_MODES = pytest.mark.parametrize("mode", MODES)
ACTIONS = {
    "events": {"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"},
    "organization": {
        "organizations:DescribeOrganization",
        "organizations:ListAccounts",
        "organizations:ListChildren",
        "organizations:ListOrganizationalUnitsForParent",
        "organizations:ListTagsForResource",
    },
    "audit": {
        "iam:GenerateCredentialReport",
        "iam:GetAccountSummary",
        "iam:GetCredentialReport",
        "iam:GetLoginProfile",
        "iam:ListMFADevices",
        "iam:ListUserTags",
        "iam:ListUsers",
        "iam:ListVirtualMFADevices",
    },
    "quarantine": {
        "iam:AttachUserPolicy",
        "iam:CreatePolicy",
        "iam:CreatePolicyVersion",
        "iam:DeletePolicyVersion",
        "iam:DetachUserPolicy",
        "iam:GetPolicy",
        "iam:GetPolicyVersion",
        "iam:GetUser",
        "iam:ListEntitiesForPolicy",
        "iam:ListPolicies",
        "iam:ListPolicyVersions",
        "iam:SimulatePrincipalPolicy",
        "iam:TagPolicy",
    },
    "remove-console-access": {"iam:DeleteLoginProfile", "iam:GetUser"},
}
MEMBER_ROLE = load(AWS / "member-role.yaml")
OPERATOR_ROLE = load(AWS / "operator-role.yaml")
EXTERNAL_IDS = pytest.mark.parametrize("external_id", ["", "acme-7f3a"], ids=["no external id", "external id"])


def narrowed(document: Mapping[str, Any]) -> Any:
    """A policy for every account as it reads for one account of one partition."""
    return json.loads(json.dumps(document).replace("arn:*:iam::*:", IAM))


def allowed(documents: Iterable[Mapping[str, Any]]) -> set[str]:
    return {
        action
        for document in documents
        for statement in document["Statement"]
        if statement["Effect"] == "Allow"
        for action in iam_lint.listed(statement["Action"])
    }


def member_stack(mode: str = "Audit", external_id: str = "") -> Stack:
    return Stack(MEMBER_ROLE, OperatorPrincipalArn=OPERATOR, ExternalId=external_id, Mode=mode)


def member_policies(mode: str) -> dict[str, Any]:
    policies = member_stack(mode).resources("AWS::IAM::RolePolicy")
    assert {each["RoleName"] for each in policies.values()} == {"<Role>"}
    return {each["PolicyName"]: each["PolicyDocument"] for each in policies.values()}


@pytest.mark.parametrize("name", POLICIES)
def test_each_policy_file_holds_exactly_its_actions(name: str) -> None:
    assert iam_lint.problems(POLICIES[name]) == []
    assert allowed([POLICIES[name]]) == ACTIONS[name]


def test_there_is_one_policy_file_for_each_thing_a_role_may_do() -> None:
    assert set(POLICIES) == set(ACTIONS)
    assert MEMBER_ROLE["Parameters"]["Mode"]["AllowedValues"] == list(MODES)


@ALL_MODES
def test_cloudformation_says_what_the_files_say(mode: str) -> None:
    assert member_policies(mode) == {name: narrowed(POLICIES[name]) for name in MODES[mode]}


@ALL_MODES
def test_the_policies_of_a_role_fit(mode: str) -> None:
    # IAM quota: 10,240 characters for all inline policies of a role, white space not counted.
    assert sum(len(json.dumps(each, separators=(",", ":"))) for each in member_policies(mode).values()) < 10240


@ALL_MODES
def test_a_role_may_do_what_its_mode_needs_and_nothing_else(mode: str) -> None:
    """Every operation that we know, on everything it could be about, with every tag and policy in its favour."""
    ours = {quarantine_document.policy_arn(PARTITION, ACCOUNT, variant) for variant in Variant}
    resources = {"*", f"{IAM}user/alice", f"{IAM}user/eng/alice", f"{IAM}role/admin", f"{IAM}mfa/alice", *ours}
    tags = {"aws:RequestTag/managed-by": "mfa-operator", "aws:ResourceTag/managed-by": "mfa-operator"}
    policies = list(member_policies(mode).values())

    may = {
        action
        for action in iam_lint.operations()
        for resource in resources
        if evaluate(policies, Request(action, resource, {**tags, "iam:PolicyARN": min(ours)})) is ALLOW
    }

    assert may == set().union(*(ACTIONS[name] for name in MODES[mode]))


@pytest.mark.parametrize("action", ["iam:AttachUserPolicy", "iam:DetachUserPolicy"])
@pytest.mark.parametrize(
    ("policy", "decision"),
    [
        (quarantine_document.policy_arn(PARTITION, ACCOUNT, Variant.CONSOLE), ALLOW),
        (quarantine_document.policy_arn(PARTITION, ACCOUNT, Variant.CONSOLE_AND_KEYS), ALLOW),
        (f"arn:{PARTITION}:iam::aws:policy/AdministratorAccess", NOTHING),
        (f"{IAM}policy/mfa-operator-quarantine", NOTHING),
        (f"{IAM}policy/mfa-operator/mfa-operator-quarantine-mine", NOTHING),
        (f"{IAM}policy/other/mfa-operator/mfa-operator-quarantine", NOTHING),
    ],
)
def test_only_our_own_policies_can_be_attached_and_detached(action: str, policy: str, decision: Decision) -> None:
    for user in ("alice", "eng/alice"):
        request = Request(action, f"{IAM}user/{user}", {"iam:PolicyARN": policy})
        assert evaluate(member_policies("Quarantine").values(), request) is decision


@pytest.mark.parametrize("variant", list(Variant), ids=lambda each: str(each.name))
def test_the_role_can_only_write_policies_with_our_tag(variant: Variant) -> None:
    """A quarantine policy without the tag can be neither created nor changed."""

    ours, theirs = f"{IAM}policy{quarantine_document.PATH}{variant}", f"{IAM}policy/{variant}"
    request_tags = {f"aws:RequestTag/{key}": value for key, value in quarantine_document.TAGS.items()}
    resource_tags = {f"aws:ResourceTag/{key}": value for key, value in quarantine_document.TAGS.items()}

    def may(action: str, resource: str, context: Mapping[str, str]) -> bool:
        return evaluate(member_policies("Quarantine").values(), Request(action, resource, context)) is ALLOW

    for action in ("iam:CreatePolicy", "iam:TagPolicy"):
        assert may(action, ours, request_tags)
        assert not may(action, ours, {})
        assert not may(action, theirs, request_tags)
    for action in ("iam:CreatePolicyVersion", "iam:DeletePolicyVersion"):
        assert may(action, ours, resource_tags)
        assert not may(action, ours, {})
        assert not may(action, ours, {"aws:ResourceTag/managed-by": "terraform"})
        assert not may(action, theirs, resource_tags)


@pytest.mark.parametrize("tag", ["true", "false", ""])
def test_a_protected_users_console_access_cannot_be_removed(tag: str) -> None:
    policies = member_policies("RemoveConsoleAccess").values()
    remove = "iam:DeleteLoginProfile"
    protected = {"aws:ResourceTag/mfa-operator.io/protected": tag}

    assert evaluate(policies, Request(remove, f"{IAM}user/alice")) is ALLOW
    assert evaluate(policies, Request(remove, f"{IAM}user/alice", {"aws:ResourceTag/team": "x"})) is ALLOW
    assert evaluate(policies, Request(remove, f"{IAM}user/alice", protected)) is DENY


@EXTERNAL_IDS
def test_the_operator_alone_is_trusted(external_id: str) -> None:
    (role,) = member_stack(external_id=external_id).resources("AWS::IAM::Role").values()
    assume, tag = role["AssumeRolePolicyDocument"]["Statement"]

    assert role["RoleName"] == "mfa-operator"
    assert assume["Action"] == "sts:AssumeRole"
    assert tag["Action"] == "sts:TagSession"
    assert assume["Principal"] == tag["Principal"] == {"AWS": OPERATOR}
    assert assume.get("Condition") == ({"StringEquals": {"sts:ExternalId": external_id}} if external_id else None)
    assert "Condition" not in tag


@EXTERNAL_IDS
@pytest.mark.parametrize("template", ["member-role", "organization-role"])
def test_one_more_principal_can_be_trusted(template: str, external_id: str) -> None:
    on_call = "arn:aws-cn:iam::999988887777:role/on-call"
    asked = {"OperatorPrincipalArn": OPERATOR, "ExternalId": external_id}

    def trust(**more: str) -> list[dict[str, Any]]:
        (role,) = Stack(load(AWS / f"{template}.yaml"), **asked, **more).resources("AWS::IAM::Role").values()
        statements: list[dict[str, Any]] = role["AssumeRolePolicyDocument"]["Statement"]
        return statements

    alone = trust()
    *others, added = trust(AdditionalPrincipalArn=on_call)
    assert alone == others
    assert (added["Principal"], added["Action"]) == ({"AWS": on_call}, "sts:AssumeRole")
    assert added.get("Condition") == ({"StringEquals": {"sts:ExternalId": external_id}} if external_id else None)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"OperatorPrincipalArn": "*"},
        {"OperatorPrincipalArn": "urn:aws:iam::111122223333:root"},
        {"OperatorPrincipalArn": "arn:aws:iam::*:role/x"},
        {"OperatorPrincipalArn": OPERATOR, "Mode": "audit"},
        {"OperatorPrincipalArn": OPERATOR, "AdditionalPrincipalArn": "*"},
        {"OperatorPrincipalArn": OPERATOR, "AdditionalPrincipalArn": "arn:aws:iam::111122223333:root"},
        {"OperatorPrincipalArn": OPERATOR, "ExternalId": "a b"},
        {"OperatorPrincipalArn": OPERATOR, "ExternalId": "x"},
        {"OperatorPrincipalArn": OPERATOR, "RoleName": "a/b"},
        {"OperatorPrincipalArn": OPERATOR, "RolePath": "security"},
        {"OperatorPrincipalArn": OPERATOR, "RolePath": "/*/"},
    ],
)
def test_parameters_that_would_trust_too_many_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"must be given|does not match|is none of"):
        Stack(MEMBER_ROLE, **wrong)


def operator_stack(**parameters: str) -> Stack:
    return Stack(OPERATOR_ROLE, **parameters)


IDENTITIES = pytest.mark.parametrize(
    "identity", [{"Identity": "PodIdentity"}, {"Identity": "Irsa", "OidcProvider": "oidc.example/id/A"}]
)


def operator_policies(**parameters: str) -> dict[str, Any]:
    policies = operator_stack(**parameters).resources("AWS::IAM::RolePolicy")
    assert {each["RoleName"] for each in policies.values()} == {"<Role>"}
    assert [iam_lint.problems(each["PolicyDocument"]) for each in policies.values()] == [[]] * len(policies)
    return {each["PolicyName"]: each["PolicyDocument"] for each in policies.values()}


@IDENTITIES
def test_the_operators_own_role_can_only_assume_member_roles(identity: dict[str, str]) -> None:
    (role,) = member_stack().resources("AWS::IAM::Role").values()
    (policy,) = operator_policies(**identity).values()

    assert policy["Statement"] == [
        {
            "Sid": "AssumeMemberRoles",
            "Effect": "Allow",
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Resource": f"arn:{PARTITION}:iam::*:role{role['Path']}{role['RoleName']}",
        }
    ]


@IDENTITIES
def test_the_operators_own_role_gets_more_only_where_asked(identity: dict[str, str]) -> None:
    organization = f"arn:{PARTITION}:iam::222233334444:role/security/mfa-operator-organization"
    queue = f"arn:{PARTITION}:sqs:us-gov-west-1:{ACCOUNT}:mfa-operator-events"
    asked = {"OrganizationRoleArn": organization, "ListOrganization": "true", "EventsQueueArn": queue}
    policies = operator_policies(**identity, **asked)

    assert set(policies) == {"assume-member-roles", "assume-organization-role", "organization", "events"}
    (assume,) = policies["assume-organization-role"]["Statement"]
    assert (assume["Action"], assume["Resource"]) == (["sts:AssumeRole", "sts:TagSession"], organization)
    assert policies["organization"] == POLICIES["organization"]
    (read,) = POLICIES["events"]["Statement"]
    assert policies["events"]["Statement"] == [{**read, "Resource": queue}]


@pytest.mark.parametrize(
    ("template", "parameters"),
    [
        ("member-role", {"OperatorPrincipalArn": OPERATOR}),
        ("operator-role", {}),
        ("organization-role", {"OperatorPrincipalArn": OPERATOR}),
        ("events-rule", {"QueueArn": f"arn:{PARTITION}:sqs:us-gov-west-1:{ACCOUNT}:mfa-operator-events"}),
    ],
)
def test_every_role_takes_a_path_and_a_boundary(template: str, parameters: dict[str, str]) -> None:
    def role(**more: str) -> dict[str, Any]:
        (found,) = Stack(load(AWS / f"{template}.yaml"), **parameters, **more).resources("AWS::IAM::Role").values()
        return dict(found)

    assert role()["Path"] == "/"
    assert "PermissionsBoundary" not in role()
    assert role(RolePath="/security/")["Path"] == "/security/"
    bounded = role(PermissionsBoundary="security/boundary")
    assert bounded["PermissionsBoundary"] == f"{IAM}policy/security/boundary"
    for wrong in ("/boundary", "boundary/", "a b", "arn:aws:iam::111122223333:policy/boundary"):
        with pytest.raises(ValueError, match="does not match"):
            role(PermissionsBoundary=wrong)


def test_irsa_trusts_one_service_account() -> None:
    stack = operator_stack(Identity="Irsa", OidcProvider="oidc.example/id/A", Namespace="security")
    (role,) = stack.resources("AWS::IAM::Role").values()

    assert json.loads(role["AssumeRolePolicyDocument"]) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "ServiceAccountAssumes",
                "Effect": "Allow",
                "Principal": {"Federated": f"{IAM}oidc-provider/oidc.example/id/A"},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {
                    "StringEquals": {
                        "oidc.example/id/A:aud": "sts.amazonaws.com",
                        "oidc.example/id/A:sub": "system:serviceaccount:security:mfa-operator",
                    }
                },
            }
        ],
    }
    assert stack.resources("AWS::EKS::PodIdentityAssociation") == {}


def accepted(**parameters: str) -> bool:
    """Whether the rules let a stack with these parameters be made."""
    stack = operator_stack(**parameters)
    return all(
        not stack.resolve(rule["RuleCondition"]) or bool(stack.resolve(assertion["Assert"]))
        for rule in OPERATOR_ROLE["Rules"].values()
        for assertion in rule["Assertions"]
    )


def test_irsa_needs_an_issuer_and_pod_identity_a_cluster() -> None:
    assert accepted(Identity="Irsa", OidcProvider="oidc.example/id/A")
    assert not accepted(Identity="Irsa")
    assert accepted(Identity="PodIdentity", ClusterName="prod")
    assert accepted(Identity="PodIdentity", ClusterArn=CLUSTER)
    assert not accepted(Identity="PodIdentity")


@pytest.mark.parametrize("named", [{"ClusterName": "prod"}, {"ClusterName": "other", "ClusterArn": CLUSTER}])
def test_pod_identity_trusts_one_service_account_of_one_cluster(named: dict[str, str]) -> None:
    (role,) = operator_stack(Namespace="security", **named).resources("AWS::IAM::Role").values()
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]

    assert statement["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert statement["Action"] == ["sts:AssumeRole", "sts:TagSession"]
    assert statement["Condition"] == {
        "StringEquals": {
            "aws:RequestTag/eks-cluster-arn": CLUSTER,
            "aws:RequestTag/kubernetes-namespace": "security",
            "aws:RequestTag/kubernetes-service-account": "mfa-operator",
        }
    }


@pytest.mark.parametrize(("cluster", "made"), [("prod", True), ("", False)])
def test_the_association_is_made_where_a_cluster_is_named(cluster: str, made: bool) -> None:
    associations = operator_stack(ClusterName=cluster).resources("AWS::EKS::PodIdentityAssociation")

    assert list(associations.values()) == made * [
        {"ClusterName": "prod", "Namespace": "mfa-operator", "ServiceAccount": "mfa-operator", "RoleArn": "<Role>.Arn"}
    ]
