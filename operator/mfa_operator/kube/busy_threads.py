"""How long threads that compute keep the others waiting: shorter while something urgent goes on.

With the interpreter's 5 ms each of the dozen steps of a request waits that long for every busy thread; with 64 of them
a renewal of the Lease took 5 s. Shorter all the time would cost a tenth of their work.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator

USUAL_SECONDS, URGENT_SECONDS = sys.getswitchinterval(), 0.001


class _Urgency:
    """How many urgent things go on: the usual pace comes back with the end of the last one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def change(self, by: int) -> None:
        with self._lock:
            self._count += by
            sys.setswitchinterval(URGENT_SECONDS if self._count else USUAL_SECONDS)


_urgency = _Urgency()


@contextlib.contextmanager
def before_busy_threads() -> Iterator[None]:
    """Have threads that compute give way sooner. Safe to use from several threads at once."""
    _urgency.change(1)
    try:
        yield
    finally:
        _urgency.change(-1)


class Hurry:
    """The same from begin() to end(), for what ends a process. Each may be called again; what comes after the end does
    nothing.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = self._over = False

    def begin(self) -> None:
        with self._lock:
            if not self._begun and not self._over:
                self._begun = True
                _urgency.change(1)

    def end(self) -> None:
        with self._lock:
            if self._begun and not self._over:
                _urgency.change(-1)
            self._over = True
