"""The sandbox's accounts: who gets in, as whom, for how long, and what they may do there."""

import re
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


def test_an_assumed_role_is_a_session_of_its_account(aws: EmbeddedAws, account: Account) -> None:
    number, arn, user_id = identity(aws, assume(aws, account.role_arn))
    assert (number, arn) == (account.id, f"arn:aws:sts::{account.id}:assumed-role/mfa-operator/audit")
    assert re.fullmatch(r"AROA[A-Z2-7]{17}:audit", user_id)


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


def test_expired_credentials(aws: EmbeddedAws, account: Account, iam: "IAMClient") -> None:
    iam.list_users()
    aws.world.expire_credentials(account)
    expected = ("ExpiredToken", 403, "The security token included in the request is expired")
    assert refused(iam.list_users) == expected
    assert identity(aws, assume(aws, account.role_arn))[0] == account.id, "new sessions work"
    assert identity(aws)[0] == aws.world.home_id, "static keys do not expire"


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
