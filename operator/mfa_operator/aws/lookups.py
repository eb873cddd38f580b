"""The questions of an audit, each answer a fact with its time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Any

from mfa_operator.api.enums import DeviceType
from mfa_operator.aws.errors import AwsFailure, NotFound
from mfa_operator.aws.sessions import AccountSession
from mfa_operator.clock import utc_now
from mfa_operator.evaluation.devices import device_type
from mfa_operator.evaluation.facts import Fact, LoginProfile, User

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_iam.type_defs import UserTypeDef

PAGE_SIZE = 1000
"""MaxItems: AWS's own maximum, so that most accounts take one page."""


def list_users(session: AccountSession) -> list[User]:
    """Every IAM user that exists now. Raises AwsFailure."""
    return [
        iam_user(entry)
        for page in _pages(session, "ListUsers", lambda iam, more: iam.list_users(MaxItems=PAGE_SIZE, **more))
        for entry in page["Users"]
    ]


def iam_user(entry: UserTypeDef) -> User:
    """A user as ListUsers and GetUser describe them."""
    used = entry.get("PasswordLastUsed")
    return User(
        name=entry["UserName"],
        path=entry["Path"],
        user_id=entry["UserId"],
        created=entry["CreateDate"].astimezone(UTC),
        password_last_used=used.astimezone(UTC) if used else None,
    )


def list_virtual_devices(session: AccountSession) -> tuple[frozenset[str], bool]:
    """User ids with a virtual device assigned now, and whether root has one. Raises AwsFailure."""
    owners: set[str] = set()
    root = False
    for page in _pages(
        session,
        "ListVirtualMFADevices",
        lambda iam, more: iam.list_virtual_mfa_devices(AssignmentStatus="Assigned", MaxItems=PAGE_SIZE, **more),
    ):
        for device in page["VirtualMFADevices"]:
            owner = device.get("User") or {}
            # A user's device may be called root-account-mfa-device: the owner's ARN tells root, not the name.
            if owner.get("Arn", "").endswith(":root"):
                root = True
            elif "UserId" in owner:
                owners.add(owner["UserId"])
    return frozenset(owners), root


def login_profile(session: AccountSession, user: str) -> Fact[LoginProfile]:
    """Whether the user can sign in to the console now. Raises AwsFailure, NotFound where there is no such user."""
    try:
        answer = session.ask("GetLoginProfile", lambda iam: iam.get_login_profile(UserName=user))
    except NotFound as error:
        # IAM has one code for both; only the words tell "The user with name …" from "Login Profile for User …".
        if "user with name" in error.message.lower():
            raise
        return Fact(LoginProfile(None), utc_now())
    profile = answer["LoginProfile"]
    _check_about("GetLoginProfile", user, profile)
    return Fact(LoginProfile(profile["CreateDate"].astimezone(UTC)), utc_now())


def mfa_devices(session: AccountSession, user: str) -> Fact[frozenset[DeviceType]]:
    """The kinds of the user's devices now. Raises AwsFailure, NotFound where there is no such user."""
    kinds: set[DeviceType] = set()
    for page in _pages(
        session, "ListMFADevices", lambda iam, more: iam.list_mfa_devices(UserName=user, MaxItems=PAGE_SIZE, **more)
    ):
        for device in page["MFADevices"]:
            _check_about("ListMFADevices", user, device)
            if kind := device_type(device["SerialNumber"]):
                kinds.add(kind)
    return Fact(frozenset(kinds), utc_now())


def _check_about(operation: str, user: str, answer: Mapping[str, Any]) -> None:
    """A proxy that mixes answers up must not lend one user the devices of another. Raises AwsFailure."""
    # Names differ in more than case.
    if (found := answer.get("UserName", user)).lower() != user.lower():
        raise AwsFailure(operation, "InvalidAnswer", f"asked about {user}, and the answer is about {found}")


def user_tags(session: AccountSession, user: str) -> Fact[Mapping[str, str]]:
    """The user's tags now. Raises AwsFailure, NotFound where there is no such user."""
    tags = {
        tag["Key"]: tag["Value"]
        for page in _pages(
            session, "ListUserTags", lambda iam, more: iam.list_user_tags(UserName=user, MaxItems=PAGE_SIZE, **more)
        )
        for tag in page["Tags"]
    }
    return Fact(tags, utc_now())


def account_summary(session: AccountSession) -> Mapping[str, int]:
    """GetAccountSummary's map: AccountMFAEnabled and AccountAccessKeysPresent speak of root. Raises AwsFailure."""
    answer = session.ask("GetAccountSummary", lambda iam: iam.get_account_summary())
    return {str(key): value for key, value in answer["SummaryMap"].items()}


def _pages(session: AccountSession, operation: str, question: Callable[..., Any]) -> Iterable[Any]:
    more: Mapping[str, Any] = {}
    while True:
        page = session.ask(operation, partial(question, more=more))
        yield page
        if not page.get("IsTruncated"):
            return
        before, more = more, {"Marker": page.get("Marker")}
        if not more["Marker"] or more == before:
            # Asked for once more, the same page would come for ever.
            raise AwsFailure(operation, "InvalidAnswer", "more is to come, and the answer does not say from where on")
