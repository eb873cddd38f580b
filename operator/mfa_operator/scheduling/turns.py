"""Namespaces take turns, so that none holds all places while another waits. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator

from mfa_operator.scheduling.entries import Entry

EXTRA = 1
"""Places beyond the usual ones, for a namespace that has none."""


def may_start(running: int, free: int) -> bool:
    """Whether a namespace that has `running` places may take one more where `free` of the usual ones are left."""
    return free > 0 or (running == 0 and free > -EXTRA)


def next_namespace(waiting: Iterable[str], running: Counter[str], free: int) -> str | None:
    """Who is next: of those that may start the one with the fewest places, the first of them; None where none may."""
    able = [namespace for namespace in waiting if may_start(running[namespace], free)]
    return min(able, key=running.__getitem__, default=None)


def in_turns(waiting: Iterable[Entry], running: Counter[str], free: int) -> Iterator[Entry]:
    """Those of the policies that may start now where `free` of the usual places are left, the next one first.

    `waiting`: in the order in which the policies of one namespace are to start. `running`: places taken, by namespace.
    """
    running = running.copy()
    queues: dict[str, deque[Entry]] = {}
    for entry in waiting:
        queues.setdefault(entry.ref.namespace, deque()).append(entry)
    while (namespace := next_namespace(queues, running, free)) is not None:
        yield queues[namespace].popleft()
        if not queues[namespace]:
            del queues[namespace]
        running[namespace] += 1
        free -= 1
