"""When the pass of each policy is due, and which may begin now; no threads, no loop, no waiting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime

from mfa_operator.api.objects import PolicyRef
from mfa_operator.scheduling.due import Due
from mfa_operator.scheduling.entries import Entry, Job
from mfa_operator.scheduling.turns import in_turns, may_start


class Agenda:
    """Plans passes by two clocks: the wall's, which people set, and one that nobody sets and that may stop in sleep."""

    def __init__(
        self, entries: Mapping[PolicyRef, Entry], clock: Callable[[], datetime], monotonic: Callable[[], float]
    ) -> None:
        """`entries` is the queue's own: policies come and go in it. `monotonic` gives seconds."""
        self._entries = entries
        self._clock = clock
        self._monotonic = monotonic

    def ask(self, entry: Entry, due: Due) -> None:
        """Plan a pass that somebody asks for; after the job that is running, if one is."""
        if entry.running:
            entry.pending = due
        else:
            self.plan(entry, due)

    def plan(self, entry: Entry, due: Due | None) -> None:
        """Have this pass be the policy's next one; None: there is no other to come."""
        entry.due = due
        if due:
            entry.due_monotonic = self._monotonic() + max((due.at - self._clock()).total_seconds(), 0.0)

    def is_due(self, entry: Entry) -> bool:
        """By either clock: the machine may have slept, which the monotonic one does not count."""
        return entry.due is not None and (entry.due_monotonic <= self._monotonic() or entry.due.at <= self._clock())

    def take(self, free: int) -> list[Job]:
        """What is to be started now where `free` slots are left: the longest overdue first, then metrics to restore.

        Namespaces take turns: the one with the fewest jobs under way is first, and one more than `free` may be started
        for a namespace that has none. So no namespace holds all slots while another waits.
        """
        idle = [entry for entry in self._entries.values() if not entry.running]
        due = sorted(filter(self.is_due, idle), key=lambda entry: entry.due_monotonic)
        due_now = {entry.ref for entry in due}
        restorable = [entry for entry in idle if entry.restore and entry.ref not in due_now]
        jobs: list[Job] = []
        for entry in in_turns(due + restorable, self._running(), free):
            jobs.append(Job(entry.ref, entry.restore, entry.due if entry.ref in due_now else None))
            entry.restore, entry.running = None, True
        return jobs

    def seconds_until_next(self, free: int = 1) -> float | None:
        """Seconds until the next pass can begin; None where none can, save after an event or the end of a job."""
        running = self._running()
        able = [
            entry.due_monotonic
            for entry in self._entries.values()
            if entry.due and not entry.running and may_start(running[entry.ref.namespace], free)
        ]
        return max(min(able) - self._monotonic(), 0.0) if able else None

    def oldest_due(self) -> datetime | None:
        """When the pass was due that has waited longest to begin; None where none waits."""
        waiting = [entry.due.at for entry in self._entries.values() if entry.due and not entry.running]
        return min((at for at in waiting if at <= self._clock()), default=None)

    def _running(self) -> Counter[str]:
        """Jobs under way by namespace."""
        running = (entry for entry in self._entries.values() if entry.running and not entry.running_targeted)
        return Counter(entry.ref.namespace for entry in running)
