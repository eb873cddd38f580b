"""Run a command until standard input closes: `python guard.py GRACE_SECONDS SCRATCH COMMAND [ARGUMENT ...]`.

The kernel closes the pipe however the process at its other end goes, kill -9 included, and asks nothing of
that process's threads. The command then gets SIGTERM and, GRACE_SECONDS later, SIGKILL; the exit status is
its own, or 128 and the number of the signal that ended it. The directory SCRATCH (may be empty: none) is
removed after the command, worthless as it then is: after kill -9 nobody else would do it.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Run the command to its end and return the exit status."""
    grace, scratch, *command = arguments
    # preexec_fn is safe here, unlike in a test process: there is one thread yet, and it outlives the command.
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        preexec_fn=_die_with_this_process(),  # noqa: PLW1509
    )
    threading.Thread(target=_end_with_input, args=(child, float(grace)), daemon=True).start()
    status = child.wait()
    if scratch:
        shutil.rmtree(scratch, ignore_errors=True)
    return status if status >= 0 else 128 - status


def _die_with_this_process() -> Callable[[], object] | None:
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_with_input(child: subprocess.Popen[bytes], grace: float) -> None:
    while os.read(0, 4096):
        pass
    child.terminate()
    try:
        child.wait(grace)
    except subprocess.TimeoutExpired:
        child.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
