"""How fast an account may be asked that throttles: a rate that learns. Pure; `now` is an argument, in seconds.

Nothing is held back before AWS throttles. Then the rate is cut at each sign of throttling, and grows again with the
time since the last one: little at first, faster the longer AWS accepts everything (as TCP CUBIC does, RFC 9438).
Requests are spaced evenly, first come, first served: a bucket with room for one token, which cannot burst.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_RATE = 20.0
"""Requests a second after the first throttled answer: about what IAM gives one account."""
LOWEST_RATE = 1.0
CUT = 0.7
"""What is left of the rate after a cut."""
BETWEEN_CUTS = 1.0
"""Seconds. What was under way when the rate was cut may still be throttled, and is no reason to cut it again."""
GROWTH, ACCELERATION = 0.1, 0.02
"""Requests a second that the rate gains for each second since the last cut, and for its square."""
FULL_RATE = 200.0
"""Requests a second from which on nothing is held back: more than one account's lookups can use. Reached some 95 s
after the last throttled answer."""
PATIENCE = 60.0
"""Seconds in which AWS throttles every single request of an account, after which it is asked now and then only."""
BETWEEN_PROBES = 10.0
"""Seconds between two requests from then on."""
FORGET_AFTER = 30.0
"""Seconds without a throttled answer after which the throttled ones before say nothing about the next."""


@dataclass(slots=True)
class RequestRate:
    """The rate of one account, from its first throttled answer on. Not safe for two threads at once."""

    cut_at: float
    cut_to: float = FIRST_RATE
    next_at: float = 0.0
    """When the next request may go out."""
    throttled_since: float | None = None
    """The first throttled answer since the last accepted one."""
    throttled_at: float = 0.0
    """The last one."""
    probed_at: float = float("-inf")

    def per_second(self, now: float) -> float:
        """Requests a second."""
        seconds = max(now - self.cut_at, 0.0)
        return min(self.cut_to + GROWTH * seconds + ACCELERATION * seconds**2, FULL_RATE)

    def recovered(self, now: float) -> bool:
        """Whether nothing need be held back any more."""
        return self.per_second(now) >= FULL_RATE

    def reserve(self, now: float) -> float:
        """Take the next place in the row; gives the moment at which the request may go out."""
        at = max(now, self.next_at)
        self.next_at = at + 1.0 / self.per_second(at)
        return at

    def throttled(self, now: float) -> None:
        """AWS throttled a request."""
        if self.throttled_since is None or now - self.throttled_at >= FORGET_AFTER:
            self.throttled_since = now
        self.throttled_at = now
        if now - self.cut_at >= BETWEEN_CUTS:
            self.cut_to, self.cut_at = max(self.per_second(now) * CUT, LOWEST_RATE), now
            self.next_at = max(self.next_at, now + 1.0 / self.cut_to)

    def accepted(self) -> None:
        """AWS answered a request."""
        self.throttled_since = None

    def endless(self, now: float) -> bool:
        """Whether AWS has throttled everything for so long that waiting does not help."""
        return (
            self.throttled_since is not None
            and self.throttled_at - self.throttled_since >= PATIENCE
            and now - self.throttled_at < FORGET_AFTER
        )

    def may_ask(self, now: float) -> bool:
        """Whether a request is worth its while; where AWS throttles everything, one now and then is."""
        if not self.endless(now):
            return True
        if now - self.probed_at < BETWEEN_PROBES:
            return False
        self.probed_at = now
        return True
