"""What the facts about a user settle, and what has to be asked live to settle the rest. Pure.

The credential report, the list of users and the list of virtual devices come for a handful of calls and settle most
users. A live lookup (GetLoginProfile, ListMFADevices) is made only where they do not, and before anybody is called a
violator.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from mfa_operator.api.enums import DeviceType, UserScope
from mfa_operator.evaluation.facts import ReportRow, UserFacts

REPORT_WINDOW = timedelta(hours=4)
"""AWS makes at most one new credential report in this time."""


class Question(StrEnum):
    """A live question about one user."""

    PROFILE = "GetLoginProfile"
    DEVICES = "ListMFADevices"


@dataclass(frozen=True, slots=True)
class Needs:
    """What a policy needs to know of an account's users."""

    scope: UserScope
    accepted: frozenset[DeviceType]
    max_staleness: timedelta
    interval: timedelta
    root: bool = False

    def oldest(self, now: datetime) -> datetime:
        """Facts from before this moment are too old to rest a verdict on.

        A fact can be renewed only at a pass, and a report only when the last is 4 h old: hence one interval of slack.
        """
        return now - self.max_staleness - (self.interval if self.max_staleness else timedelta())


def trusted_row(facts: UserFacts, oldest: datetime) -> ReportRow | None:
    """The user's row of the report, where it is new enough and stands there once."""
    if facts.row is None or facts.row.at < oldest or facts.row.value.twice:
        return None
    return facts.row.value


def console_access(facts: UserFacts, oldest: datetime) -> bool | None:
    """Whether the user has a login profile; None where it is not known."""
    if facts.profile and facts.profile.at >= oldest:
        return facts.profile.value.exists
    row = trusted_row(facts, oldest)
    if row is None or facts.row is None:
        return None
    used = facts.user.password_last_used
    if row.password_enabled is False and used is not None and used > facts.row.at:
        return None
    return row.password_enabled


def accepted_device(facts: UserFacts, accepted: frozenset[DeviceType], oldest: datetime) -> bool | None:
    """Whether the user has an MFA device of an accepted type; None where it is not known."""
    if DeviceType.VIRTUAL in accepted and facts.has_virtual_device and facts.has_virtual_device.value:
        return True
    if facts.devices and facts.devices.at >= oldest:
        return not facts.devices.value.isdisjoint(accepted)
    row = trusted_row(facts, oldest)
    if row is None or facts.lost_virtual_device or row.mfa_active is None:
        return None
    if not row.mfa_active:
        return False
    # The report says that there is a device, not which: only where any will do is that an answer.
    return True if accepted >= frozenset(DeviceType) else None


def next_question(facts: UserFacts, needs: Needs, now: datetime) -> Question | None:
    """What to ask live about a user next; None where the facts settle the verdict, or asking has failed."""
    oldest = needs.oldest(now)
    console = console_access(facts, oldest)
    out_of_scope = needs.scope is UserScope.CONSOLE and console is False
    question = None
    if console is None:
        question = Question.PROFILE
    elif not out_of_scope and not accepted_device(facts, needs.accepted, oldest):
        if facts.devices is None or facts.devices.at < oldest:
            question = Question.DEVICES
        elif console and (facts.profile is None or facts.profile.at < oldest):
            question = Question.PROFILE
    return None if facts.failure else question


def sweep(users: Iterable[UserFacts], needs: Needs, now: datetime) -> set[str]:
    """User ids to read live in this pass so that no fact outlives `max_staleness`; empty where the report suffices.

    Each pass takes those who cannot wait for the next one, and at least an even share of all, oldest facts first.
    """
    if needs.max_staleness >= REPORT_WINDOW:
        return set()
    dated = sorted((_oldest_fact(facts, needs, now), facts.user.user_id) for facts in users)
    if not needs.max_staleness:
        return {user_id for _, user_id in dated}
    # Passes come up to 5 % late on purpose, and take time themselves.
    patience = needs.max_staleness - needs.interval * 1.25
    share = math.ceil(len(dated) / max(patience // needs.interval + 1, 1))
    must = now - patience
    return {user_id for rank, (at, user_id) in enumerate(dated) if at < must or (rank < share and at < now)}


def _oldest_fact(facts: UserFacts, needs: Needs, now: datetime) -> datetime:
    """The moment of the oldest fact that a verdict on the user rests on; the virtual device list is always new."""
    reported = facts.row.at if facts.row else now
    console_at = facts.profile.at if facts.profile else reported
    no_console = needs.scope is UserScope.CONSOLE and console_access(facts, needs.oldest(now)) is False
    listed = DeviceType.VIRTUAL in needs.accepted and facts.has_virtual_device and facts.has_virtual_device.value
    if no_console or listed:
        return console_at
    return min(console_at, facts.devices.at if facts.devices else reported)
