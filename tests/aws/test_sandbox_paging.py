"""The sandbox's paging: everything once, in pages as long as asked for, whatever comes and goes in between."""

from typing import TYPE_CHECKING, Any

import pytest

from mfa_sandbox.aws import Account

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient


@pytest.fixture
def people(account: Account) -> Account:
    """205 users with a virtual device and one policy each; the first has 5 devices and 5 policies more."""
    for number in range(205):
        account.user(f"user-{number:03}", mfa=["virtual"]).attach_policy("shared")
    first = account.existing_user("user-000")
    for number in range(5):
        first.add_mfa("hardware")
        first.attach_policy(f"extra-{number}")
        first.tag(f"tag-{number}", "x")
    return account


@pytest.mark.parametrize(
    ("operation", "element", "arguments", "number"),
    [
        ("list_users", "Users", {}, 205),
        ("list_virtual_mfa_devices", "VirtualMFADevices", {"AssignmentStatus": "Assigned"}, 205),
        ("list_entities_for_policy", "PolicyUsers", {"PolicyArn": "shared"}, 205),
        ("list_mfa_devices", "MFADevices", {"UserName": "user-000"}, 6),
        ("list_attached_user_policies", "AttachedPolicies", {"UserName": "user-000"}, 6),
        ("list_policies", "Policies", {"Scope": "Local"}, 6),
        ("list_user_tags", "Tags", {"UserName": "user-000"}, 5),
    ],
)
def test_every_listing_pages(
    people: Account, iam: "IAMClient", operation: str, element: str, arguments: dict[str, Any], number: int
) -> None:
    if "PolicyArn" in arguments:
        arguments = {"PolicyArn": f"arn:aws:iam::{people.id}:policy/shared"}
    for size in (5, number, 1000):
        pages = list(
            iam.get_paginator(operation).paginate(PaginationConfig={"PageSize": size}, **arguments)  # type: ignore[call-overload]  # any of them
        )
        everything = [str(item) for page in pages for item in page[element]]
        assert len(everything) == len(set(everything)) == number
        assert len(pages) == -(-number // size)
        assert [page["IsTruncated"] for page in pages] == [True] * (len(pages) - 1) + [False]


def test_a_page_has_100_by_default(people: Account, iam: "IAMClient") -> None:
    first = iam.list_users()
    assert (len(first["Users"]), first["IsTruncated"]) == (100, True)
    people.existing_user("user-000").delete()
    people.user("aaa")
    second = iam.list_users(Marker=first["Marker"])
    assert second["Users"][0]["UserName"] == "user-100", "neither skipped nor repeated"
