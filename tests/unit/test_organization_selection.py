"""Which accounts of a listing a policy audits: against a naive reading of the spec, over random organizations."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfa_operator.api.conversion import from_dict
from mfa_operator.api.organization import Organization
from mfa_operator.organization.account_list import AccountList, merged
from mfa_operator.organization.listing import Listing, Member, MemberState
from mfa_operator.organization.selection import NotAsked, Selection, Selector, Skipped, UnknownUnits, select
from tests.unit.facts import NOW, spec

ROOT, PROD, PAYMENTS, DEV = "r-ab12", "ou-ab12-prod0000", "ou-ab12-payments", "ou-ab12-dev00000"
PATHS = ((ROOT,), (ROOT, PROD), (ROOT, PROD, PAYMENTS), (ROOT, DEV))
UNITS = [ROOT, PROD, PAYMENTS, DEV]
IDS = [f"{number:012}" for number in range(12)]
TAGS = [{}, {"env": "prod"}, {"env": "dev"}, {"env": "prod", "team": "a"}, {"team": "a"}]


def organization(**fields: Any) -> Organization:
    return from_dict(Organization, fields, at="spec.organization")


def listing(*members: Member, **fields: Any) -> Listing:
    usual: dict[str, Any] = {
        "organization_id": "o-abcdefghij",
        "management_id": IDS[0],
        "partition": "aws",
        "listed_at": NOW,
        "units": frozenset(UNITS),
    }
    return Listing(members=members, **(usual | fields))


def ids(selection: Selection) -> set[str]:
    return {member.id for member in selection.audited}


MEMBERS = st.lists(
    st.builds(
        Member,
        id=st.sampled_from(IDS),
        state=st.sampled_from([*MemberState, *[MemberState.ACTIVE] * 4, "MERGED"]),
        units=st.sampled_from(PATHS),
        tags=st.sampled_from(TAGS),
    ),
    unique_by=lambda member: member.id,
)
SOME_UNITS = st.lists(st.sampled_from(UNITS), min_size=1, max_size=2, unique=True)
SOME_TAGS = st.sampled_from(TAGS[1:])


def sides(**more: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={"organizationalUnits": SOME_UNITS, "tags": SOME_TAGS, **more})


SPECS = st.builds(
    organization,
    include=sides(),
    exclude=sides(accounts=st.lists(st.sampled_from(IDS), min_size=1, max_size=3, unique=True)),
)


def wanted(spec: Organization, member: Member) -> bool:
    """The spec as it reads, one sentence after the other."""
    tags = dict(member.tags or {})
    above = list(member.units)
    if spec.include.organizational_units and not [u for u in spec.include.organizational_units if u in above]:
        return False
    if any(tags.get(key) != value for key, value in spec.include.tags.items()):
        return False
    if [u for u in spec.exclude.organizational_units if u in above] or member.id in spec.exclude.accounts:
        return False
    return not (spec.exclude.tags and all(tags.get(key) == value for key, value in spec.exclude.tags.items()))


@given(SPECS, MEMBERS)
def test_everybody_is_audited_or_skipped_as_the_spec_reads(spec: Organization, members: list[Member]) -> None:
    found = select(spec, listing(*members))
    active = [member for member in members if member.state == "ACTIVE"]
    assert ids(found) == {member.id for member in active if wanted(spec, member)}
    assert ids(found) | set(found.skipped) == {member.id for member in members}
    assert not ids(found) & set(found.skipped)
    assert found.inactive == len(members) - len(active)
    assert found.excluded == len(active) - len(found.audited)


@given(SPECS, MEMBERS)
def test_what_was_not_asked_is_never_decided(spec: Organization, members: list[Member]) -> None:
    """Without tags the answer is the same as with them, or none."""
    bare = [Member(id=each.id, state=each.state, units=each.units) for each in members]
    try:
        found = select(spec, listing(*bare))
    except NotAsked:
        assert any(Selector(spec).needs_tags(member) for member in members)
    else:
        assert ids(found) == ids(select(spec, listing(*members)))


def test_each_state_has_its_word() -> None:
    members = [Member(id=IDS[number], state=state) for number, state in enumerate([*MemberState, "MERGED"])]
    found = select(organization(), listing(*members))
    assert ids(found) == {IDS[0]}
    assert list(found.skipped.values()) == [
        Skipped.SUSPENDED,
        Skipped.PENDING_CLOSURE,
        Skipped.CLOSED,
        Skipped.PENDING_ACTIVATION,
        Skipped.UNKNOWN_STATE,
    ]


@pytest.mark.parametrize("side", ["include", "exclude"])
def test_a_unit_that_is_not_there_decides_nothing(side: str) -> None:
    strange = "ou-ab12-mistyped"
    wrong = organization(**{side: {"organizationalUnits": [PROD, strange]}})
    with pytest.raises(UnknownUnits, match=f"^{strange}$"):
        select(wrong, listing(unknown_units=frozenset({strange})))
    with pytest.raises(NotAsked, match=strange):
        select(wrong, listing())


def test_typed_entries_win_and_get_the_discovered_name() -> None:
    typed = [
        {"id": IDS[1], "name": "ours", "roleArn": f"arn:aws:iam::{IDS[1]}:role/x"},
        {"id": IDS[2]},
        {"id": "999988887777"},
    ]
    policy = spec(accounts=typed, organization={"accountRole": {"name": "audit", "path": "/s/", "externalId": "acme"}})
    members = [Member(id=each, name=f"account {each}") for each in IDS[1:4]]
    first, second, third, fourth = merged(policy, "aws-cn", members)
    assert (first.name, first.role_arn) == ("ours", f"arn:aws:iam::{IDS[1]}:role/x")
    assert (second.name, second.role_arn) == (f"account {IDS[2]}", None)
    assert (third.id, third.name) == ("999988887777", "")
    assert (fourth.role_arn, fourth.external_id) == (f"arn:aws-cn:iam::{IDS[3]}:role/s/audit", "acme")


def test_names_are_one_line_and_fit_the_status() -> None:
    policy = spec(accounts=[{"id": IDS[1]}], organization={})
    _, account = merged(policy, "aws", [Member(id=IDS[2], name="a\x1b[31m\n" + "b" * 127)])
    assert account.name.isprintable()
    assert len(account.name) == 64


def test_an_account_joins_for_an_hour() -> None:
    member = Member(id=IDS[1], joined=NOW - timedelta(minutes=59))
    found = AccountList(members={IDS[1]: member})
    assert found.joined_lately(IDS[1], NOW) == member.joined
    assert found.joined_lately(IDS[1], NOW + timedelta(minutes=1)) is None
    assert found.joined_lately(IDS[2], NOW) is None
