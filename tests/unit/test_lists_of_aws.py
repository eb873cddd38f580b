"""What AWS's answers say of themselves is not believed: that more is to come for ever, whom they are about."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from mfa_operator.aws.errors import AwsFailure
from mfa_operator.aws.lookups import list_users, list_virtual_devices, login_profile, mfa_devices, user_tags


class Repeating:
    """A session in which every page says that more is to come, from the same place on."""

    def __init__(self, **marker: str) -> None:
        self.asked = 0
        self.marker = marker

    def ask(self, *_: object) -> dict[str, Any]:
        self.asked += 1
        empty: dict[str, Any] = {"Users": [], "VirtualMFADevices": [], "MFADevices": [], "Tags": []}
        return {**empty, "IsTruncated": True, **self.marker}


@pytest.mark.parametrize("marker", [{"Marker": "a"}, {}], ids=["the same place", "no place"])
@pytest.mark.parametrize(
    "question",
    [
        list_users,
        list_virtual_devices,
        lambda session: mfa_devices(session, "a"),
        lambda session: user_tags(session, "a"),
    ],
    ids=["users", "virtual devices", "devices", "tags"],
)
def test_a_list_without_an_end_is_no_answer(question: Callable[[Any], object], marker: dict[str, str]) -> None:
    session = Repeating(**marker)
    with pytest.raises(AwsFailure, match="more is to come"):
        question(session)
    assert session.asked <= 2


class OfSomebodyElse:
    """A session whose answers are about bob, whoever is asked about."""

    def ask(self, *_: object) -> dict[str, Any]:
        profile = {"UserName": "bob", "CreateDate": datetime(2026, 1, 1, tzinfo=UTC)}
        device = {"UserName": "bob", "SerialNumber": "arn:aws:iam::111122223333:mfa/bob"}
        return {"LoginProfile": profile, "MFADevices": [device]}


@pytest.mark.parametrize("question", [login_profile, mfa_devices])
def test_an_answer_about_another_user_is_no_answer(question: Callable[[Any, str], object]) -> None:
    question(OfSomebodyElse(), "bob")
    with pytest.raises(AwsFailure, match="asked about alice, and the answer is about bob"):
        question(OfSomebodyElse(), "alice")
