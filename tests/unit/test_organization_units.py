"""Walking an organization's units: every account below a unit is found, or the walk is an error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from mfa_operator.aws.errors import AwsFailure
from mfa_operator.aws.organization_units import UnitWalk

PARENT, CHILD, ACCOUNT = "ou-ab12-parent00", "ou-ab12-child000", "111122223333"


class Units:
    """Answers ListChildren; a unit without an entry does not exist."""

    def __init__(self) -> None:
        self.units = {PARENT: [CHILD], CHILD: []}
        self.accounts: dict[str, list[str]] = {CHILD: [ACCOUNT]}
        self.without_id = False

    def pages(self, _operation: str, _field: str, *, ParentId: str, ChildType: str) -> Iterable[Mapping[str, str]]:  # noqa: N803 - AWS's own
        if ParentId not in self.units:
            raise AwsFailure("ListChildren", "ParentNotFoundException", "no such parent")
        if ChildType == "ORGANIZATIONAL_UNIT":
            return [{"Id": unit} for unit in self.units[ParentId]]
        accounts = self.accounts.get(ParentId, [])
        return [{} if self.without_id else {"Id": account} for account in accounts]

    def move_up(self) -> None:
        """The account goes to the parent, and the child is removed."""
        del self.units[CHILD]
        self.accounts = {PARENT: [ACCOUNT]}


def test_a_unit_removed_while_it_is_walked_is_an_error() -> None:
    """Taken for empty, its accounts would count as outside an excluded unit, and be audited and remediated."""
    organization = Units()
    walk = UnitWalk(organization.pages)

    def moved(_: str) -> None:
        if CHILD in organization.units:
            organization.move_up()

    with pytest.raises(AwsFailure, match=CHILD):
        walk.below({PARENT}, moved)

    # What was remembered names the removed unit: the next walk asks again.
    organization.units[PARENT] = []
    assert walk.below({PARENT}, lambda _: None).units_of == {ACCOUNT: (PARENT,)}


def test_a_unit_that_only_the_spec_names_is_unknown() -> None:
    assert UnitWalk(Units().pages).below({"ou-ab12-strange0"}, lambda _: None).unknown == {"ou-ab12-strange0"}


def test_an_account_without_id_is_an_error() -> None:
    organization = Units()
    organization.without_id = True
    with pytest.raises(AwsFailure, match="without Id"):
        UnitWalk(organization.pages).below({PARENT}, lambda _: None)
