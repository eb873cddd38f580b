"""What the facts about a user settle, and what is asked live to settle the rest."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfa_operator.api.enums import DeviceType, FindingReason, UserScope
from mfa_operator.evaluation.facts import UserFacts
from mfa_operator.evaluation.sufficiency import Needs, Question, accepted_device, console_access, next_question, sweep
from tests.unit.facts import (
    ANY,
    HOUR,
    MINUTE,
    NOW,
    USUAL,
    devices,
    facts,
    needs,
    profile,
    row,
    violator,
    virtual,
)

LONG_AGO = NOW - 30 * HOUR
OLDEST = needs().oldest(NOW)
KEY = DeviceType.SECURITY_KEY
PROFILE, DEVICES = Question.PROFILE, Question.DEVICES
ALL = needs(scope=UserScope.ALL)


@pytest.mark.parametrize(
    ("known", "answer"),
    [
        ({}, None),
        ({"row": row(password=True)}, True),
        ({"row": row(password=False)}, False),
        ({"row": row(password=None)}, None),
        ({"row": row(password=False, at=LONG_AGO)}, None),
        ({"row": row(password=False, twice=True)}, None),
        ({"row": row(password=False), "profile": profile()}, True),
        ({"row": row(password=True), "profile": profile(None)}, False),
        ({"row": row(password=True), "profile": profile(None, at=LONG_AGO)}, True),
        ({"profile": profile(None, at=OLDEST)}, False),
        ({"profile": profile(None, at=OLDEST - timedelta(seconds=1))}, None),
        ({"row": row(password=False, at=OLDEST)}, False),
        # A password used since the report was made must be a new one; one used before proves nothing (16).
        ({"row": row(password=False), "used": NOW}, None),
        ({"row": row(password=False), "used": NOW - 2 * HOUR}, False),
        ({"row": row(password=True), "used": NOW}, True),
        ({"row": row(password=False), "used": NOW, "profile": profile(None)}, False),
    ],
)
def test_console_access_comes_from_a_live_lookup_or_a_fresh_row(known: dict[str, Any], answer: bool | None) -> None:
    assert console_access(facts(**known), OLDEST) is answer


@pytest.mark.parametrize(
    ("known", "answer"),
    [
        ({}, None),
        ({"row": row(mfa=False)}, False),
        ({"row": row(mfa=None)}, None),
        ({"row": row(mfa=True)}, None),
        ({"row": row(mfa=False), "has_virtual_device": virtual(True)}, True),
        ({"row": row(mfa=False), "has_virtual_device": None}, False),
        ({"row": row(mfa=True), "lost_virtual_device": True}, None),
        ({"row": row(mfa=False), "lost_virtual_device": True}, None),
        ({"row": row(mfa=False), "devices": devices(KEY)}, True),
        ({"row": row(mfa=True), "devices": devices()}, False),
        ({"row": row(mfa=True), "devices": devices(DeviceType.SMS)}, False),
        ({"devices": devices(KEY, at=LONG_AGO)}, None),
    ],
)
def test_a_device_comes_from_virtual_list_lookup_or_row(known: dict[str, Any], answer: bool | None) -> None:
    assert accepted_device(facts(**known), USUAL, OLDEST) is answer


def test_the_rows_mfa_suffices_only_if_every_type_is_accepted() -> None:
    """The report says that there is a device, not which."""
    assert accepted_device(facts(row=row(mfa=True)), ANY, OLDEST) is True
    assert accepted_device(facts(row=row(mfa=True), lost_virtual_device=True), ANY, OLDEST) is None
    for missing in DeviceType:
        assert accepted_device(facts(row=row(mfa=True)), ANY - {missing}, OLDEST) is None


def test_a_virtual_device_is_ignored_if_only_others_are_accepted() -> None:
    subject = facts(row=row(mfa=True), has_virtual_device=virtual(True))
    assert accepted_device(subject, frozenset({KEY}), OLDEST) is None


@pytest.mark.parametrize(
    ("known", "wanted", "question"),
    [
        # Settled by what comes for nothing.
        ({"row": row(password=False)}, needs(), None),
        ({"row": row(), "has_virtual_device": virtual(True)}, needs(), None),
        ({"row": row(mfa=True)}, needs(accepted=ANY), None),
        # Suspects: by the report, not in it, twice in it, used a password, lost a device, of which type?
        ({"row": row(mfa=False)}, needs(), DEVICES),
        ({}, needs(), PROFILE),
        ({"has_virtual_device": virtual(True)}, needs(), PROFILE),
        ({"row": row(twice=True)}, needs(), PROFILE),
        ({"row": row(password=None)}, needs(), PROFILE),
        ({"row": row(password=False), "used": NOW}, needs(), PROFILE),
        ({"row": row(mfa=True), "lost_virtual_device": True}, needs(accepted=ANY), DEVICES),
        ({"row": row(mfa=True)}, needs(), DEVICES),
        ({"row": row(mfa=None)}, needs(accepted=ANY), DEVICES),
        # Nobody is called a violator before both were asked live.
        ({"row": row(), "devices": devices()}, needs(), PROFILE),
        ({"row": row(), "devices": devices(DeviceType.SMS)}, needs(), PROFILE),
        ({"row": row(), "devices": devices(KEY)}, needs(), None),
        ({"profile": profile()}, needs(), DEVICES),
        ({"profile": profile(), "devices": devices()}, needs(), None),
        ({"profile": profile(None)}, needs(), None),
        ({"profile": profile(None), "row": row()}, needs(), None),
        # Answers that are too old are asked for again.
        ({"row": row(at=LONG_AGO), "has_virtual_device": virtual(True)}, needs(), PROFILE),
        ({"row": row(), "profile": profile(), "devices": devices(at=LONG_AGO)}, needs(), DEVICES),
        ({"row": row(), "profile": profile(at=LONG_AGO), "devices": devices()}, needs(), PROFILE),
        # Everybody in scope: a password does not matter, a device does.
        ({"row": row(password=False)}, ALL, DEVICES),
        ({"row": row(password=False), "devices": devices()}, ALL, None),
        ({"row": row(password=False), "has_virtual_device": virtual(True)}, ALL, None),
        ({"row": row(password=True), "devices": devices()}, ALL, PROFILE),
        # A look that failed is not repeated in the same pass.
        ({"failure": FindingReason.LOOKUP_FAILED}, needs(), None),
    ],
)
def test_what_is_asked_next(known: dict[str, Any], wanted: Needs, question: Question | None) -> None:
    assert next_question(facts(**known), wanted, NOW) is question


def many(count: int, **known: Any) -> list[UserFacts]:
    return [facts(f"u{number:04}", **known) for number in range(count)]


@pytest.mark.parametrize("hours", [4, 6, 24])
def test_nobody_is_swept_while_the_report_is_fresh_enough(hours: int) -> None:
    assert sweep(many(50, row=row(at=LONG_AGO)), needs(max_staleness=hours * HOUR), NOW) == set()


def test_with_zero_staleness_everybody_is_read_at_every_pass() -> None:
    users = [*many(5, row=row(at=NOW)), violator("just asked")]
    assert sweep(users, needs(max_staleness=0 * HOUR), NOW) == {one.user.user_id for one in users}


def test_each_pass_sweeps_a_slice_and_all_that_cannot_wait() -> None:
    """However large the slice is."""

    wanted = needs(max_staleness=HOUR)
    fresh = many(40, row=row(at=NOW - 5 * MINUTE))
    assert len(sweep(fresh, wanted, NOW)) == 14
    old = many(40, row=row(at=NOW - 50 * MINUTE))
    assert len(sweep(old, wanted, NOW)) == 40


def test_the_oldest_facts_go_first() -> None:
    wanted = needs(max_staleness=HOUR)
    users = [facts(f"u{age:02}", row=row(at=NOW - age * MINUTE)) for age in range(1, 41)]
    assert sweep(users, wanted, NOW) == {f"AIDAU{age:02}" for age in range(27, 41)}


@pytest.mark.parametrize(
    ("known", "due"),
    [
        # Both facts of a violator count, and the older decides.
        ({"profile": profile(at=NOW - 50 * MINUTE), "devices": devices(at=NOW)}, True),
        ({"profile": profile(at=NOW), "devices": devices(at=NOW - 50 * MINUTE)}, True),
        ({"profile": profile(at=NOW), "devices": devices(at=NOW)}, False),
        # Of who has no console, or a virtual device, only the password is uncertain.
        ({"profile": profile(None, at=NOW), "devices": devices(at=NOW - 50 * MINUTE)}, False),
        ({"profile": profile(at=NOW), "has_virtual_device": virtual(True)}, False),
        ({"profile": profile(at=NOW - 50 * MINUTE), "has_virtual_device": virtual(True)}, True),
        ({"row": row(password=False, at=NOW - 50 * MINUTE)}, True),
    ],
)
def test_the_oldest_fact_decides_who_cannot_wait(known: dict[str, Any], due: bool) -> None:
    # Among many whose facts are older still, so that the even share has no room for this one.
    others = many(400, row=row(at=NOW - 40 * MINUTE))
    subject = facts("subject", **({"row": row(at=NOW - 50 * MINUTE)} | known))
    assert (subject.user.user_id in sweep([*others, subject], needs(max_staleness=HOUR), NOW)) is due


def test_a_virtual_device_saves_no_lookup_if_not_accepted() -> None:
    wanted = needs(max_staleness=HOUR, accepted=frozenset({KEY}))
    others = many(400, row=row(at=NOW - 40 * MINUTE))
    subject = facts(
        "subject", profile=profile(at=NOW), devices=devices(KEY, at=NOW - 50 * MINUTE), has_virtual_device=virtual(True)
    )
    assert subject.user.user_id in sweep([*others, subject], wanted, NOW)


@given(
    st.lists(st.integers(0, 120), max_size=60),
    st.sampled_from([1, 10, 15, 60, 240]),
    st.sampled_from([5, 30, 60, 150, 239]),
)
def test_users_not_swept_stay_fresh_until_the_next_pass(ages: list[int], interval: int, staleness: int) -> None:
    wanted = needs(max_staleness=staleness * MINUTE, interval=interval * MINUTE)
    users = [facts(f"u{rank}", row=row(at=NOW - age * MINUTE)) for rank, age in enumerate(ages)]
    swept = sweep(users, wanted, NOW)
    # Passes come up to 5 % late on purpose.
    next_pass = NOW + 1.05 * wanted.interval
    left = [one for one in users if one.user.user_id not in swept]
    assert all(one.row and next_pass - one.row.at <= wanted.max_staleness for one in left)
    assert len(swept) >= min(len(users) * interval / staleness, sum(age > 0 for age in ages))
