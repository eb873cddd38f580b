"""Durations as Kubernetes users write them: Go's syntax, such as `90s`, `15m`, `1h30m`."""

from __future__ import annotations

from datetime import timedelta
from functools import total_ordering

import durationpy


@total_ordering
class Duration:
    """A length of time, never negative; immutable. No dataclass, or msgspec would read it as an object with fields."""

    __slots__ = ("delta",)
    delta: timedelta

    def __init__(self, delta: timedelta) -> None:
        object.__setattr__(self, "delta", delta)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Duration is immutable: cannot set {name}")

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read Go's notation. Raises ValueError with a message for the person who wrote `text`."""
        try:
            delta = durationpy.from_str(text)
        except (durationpy.DurationError, OverflowError) as error:
            raise ValueError(f"invalid duration {text!r}; write it like 90s, 15m, 4h or 1h30m") from error
        if delta < timedelta():
            raise ValueError(f"{text!r} is negative; a duration must be 0s or more")
        return cls(delta)

    def __str__(self) -> str:
        return str(durationpy.to_str(self.delta)) if self.delta else "0s"

    def __repr__(self) -> str:
        return f"Duration({self})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Duration) and self.delta == other.delta

    def __lt__(self, other: Duration) -> bool:
        return self.delta < other.delta

    def __hash__(self) -> int:
        return hash(self.delta)


def minutes(count: int) -> Duration:
    return Duration(timedelta(minutes=count))


def hours(count: int) -> Duration:
    return Duration(timedelta(hours=count))
