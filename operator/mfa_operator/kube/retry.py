"""Retries: which failures of a call are retried, how often, how long to wait, and which error stands at the end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import tenacity

from mfa_operator.kube.errors import ClusterError, ClusterUnavailable, ObjectGone, ReadRefused, WriteRefused
from mfa_operator.kube.requests import CONFLICT, EXPIRED, INVALID, NO_ANSWER, NOT_FOUND, CallFailed

logger = logging.getLogger(__name__)
T = TypeVar("T")

LATER = frozenset({NO_ANSWER, 408, 429, 500, 502, 503, 504})
"""Statuses after which the same call may well succeed."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and when to try again; times in seconds. Waits double, and each has up to `first` of jitter on top."""

    tries: int = 5
    first: float = 0.5
    longest: float = 8.0
    longest_asked: float = 30.0
    """The most that a Retry-After of the server is heeded."""


class Retrier:
    """Retries what may succeed later, in bounds, with jitter, and no longer once `stopping` is set."""

    def __init__(self, policy: RetryPolicy, stopping: threading.Event) -> None:
        self._policy, self._stopping = policy, stopping
        doubling = tenacity.wait_exponential(multiplier=policy.first, max=policy.longest)
        self._jittered = doubling + tenacity.wait_random(0, policy.first)

    def run(
        self,
        attempt: Callable[[], T],
        *,
        name: str,
        write: bool = False,
        also: frozenset[int] = frozenset(),
        tries: int | None = None,
    ) -> T:
        """Call `attempt` until it succeeds or no retry can help. `name`: of the object, for people.

        `also`: statuses, besides those of LATER, after which the attempt does something else the next time. INVALID
        among them is tried once more and no longer. Raises ClusterError.
        """
        invalid = 0

        def should_retry(error: BaseException) -> bool:
            nonlocal invalid
            if not isinstance(error, CallFailed):
                return False
            invalid += error.status == INVALID
            return error.status in LATER | also and invalid < 2

        def sleep(seconds: float) -> None:
            if self._stopping.wait(seconds):
                raise ClusterUnavailable(
                    f"{name}: the API server failed, and the operator is stopping: not tried again"
                )

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(should_retry),
            stop=tenacity.stop_after_attempt(tries or self._policy.tries),
            wait=self._wait,
            before_sleep=lambda state: logger.info("%s: %s; trying again", name, _last(state)),
            sleep=sleep,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except CallFailed as error:
            raise _conclude(error, name, write=write) from error

    def _wait(self, state: tenacity.RetryCallState) -> float:
        asked = getattr(_last(state), "retry_after", 0.0)
        return self._jittered(state) + min(asked, self._policy.longest_asked)


def _last(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _conclude(error: CallFailed, name: str, *, write: bool) -> ClusterError:
    if error.status == NOT_FOUND:
        return ObjectGone(f"{name} is gone: {error.message}")
    if error.status in LATER | {CONFLICT, EXPIRED}:
        return ClusterUnavailable(f"{name} could not be {'written' if write else 'read'}: {error}")
    return (WriteRefused if write else ReadRefused)(name, error.status, error.message)
