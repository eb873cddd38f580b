"""Listing an organization on the embedded AWS: complete, or an error that says why not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from mfa_operator.api.conversion import from_dict
from mfa_operator.api.organization import Organization as Spec
from mfa_operator.aws import organization as lister_module
from mfa_operator.aws.errors import AwsFailure, Denied, RoleDenied, Throttled
from mfa_operator.aws.organization import Lister, OrganizationLister
from mfa_operator.organization.listing import Listing, Member
from mfa_sandbox.aws import EmbeddedAws, Organization
from tests.aws.audit_world import auditing

PAYMENTS, SHOP, OTHER = "111122223333", "222233334444", "333344445555"
JOINED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def spec(**fields: Any) -> Spec:
    return from_dict(Spec, fields, at="spec.organization")


@pytest.fixture
def organization(aws: EmbeddedAws) -> Organization:
    """An organization whose management account is the operator's own, with a unit in a unit."""
    made = aws.world.create_organization()
    prod = made.unit("Production")
    made.join(PAYMENTS, "payments", made.unit("Payments", prod), joined=JOINED, tags={"env": "prod"})
    made.join(SHOP, "shop", prod, joined=JOINED)
    made.join(OTHER, "other", joined=JOINED, state="SUSPENDED")
    return made


def unit(organization: Organization, name: str) -> str:
    return next(each.id for each in organization.units.values() if each.name == name)


@pytest.fixture
def lister(aws: EmbeddedAws, organization: Organization) -> Iterator[OrganizationLister]:
    with auditing(aws) as op:
        yield OrganizationLister(op.sessions, Lister())


@pytest.fixture
def listed(lister: OrganizationLister) -> Callable[..., Listing]:
    def run(*specs: Spec) -> Listing:
        return lister.list(specs or (spec(),), lambda _: None)

    return run


def by_id(listing: Listing) -> dict[str, Member]:
    return {member.id: member for member in listing.members}


def calls(aws: EmbeddedAws, operation: str) -> int:
    return aws.calls.count(operation=operation)


def test_everybody_is_listed_with_units_and_state(
    aws: EmbeddedAws, organization: Organization, listed: Callable[..., Listing]
) -> None:
    found = listed()
    assert (found.organization_id, found.management_id, found.partition) == (
        organization.id,
        aws.world.home_id,
        "aws",
    )
    root, prod, payments = organization.root.id, unit(organization, "Production"), unit(organization, "Payments")
    assert by_id(found)[PAYMENTS] == Member(PAYMENTS, "payments", "ACTIVE", JOINED, (root, prod, payments))
    assert by_id(found)[OTHER] == Member(OTHER, "other", "SUSPENDED", JOINED, (root,))
    assert found.units == {root, prod, payments}


@pytest.mark.parametrize("words", ["both", "State", "Status"])
def test_state_is_read_from_either_word(organization: Organization, listed: Callable[..., Listing], words: Any) -> None:
    organization.state_members = words
    assert [member.state for member in sorted(listed().members, key=lambda each: each.id)].count("SUSPENDED") == 1


def test_empty_pages_hide_nobody(organization: Organization, listed: Callable[..., Listing]) -> None:
    organization.empty_pages, organization.page_size = True, 1
    assert len(listed().members) == 4


def test_without_paths_the_units_of_the_spec_are_walked(
    organization: Organization, listed: Callable[..., Listing]
) -> None:
    organization.paths = False
    prod, payments = unit(organization, "Production"), unit(organization, "Payments")
    assert by_id(listed())[PAYMENTS].units == ()
    found = listed(spec(include={"organizationalUnits": [prod]}), spec(exclude={"organizationalUnits": [payments]}))
    assert by_id(found)[PAYMENTS].units == (prod, payments)
    assert by_id(found)[SHOP].units == (prod,)
    assert by_id(found)[OTHER].units == ()
    assert found.units == {prod, payments}


@pytest.mark.parametrize("paths", [True, False], ids=["with paths", "without"])
def test_everybody_is_below_the_root(organization: Organization, listed: Callable[..., Listing], paths: bool) -> None:
    organization.paths = paths
    found = listed(spec(include={"organizationalUnits": [organization.root.id]}))
    assert organization.root.id in found.units
    assert all(organization.root.id in member.units for member in found.members)


@pytest.mark.parametrize("paths", [True, False], ids=["with paths", "without"])
def test_an_empty_unit_is_known_and_a_strange_one_is_not(
    organization: Organization, listed: Callable[..., Listing], paths: bool
) -> None:
    organization.paths = paths
    empty = organization.unit("Empty").id
    strange = ["ou-zz99-zzzz9999", "r-zz99"]
    found = listed(spec(include={"organizationalUnits": [empty, *strange]}))
    assert empty in found.units
    assert found.unknown_units == set(strange)


