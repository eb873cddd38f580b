"""The sandbox's users: seeded in process or made through the API, the same users either way."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mfa_sandbox.aws import Account, EmbeddedAws
from tests.aws.answers import code_of

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

NOON = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
BEFORE = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def stopped_clock(aws: EmbeddedAws) -> None:
    aws.world.set_time(NOON)


def test_list_users_tells_what_aws_tells(account: Account, iam: "IAMClient") -> None:
    alice = account.user("alice", path="/eng/", password=True, password_last_used=BEFORE, created=BEFORE)
    account.user("bob", password=True, password_last_used="never", tags={"team": "x"})
    listed, second = iam.list_users()["Users"]
    assert listed == {
        "Path": "/eng/",
        "UserName": "alice",
        "UserId": alice.id,
        "Arn": f"arn:aws:iam::{account.id}:user/eng/alice",
        "CreateDate": BEFORE,
        "PasswordLastUsed": BEFORE,
    }
    assert second["CreateDate"] == NOON
    assert second.keys() == {"Path", "UserName", "UserId", "Arn", "CreateDate"}
    assert iam.list_users(PathPrefix="/eng/")["Users"] == [listed]


def test_login_profile_through_the_api(aws: EmbeddedAws, account: Account, iam: "IAMClient") -> None:
    alice = account.user("alice", created=BEFORE)
    iam.create_login_profile(UserName="alice", Password="correct horse", PasswordResetRequired=True)
    given = alice.has_password
    made = iam.get_login_profile(UserName="alice")["LoginProfile"]
    assert (made["CreateDate"], made["PasswordResetRequired"]) == (NOON, True)
    assert code_of(lambda: iam.create_login_profile(UserName="alice", Password="x")) == ("EntityAlreadyExists", 409)
    iam.update_login_profile(UserName="alice", PasswordResetRequired=False)
    assert iam.get_login_profile(UserName="alice")["LoginProfile"]["PasswordResetRequired"] is False
    iam.delete_login_profile(UserName="alice")
    assert (given, alice.has_password) == (True, False)
    assert code_of(lambda: iam.delete_login_profile(UserName="alice")) == ("NoSuchEntity", 404)
    assert code_of(lambda: iam.update_login_profile(UserName="alice")) == ("NoSuchEntity", 404)
