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


def test_the_last_sign_in_outlives_the_password(account: Account, iam: "IAMClient") -> None:
    alice = account.user("alice", password=True)
    alice.used_password(BEFORE)
    alice.remove_password()
    assert iam.list_users()["Users"][0]["PasswordLastUsed"] == BEFORE
    assert not alice.has_password


def test_login_profile_of_a_seeded_user(account: Account, iam: "IAMClient") -> None:
    seeded = account.user("alice", password=True, created=BEFORE, password_created=NOON, password_reset_required=True)
    account.user("keys", access_keys=1)
    assert iam.get_login_profile(UserName="alice")["LoginProfile"] == {
        "UserName": "alice",
        "CreateDate": NOON,
        "PasswordResetRequired": True,
    }
    seeded.set_password(NOON, reset_required=False)
    assert iam.get_login_profile(UserName="alice")["LoginProfile"]["PasswordResetRequired"] is False
    assert code_of(lambda: iam.get_login_profile(UserName="keys")) == ("NoSuchEntity", 404)
    assert code_of(lambda: iam.get_login_profile(UserName="nobody")) == ("NoSuchEntity", 404)


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


def test_users_made_through_the_api(account: Account, iam: "IAMClient") -> None:
    made = iam.create_user(UserName="carol", Path="/ops/", Tags=[{"Key": "team", "Value": "x"}])["User"]
    assert made["UserId"].startswith("AIDA")
    assert made["CreateDate"] == NOON
    carol = account.existing_user("carol")
    assert (carol.id, carol.path, carol.tags) == (made["UserId"], "/ops/", {"team": "x"})
    assert code_of(lambda: iam.create_user(UserName="Carol")) == ("EntityAlreadyExists", 409)
    carol.set_password()
    assert code_of(lambda: iam.delete_user(UserName="carol")) == ("DeleteConflict", 409)
    iam.delete_login_profile(UserName="carol")
    iam.delete_user(UserName="carol")
    assert not carol.exists
    assert code_of(lambda: iam.get_user(UserName="carol")) == ("NoSuchEntity", 404)


def test_a_recreated_user_is_somebody_else(account: Account, iam: "IAMClient") -> None:
    first = account.user("alice", password=True, mfa=["virtual"], access_keys=2, created=BEFORE, tags={"a": "b"})
    first.attach_policy("extra")
    first.delete()
    assert iam.list_users()["Users"] == []
    assert iam.list_virtual_mfa_devices()["VirtualMFADevices"] == []
    second = account.user("alice")
    assert second.id != first.id
    assert (second.has_password, second.mfa_serials, second.tags, second.attached_policies) == (False, [], {}, [])
    assert (first.exists, second.exists) == (False, True)


def test_tags(account: Account, iam: "IAMClient") -> None:
    alice = account.user("alice", tags={"mfa-exempt": "true"})
    iam.tag_user(UserName="alice", Tags=[{"Key": "team", "Value": "blue"}])
    alice.tag("cost", "1")
    alice.untag("mfa-exempt")
    assert iam.list_user_tags(UserName="alice")["Tags"] == [
        {"Key": "cost", "Value": "1"},
        {"Key": "team", "Value": "blue"},
    ]
    assert code_of(lambda: iam.list_user_tags(UserName="bob")) == ("NoSuchEntity", 404)


def summary_of(iam: "IAMClient") -> dict[str, int]:
    return {str(name): number for name, number in iam.get_account_summary()["SummaryMap"].items()}


def test_account_summary(account: Account, iam: "IAMClient") -> None:
    account.user("alice", mfa=["virtual", "hardware"])
    account.root(password=False)
    summary = summary_of(iam)
    assert (summary["Users"], summary["MFADevicesInUse"]) == (1, 2)
    asked = ("AccountMFAEnabled", "AccountAccessKeysPresent", "AccountPasswordPresent")
    assert [summary[name] for name in asked] == [0, 0, 0]
    for kind in ("hardware", "virtual"):
        account.root(mfa=kind, access_keys=1)
        summary = summary_of(iam)
        assert [summary[name] for name in asked] == [1, 1, 1]
        assert summary["MFADevicesInUse"] == 3


def test_five_thousand_users_are_listed_in_five_pages(account: Account, iam: "IAMClient") -> None:
    for number in range(5000):
        account.user(f"user-{number:04}", password=number % 2 == 0)
    account.force_report()
    pages = iam.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 1000})
    names = [user["UserName"] for page in pages for user in page["Users"]]
    assert names == [f"user-{number:04}" for number in range(5000)]
    assert len(iam.get_credential_report()["Content"].splitlines()) == 5002
