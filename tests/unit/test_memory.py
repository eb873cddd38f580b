"""What one pass leaves to the next, and what puts it in doubt."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from mfa_operator.api.enums import DeviceType, FindingReason
from mfa_operator.evaluation.facts import Fact, LoginProfile, ReportRow, User, UserFacts
from mfa_operator.evaluation.lookup_cache import Memory, forget, pack, recall, remember, unpack
from tests.unit.facts import (
    ANY,
    HOUR,
    MINUTE,
    NOW,
    REPORTED,
    USUAL,
    devices,
    facts,
    profile,
    row,
    tags,
    violator,
    virtual,
)

KEY, SMS = DeviceType.SECURITY_KEY, DeviceType.SMS
NEXT = NOW + 15 * MINUTE
NEWER = NOW + 10 * MINUTE
"""GeneratedTime of a report that was made after the live reads."""


def memory_of(*users: UserFacts) -> Memory:
    return remember(users, virtual_devices_known=True, before=Memory())


def recalled(
    now_known: UserFacts,
    memory: Memory,
    *,
    accepted: Iterable[DeviceType] = USUAL,
    report_time: datetime | None = REPORTED,
    deadline: datetime | None = None,
    now: datetime = NEXT,
) -> UserFacts:
    return recall(now_known, memory, accepted=frozenset(accepted), report_time=report_time, deadline=deadline, now=now)


def known_live(found: UserFacts) -> bool:
    return found.profile is not None or found.devices is not None


BULK = facts(row=row())


def test_an_unchanged_violator_is_not_asked_again() -> None:
    found = recalled(BULK, memory_of(violator(tags=tags(team="x"))))
    assert (found.profile, found.devices, found.tags) == (profile(), devices(), tags(team="x"))


def test_who_was_never_looked_at_is_not_remembered() -> None:
    memory = memory_of(BULK, facts("bob", row=row("bob"), has_virtual_device=virtual(True)))
    assert not memory.read_live
    assert memory.with_virtual_device == {"AIDABOB"}
    assert recalled(BULK, memory) == BULK


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({}, True),
        ({"used": NEXT}, True),
        ({"has_virtual_device": virtual(True)}, False),
        ({"has_virtual_device": None}, False),
        ({"row": row(mfa=True)}, False),
        ({"row": row(password=False)}, False),
        ({"row": None}, False),
        ({"user_id": "AIDASOMEBODYELSE"}, False),
    ],
)
def test_a_violators_facts_last_until_something_changes(change: dict[str, Any], kept: bool) -> None:
    """A recreated user (7) is another one; a violator's sign-in changes nothing about the violation."""
    assert known_live(recalled(facts(**({"row": row()} | change)), memory_of(violator()))) is kept


@pytest.mark.parametrize(
    "live",
    [
        {"profile": profile(), "devices": devices(KEY)},
        {"profile": profile(None)},
        {"profile": profile(), "devices": devices(SMS, KEY)},
    ],
)
def test_a_sign_in_has_everybody_else_looked_at_again(live: dict[str, Any]) -> None:
    """Who was seen to have no console and signs in has a password now."""
    memory = memory_of(violator(**({"devices": None} | live)))
    assert known_live(recalled(BULK, memory))
    assert not known_live(recalled(facts(row=row(), used=NEXT), memory))


def test_a_user_not_yet_in_the_report_is_read_at_every_pass() -> None:
    """Nothing else would tell of a password that a new user is given."""
    without_console = memory_of(facts(profile=profile(None)))
    assert not known_live(recalled(facts(), without_console))
    assert known_live(recalled(facts(), without_console, report_time=None))
    assert known_live(recalled(facts(), memory_of(violator(row=None))))


@pytest.mark.parametrize("report_time", [NEWER, NOW + HOUR])
def test_a_newer_report_ends_what_was_seen_before_it(report_time: datetime) -> None:
    bulk = facts(row=row(at=report_time))
    found = recalled(bulk, memory_of(violator(tags=tags(team="x"))), report_time=report_time)
    assert not known_live(found)
    assert found.tags is None


def test_a_report_made_before_the_check_ends_nothing() -> None:
    assert known_live(recalled(facts(row=row(at=NOW)), memory_of(violator()), report_time=NOW))


@pytest.mark.parametrize(
    ("deadline", "kept"),
    [(None, True), (NOW + MINUTE, False), (NEXT, False), (NEXT + MINUTE, True), (NOW - MINUTE, True), (NOW, True)],
)
def test_who_becomes_overdue_is_looked_at_once_more(deadline: datetime | None, kept: bool) -> None:
    assert known_live(recalled(BULK, memory_of(violator()), deadline=deadline)) is kept


