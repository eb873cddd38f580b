"""stdout and stderr of the process, where they may be closed, full, or a pipe that nobody reads any more."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class OutputFailed(OSError):
    """What a command had to say cannot be written; the message says why. `unread`: nobody reads it any more."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(f"the output cannot be written: {cause.strerror or cause}")
        self.unread = cause.errno == errno.EPIPE


class _Waiting(io.FileIO):
    """A file descriptor that another process may have made non-blocking: it blocks all the same."""

    def write(self, data: ReadableBuffer) -> int:
        while (written := super().write(data)) is None:
            select.select([], [self], [])
        return written


class _Output(_Waiting):
    """A file descriptor whose faults cannot be taken for anybody else's."""

    def write(self, data: ReadableBuffer) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OutputFailed(error) from error


class _Messages(_Waiting):
    """stderr: what nobody can read is dropped; there is no other place to say so."""

    def write(self, data: ReadableBuffer) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(memoryview(data))


def protect() -> None:
    """Make faults of stdout an OutputFailed, and keep closed descriptors from being used for other files.

    Without it a socket to AWS could become the process's stdout.
    """
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - stays open as long as the process
    # Open for reading only: a write fails as it would on the closed descriptor.
    if sys.stdout is None or sys.stdout is sys.__stdout__:
        sys.stdout = _stream(_Output, sys.stdout, os.O_RDONLY, "replace")
    if sys.stderr is None or sys.stderr is sys.__stderr__:
        sys.stderr = _stream(_Messages, sys.stderr, os.O_WRONLY, "backslashreplace")


def finish() -> None:
    """Write out what is held back. Raises OutputFailed."""
    sys.stdout.flush()


def discard() -> None:
    """Drop what is held back: it must not fail once more at the end of the process."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)


def _stream(kind: type[io.FileIO], now: io.TextIOBase | None, closed: int, errors: str) -> io.TextIOWrapper:
    descriptor = now.fileno() if now else os.open(os.devnull, closed)
    raw = kind(descriptor, "w", closefd=False)
    buffered = io.BufferedWriter(raw)
    lines = kind is _Messages or raw.isatty()
    return io.TextIOWrapper(buffered, (now and now.encoding) or "utf-8", errors, line_buffering=lines)
