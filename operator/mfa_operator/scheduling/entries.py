"""What the queue knows of one policy, and what it gives out to be done. Plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from mfa_operator.api.duration import Duration
from mfa_operator.api.objects import Body, PolicyRef, requested_at
from mfa_operator.api.policy import DEFAULT_INTERVAL, MIN_INTERVAL
from mfa_operator.scheduling.due import Due
from mfa_operator.scheduling.hints import TargetedPass


@dataclass(frozen=True, slots=True)
class Seen:
    """What the queue reads of an object's metadata; the API server sends that alone where a list suffices."""

    uid: str
    version: int
    """Resource versions can be compared since Kubernetes 1.35; 0 where they are no numbers."""
    generation: int
    requested_at: str

    @classmethod
    def of(cls, body: Body) -> Seen:
        metadata = body.get("metadata") or {}
        return cls(
            uid=str(metadata.get("uid") or ""),
            version=_integer(metadata.get("resourceVersion")),
            generation=_integer(metadata.get("generation")),
            requested_at=requested_at(body),
        )


@dataclass(frozen=True, slots=True)
class Job:
    """To be done about a policy now: take up its metrics from `restore`, run the pass that is `due`, or both."""

    ref: PolicyRef
    restore: Body | None
    due: Due | None
    targeted: TargetedPass | None = None
    """Accounts to audit because of hints, and nothing else."""


@dataclass(slots=True)
class Entry:
    """What is known of one policy."""

    ref: PolicyRef
    uid: str = ""
    version: int = 0
    generation: int = 0
    requested_at: str = ""
    due: Due | None = None
    due_monotonic: float = 0.0
    """The same moment on a clock that nobody sets: a wall clock set back must not make a pass late."""
    restore: Body | None = None
    """Object to restore the metrics from, until that is done."""
    failures: int = 0
    """Passes that failed in a row."""
    taken_up: bool = False
    """A first job has ended in this process, if only that of restoring: what the policy covers is known."""
    running: bool = False
    running_targeted: bool = False
    """What runs is a targeted pass."""
    pending: Due | None = None
    """What was asked for while a job was running."""
    interval: timedelta = MIN_INTERVAL.delta
    """As the last object with a spec asks for: the longest that a failed pass waits for its retry."""
    resting: int | None = None
    """Generation that a pass found suspended or invalid; None: a pass has to come."""
    served: tuple[int, str] = (0, "")
    """Generation and requestedAt that the last fresh pass read: their event may come later than the pass."""
    leaving: bool = False
    """Its labels are not ours any more: a pass gives it up."""
    elsewhere: bool = False
    """Another operator serves it, as the last pass found."""
    forget: bool = False
    """What the running job is about is gone: to be forgotten once the job ends, or that would bring it back."""
    gone: bool = False

    def start_over(self, seen: Seen, interval: timedelta) -> None:
        """It is about another object now, which was seen for the first time. What runs, and is due, stays."""
        self.uid, self.version = seen.uid, seen.version
        self.generation, self.requested_at = seen.generation, seen.requested_at
        self.interval = interval
        self.served, self.failures, self.resting = (0, ""), 0, None
        self.leaving = self.elsewhere = self.gone = self.taken_up = False


def is_free(body: Body) -> bool:
    """Whether the object, if it is a whole one, names no operator that serves it."""
    return "spec" in body and not (body.get("status") or {}).get("servedBy")


def asked_interval(body: Body, known: timedelta) -> timedelta:
    """The interval that the object asks for; `known` where it has no spec, the shortest where it is wrong."""
    if "spec" not in body:
        return known
    try:
        asked = Duration.parse(str((body["spec"] or {}).get("interval") or DEFAULT_INTERVAL))
    except (ValueError, AttributeError):
        asked = MIN_INTERVAL
    # The API server refuses less; where a CRD is older than that rule, 0s would be retries without a pause.
    return max(asked, MIN_INTERVAL).delta


def _integer(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        return 0
