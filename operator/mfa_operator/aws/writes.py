"""Changes at AWS, one request at a time: each is checked directly before it goes out, and never repeated unchecked.

A request that was throttled, refused for now or left without an answer may be right no longer when it is tried again:
meanwhile somebody else may have acted. So each try begins by reading what is still to be done, and with the
caller's whole check.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from mfa_operator.aws.errors import EXPIRED_CODES, AwsFailure, Throttled, TimedOut
from mfa_operator.clock import seconds_since_boot
from mfa_operator.scheduling.due import PassAbandoned

logger = logging.getLogger(__name__)
T = TypeVar("T")

TRIES = 4
"""Failed requests of one change after which it is given up until the next pass."""
MAX_REQUESTS = 12
"""Requests of one change, failed or not: more than any change needs. Somebody is undoing what we do."""
FIRST_PAUSE = 1.0
"""Seconds at most before the second try; doubles with each try, and half of it is chance."""
MAX_CHECK_SECONDS = 10.0
"""How long a check may take. What it read first is as old as that when the request goes out; what is older is read
again."""
MAX_SLOW_CHECKS = 3
"""Checks of one change that took longer, after which it is given up until the next pass."""
LOST_ANSWERS = ("ReadTimeoutError", "ConnectionClosedError", "HTTPClientError", "ResponseParserError")


@dataclass(frozen=True, slots=True)
class Write:
    """One request that changes something."""

    operation: str
    send: Callable[[], None]
    """Sends it, once, and remembers what it changed. Raises AwsFailure."""


@dataclass(slots=True)
class Ending(Generic[T]):
    """How far a change came."""

    sent: list[str] = field(default_factory=list)
    """Operations that AWS carried out, in order."""
    stopped: T | None = None
    """What the check said, where it stopped the change."""
    error: AwsFailure | None = None
    """Why it was given up."""
    unanswered: bool = False
    """Whether a request got no answer: it may have been carried out all the same."""
    errors: list[AwsFailure] = field(default_factory=list)
    """Every failure on the way."""

    @property
    def complete(self) -> bool:
        return self.stopped is None and self.error is None


def carry_out(
    next_write: Callable[[], Write | None], check: Callable[[], T | None], stopping: threading.Event
) -> Ending[T]:
    """Send request after request until `next_write` has none, each after `check` found nothing against it.

    `next_write` reads what is there and gives the next request towards the goal. `check` gives None, or the reason to
    stop: it ends there. A check that took too long is made again. Raises PassAbandoned, and whatever
    `check` raises; AwsFailure ends in the result.
    """
    ending: Ending[T] = Ending()
    slow = 0
    for _ in range(MAX_REQUESTS):
        try:
            write = next_write()
        except AwsFailure as error:
            ending.errors.append(error)
            ending.error = error
            return ending
        if write is None:
            return ending
        begun = seconds_since_boot()
        ending.stopped = check()
        if ending.stopped is not None:
            return ending
        if (seconds := seconds_since_boot() - begun) > MAX_CHECK_SECONDS:
            slow += 1
            logger.info("%s: the check before it took %.0f s; checking again", write.operation, seconds)
            if slow == MAX_SLOW_CHECKS:
                ending.error = _too_slow(write.operation)
                ending.errors.append(ending.error)
                return ending
            continue
        try:
            write.send()
        except AwsFailure as error:
            ending.errors.append(error)
            ending.unanswered = ending.unanswered or outcome_unknown(error)
            if len(ending.errors) >= TRIES or not worth_another_try(error):
                ending.error = error
                return ending
            logger.info("%s; checked again before the next try", error)
            _pause(len(ending.errors), stopping)
        else:
            ending.sent.append(write.operation)
    ending.error = AwsFailure("Repeated", "TooManyRequests", f"still not done after {MAX_REQUESTS} requests")
    ending.errors.append(ending.error)
    return ending


def _too_slow(operation: str) -> TimedOut:
    return TimedOut(
        operation,
        "CheckTooSlow",
        f"not sent: {MAX_SLOW_CHECKS} checks before it took more than {MAX_CHECK_SECONDS:.0f} s each, and what they"
        " read may have changed since; AWS, the API server or the operator itself is slow",
    )


def outcome_unknown(error: AwsFailure) -> bool:
    """Whether the request may have been carried out although no answer says so."""
    return error.code in LOST_ANSWERS or error.status >= 500


def worth_another_try(error: AwsFailure) -> bool:
    """Whether the same request may succeed in a few seconds."""
    return isinstance(error, Throttled | TimedOut) or error.code in EXPIRED_CODES or outcome_unknown(error)


def _pause(failures: int, stopping: threading.Event) -> None:
    longest = FIRST_PAUSE * 2 ** (failures - 1)
    # Full seconds matter little here; that two replicas or accounts do not come back at once does.
    if stopping.wait(longest * (0.5 + random.random() / 2)):  # noqa: S311 - jitter, no secret
        raise PassAbandoned("the operator is stopping")
