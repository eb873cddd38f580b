"""An audit's session can only read, whatever the role may do; a change goes out in the name of its policy."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mfa_operator.aws.role_sessions import READING_POLICY, writing_policy
from mfa_sandbox.aws import Account, Credentials, EmbeddedAws
from tests.fixtures.aws import IamOf
from tests.fixtures.quarantined import ARN
from tests.fixtures.remediation_harness import NAMESPACE, QUARANTINE, READING, REMOVE, RemediationHarness

READER, WRITER = "/mfa-operator", f"/mfa-operator+{NAMESPACE}+p"


def assume(aws: EmbeddedAws, account: Account, iam_of: IamOf, policy: str) -> Any:
    sts = aws.sts()
    made = sts.assume_role(RoleArn=account.role_arn, RoleSessionName="audit", Policy=policy)["Credentials"]
    sts.close()
    return iam_of(Credentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"]))


@pytest.mark.parametrize("remediation", [REMOVE, QUARANTINE], ids=["remove", "quarantine"])
def test_reads_and_writes_go_out_in_sessions_of_their_own(
    harness: RemediationHarness, account: Account, remediation: dict[str, object]
) -> None:
    account.user("alice", password=True)
    harness.policy(account, remediation=remediation)
    harness.run()
    assert harness.aws.calls.count("AssumeRole") == 1
    harness.run()
    calls = [call for call in harness.aws.calls if call.service == "iam"]
    reads = {call.principal for call in calls if call.operation.startswith(READING)}
    writes = {call.principal for call in calls if not call.operation.startswith(READING)}
    assert {principal.removeprefix(f"arn:aws:sts::{account.id}:assumed-role/mfa-operator") for principal in reads} == {
        READER
    }
    assert {principal.removeprefix(f"arn:aws:sts::{account.id}:assumed-role/mfa-operator") for principal in writes} == {
        WRITER
    }
    asked = [call.parameters for call in harness.aws.calls.select("AssumeRole")]
    assert [one["Policy"] for one in asked] == [READING_POLICY, writing_policy("aws", account.id)]
    assert asked[1]["DurationSeconds"] == "900"
    # Nothing is asked of STS between the last check of the user and the request that changes something.
    operations = [call.operation for call in harness.aws.calls]
    before = {operations[i - 1] for i, operation in enumerate(operations) if not operation.startswith(READING)}
    assert "AssumeRole" not in before


def test_an_expired_write_session_is_reopened_after_a_new_check(harness: RemediationHarness, account: Account) -> None:
    """The user is read live again before the change is sent."""

    account.user("alice", password=True)
    account.user("bob", password=True)
    harness.policy(account, remediation={**REMOVE, "maxPerPass": 1})
    harness.run()
    harness.run()
    account.expire_credentials()
    harness.run()
    assert not any(account.existing_user(name).has_password for name in ("alice", "bob"))
    writers = [
        call for call in harness.aws.calls.select("AssumeRole") if WRITER[1:] == call.parameters["RoleSessionName"]
    ]
    assert len(writers) == 2


def test_the_reading_session_cannot_change_anything(aws: EmbeddedAws, account: Account, iam_of: IamOf) -> None:
    """Not even with a role that may do everything."""
    account.user("alice", password=True)
    iam = assume(aws, account, iam_of, READING_POLICY)
    assert [user["UserName"] for user in iam.list_users()["Users"]] == ["alice"]
    writes: list[Callable[[], object]] = [
        lambda: iam.delete_login_profile(UserName="alice"),
        lambda: iam.attach_user_policy(UserName="alice", PolicyArn=ARN),
        lambda: iam.create_policy(PolicyName="x", PolicyDocument="{}"),
    ]
    for write in writes:
        with pytest.raises(ClientError, match="because no session policy allows the iam:"):
            write()
    assert account.existing_user("alice").has_password


@pytest.mark.parametrize(
    "refused",
    [
        lambda iam: iam.list_users(),
        lambda iam: iam.attach_user_policy(UserName="alice", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"),
        lambda iam: iam.create_policy(PolicyName="mfa-operator-quarantine", PolicyDocument="{}"),
        lambda iam: iam.create_virtual_mfa_device(VirtualMFADeviceName="x"),
    ],
    ids=["read", "another policy", "another path", "enrolling"],
)
def test_the_writing_session_can_only_remediate(
    aws: EmbeddedAws, account: Account, iam_of: IamOf, refused: Callable[[Any], object]
) -> None:
    account.user("alice", password=True)
    iam = assume(aws, account, iam_of, writing_policy("aws", account.id))
    with pytest.raises(ClientError, match="no session policy"):
        refused(iam)
    iam.delete_login_profile(UserName="alice")


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"Policy": "{"}, "MalformedPolicyDocument"),
        ({"Policy": json.dumps({"Statement": [{"Effect": "Deny"}]})}, "MalformedPolicyDocument"),
        ({"Policy": " " * 2049}, "PackedPolicyTooLarge"),
        ({"RoleSessionName": "a/b"}, "ValidationError"),
        ({"RoleSessionName": "n" * 65}, "ValidationError"),
    ],
)
def test_the_sandbox_refuses_what_sts_refuses(
    aws: EmbeddedAws, account: Account, wrong: dict[str, str], code: str
) -> None:
    sts = aws.sts()
    wanted: dict[str, Any] = {"RoleArn": account.role_arn, "RoleSessionName": "audit", **wrong}
    with pytest.raises(ClientError, match=code):
        sts.assume_role(**wanted)
    sts.close()
