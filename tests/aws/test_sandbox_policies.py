"""The sandbox's managed policies: versions, attachments, tags and limits as AWS has them."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mfa_sandbox.aws import Account, EmbeddedAws
from tests.aws.answers import code_of

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

NOON = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
NAME = "mfa-operator-quarantine"


@pytest.fixture(autouse=True)
def stopped_clock(aws: EmbeddedAws) -> None:
    aws.world.set_time(NOON)


def document(action: str, **condition: object) -> str:
    statement = {"Effect": "Deny", "Action": action, "Resource": "*", **condition}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def arn(iam: "IAMClient") -> str:
    """A policy, tagged and not attached."""
    made = iam.create_policy(
        PolicyName=NAME,
        PolicyDocument=document("s3:*"),
        Description="No MFA",
        Tags=[{"Key": "managed-by", "Value": "mfa-operator"}],
    )
    return made["Policy"]["Arn"]


def test_a_policy_as_it_was_made(account: Account, iam: "IAMClient", arn: str) -> None:
    policy = iam.get_policy(PolicyArn=arn)["Policy"]
    assert policy["PolicyId"].startswith("ANPA")
    assert policy == {
        "PolicyName": NAME,
        "PolicyId": policy["PolicyId"],
        "Arn": f"arn:aws:iam::{account.id}:policy/{NAME}",
        "Path": "/",
        "DefaultVersionId": "v1",
        "AttachmentCount": 0,
        "PermissionsBoundaryUsageCount": 0,
        "IsAttachable": True,
        "Description": "No MFA",
        "CreateDate": NOON,
        "UpdateDate": NOON,
        "Tags": [{"Key": "managed-by", "Value": "mfa-operator"}],
    }
    again = code_of(lambda: iam.create_policy(PolicyName=NAME, PolicyDocument=document("s3:*")))
    assert again == ("EntityAlreadyExists", 409)
    assert [found["Arn"] for found in iam.list_policies(Scope="Local")["Policies"]] == [arn]
    assert iam.list_policies(Scope="Local", OnlyAttached=True)["Policies"] == []
    assert iam.list_policies(Scope="AWS")["Policies"] == []


def test_versions(iam: "IAMClient", arn: str) -> None:
    # A document with what URL encoding must bring back unharmed.
    second = document("iam:*", Condition={"StringLike": {"aws:PrincipalTag/a": "100%25 + *&é"}})
    made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=second, SetAsDefault=True)["PolicyVersion"]
    assert (made["VersionId"], made["IsDefaultVersion"], made["CreateDate"]) == ("v2", True, NOON)
    version = iam.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]
    assert version["Document"] == json.loads(second)
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v2"
    for _ in range(3):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=document("s3:*"))
    listed = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    assert [one["VersionId"] for one in listed if one["IsDefaultVersion"]] == ["v2"]
    assert sorted(one["VersionId"] for one in listed) == ["v1", "v2", "v3", "v4", "v5"]
    sixth = code_of(lambda: iam.create_policy_version(PolicyArn=arn, PolicyDocument=document("s3:*")))
    assert sixth == ("LimitExceeded", 409)
    assert code_of(lambda: iam.delete_policy_version(PolicyArn=arn, VersionId="v2")) == ("DeleteConflict", 409)
    iam.delete_policy_version(PolicyArn=arn, VersionId="v1")
    assert code_of(lambda: iam.get_policy_version(PolicyArn=arn, VersionId="v1")) == ("NoSuchEntity", 404)


def test_attaching_and_who_it_is_attached_to(account: Account, iam: "IAMClient", arn: str) -> None:
    alice = account.user("alice", path="/eng/")
    account.user("bob")
    for _ in range(2):
        iam.attach_user_policy(UserName="alice", PolicyArn=arn)
    assert alice.attached_policies == [arn]
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1, "attached twice counts once"
    attached = iam.list_attached_user_policies(UserName="alice")["AttachedPolicies"]
    assert attached == [{"PolicyName": NAME, "PolicyArn": arn}]
    entities = iam.list_entities_for_policy(PolicyArn=arn, EntityFilter="User")
    assert entities["PolicyUsers"] == [{"UserName": "alice", "UserId": alice.id}]
    assert code_of(lambda: iam.delete_policy(PolicyArn=arn)) == ("DeleteConflict", 409)
    iam.detach_user_policy(UserName="alice", PolicyArn=arn)
    assert code_of(lambda: iam.detach_user_policy(UserName="alice", PolicyArn=arn)) == ("NoSuchEntity", 404)
    assert iam.list_entities_for_policy(PolicyArn=arn)["PolicyUsers"] == []
    iam.delete_policy(PolicyArn=arn)
    assert code_of(lambda: iam.get_policy(PolicyArn=arn)) == ("NoSuchEntity", 404)
    assert code_of(lambda: iam.attach_user_policy(UserName="bob", PolicyArn=arn)) == ("NoSuchEntity", 404)


def test_ten_policies_a_user(account: Account, iam: "IAMClient", arn: str) -> None:
    alice = account.user("alice")
    for number in range(10):
        alice.attach_policy(f"extra-{number}")
    assert code_of(lambda: iam.attach_user_policy(UserName="alice", PolicyArn=arn)) == ("LimitExceeded", 409)
    assert arn not in alice.attached_policies
    alice.delete()
    assert iam.get_policy(PolicyArn=arn.replace(NAME, "extra-0"))["Policy"]["AttachmentCount"] == 0


def test_a_document_that_is_too_long_or_none(iam: "IAMClient", arn: str) -> None:
    fits = document("s3:*", Sid="a" * 5900)
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(json.loads(fits), indent=200))
    too_long = document("s3:*", Sid="a" * 6144)
    assert code_of(lambda: iam.create_policy(PolicyName="x", PolicyDocument=too_long)) == ("LimitExceeded", 409)
    assert code_of(lambda: iam.create_policy(PolicyName="x", PolicyDocument="{")) == ("MalformedPolicyDocument", 400)
