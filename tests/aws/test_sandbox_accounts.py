"""The sandbox's accounts: who gets in, as whom, for how long, and what they may do there."""

import re
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from mfa_sandbox.aws import Account, Credentials, EmbeddedAws

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

OTHER = "222233334444"


def refused(act: Callable[[], object]) -> tuple[str, int, str]:
    """The code, the HTTP status and the message of the error that a call answers."""
    with pytest.raises(ClientError) as caught:
        act()
    error = caught.value.response
    return error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Message"]


def assume(aws: EmbeddedAws, role_arn: str, by: Credentials | None = None, **more: Any) -> Credentials:
    sts = aws.sts(by)
    try:
        made = sts.assume_role(RoleArn=role_arn, RoleSessionName="audit", **more)["Credentials"]
    finally:
        sts.close()
    return Credentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])


def identity(aws: EmbeddedAws, who: Credentials | None = None) -> tuple[str, str, str]:
    sts = aws.sts(who)
    try:
        answer = sts.get_caller_identity()
    finally:
        sts.close()
    return answer["Account"], answer["Arn"], answer["UserId"]


def test_static_keys_belong_to_the_home_account_and_work_without_a_role(aws: EmbeddedAws) -> None:
    home = aws.world.home
    arn = f"arn:aws:iam::{home.id}:user/mfa-operator"
    assert identity(aws) == (home.id, arn, aws.world.operator.id)
    client = aws.iam()
    names = [user["UserName"] for user in client.list_users()["Users"]]
    client.close()
    assert names == ["mfa-operator"]


def test_an_assumed_role_is_a_session_of_its_account(aws: EmbeddedAws, account: Account) -> None:
    number, arn, user_id = identity(aws, assume(aws, account.role_arn))
    assert (number, arn) == (account.id, f"arn:aws:sts::{account.id}:assumed-role/mfa-operator/audit")
    assert re.fullmatch(r"AROA[A-Z2-7]{17}:audit", user_id)


def test_a_role_with_a_path_loses_it_in_the_session(aws: EmbeddedAws) -> None:
    account = aws.world.account(OTHER, trusted_role="security/audit")
    assert account.role_arn == f"arn:aws:iam::{OTHER}:role/security/audit"
    assert identity(aws, assume(aws, account.role_arn))[1] == f"arn:aws:sts::{OTHER}:assumed-role/audit/audit"


def test_accounts_do_not_see_each_other(
    aws: EmbeddedAws, account: Account, iam_of: "Callable[[Account], IAMClient]"
) -> None:
    other = aws.world.account(OTHER)
    account.user("alice")
    other.user("bob")
    assert [user["UserName"] for user in iam_of(account).list_users()["Users"]] == ["alice"]
    assert [user["UserName"] for user in iam_of(other).list_users()["Users"]] == ["bob"]


def test_the_external_id_must_match_where_one_is_demanded(aws: EmbeddedAws, account: Account) -> None:
    guarded = aws.world.account(OTHER, external_id="acme-7f3a")
    said = (
        f"User: arn:aws:iam::{aws.world.home_id}:user/mfa-operator is not authorized to perform: sts:AssumeRole "
        f"on resource: {guarded.role_arn}"
    )
    assert refused(lambda: assume(aws, guarded.role_arn)) == ("AccessDenied", 403, said)
    assert refused(lambda: assume(aws, guarded.role_arn, ExternalId="acme-7f3b")) == ("AccessDenied", 403, said)
    assert identity(aws, assume(aws, guarded.role_arn, ExternalId="acme-7f3a"))[0] == OTHER
    assert identity(aws, assume(aws, account.role_arn, ExternalId="anything"))[0] == account.id


@pytest.mark.parametrize(
    "case", ["unknown account", "no such role", "role deleted", "suspended", "not from the home account"]
)
def test_assume_role_is_denied(aws: EmbeddedAws, account: Account, case: str) -> None:
    role_arn, caller = account.role_arn, None
    match case:
        case "unknown account":
            role_arn = "arn:aws:iam::999900001111:role/mfa-operator"
        case "no such role":
            role_arn = f"arn:aws:iam::{account.id}:role/other"
        case "role deleted":
            account.trust("other")
            account.backend.delete_role("mfa-operator")
        case "suspended":
            account.suspended = True
        case "not from the home account":
            caller = aws.world.account(OTHER).admin_credentials
    code, status, message = refused(lambda: assume(aws, role_arn, caller))
    assert (code, status) == ("AccessDenied", 403)
    assert message.endswith(f"is not authorized to perform: sts:AssumeRole on resource: {role_arn}")


def test_a_suspended_account_refuses_the_sessions_that_are_there(account: Account, iam: "IAMClient") -> None:
    iam.list_users()
    account.suspended = True
    assert refused(iam.list_users)[:2] == ("AccessDenied", 403)


def test_expired_credentials(aws: EmbeddedAws, account: Account, iam: "IAMClient") -> None:
    iam.list_users()
    aws.world.expire_credentials(account)
    expected = ("ExpiredToken", 403, "The security token included in the request is expired")
    assert refused(iam.list_users) == expected
    assert identity(aws, assume(aws, account.role_arn))[0] == account.id, "new sessions work"
    assert identity(aws)[0] == aws.world.home_id, "static keys do not expire"


