"""An queue on clocks that the test moves, and events for it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from mfa_operator.api.conversion import rfc3339
from mfa_operator.api.enums import API_VERSION, REQUESTED_AT_ANNOTATION
from mfa_operator.api.objects import PolicyRef
from mfa_operator.scheduling.due import Cause, PassEnd
from mfa_operator.scheduling.entries import Job
from mfa_operator.scheduling.queue import PolicyQueue

REF = PolicyRef("security", "console-mfa")
QUARTER = timedelta(minutes=15)


@dataclass
class Time:
    """Two clocks, as a machine has them."""

    wall: datetime = datetime(2026, 11, 24, 12, tzinfo=UTC)
    seconds: float = 1000.0

    def passes(self, delta: timedelta) -> None:
        self.wall += delta
        self.seconds += delta.total_seconds()

    def is_set(self, delta: timedelta) -> None:
        """Somebody sets the wall clock."""
        self.wall += delta


@dataclass
class QueueHarness:
    """An queue, and what it told to forget."""

    time: Time = field(default_factory=Time)
    forgotten: list[PolicyRef] = field(default_factory=list)
    queue: PolicyQueue = field(init=False)

    def __post_init__(self) -> None:
        self.queue = PolicyQueue(
            self.forgotten.append,
            clock=lambda: self.time.wall,
            chance=random.Random(1),
            monotonic=lambda: self.time.seconds,
            selects=lambda policy: policy["metadata"].get("labels", {}).get("shard", "ours") == "ours",
        )

    def take(self) -> Job | None:
        """The one job there is to do, if any."""
        jobs = self.queue.take(8)
        assert len(jobs) <= 1
        return jobs[0] if jobs else None

    def start(self) -> Job:
        """Begin the pass that must be due now."""
        job = self.take()
        assert job is not None
        assert job.due is not None
        return job

    def do(self, *, generation: int = 1, requested_at: str = "", every: timedelta | None = QUARTER) -> Job:
        """Run the pass that must be due now, to its end."""
        job = self.start()
        self.queue.ended(job, PassEnd(generation, requested_at, self.time.wall + every if every else None))
        return job


def why(job: Job | None) -> tuple[Cause, bool] | None:
    """The cause of a pass, and whether it is fresh; None where there is no pass."""
    return (job.due.cause, job.due.fresh) if job and job.due else None


def body(
    *,
    uid: str = "one",
    version: int = 1,
    generation: int = 1,
    asked: str = "",
    last_pass: datetime | None = None,
    ref: PolicyRef = REF,
    shard: str = "",
) -> dict[str, Any]:
    """`shard`: the label that the harness selects by; "ours" or none is selected."""
    metadata: dict[str, Any] = {"namespace": ref.namespace, "name": ref.name, "uid": uid}
    metadata |= {"resourceVersion": str(version), "generation": generation}
    if shard:
        metadata["labels"] = {"shard": shard}
    if asked:
        metadata["annotations"] = {REQUESTED_AT_ANNOTATION: asked}
    found = {
        "apiVersion": API_VERSION,
        "kind": "MfaPolicy",
        "metadata": metadata,
        "spec": {"accounts": [{"id": "111122223333"}]},
    }
    if last_pass:
        times = {"lastPassTime": rfc3339(last_pass), "nextPassTime": rfc3339(last_pass + QUARTER)}
        found["status"] = {"observedGeneration": generation, **times}
    return found
