"""After a restart: what the last report tells of is not asked again, and no verdict is worse for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfa_operator.api.enums import DeviceType, FindingState, UserState
from mfa_operator.api.status import Finding
from tests.unit.facts import HOUR, MINUTE, spec
from tests.unit.fake_iam import Clock, FakeIam, Person, Watch, expected_state

QUARTER = 15 * MINUTE
KEY, VIRTUAL, TOKEN = DeviceType.SECURITY_KEY, DeviceType.VIRTUAL, DeviceType.HARDWARE_TOKEN
VIOLATORS = 8
LIVE = ("GetLoginProfile", "ListMFADevices")


def company() -> FakeIam:
    """Eight violators, two with passkeys, ten with an app."""
    iam = FakeIam(Clock())
    for number in range(20):
        devices = set() if number < VIOLATORS else {KEY} if number < 10 else {VIRTUAL}
        iam.add(f"user-{number:02}", password=iam.clock.utc_now(), devices=devices)
    iam.clock.advance(timedelta(days=1))
    return iam


@pytest.fixture
def watch() -> Watch:
    made = Watch(company(), spec(gracePeriod="72h"))
    made.audit()
    made.iam.clock.advance(QUARTER)
    return made


def asked(watch: Watch) -> set[str]:
    """Who was asked about live in the pass that follows a restart."""
    again = watch.restarted()
    again.audit()
    return {user for operation, user in again.iam.asked if operation in LIVE}


PASSKEYS = {"user-08", "user-09"}


def test_a_restart_costs_half_of_a_first_pass_at_most(watch: Watch) -> None:
    first = Watch(watch.iam, watch.policy)
    first.audit()
    cost = first.iam.calls.total()
    again = watch.restarted()
    before = watch.report
    again.audit()
    assert again.iam.calls == Counter(
        GetCredentialReport=1, ListUsers=1, ListVirtualMFADevices=1, ListMFADevices=len(PASSKEYS)
    )
    assert again.iam.calls.total() <= cost / 2
    assert before is not None
    assert again.report is not None
    assert again.report.findings == before.findings


def test_passes_after_it_ask_nobody(watch: Watch) -> None:
    again = watch.restarted()
    again.audit()
    again.iam.clock.advance(QUARTER)
    again.audit()
    assert not again.iam.asked


def test_a_new_credential_report_has_everybody_asked(watch: Watch) -> None:
    watch.iam.clock.advance(4 * HOUR)
    assert len(asked(watch)) == VIOLATORS + len(PASSKEYS)


def test_a_person_who_asks_gets_answers_from_now(watch: Watch) -> None:
    again = watch.restarted()
    again.audit(fresh=True)
    assert again.iam.calls["ListMFADevices"] == VIOLATORS + len(PASSKEYS)


def test_whose_deadline_came_meanwhile_is_asked(watch: Watch) -> None:
    """Overdue is nobody on an older look."""
    watch.iam.clock.advance(69 * HOUR)
    watch.audit()
    watch.iam.clock.advance(3 * HOUR)
    assert len(asked(watch)) == VIOLATORS + len(PASSKEYS)


def test_a_user_made_again_under_the_same_name_is_asked(watch: Watch) -> None:
    iam = watch.iam
    iam.add("user-03", password=iam.clock.utc_now(), devices={KEY})
    assert asked(watch) == PASSKEYS | {"user-03"}


def test_who_has_an_app_since_is_asked_where_apps_do_not_count(watch: Watch) -> None:
    """The list of virtual devices puts the old look in doubt: the reason is another one."""
    strict = Watch(watch.iam, spec(requirement={"deviceTypes": ["SecurityKey"]}))
    strict.audit()
    strict.iam.people["user-03"].devices = {VIRTUAL}
    again = strict.restarted()
    audit = again.audit()
    assert ("ListMFADevices", "user-03") in again.iam.asked
    assert {one.reason for one in audit.report.findings if one.user == "user-03"} == {"DeviceTypeNotAllowed"}


def test_a_restored_and_dropped_entry_is_not_restored_again(watch: Watch) -> None:
    again = watch.restarted()
    again.audit()
    again.auditor.collector(again.iam.account).forget_user(again.iam.people["user-03"].user_id)
    again.audit()
    assert {user for _, user in again.iam.asked} == {"user-03"}


def test_a_clock_set_back_restores_nothing_from_the_future(watch: Watch) -> None:
    watch.iam.clock.advance(-HOUR)
    assert len(asked(watch)) == VIOLATORS + len(PASSKEYS)


@pytest.mark.parametrize(
    "change",
    [
        lambda one: msgspec.structs.replace(one, user_id=""),
        lambda one: msgspec.structs.replace(one, checked_at=None),
        lambda one: msgspec.structs.replace(one, state=FindingState.UNKNOWN, reason="LookupFailed"),
        lambda one: msgspec.structs.replace(one, reason="DeviceTypeNotAllowed"),
        lambda one: msgspec.structs.replace(one, console_since=None),
    ],
    ids=["no user id", "no time", "unknown", "devices", "no login profile"],
)
def test_a_finding_that_does_not_say_enough_has_its_user_asked(
    watch: Watch, change: Callable[[Finding], Finding]
) -> None:
    """Of a release that did not write it, or of a report too large for all of it."""
    assert watch.report is not None
    findings = watch.report.findings
    watch.report = msgspec.structs.replace(watch.report, findings=(change(findings[0]), *findings[1:]))
    assert asked(watch) == PASSKEYS | {"user-00"}


# What can happen between the end of one process and the first pass of the next.
TRACED = ("sign in", "app on", "app off", "made again", "deleted", "joined", "nothing")
"""Seen in the lists of a pass, or no change of a verdict at all."""
UNTRACED = ("key on", "key off", "token for key", "password off", "password on")
"""Not seen before the next credential report, or a live look."""


DEVICES = {
    "app on": lambda has: has | {VIRTUAL},
    "app off": lambda has: has - {VIRTUAL},
    "key on": lambda has: has | {KEY},
    "key off": lambda has: has - {KEY},
    "token for key": lambda has: has - {KEY} | {TOKEN} if KEY in has else has,
}


def happen(iam: FakeIam, what: str, person: Person) -> None:
    now = iam.clock.utc_now()
    if what in DEVICES:
        person.devices = DEVICES[what](person.devices)
    elif what == "sign in" and person.password:
        person.signed_in = now
    elif what == "made again" and person.name in iam.people:
        iam.add(person.name, password=now, devices={KEY} if person.devices else set())
    elif what == "deleted":
        iam.people.pop(person.name, None)
    elif what == "joined":
        iam.add(f"new-{len(iam.people)}", password=now)
    elif what == "password off":
        person.password = None
    elif what == "password on":
        person.password = person.password or now


PEOPLE = st.lists(
    st.tuples(st.booleans(), st.sets(st.sampled_from([VIRTUAL, KEY, TOKEN]), max_size=2)), min_size=1, max_size=6
)


def events(kinds: tuple[str, ...]) -> st.SearchStrategy[list[tuple[str, int]]]:
    return st.lists(st.tuples(st.sampled_from(kinds), st.integers(0, 5)), max_size=6)


SPECS = st.fixed_dictionaries(
    {
        "requirement": st.fixed_dictionaries(
            {
                "users": st.sampled_from(["Console", "All"]),
                "deviceTypes": st.sampled_from(
                    [["Virtual", "SecurityKey", "HardwareToken"], ["SecurityKey"], ["Virtual", "HardwareToken"]]
                ),
            }
        ),
        "exemptions": st.sampled_from([[], [{"users": ["user-0"], "reason": "sealed"}]]),
    }
)


def played(people: list[tuple[bool, set[DeviceType]]], happened: list[tuple[str, int]], watch: Watch) -> None:
    iam = watch.iam
    for number, (password, devices) in enumerate(people):
        iam.add(f"user-{number}", password=iam.clock.utc_now() if password else None, devices=set(devices))
    iam.clock.advance(timedelta(days=1))
    watch.audit()
    everybody = list(iam.people.values())
    for what, number in happened:
        iam.clock.advance(MINUTE)
        happen(iam, what, everybody[number % len(everybody)])
    iam.clock.advance(10 * MINUTE)


def first_pass(watch: Watch) -> Watch:
    """A process that restores nothing, as the report does not say when it was checked."""
    other = watch.restarted()
    assert other.report is not None
    findings = tuple(msgspec.structs.replace(finding, checked_at=None) for finding in other.report.findings)
    other.report = msgspec.structs.replace(other.report, findings=findings)
    return other


def truth(watch: Watch) -> dict[str, UserState]:
    exempt = {user for one in watch.policy.exemptions for user in one.users}
    said = {name: expected_state(watch.policy, person) for name, person in watch.iam.people.items()}
    return {
        name: UserState.EXEMPT if state is UserState.VIOLATING and name in exempt else state
        for name, state in said.items()
    }


@settings(max_examples=150, deadline=None, derandomize=True)
@given(PEOPLE, events(TRACED), SPECS)
def test_over_random_worlds_the_verdicts_are_those_of_the_oracle(
    people: list[tuple[bool, set[DeviceType]]], happened: list[tuple[str, int]], fields: dict[str, object]
) -> None:
    """Whatever leaves a trace in the lists is seen, as by a first pass and by a process that never stopped."""
    watch = Watch(FakeIam(Clock()), spec(**fields))
    played(people, happened, watch)
    expected = truth(watch)
    assert watch.restarted().states() == expected
    assert first_pass(watch).states() == expected


@settings(max_examples=150, deadline=None, derandomize=True)
@given(PEOPLE, events(TRACED + UNTRACED), SPECS)
def test_whatever_happened_a_restart_makes_nobody_look_better(
    people: list[tuple[bool, set[DeviceType]]], happened: list[tuple[str, int]], fields: dict[str, object]
) -> None:
    """Who differs from a first pass is the violator of the last report still, as for a process that never stopped."""
    watch = Watch(FakeIam(Clock()), spec(**fields))
    played(people, happened, watch)
    restarted, first = watch.restarted().states(), first_pass(watch).states()
    went_on = watch.states()
    bad = {UserState.VIOLATING, UserState.EXEMPT, UserState.OVERDUE}
    for user, state in restarted.items():
        assert state == first[user] or (state in bad and state == went_on[user]), user
