"""Trying an AWS call again: bounded, with jitter, and no longer once the operator stops."""

from __future__ import annotations

import threading
from collections.abc import Callable

import tenacity


def retrying(
    when: Callable[[BaseException], bool],
    stopping: threading.Event,
    *,
    tries: int,
    first: float,
    longest: float,
    jitter: float = 0.5,
    within: float | None = None,
) -> tenacity.Retrying:
    """What calls again where `when` says so of the exception, and raises the last one at the end.

    `first` and `longest` are seconds of pause, doubling, each with up to `jitter` on top; `within` bounds all tries
    together. A pause ends at once when `stopping` is set; the next try is then expected to raise by itself.
    """
    stop: tenacity.stop.stop_base = tenacity.stop_after_attempt(tries)
    if within is not None:
        stop |= tenacity.stop_after_delay(within)
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(when),
        stop=stop,
        wait=tenacity.wait_exponential(multiplier=first, max=longest) + tenacity.wait_random(0, jitter),
        sleep=lambda seconds: pause(seconds, stopping),
        reraise=True,
    )


def pause(seconds: float, stopping: threading.Event) -> None:
    """Wait, unless the operator stops."""
    stopping.wait(seconds)
