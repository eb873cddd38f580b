"""Signals that end a sitting, held back while something would be left half done."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self


class Interrupted(BaseException):
    """A signal that ends the sitting. Like KeyboardInterrupt no Exception, so that no library takes it for its own."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.status = 128 + signum


class Interrupts:
    """Lets Ctrl-C and its kin act only where nothing is left half done: while `allowed`, or on entering it next.

    Ctrl-Z does nothing meanwhile: it would leave the seed standing on the screen.
    """

    _ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

    def __init__(self) -> None:
        self._pending: int | None = None
        self._open = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._before = {one: signal.signal(one, self._handle) for one in self._ENDING}
        self._before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        self._pending = self._pending or signum
        self._act()

    def _act(self) -> None:
        if self._open and self._pending is not None:
            self._open = False
            raise Interrupted(self._pending)

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Raises Interrupted as soon as a signal has come, before or meanwhile."""
        try:
            self._open = True
            self._act()
            yield
        finally:
            self._open = False
