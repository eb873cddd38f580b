"""Lists that come in pages: what an answer says of the next one is not believed for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mfa_operator.aws.errors import AwsFailure
from mfa_operator.aws.lookups import list_users, list_virtual_devices, mfa_devices, user_tags


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
