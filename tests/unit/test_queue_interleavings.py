"""Any order of what people, the watch and passes do: no policy is lost, and what a person did is served."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mfa_operator.api.enums import REQUESTED_AT_ANNOTATION
from mfa_operator.scheduling.due import PassEnd
from mfa_operator.scheduling.entries import Job
from tests.unit.queue_harness import QUARTER, REF, QueueHarness, body


class Interleavings(RuleBasedStateMachine):
    """Any order of edits, wishes, deletions, passes and failures, with every event delivered late or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.harness = QueueHarness()
        self.version = 0
        self.uid = 0
        self.shard = "ours"
        """The label by which the policy is ours or another operator's."""
        self.live: dict[str, Any] | None = None
        self.undelivered: list[tuple[str, dict[str, Any]]] = []
        self.job: Job | None = None
        self.seen: tuple[str, int, str] | None = None
        self.seen_as = self.shard
        self.served: tuple[str, int, str] | None = None

    def change(self, event: str, **fields: Any) -> None:
        self.version += 1
        found = body(uid=str(self.uid), version=self.version, shard=self.shard, **fields)
        self.live = None if event == "DELETED" else found
        self.undelivered.append((event, found))

    def state(self) -> tuple[str, int, str] | None:
        if self.live is None:
            return None
        metadata = self.live["metadata"]
        return metadata["uid"], metadata["generation"], metadata.get("annotations", {}).get(REQUESTED_AT_ANNOTATION, "")

    @precondition(lambda self: self.live is None)
    @rule()
    def create(self) -> None:
        self.uid += 1
        self.change("ADDED")

    @precondition(lambda self: self.live is not None)
    @rule()
    def edit(self) -> None:
        _, generation, asked = self.state() or ("", 0, "")
        self.change("MODIFIED", generation=generation + 1, asked=asked)

    @precondition(lambda self: self.live is not None)
    @rule()
    def ask(self) -> None:
        _, generation, _ = self.state() or ("", 0, "")
        self.change("MODIFIED", generation=generation, asked=f"wish {self.version}")

    @precondition(lambda self: self.live is not None)
    @rule()
    def relabel(self) -> None:
        _, generation, asked = self.state() or ("", 0, "")
        self.shard = "other" if self.shard == "ours" else "ours"
        self.change("MODIFIED", generation=generation, asked=asked)

    @precondition(lambda self: self.live is not None)
    @rule()
    def delete(self) -> None:
        _, generation, asked = self.state() or ("", 0, "")
        self.change("DELETED", generation=generation, asked=asked)

    @precondition(lambda self: self.undelivered)
    @rule()
    def deliver(self) -> None:
        self.harness.queue.notice(*self.undelivered.pop(0))

    @rule()
    def list_anew(self) -> None:
        """A watch that lost its place: all events before it are lost, the list is complete."""
        self.undelivered.clear()
        self.harness.queue.listed([self.live] if self.live else [], self.harness.queue.known())

    @precondition(lambda self: self.job is None)
    @rule()
    def start(self) -> None:
        self.job = self.harness.take()
        self.seen, self.seen_as = self.state(), self.shard

    @precondition(lambda self: self.job is not None)
    @rule(fails=st.booleans())
    def end(self, fails: bool) -> None:
        assert self.job is not None
        job, self.job = self.job, None
        if fails or (job.due and self.seen is None):
            # A policy that is not found makes a pass fail, whether it was deleted or the answer was wrong.
            self.harness.queue.failed(job, OSError("away"))
            return
        _, generation, asked = self.seen or ("", 0, "")
        due = self.harness.time.wall + QUARTER
        left = self.seen_as == "other"
        self.harness.queue.ended(job, PassEnd(generation, asked, due, left=left) if job.due else None)
        if job.due and job.due.fresh and not left and self.shard == "ours":
            self.served = self.seen

    @rule(minutes=st.integers(1, 20))
    def wait(self, minutes: int) -> None:
        self.harness.time.passes(timedelta(minutes=minutes))

    @invariant()
    def a_policy_is_never_lost(self) -> None:
        """Once all events are delivered, whatever lives is waited for, and what does not is not known."""
        if self.undelivered or self.job:
            return
        if self.live is None:
            assert self.harness.queue.known() == {}
        elif self.shard == "other":
            # Or it is still to be given up.
            assert not self.harness.queue.known() or self.harness.queue.seconds_until_next() is not None
        else:
            assert self.harness.queue.known() == {REF: str(self.uid)}
            assert self.harness.queue.seconds_until_next() is not None

    @invariant()
    def what_a_person_did_is_served_by_a_fresh_pass(self) -> None:
        if self.undelivered or self.job or self.live is None or self.served == self.state() or self.shard == "other":
            return
        (entry,) = self.harness.queue._entries.values()
        assert entry.due
        assert entry.due.fresh


Interleavings.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestInterleavings = Interleavings.TestCase
