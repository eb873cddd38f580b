"""The command line: the entry of the program. Commands are in program.py and imported when they are used."""

from __future__ import annotations

import contextlib
import os
import signal
from types import FrameType

INTERRUPTED = 128 + signal.SIGINT
FIRST_PROCESS = 1


def main() -> None:
    """Run the command of the process's arguments and end with its status.

    Until a command has been imported, Ctrl-C ends the process at once: an exception in the middle of an import would
    show a traceback, and there is nothing yet to clean up.
    """
    # Left alone where it is ignored, as for a job that nohup or a shell put into the background.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
    if os.getpid() == FIRST_PROCESS:
        # The kernel drops what the first process of a container does not handle.
        signal.signal(signal.SIGTERM, _end_in_silence)
    from mfa_operator.cli.program import run

    run()


def interrupts_raise() -> None:
    """From here on Ctrl-C is a KeyboardInterrupt."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(_signal: int, _frame: FrameType | None) -> None:
    try:
        say_interrupted()
    finally:
        os._exit(INTERRUPTED)


def _end_in_silence(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)


def say_interrupted() -> None:
    """In a line of its own: a terminal shows ^C where the cursor was."""
    with contextlib.suppress(OSError):
        os.write(2, b"\n" * os.isatty(2) + b"mfa-operator: interrupted\n")
