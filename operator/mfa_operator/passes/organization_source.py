"""One organization that policies discover their accounts in: who asks for it, what it answered, when it is due again.

No threads, no waiting, no AWS: the clock is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mfa_operator.api.objects import PolicyRef
from mfa_operator.api.organization import Organization
from mfa_operator.aws.organization import Lister, OrganizationLister
from mfa_operator.organization.listing import Listing
from mfa_operator.scheduling.due import JITTER

SPACING = 60.0
"""Seconds between two listings of one organization, at least, however often people and events ask."""
FIRST_RETRY = 60.0
"""Seconds until a listing that failed is tried again, doubling up to the refresh interval."""
_NEVER = float("-inf")


@dataclass(slots=True)
class OrganizationSource:
    """One organization, as one lister sees it. Times are monotonic seconds."""

    lister: Lister
    specs: dict[PolicyRef, Organization] = field(default_factory=dict)
    """Of the policies that it serves."""
    waiting: set[PolicyRef] = field(default_factory=set)
    """Policies to be told when a listing is complete."""
    worker: OrganizationLister | None = None
    listing: Listing | None = None
    """The last complete one."""
    problem: Exception | None = None
    """Why the last listing failed; None where it did not."""
    progress: str = ""
    running: bool = False
    begun: float = _NEVER
    due: float = _NEVER
    _failures: int = 0
    _again: bool = False
    """Asked for while a listing was under way, which may miss what has just happened."""

    @property
    def last_success(self) -> datetime | None:
        return self.listing.listed_at if self.listing else None

    @property
    def interval(self) -> float:
        """Seconds from one listing to the next: the shortest that a policy asks for."""
        return min((spec.refresh_interval.delta for spec in self.specs.values()), default=timedelta()).total_seconds()

    def join(self, ref: PolicyRef, spec: Organization) -> None:
        self.specs[ref] = spec
        if self.listing:
            # A policy may want the next one sooner than those before it.
            self.due = min(self.due, self.begun + self.interval * (1 + JITTER))

    def leave(self, ref: PolicyRef) -> None:
        self.specs.pop(ref, None)
        self.waiting.discard(ref)

    def hurry(self, now: float) -> None:
        """Have it listed as soon as may be."""
        if self.running:
            self._again = True
        else:
            self.due = min(self.due, max(self.begun + SPACING, now))

    def begin(self, now: float) -> None:
        self.running, self.begun, self.progress = True, now, ""

    def abandon(self) -> None:
        """The operator stops: nothing was learned."""
        self.running = False

    def end(self, outcome: Listing | Exception, now: float, fraction: float) -> set[PolicyRef]:
        """Take in how a listing ended; returns the policies that are to hear of it.

        `fraction` is chance in [0, 1).
        """
        was_failing = self.problem is not None
        if isinstance(outcome, Listing):
            self.listing, self.problem, self._failures = outcome, None, 0
            delay = self.interval
            told, self.waiting = self.waiting, set()
        else:
            self.problem = outcome
            delay = min(FIRST_RETRY * 2 ** min(self._failures, 16), self.interval)
            self._failures += 1
            # They go on waiting for a list; what is wrong they hear once.
            told = set() if was_failing else set(self.waiting)
        self.due = now + delay * (1 - JITTER + 2 * JITTER * fraction)
        self.running, self.progress = False, ""
        if self._again:
            self._again = False
            self.hurry(now)
        return told
