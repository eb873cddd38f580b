"""How the process ends in time: it hears signals whatever it computes, and ends at once when its time is up."""

from __future__ import annotations

import os
import queue
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from mfa_operator.process import logs

SIGNALS = (signal.SIGTERM, signal.SIGINT)
FLUSH_SECONDS = 0.1
"""For the log: a reader of stderr that has stopped reading must not keep the process."""


def end_process(status: int) -> NoReturn:
    """End at once.

    A thread in a blocking call to AWS cannot be cancelled, and an orderly exit of the interpreter would wait for it and
    free what is held of thousands of accounts object by object. Nothing is lost: what was intended stands in a report,
    and what was not written the next start does again.
    """
    try:
        flushing = threading.Thread(target=logs.flush, daemon=True)
        flushing.start()
        flushing.join(FLUSH_SECONDS)
    finally:
        os._exit(status)


class StopSignals:
    """Calls `stop` at SIGTERM and SIGINT, in a thread of its own.

    Not asyncio's handlers: they wait for the event loop, which may be busy, or wait for the interpreter.
    """

    def __init__(self, stop: Callable[[], object]) -> None:
        self._stop = stop
        self._read, self._write = socket.socketpair()
        self._write.setblocking(False)
        self._before: dict[signal.Signals, Any] = {}

    def start(self) -> None:
        threading.Thread(target=self._listen, name="mfa-signals", daemon=True).start()

    def handle(self) -> None:
        """Take the signals from whoever handles them now. For the main thread; in another one it does nothing."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            # The interpreter writes the number to the socket only where there is a handler.
            before = signal.signal(number, _nothing)
            self._before.setdefault(number, before)
        signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)

    def close(self) -> None:
        """Handle signals no longer, and end the thread."""
        if self._before:
            signal.set_wakeup_fd(-1)
            for number, before in self._before.items():
                signal.signal(number, before)
        self._write.close()

    def _listen(self) -> None:
        with self._read:
            while numbers := self._read.recv(64):
                if set(numbers) & set(SIGNALS):
                    self._stop()


class LastResort:
    """Calls a function when the time is up that the process has for its end.

    Its thread runs from the start: where no thread can be started any more the process must end all the more.
    """

    def __init__(self, call: Callable[[int], object]) -> None:
        """`call` gets the exit status, in a thread."""
        self._call = call
        self._orders: queue.SimpleQueue[tuple[float, int]] = queue.SimpleQueue()
        self._called_off = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._wait, name="mfa-last-resort", daemon=True).start()

    def in_seconds(self, seconds: float, status: int) -> None:
        """Call in so many seconds, unless called off; the first order counts."""
        self._orders.put((seconds, status))

    def call_off(self) -> None:
        """Call no more, and end the thread."""
        self._called_off.set()
        self._orders.put((0.0, 0))

    def _wait(self) -> None:
        seconds, status = self._orders.get()
        if not self._called_off.wait(seconds):
            self._call(status)


def _nothing(_signal: int, _frame: FrameType | None) -> None:
    """The signal is heard all the same: see StopSignals."""
