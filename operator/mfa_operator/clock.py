"""The one place that reads the wall clock; everything else takes `now` as an argument."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The time now, in UTC and whole seconds, as Kubernetes objects hold it."""
    return datetime.now(UTC).replace(microsecond=0)
