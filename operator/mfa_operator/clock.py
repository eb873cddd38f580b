"""The one place that reads clocks; everything else takes `now` as an argument."""

import time
from datetime import UTC, datetime

_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def utc_moment() -> datetime:
    """The time now, in UTC, to the microsecond: it tells apart, and puts in order, what happens within one second."""
    return datetime.now(UTC)


def utc_now() -> datetime:
    """The time now, in UTC and whole seconds, as Kubernetes objects hold it."""
    return utc_moment().replace(microsecond=0)


def seconds_since_boot() -> float:
    """Seconds by a clock that nobody sets; on Linux it counts the time that the machine was suspended, too.

    Elsewhere there is no such clock, and time asleep may be missing.
    """
    return time.clock_gettime(_SINCE_BOOT)