class TestVirtualDevices:
    had = facts(row=row(mfa=True), has_virtual_device=virtual(True))
    lost = facts(row=row(mfa=True))

    def test_a_lost_device_is_noticed_though_the_report_has_it(self) -> None:
        assert recalled(self.lost, memory_of(self.had)).lost_virtual_device

    def test_a_device_that_never_was_is_not_missed(self) -> None:
        assert not recalled(self.lost, memory_of(facts("bob", has_virtual_device=virtual(True)))).lost_virtual_device

    def test_a_device_that_is_there_or_may_be_there_is_not_missed(self) -> None:
        assert not recalled(self.had, memory_of(self.had)).lost_virtual_device
        unknown = facts(row=row(mfa=True), has_virtual_device=None)
        assert not recalled(unknown, memory_of(self.had)).lost_virtual_device

    def test_a_pass_without_the_list_does_not_forget_who_had_one(self) -> None:
        between = replace(self.had, has_virtual_device=None)
        memory = remember([between], virtual_devices_known=False, before=memory_of(self.had))
        assert recalled(self.lost, memory).lost_virtual_device

    def test_a_loss_that_nobody_could_check_is_not_forgotten(self) -> None:
        failed = replace(self.lost, lost_virtual_device=True, failure=FindingReason.LOOKUP_FAILED)
        memory = memory_of(failed)
        again = recalled(self.lost, memory)
        assert again.lost_virtual_device
        assert again.failure is None
        # A newer report has spoken, and so has a live read that succeeded.
        newer = recalled(facts(row=row(mfa=True, at=NEWER)), memory, report_time=NEWER)
        assert not newer.lost_virtual_device
        looked = replace(failed, devices=devices(KEY), failure=None)
        found = recalled(self.lost, memory_of(looked))
        assert not found.lost_virtual_device
        assert found.devices == devices(KEY)


class TestDevicesSeenBeforeANewerReport:
    """The report says every 4 hours that there is still a device, never which."""

    def found(self, kinds: Iterable[DeviceType], accepted: Iterable[DeviceType], *, mfa: bool = True) -> UserFacts:
        seen = facts(row=row(mfa=mfa), profile=profile(), devices=devices(*kinds))
        bulk = facts(row=row(mfa=mfa, at=NEWER))
        return recalled(bulk, memory_of(seen), accepted=accepted, report_time=NEWER)

    def test_stay_accepted_where_every_type_of_aws_is_accepted(self) -> None:
        assert self.found([KEY], USUAL).devices == devices(KEY, at=NEWER)
        assert self.found([KEY], ANY).devices == devices(KEY, at=NEWER)

    def test_keep_their_age_where_a_device_may_have_been_replaced(self) -> None:
        assert self.found([KEY], [KEY]).devices == devices(KEY)
        assert self.found([KEY, DeviceType.VIRTUAL], [KEY]).devices == devices(KEY, DeviceType.VIRTUAL)
        # AWS offers no SMS any more, but who has it may be left with it alone.
        assert self.found([KEY, SMS], USUAL).devices == devices(KEY, SMS)

    def test_are_none_where_the_report_says_no_or_none_were_known(self) -> None:
        assert self.found([KEY], USUAL, mfa=False).devices is None
        assert self.found([SMS], USUAL).devices is None
        assert self.found([], USUAL).devices is None

    def test_leave_the_login_profile_to_the_report(self) -> None:
        assert self.found([KEY], USUAL).profile is None


def test_a_request_drops_earlier_lookups_and_no_later_ones() -> None:
    memory = memory_of(
        violator(profile=profile(at=NOW - MINUTE), devices=devices(at=NOW - MINUTE), tags=tags(NOW - MINUTE, a="b")),
        violator("bob"),
        facts("carol", has_virtual_device=virtual(True)),
    )
    forgotten = forget(memory, NOW)
    alice = forgotten.read_live["AIDAALICE"]
    assert (alice.profile, alice.devices, alice.tags) == (None, None, None)
    assert forgotten.read_live["AIDABOB"] == memory.read_live["AIDABOB"]
    assert forgotten.with_virtual_device == memory.with_virtual_device


MOMENTS = st.datetimes(datetime(2015, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - as asked for
NAMES = st.text("aé+=,.@_-", min_size=1, max_size=64)


def fact_of(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.builds(Fact, values, MOMENTS)


PEOPLE = st.builds(
    UserFacts,
    user=st.builds(User, NAMES, NAMES, NAMES, MOMENTS, st.none() | MOMENTS),
    row=fact_of(st.builds(ReportRow, NAMES, st.none() | MOMENTS, *[st.none() | st.booleans()] * 2, st.booleans())),
    has_virtual_device=fact_of(st.booleans()),
    lost_virtual_device=st.booleans(),
    profile=fact_of(st.builds(LoginProfile, st.none() | MOMENTS)),
    devices=fact_of(st.frozensets(st.sampled_from(DeviceType))),
    tags=fact_of(st.dictionaries(NAMES, NAMES, max_size=2)),
    failure=st.none() | st.sampled_from(FindingReason),
)


@settings(derandomize=True, deadline=None)
@given(st.lists(PEOPLE, max_size=3), st.frozensets(NAMES, max_size=3))
def test_what_is_kept_packed_comes_back_as_it_was(seen: list[UserFacts], listed: frozenset[str]) -> None:
    memory = Memory({one.user.user_id: one for one in seen}, listed)
    back = unpack(pack(memory))
    assert back == memory
    assert [type(one.devices.value) for one in back.read_live.values() if one.devices] == [frozenset] * len(
        [one for one in memory.read_live.values() if one.devices]
    )