def test_tags_are_read_where_they_decide_and_nowhere_else(
    aws: EmbeddedAws, organization: Organization, listed: Callable[..., Listing]
) -> None:
    listed()
    assert calls(aws, "ListTagsForResource") == 0
    prod = unit(organization, "Production")
    by_tag = spec(include={"organizationalUnits": [prod], "tags": {"env": "prod"}}, exclude={"accounts": [SHOP]})
    assert by_id(listed(by_tag))[PAYMENTS].tags == {"env": "prod"}
    # Suspended, outside the unit or excluded: whatever their tags, they are not audited.
    assert calls(aws, "ListTagsForResource") == 1
    listed(by_tag)
    assert calls(aws, "ListTagsForResource") == 1


def test_throttling_delays_and_loses_nothing(
    organization: Organization, listed: Callable[..., Listing], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mfa_operator.aws.retry.pause", lambda _, stopping: stopping.wait(0.01))
    organization.page_size = 1
    organization.throttle(per_second=20.0, burst=1)
    assert len(listed().members) == 4


def test_throttling_without_end_is_an_error(
    organization: Organization, listed: Callable[..., Listing], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lister_module, "PATIENCE", 0.0)
    organization.throttle(per_second=0.0001, burst=0)
    with pytest.raises(Throttled):
        listed()


def test_a_denial_names_the_call(aws: EmbeddedAws, organization: Organization) -> None:
    aws.world.account(PAYMENTS)
    role = f"arn:aws:iam::{PAYMENTS}:role/mfa-operator"
    with auditing(aws) as op, pytest.raises(Denied, match="ListAccounts: AccessDenied"):
        OrganizationLister(op.sessions, Lister(role)).list([spec()], lambda _: None)


def test_a_delegated_account_lists_as_the_management_account(aws: EmbeddedAws, organization: Organization) -> None:
    aws.world.account(PAYMENTS)
    organization.delegate(PAYMENTS)
    role = f"arn:aws:iam::{PAYMENTS}:role/mfa-operator"
    with auditing(aws) as op:
        found = OrganizationLister(op.sessions, Lister(role)).list([spec()], lambda _: None)
    assert len(found.members) == 4


def test_a_role_that_refuses_is_an_error(aws: EmbeddedAws, organization: Organization) -> None:
    role = f"arn:aws:iam::{SHOP}:role/nobody-made-this"
    with auditing(aws) as op, pytest.raises(RoleDenied, match="nobody-made-this"):
        OrganizationLister(op.sessions, Lister(role)).list([spec()], lambda _: None)


def test_no_organization_is_an_error(aws: EmbeddedAws) -> None:
    with auditing(aws) as op, pytest.raises(AwsFailure) as failed:
        OrganizationLister(op.sessions, Lister()).list([spec()], lambda _: None)
    assert failed.value.code == "AWSOrganizationsNotInUseException"


def test_progress_counts_the_accounts(lister: OrganizationLister) -> None:
    said: list[str] = []
    lister.list([spec()], said.append)
    assert said[-1] == "4 accounts so far"


class TestMoves:
    """Accounts are moved between two units while these are walked, as AWS gives no Paths."""

    @pytest.fixture
    def units(self, organization: Organization) -> tuple[str, str]:
        """Two units of the root, the one that is walked first before the other."""
        organization.paths = False
        second, first = sorted((organization.unit("A"), organization.unit("B")), key=lambda each: each.id)
        organization.move(SHOP, second)
        return first.id, second.id

    def moving(
        self, lister: OrganizationLister, organization: Organization, units: tuple[str, str], times: int
    ) -> Callable[..., Any]:
        """Asks AWS; once the unit without shop has answered, shop moves there."""
        ask, moves = lister._ask, iter(range(times))

        def asked(operation: str, **fields: Any) -> Any:
            found = ask(operation, **fields)
            ours = fields.get("ParentId") in units and fields.get("ChildType") == "ACCOUNT"
            if ours and SHOP not in {child["Id"] for child in found["Children"]} and next(moves, None) is not None:
                organization.move(SHOP, organization.units[fields["ParentId"]])
            return found

        return asked

    @pytest.mark.parametrize("which", ["include", "exclude"])
    def test_who_is_moved_is_in_a_unit_all_the_same(
        self,
        lister: OrganizationLister,
        organization: Organization,
        units: tuple[str, str],
        monkeypatch: pytest.MonkeyPatch,
        which: str,
    ) -> None:
        wanted = [spec(**{which: {"organizationalUnits": list(units)}})]
        for _ in range(2):
            monkeypatch.setattr(lister, "_ask", self.moving(lister, organization, units, 1))
            found = lister.list(wanted, lambda _: None)
            assert set(by_id(found)[SHOP].units) & set(units)

    def test_moves_without_end_are_an_error(
        self,
        lister: OrganizationLister,
        organization: Organization,
        units: tuple[str, str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Each walk finds shop in the other unit than the one before."""
        ask, places = lister._ask, itertools.cycle(units)

        def asked(operation: str, **fields: Any) -> Any:
            found = ask(operation, **fields)
            if (fields.get("ParentId"), fields.get("ChildType")) == (units[1], "ACCOUNT"):
                organization.move(SHOP, organization.units[next(places)])
            return found

        monkeypatch.setattr(lister, "_ask", asked)
        with pytest.raises(AwsFailure, match="no two of 4 listings agree"):
            lister.list([spec(include={"organizationalUnits": list(units)})], lambda _: None)


class TestStrangeAnswers:
    """What AWS never answers, and a proxy or a newer AWS may: an error, never a shorter list."""

    @pytest.fixture
    def answer(self, lister: OrganizationLister, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any], None]:
        """Have one operation answer otherwise: with what is made of its answer."""
        ask = lister._ask

        def change(operation: str, into: Any) -> None:
            def changed(asked: str, **fields: Any) -> Any:
                # The sandbox would not know a token that is made up here.
                fields.pop("NextToken", None)
                found = ask(asked, **fields)
                return into(dict(found)) if asked == operation else found

            monkeypatch.setattr(lister, "_ask", changed)

        return change

    @pytest.mark.parametrize(
        ("into", "words"),
        [
            (lambda _: {}, "the answer lacks Accounts"),
            (lambda found: found | {"Accounts": None}, "the answer lacks Accounts"),
            (lambda found: found | {"NextToken": "again"}, "a page token repeats"),
            (lambda _: {"Accounts": [{"Id": "12"}]}, "'12' is not an account id"),
            (lambda found: found | {"Accounts": found["Accounts"][:0]}, "DescribeOrganization|lacks the management"),
            (
                lambda found: {"Accounts": [each for each in found["Accounts"] if each["Name"] != "management"]},
                "lacks the management account",
            ),
        ],
        ids=["empty", "null", "the same token", "no id", "nobody", "without the management account"],
    )
    def test_an_incomplete_list_is_an_error(
        self, lister: OrganizationLister, answer: Callable[[str, Any], None], into: Any, words: str
    ) -> None:
        answer("ListAccounts", into)
        with pytest.raises(AwsFailure, match=words):
            lister.list([spec()], lambda _: None)

    def test_pages_without_end_are_an_error_after_an_hour(
        self, lister: OrganizationLister, answer: Callable[[str, Any], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Empty, and each with another token."""
        count = itertools.count()
        monkeypatch.setattr(lister, "_monotonic", lambda: 60.0 * next(count))
        answer("ListAccounts", lambda _: {"Accounts": [], "NextToken": f"page {next(count)}"})
        with pytest.raises(AwsFailure, match=r"TooSlow: the list does not end: [0-9]+ pages in 60 minutes"):
            lister.list([spec()], lambda _: None)

    def test_units_that_contain_each_other_end_the_walk(
        self, lister: OrganizationLister, organization: Organization, answer: Callable[[str, Any], None]
    ) -> None:
        """As they may seem to, where one is moved while they are walked."""
        organization.paths = False
        prod = unit(organization, "Production")
        answer("ListChildren", lambda found: {"Children": [*found["Children"], {"Id": prod}]})
        found = lister.list([spec(include={"organizationalUnits": [prod]})], lambda _: None)
        assert prod in by_id(found)[SHOP].units

    def test_more_units_than_aws_allows_are_an_error(
        self, lister: OrganizationLister, organization: Organization, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        organization.paths = False
        monkeypatch.setattr("mfa_operator.aws.organization_units.MAX_UNITS", 1)
        with pytest.raises(AwsFailure, match="TooManyUnits"):
            lister.list([spec(include={"organizationalUnits": [unit(organization, "Production")]})], lambda _: None)

    def test_a_second_try_asks_on_where_the_first_one_failed(
        self, aws: EmbeddedAws, lister: OrganizationLister, organization: Organization, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        organization.paths = False
        wanted = [spec(include={"organizationalUnits": [unit(organization, "Production")]})]
        with monkeypatch.context() as patch:
            patch.setattr("mfa_operator.aws.organization_units.MAX_UNITS", 1)
            with pytest.raises(AwsFailure):
                lister.list(wanted, lambda _: None)
        asked = calls(aws, "ListChildren")
        lister.list(wanted, lambda _: None)
        # The rest of the first walk, and a second one that says the same.
        assert calls(aws, "ListChildren") == asked + 1 + 4
        lister.list(wanted, lambda _: None)
        assert calls(aws, "ListChildren") == asked + 1 + 4 + 4
