"""The one place that reads the wall clock; everything else takes `now` as an argument."""

from datetime import UTC, datetime


def utc_moment() -> datetime:
    """The time now, in UTC, to the microsecond: it tells apart, and puts in order, what happens within one second."""
    return datetime.now(UTC)


def utc_now() -> datetime:
    """The time now, in UTC and whole seconds, as Kubernetes objects hold it."""
    return utc_moment().replace(microsecond=0)