def test_expiry_is_what_was_asked_for(aws: EmbeddedAws, account: Account) -> None:
    sts = aws.sts()
    answer = sts.assume_role(RoleArn=account.role_arn, RoleSessionName="audit", DurationSeconds=900)
    left = (answer["Credentials"]["Expiration"] - aws.world.now()).total_seconds()
    code, _, message = refused(
        lambda: sts.assume_role(RoleArn=account.role_arn, RoleSessionName="audit", DurationSeconds=7200)
    )
    sts.close()
    assert 890 < left <= 900
    assert (code, "MaxSessionDuration" in message) == ("ValidationError", True)


@pytest.mark.parametrize("case", ["unknown key", "wrong token", "no token", "deactivated key", "user deleted"])
def test_credentials_that_are_no_good(aws: EmbeddedAws, account: Account, case: str) -> None:
    session = assume(aws, account.role_arn)
    alice = account.user("alice", access_keys=1)
    keys = alice.credentials()
    match case:
        case "unknown key":
            keys = Credentials("AKIAIOSFODNN7EXAMPLE", "secret")
        case "wrong token":
            keys = Credentials(session.access_key_id, session.secret_access_key, "other")
        case "no token":
            keys = Credentials(session.access_key_id, session.secret_access_key)
        case "deactivated key":
            account.backend.update_access_key("alice", keys.access_key_id, "Inactive")
        case "user deleted":
            alice.delete()
    assert refused(lambda: identity(aws, keys))[:2] == ("InvalidClientTokenId", 403)


def test_a_user_calls_as_themselves(
    account: Account, iam_of: "Callable[[Credentials], IAMClient]", iam: "IAMClient"
) -> None:
    alice = account.user("alice", mfa=["virtual"])
    client = iam_of(alice.credentials())
    assert client.get_user()["User"]["UserName"] == "alice"
    assert [device["SerialNumber"] for device in client.list_mfa_devices()["MFADevices"]] == alice.mfa_serials
    assert refused(iam.get_user)[0] == "ValidationError"


def test_allow_only(account: Account, iam: "IAMClient") -> None:
    account.user("alice", password=True)
    account.allow_only({"iam:ListUsers", "iam:Generate*"})
    iam.list_users()
    iam.generate_credential_report()
    assert refused(lambda: iam.get_login_profile(UserName="alice")) == (
        "AccessDenied",
        403,
        (
            f"User: arn:aws:sts::{account.id}:assumed-role/mfa-operator/audit is not authorized to perform: "
            "iam:GetLoginProfile on resource: user alice because no identity-based policy allows the "
            "iam:GetLoginProfile action"
        ),
    )
    assert refused(iam.list_groups)[0] == "AccessDenied", "what moto answers is guarded too"
    account.allow_only(None)
    iam.get_login_profile(UserName="alice")


def test_deny_and_allow_again(account: Account, iam: "IAMClient") -> None:
    account.user("alice", password=True)
    account.deny({"iam:GetLoginProfile", "iam:ListUsers"}, by="service control policy")
    assert refused(lambda: iam.get_login_profile(UserName="alice"))[2].endswith(
        "on resource: user alice with an explicit deny in a service control policy"
    )
    account.deny({"iam:GetAccountSummary"})
    assert refused(iam.get_account_summary)[2].endswith("* with an explicit deny in an identity-based policy")
    iam.list_virtual_mfa_devices()
    account.allow_again({"iam:GetLoginProfile"})
    iam.get_login_profile(UserName="alice")
    assert refused(iam.list_users)[0] == "AccessDenied"


def test_denials_stop_neither_the_identity_nor_the_person_at_the_console(
    aws: EmbeddedAws, account: Account, iam_of: "Callable[[Credentials], IAMClient]"
) -> None:
    session = assume(aws, account.role_arn)
    account.allow_only(set())
    account.suspended = False
    assert identity(aws, session)[0] == account.id
    assert iam_of(account.admin_credentials).list_users()["Users"] == []


def test_another_partition_has_its_own_arns_and_regions() -> None:
    with EmbeddedAws(partition="aws-cn") as china:
        account = china.world.account(OTHER)
        alice = account.user("alice", mfa=["virtual", "security_key", "sms"])
        arns = [account.role_arn, alice.arn, account.root_user.arn, *alice.mfa_serials]
        assert all(arn.startswith(f"arn:aws-cn:iam::{OTHER}:") for arn in arns)
        session = assume(china, account.role_arn)
        assert identity(china, session)[1].startswith("arn:aws-cn:sts::")
        china.region = "us-east-1"
        assert refused(lambda: identity(china))[0] == "InvalidClientTokenId"


def test_one_at_a_time_and_each_start_is_empty() -> None:
    aws = EmbeddedAws()
    with pytest.raises(RuntimeError, match="does not run"):
        _ = aws.world
    with aws:
        aws.world.account(OTHER).user("alice")
        with pytest.raises(RuntimeError, match="runs in this process already"):
            EmbeddedAws().start()
    with aws:
        assert list(aws.world.accounts) == [aws.world.home_id]
        assert aws.world.account(OTHER).users() == []


def test_a_port_that_is_taken_leaves_no_trace() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=str(port)):
            EmbeddedAws(port=port).start()
    with EmbeddedAws() as aws:
        assert identity(aws)[0] == aws.world.home_id
