"""spec.maxStaleness: no verdict rests on a fact that is older, at any moment, and the price is paid evenly.

Everything that can change in an account without leaving a trace in the lists of a pass is changed at random times, for
half a day. At every moment up to the next pass, each published verdict must rest on a password and devices that were
true at some time within maxStaleness.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from mfa_operator.api.enums import DeviceType, FindingReason, FindingState, UserState
from mfa_operator.api.policy import PolicySpec
from tests.unit.facts import HOUR, MINUTE, NOW, spec
from tests.unit.fake_iam import Clock, FakeIam, Person, Watch, expected_state

USERS = 60
QUARTER = 15 * MINUTE
NO_SMS = [DeviceType.VIRTUAL, DeviceType.SECURITY_KEY, DeviceType.HARDWARE_TOKEN]


class Turmoil:
    """An account in which something happens every few minutes; it keeps what was true of everyone when."""

    def __init__(self, policy: PolicySpec, seed: int) -> None:
        self.random = random.Random(seed)
        self.policy = policy
        self.iam = FakeIam(Clock(NOW))
        self.watch = Watch(self.iam, policy)
        self.history: dict[str, list[tuple[datetime, Person]]] = {}
        self._may_say: dict[tuple[str, int, int], set[UserState]] = {}
        """By user and slice of the history, which only grows."""
        for number in range(USERS):
            person = self.iam.add(f"user-{number:02}")
            for _ in range(3):
                self._happens_to(person)
            self._note(person)
        self.iam.clock.advance(timedelta(days=1))

    def passes(self, length: timedelta) -> Iterator[datetime]:
        """The moments of passes, up to 5 % early or late, with what happens in between."""
        end = self.iam.clock.moment + length
        while self.iam.clock.moment < end:
            yield self.iam.clock.moment
            pause = self.policy.interval.delta * self.random.uniform(0.95, 1.05)
            moments = sorted(self.random.random() for _ in range(self.random.randrange(6)))
            for before, after in pairwise([0.0, *moments, 1.0]):
                self.iam.clock.advance(pause * (after - before))
                if after < 1.0:
                    person = self.random.choice(list(self.iam.people.values()))
                    self._happens_to(person)
                    self._note(person)

    def _happens_to(self, person: Person) -> None:
        now = self.iam.clock.moment
        match self.random.randrange(4):
            case 0:
                person.password = None if person.password else now
            case 1 if person.password:
                person.signed_in = now
            case 2:
                person.devices ^= {self.random.choice(NO_SMS)}
            case 3 if person.devices:
                # One for another: the report's mfa_active stays as it is.
                person.devices = {self.random.choice(NO_SMS)}

    def _note(self, person: Person) -> None:
        self.history.setdefault(person.name, []).append((self.iam.clock.moment, deepcopy(person)))

    def may_say(self, user: str, since: datetime, until: datetime) -> set[UserState]:
        """Every verdict that rests on a password and devices, each as it was at some time in between."""
        told = self.history[user]
        moments = [moment for moment, _ in told]
        first, end = max(bisect_right(moments, since) - 1, 0), bisect_right(moments, until)
        if (user, first, end) not in self._may_say:
            known = [person for _, person in told[first:end]]
            self._may_say[user, first, end] = {
                expected_state(self.policy, replace(one, devices=other.devices)) for one in known for other in known
            }
        return self._may_say[user, first, end]


@pytest.mark.parametrize("seed", [3, 24])
@pytest.mark.parametrize("types", [NO_SMS, list(DeviceType), ["SecurityKey"], ["Virtual"]], ids=str)
@pytest.mark.parametrize(
    ("scope", "staleness", "slack"),
    [
        ("Console", "1h", timedelta()),
        ("All", "1h", timedelta()),
        ("Console", "2h", timedelta()),
        ("Console", "4h", 2.1 * QUARTER),
    ],
)
def test_no_verdict_rests_on_a_fact_older_than_the_policy_allows(
    scope: str, staleness: str, slack: timedelta, types: list[str], seed: int
) -> None:
    """From 4 h on nobody is swept: a pass may rest on what is one interval older, and is read until the next pass."""
    policy = spec(requirement={"users": scope, "deviceTypes": types}, maxStaleness=staleness)
    _check_ages(Turmoil(policy, seed), slack, restarts=0.0)


@pytest.mark.parametrize("types", [NO_SMS, ["SecurityKey"]], ids=str)
@pytest.mark.parametrize(
    ("scope", "staleness", "slack"), [("All", "1h", timedelta()), ("Console", "4h", 2.1 * QUARTER)]
)
def test_nor_does_it_after_a_restart(scope: str, staleness: str, slack: timedelta, types: list[str]) -> None:
    """What is restored from the report is no newer than it was."""
    policy = spec(requirement={"users": scope, "deviceTypes": types}, maxStaleness=staleness)
    _check_ages(Turmoil(policy, 7), slack, restarts=0.4)


def _check_ages(world: Turmoil, slack: timedelta, *, restarts: float) -> None:
    policy = world.policy
    published: dict[str, UserState] = {}
    last = world.iam.clock.moment
    judged = 0
    for moment in world.passes(12 * HOUR):
        # Up to this very moment people read what the last pass said.
        since = moment - policy.max_staleness.delta - slack
        for user, state in published.items():
            assert state in world.may_say(user, since, last), f"{user} from {last} to {moment}"
            judged += 1
        if world.random.random() < restarts:
            world.watch = world.watch.restarted()
        published, last = world.watch.states(), moment
    assert judged > 40 * USERS


def test_at_0s_every_pass_is_exact_whatever_happened() -> None:
    policy = spec(maxStaleness="0s")
    world = Turmoil(policy, seed=3)
    for _ in world.passes(3 * HOUR):
        assert world.watch.states() == {
            name: expected_state(policy, person) for name, person in world.iam.people.items()
        }


@pytest.mark.parametrize(("interval", "staleness", "cycle"), [("15m", "1h", 3), ("10m", "2h", 11), ("5m", "1h", 11)])
def test_the_slices_are_even_from_the_first_hour_on(interval: str, staleness: str, cycle: int) -> None:
    """A pass that asks everybody at once would meet IAM's rate limits; the slices do not bunch up at each new report.

    In `cycle` passes everybody is asked once; in one more, with every pass late, somebody's facts would be too old.
    """
    policy = spec(interval=interval, maxStaleness=staleness)
    iam = FakeIam(Clock())
    for number in range(110):
        iam.add(f"user-{number:03}", password=NOW, devices={DeviceType.VIRTUAL})
    iam.clock.advance(timedelta(days=1))
    watch = Watch(iam, policy)
    chance = random.Random(4)
    asked = []
    end = iam.clock.moment + 9 * HOUR
    while iam.clock.moment < end:
        watch.audit()
        asked.append(iam.calls["GetLoginProfile"])
        iam.clock.advance(policy.interval.delta * chance.uniform(0.95, 1.05))
    assert max(asked) <= 110 / cycle * 1.1
    # The pass that brings a new report asks nobody.
    assert sum(asked) > 0.75 * len(asked) * 110 / cycle


def test_the_default_asks_nobody_whom_the_report_settles() -> None:
    iam = FakeIam(Clock())
    for number in range(100):
        iam.add(f"user-{number:03}", password=NOW if number % 2 else None, devices={DeviceType.VIRTUAL})
    iam.clock.advance(timedelta(days=1))
    watch = Watch(iam, spec())
    for _ in range(40):
        watch.audit()
        assert not iam.asked
        iam.clock.advance(QUARTER)


def test_tags_are_as_new_as_everything_else() -> None:
    """Whoever loses the tag that exempts them is a violator within maxStaleness, and not at the next report."""
    exemptions: list[dict[str, Any]] = [{"users": ["*"], "reason": "Tagged", "tags": {"mfa-exempt": "yes"}}]
    for staleness, passes in (("0s", 1), ("1h", 4)):
        iam = FakeIam(Clock())
        alice = iam.add("alice", password=NOW, tags={"mfa-exempt": "yes"})
        watch = Watch(iam, spec(maxStaleness=staleness, exemptions=exemptions))
        assert watch.states() == {"alice": UserState.EXEMPT}
        alice.tags.clear()
        for _ in range(passes):
            iam.clock.advance(QUARTER)
            watch.audit()
        assert watch.report is not None
        assert [one.state for one in watch.report.findings] == [FindingState.VIOLATING]


def test_a_clock_set_back_during_a_pass_causes_no_endless_reads() -> None:
    """Every answer looks older than the pass itself then, and is not relied on."""
    iam = FakeIam(Clock())
    iam.add("alice", password=NOW)
    watch = Watch(iam, spec(maxStaleness="0s"))
    with iam.clock.everywhere():
        audit = watch.auditor.audit(watch.policy, iam.account, None, iam.clock.utc_now() + MINUTE)
    assert [(one.state, one.reason) for one in audit.verdicts] == [(UserState.UNKNOWN, FindingReason.STALE)]
    assert len(iam.asked) <= 2
    assert watch.states() == {"alice": UserState.VIOLATING}
