"""Which exemption covers a user: globs, accounts, tags, expiry."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfa_operator.evaluation.exemptions import _users, candidates, covering, next_expiry
from mfa_operator.evaluation.verdicts import evaluate
from mfa_operator.scheduling.due import PassAbandoned
from tests.unit.facts import DAY, ID, NOW, snapshot, spec, violator

SECOND = timedelta(seconds=1)


def exemption(*users: str, **fields: Any) -> dict[str, Any]:
    return {"users": list(users), "reason": "Because", **fields}


def covers(entry: dict[str, Any], name: str, path: str = "/", account: str = ID, now: datetime = NOW) -> bool:
    return bool(candidates(spec(exemptions=[entry]), account, name, path, now))


@pytest.mark.parametrize(
    ("glob", "path", "name", "matches"),
    [
        ("alice", "/", "alice", True),
        ("alice", "/eng/", "alice", True),
        ("alice", "/", "alice2", False),
        ("Alice", "/", "alice", False),
        ("break-glass-*", "/", "break-glass-1", True),
        ("break-glass-*", "/", "x-break-glass-1", False),
        ("break-glass-?", "/", "break-glass-12", False),
        ("break-glass-[12]", "/", "break-glass-2", True),
        ("break-glass-[!12]", "/", "break-glass-2", False),
        ("a+b=c,d.e@f_g-h", "/", "a+b=c,d.e@f_g-h", True),
        ("a.c", "/", "abc", False),
        ("/service/*", "/service/", "robot", True),
        ("/service/*", "/service/eu/", "robot", True),
        ("/service/*", "/", "robot", False),
        ("/service/*", "/", "service", False),
        ("/robot", "/", "robot", True),
        ("/*", "/eng/", "alice", True),
        ("*", "/eng/", "alice", True),
        ("eng/*", "/eng/", "alice", False),
        ("/Service/*", "/service/", "robot", False),
    ],
)
def test_a_glob_matches_the_whole_name_or_path_and_name(glob: str, path: str, name: str, matches: bool) -> None:
    assert covers(exemption(glob), name, path) is matches


def test_one_of_several_globs_is_enough() -> None:
    assert covers(exemption("bob", "ali*"), "alice")
    assert not covers(exemption("bob", "carol"), "alice")


def test_an_exemption_for_some_accounts_holds_in_no_other() -> None:
    assert covers(exemption("*", accounts=[ID, "444455556666"]), "alice", account="444455556666")
    assert not covers(exemption("*", accounts=["444455556666"]), "alice")


@pytest.mark.parametrize(("left", "counts"), [(SECOND, True), (timedelta(), False), (-SECOND, False)])
def test_an_exemption_ends_at_the_moment_it_expires(left: timedelta, counts: bool) -> None:
    """One that expires in the middle of a pass counts, or not, by the pass's one `now`."""
    assert covers(exemption("*", expires=(NOW + left).isoformat()), "alice") is counts


@pytest.mark.parametrize(
    ("wanted", "carried", "covered"),
    [
        ({"mfa-exempt": "true"}, {"mfa-exempt": "true", "team": "x"}, True),
        ({"mfa-exempt": "true"}, {"mfa-exempt": "True"}, False),
        ({"mfa-exempt": "true"}, {"MFA-exempt": "true"}, False),
        ({"mfa-exempt": "true", "team": "x"}, {"mfa-exempt": "true"}, False),
        ({"mfa-exempt": ""}, {}, False),
        ({"mfa-exempt": "true"}, None, False),
        ({}, None, True),
        ({}, {}, True),
    ],
)
def test_all_tags_must_match_and_unread_tags_match_nothing(
    wanted: dict[str, str], carried: dict[str, str] | None, covered: bool
) -> None:
    entry = exemption("*", **({"tags": wanted} if wanted else {}))
    found = candidates(spec(exemptions=[entry]), ID, "alice", "/", NOW)
    assert (covering(found, carried) is not None) is covered


def test_the_first_matching_exemption_gives_the_reason() -> None:
    entries = [
        exemption("*", tags={"a": "b"}, reason="tagged"),
        exemption("bob", reason="bob's"),
        exemption("*", reason="first of all"),
        exemption("*", reason="second"),
    ]
    found = candidates(spec(exemptions=entries), ID, "alice", "/", NOW)
    chosen = covering(found, {})
    assert chosen is not None
    assert chosen.reason == "first of all"
    tagged = covering(found, {"a": "b"})
    assert tagged is not None
    assert tagged.reason == "tagged"


def test_the_next_expiry_is_the_first_that_is_still_to_come() -> None:
    times = [NOW - DAY, NOW, NOW + 3 * DAY, NOW + 2 * DAY]
    entries = [exemption("*", expires=moment.isoformat()) for moment in times]
    assert next_expiry(spec(exemptions=[*entries, exemption("*")]), NOW) == NOW + 2 * DAY
    assert next_expiry(spec(exemptions=[exemption("*"), entries[0]]), NOW) is None
    assert next_expiry(spec(), NOW) is None


@given(st.text("abAB01+=,.@_-", min_size=1, max_size=64))
def test_a_name_written_as_it_is_covers_that_user_alone(name: str) -> None:
    assert covers(exemption(name), name)
    assert not covers(exemption(name), name + "x")
    assert not covers(exemption(name), "x" + name)


class TestManyGlobs:
    """One policy may hold 5,000 globs; its users are judged all the same, and others are not kept waiting."""

    def test_globs_are_prepared_once_for_all_users(self) -> None:
        policy = spec(exemptions=[exemption(f"robot-{number}-*", f"r?bot-{number}") for number in range(50)])
        before = _users.cache_info().misses
        for user in range(100):
            candidates(policy, ID, f"user-{user}", "/", NOW)
        assert _users.cache_info().misses - before == 50

    def test_judging_can_be_ended_between_two_exemptions(self) -> None:
        policy = spec(exemptions=[exemption(f"robot-{number}-*") for number in range(50)])
        left = iter(range(120))

        def checkpoint() -> None:
            if next(left, None) is None:
                raise PassAbandoned

        users = snapshot(*[violator(f"user-{number}") for number in range(10)])
        with pytest.raises(PassAbandoned):
            evaluate(policy, users, {}, NOW, checkpoint=checkpoint)
        assert evaluate(policy, users, {}, NOW)
