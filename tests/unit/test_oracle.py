"""The verdicts equal those of a naive oracle that asks AWS for everything about every user, live."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfa_operator.api.enums import DeviceType, UserState
from mfa_operator.api.policy import PolicySpec
from tests.unit.facts import ANY, HOUR, ID, MINUTE, NOW, USUAL, spec
from tests.unit.fake_iam import Clock, FakeIam, Person, Watch, expected_state

NAMES = st.text("abcXYZ019+=,.@_-", min_size=1, max_size=8)


def _people(kinds: Iterable[DeviceType]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "password": st.none() | st.just(NOW),
            "signed_in": st.none() | st.sampled_from([NOW - 3 * HOUR, NOW + HOUR]),
            "devices": st.sets(st.sampled_from(sorted(kinds)), max_size=3),
            "path": st.sampled_from(["/", "/service/", "/eng/team/"]),
            "tags": st.sampled_from([{}, {"mfa-exempt": "true"}, {"mfa-exempt": "no", "x": "y"}]),
        }
    )


PEOPLE = _people(ANY)
SOME_TYPES = st.sets(st.sampled_from(DeviceType), min_size=1)
EXEMPTIONS = st.lists(
    st.fixed_dictionaries(
        {"users": st.lists(st.sampled_from(["a*", "/service/*", "*", "[XYZ]*"]), min_size=1, max_size=2, unique=True)},
        optional={
            "tags": st.just({"mfa-exempt": "true"}),
            "accounts": st.sampled_from([[ID], ["444455556666"]]),
            "expires": st.sampled_from(["2025-01-01T00:00:00Z", "2035-01-01T00:00:00Z"]),
        },
    ).map(lambda entry: entry | {"reason": "Because"}),
    max_size=3,
)


@st.composite
def policies(draw: st.DrawFn, /, types: st.SearchStrategy[Any] = SOME_TYPES, **fields: Any) -> PolicySpec:
    requirement = {"users": draw(st.sampled_from(["Console", "All"])), "deviceTypes": sorted(draw(types))}
    return spec(requirement=requirement, exemptions=draw(EXEMPTIONS), **fields)


def expected(policy: PolicySpec, iam: FakeIam) -> dict[str, UserState]:
    return {name: _verdict(policy, person, iam) for name, person in iam.people.items()}


def _verdict(policy: PolicySpec, person: Person, iam: FakeIam) -> UserState:
    state = expected_state(policy, person)
    if state is not UserState.VIOLATING:
        return state
    for exemption in policy.exemptions:
        named = any(
            fnmatchcase(person.path + person.name if glob[0] == "/" else person.name, glob) for glob in exemption.users
        )
        here = not exemption.accounts or ID in exemption.accounts
        alive = exemption.expires is None or exemption.expires > iam.clock.moment
        if named and here and alive and all(person.tags.get(key) == value for key, value in exemption.tags.items()):
            return UserState.EXEMPT
    return state


def inhabited(people: dict[str, dict[str, Any]]) -> FakeIam:
    iam = FakeIam(Clock(NOW))
    for name, fields in people.items():
        iam.add(name, **fields)
    iam.clock.advance(2 * HOUR)
    return iam


@settings(max_examples=150)
@given(st.dictionaries(NAMES, PEOPLE, max_size=8), policies())
def test_with_a_new_report_two_passes_are_exact_and_agree(
    people: dict[str, dict[str, Any]], policy: PolicySpec
) -> None:
    iam = inhabited(people)
    watch = Watch(iam, policy)
    assert watch.states() == expected(policy, iam)
    first = watch.report
    iam.clock.advance(15 * MINUTE)
    assert watch.states() == expected(policy, iam)
    assert watch.report is not None
    assert first is not None
    assert watch.report.findings == first.findings


Change = Callable[[FakeIam, Person], None]


def _new_password(iam: FakeIam, one: Person) -> None:
    one.password = iam.clock.moment


def _no_password(iam: FakeIam, one: Person) -> None:
    one.password = None


def _sign_in(iam: FakeIam, one: Person) -> None:
    if one.password:
        one.signed_in = iam.clock.moment


def _delete(iam: FakeIam, one: Person) -> None:
    del iam.people[one.name]


def _recreate(iam: FakeIam, one: Person) -> None:
    iam.add(one.name, path=one.path, password=iam.clock.moment)


def _retag(iam: FakeIam, one: Person) -> None:
    one.tags = {} if one.tags else {"mfa-exempt": "true"}


def _exchange(kinds: set[DeviceType]) -> Change:
    def change(iam: FakeIam, one: Person) -> None:
        one.devices = kinds

    return change


CHANGES: Sequence[Change] = (
    *(_new_password, _no_password, _sign_in, _delete, _recreate, _retag),
    *(_exchange(kinds) for kinds in ({DeviceType.VIRTUAL}, {DeviceType.SECURITY_KEY}, {DeviceType.SMS}, set())),
)
STORIES = st.lists(st.lists(st.tuples(st.sampled_from(CHANGES), st.integers(0, 7)), max_size=4), max_size=4)


@settings(max_examples=60)
@given(st.dictionaries(NAMES, PEOPLE, max_size=6), STORIES, policies(maxStaleness="0s"), st.sampled_from([15, 300]))
def test_with_zero_staleness_every_pass_is_exact(
    people: dict[str, dict[str, Any]], story: list[list[tuple[Change, int]]], policy: PolicySpec, minutes: int
) -> None:
    _every_pass_is_exact(people, story, policy, minutes, new_report=False)


@settings(max_examples=60)
@given(
    st.dictionaries(NAMES, _people(USUAL), max_size=6),
    STORIES,
    policies(st.sampled_from([USUAL, ANY])),
    st.sampled_from([15, 300]),
)
def test_a_pass_with_a_report_newer_than_all_changes_is_exact(
    people: dict[str, dict[str, Any]], story: list[list[tuple[Change, int]]], policy: PolicySpec, minutes: int
) -> None:
    """But for one device exchanged for another of a type that is not accepted: that takes up to maxStaleness."""
    offered = [[(change, index) for change, index in part if change is not CHANGES[-2]] for part in story]
    _every_pass_is_exact(people, offered, policy, minutes, new_report=True)


def _every_pass_is_exact(
    people: dict[str, dict[str, Any]],
    story: list[list[tuple[Change, int]]],
    policy: PolicySpec,
    minutes: int,
    *,
    new_report: bool,
) -> None:
    iam = inhabited(people)
    watch = Watch(iam, policy)
    for part in [[], *story]:
        iam.clock.advance(timedelta(minutes=minutes))
        for change, index in part:
            here = list(iam.people.values())
            if here:
                change(iam, here[index % len(here)])
        if new_report:
            iam.clock.advance(MINUTE)
            iam.make_report()
        iam.clock.advance(MINUTE)
        assert watch.states() == expected(policy, iam)


@pytest.mark.parametrize("types", [list(DeviceType), sorted(USUAL)])
@settings(max_examples=60)
@given(people=st.dictionaries(NAMES, PEOPLE, min_size=1, max_size=6), story=STORIES)
def test_what_the_lists_show_is_right_at_the_next_pass(
    types: list[str], people: dict[str, dict[str, Any]], story: list[list[tuple[Change, int]]]
) -> None:
    """New users, deleted ones, recreated ones, and whoever gets or loses a virtual device."""
    policy = spec(requirement={"deviceTypes": types})
    told = [_delete, _recreate, _toggle_virtual]
    iam = inhabited({name: fields | {"signed_in": None} for name, fields in people.items()})
    iam.make_report()
    watch = Watch(iam, policy)
    watch.audit()
    for part in story:
        iam.clock.advance(15 * MINUTE)
        for _, index in part:
            here = list(iam.people.values())
            if here:
                told[index % len(told)](iam, here[index % len(here)])
        iam.add(f"new-{iam.clock.moment:%H%M}", password=iam.clock.moment)
        assert watch.states() == expected(policy, iam)


def _toggle_virtual(iam: FakeIam, one: Person) -> None:
    one.devices = one.devices ^ {DeviceType.VIRTUAL}
