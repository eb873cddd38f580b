"""When a policy is due: pure functions, with `now` and chance passed in."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from mfa_operator.api.policy import PolicySpec
from mfa_operator.api.status import MAX_REQUESTED_AT, PolicyStatus

JITTER = 0.05
"""Share of the interval by which a pass may come earlier or later, so that policies made together drift apart."""

MAX_SPREAD = timedelta(seconds=30)
"""Within this the overdue policies of a restart begin: long enough to break a herd, short beside any interval."""

FIRST_RETRY = timedelta(seconds=4)
LAST_RETRY = timedelta(minutes=5)


class Cause(StrEnum):
    """Why a pass runs, for the log."""

    CREATED = "Created"
    INTERVAL = "Interval"
    SPEC_CHANGED = "SpecChanged"
    REQUESTED = "Requested"
    RESTART = "Restart"
    RETRY = "Retry"
    DISCOVERED = "Discovered"
    """An organization was listed that the policy waited for."""
    DESELECTED = "Deselected"
    """The policy's labels do not match the operator's selector any more: it is to be given up."""
    OVERLOOKED = "Overlooked"
    """A resync found the policy without a scheduled pass."""


ASKED_FOR = frozenset({Cause.CREATED, Cause.SPEC_CHANGED, Cause.REQUESTED})
"""Causes that are a person's doing."""


@dataclass(frozen=True, slots=True)
class PassEnd:
    """How a pass ended that ran to its end, whatever it found."""

    generation: int
    """metadata.generation of the policy that the pass read."""
    requested_at: str
    """Value of the annotation requestedAt that the pass read."""
    next_due: datetime | None
    """None: nothing is due until an edit, as the policy is suspended, invalid or being deleted."""
    left: bool = False
    """The policy does not match the operator's selector any more: it is not ours to know of."""
    elsewhere: bool = False
    """Another operator serves the policy; this pass did nothing."""


class PassAbandoned(Exception):
    """A pass gave up because the process is stopping; the next start picks it up."""


@dataclass(frozen=True, slots=True)
class Due:
    """A scheduled pass."""

    at: datetime
    cause: Cause
    fresh: bool = False
    """A person asked: no remembered facts, no back-off."""


def next_due(start: datetime, interval: timedelta, fraction: float) -> datetime:
    """When the pass after the one begun at `start` is due: the interval, give or take 5 %.

    `fraction` is chance in [0, 1).
    """
    return start + interval * (1 - JITTER + 2 * JITTER * fraction)


def limits_since(cause: str, now: datetime, interval: timedelta, *, first: bool) -> datetime | None:
    """From when on actions count against the limits of the pass that begins at `now`; None: only its own do.

    A pass whose interval is over, or that a person asked for, may do all that the policy allows. Any other one shares
    its limits with what was done within the last interval: retries and new listings may follow each other closely. So
    does the `first` pass of a process, whatever its cause: the one before may have crashed in the middle of it.
    """
    if cause == Cause.INTERVAL or (cause in ASKED_FOR and not first):
        return None
    return now - interval


def first_due(
    status: PolicyStatus,
    spec: PolicySpec,
    generation: int,
    requested_at: str,
    now: datetime,
    spread: float,
    interval: timedelta | None = None,
    lease: str = "",
) -> Due:
    """When a policy is due that this process sees for the first time; picks up from its status.

    At once: one that never had a pass, one edited since the last pass, one that a person asked to run since. One that
    is overdue, or whose times the clock makes impossible (it was set back, or a status was written by a clock ahead of
    ours), is spread by `spread`, chance in [0, 1), over a tenth of its interval, at most 30 s. `interval` overrides
    spec.interval. `lease` is ours: what was last served by another one, or by nobody, is spread like what is overdue.
    """
    if status.last_pass_time is None:
        return Due(now, Cause.CREATED, fresh=True)
    if status.observed_generation != generation:
        return Due(now, Cause.SPEC_CHANGED, fresh=True)
    if _asks_for_pass(requested_at, status):
        return Due(now, Cause.REQUESTED, fresh=True)
    every = interval or spec.interval.delta
    # An override shorter than what the status was written with must hold at once too.
    ours = not lease or (status.served_by is not None and status.served_by.lease == lease)
    # Whoever wrote the status: of a time beyond now nothing is computed, it may be the last that there is.
    if ours and status.last_pass_time <= now:
        due = status.next_pass_time or status.last_pass_time + every
        if now < due <= now + every * (1 + JITTER):
            return Due(due, Cause.INTERVAL)
    return Due(now + min(every / 10, MAX_SPREAD) * spread, Cause.RESTART)


def retry_delay(failures: int, fraction: float, interval: timedelta = LAST_RETRY) -> timedelta:
    """How long to wait after the given number of failures in a row (1 or more): from 2 s doubling to 5 min, jittered.

    `fraction` is chance in [0, 1); the delay is between half of the full one and the full one, and never longer than
    the policy's `interval`.
    """
    # Past 16 doublings it is the longest in any case, and a larger power would overflow a timedelta.
    doublings = min(max(failures, 1) - 1, 16)
    full = min(FIRST_RETRY * (1 << doublings), LAST_RETRY, interval)
    return full * (0.5 + 0.5 * fraction)


def _asks_for_pass(requested_at: str, status: PolicyStatus) -> bool:
    """Whether the annotation asks for a pass that was not served yet.

    A status of an operator that did not record what it served is judged by time; a value that is no time always asks.
    """
    if not requested_at or status.last_pass_time is None:
        return False
    if status.last_handled_requested_at:
        return requested_at[:MAX_REQUESTED_AT] != status.last_handled_requested_at
    asked = _moment(requested_at)
    return asked is None or asked > status.last_pass_time


def _moment(text: str) -> datetime | None:
    """The time that a text means: RFC 3339 or, as `date +%s` gives it, seconds since 1970; None where it is neither."""
    # OSError: the system's own word for a year that it cannot count to.
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(float(text), UTC)
    with contextlib.suppress(ValueError):
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None
