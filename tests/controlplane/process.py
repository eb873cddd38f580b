"""One program of the control plane as a child process that can't outlive this one, and the wait for it."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

GUARD = Path(__file__).with_name("guard.py")
LOG_TAIL_LINES = 25
POLL_SECONDS = 0.05
# With watches open, kube-apiserver ends no sooner than its clients; the others need a hundredth of this.
GRACE_SECONDS = 0.5


class StartError(Exception):
    """A program did not become ready; the message ends with the tail of its log."""


class PortTakenError(StartError):
    """Another process was given the port between its choice and its use."""


def free_ports(count: int) -> list[int]:
    """Distinct loopback ports that nobody listens on now, all below the range of outgoing connections.

    A client that dials a stopped server's port in that range again and again can end up connected to itself,
    and the server can't have its port back: that would spoil tests of a restart.
    """
    ports: list[int] = []
    while len(ports) < count:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports


class Process:
    """A running program, its output appended to a log file.

    It runs under guard.py, which ends it when the pipe that this process holds closes: that works after
    kill -9 and from any thread, where PR_SET_PDEATHSIG would follow the thread that started the child.
    """

    def __init__(self, command: Sequence[str | Path], log: Path, scratch: Path | None = None) -> None:
        """Start the command; the directory `scratch` is removed once it has ended, however that happens."""
        self.name = Path(command[0]).name
        self.log = log
        with log.open("ab") as output:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", GUARD, str(GRACE_SECONDS), scratch or "", *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A Ctrl-C in the terminal is for this process alone, which then stops the children in order.
                start_new_session=True,
            )

    def await_ready(self, ready: Callable[[], bool], deadline: float) -> None:
        """Return once ready() is true.

        Raises StartError (PortTakenError where that is why) if the program ends first, or once
        time.monotonic() passes the deadline.
        """
        while not ready():
            status = self._guard.poll()
            if status is not None:
                kind = PortTakenError if "address already in use" in self.log_tail() else StartError
                raise kind(f"{self.name} ended with status {status}; the end of {self.log.name}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise StartError(f"{self.name} is not ready; the end of {self.log.name}:\n{self.log_tail()}")
            time.sleep(POLL_SECONDS)

    def log_tail(self) -> str:
        """The last lines that the program wrote."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LOG_TAIL_LINES:])

    def stop(self) -> None:
        """End the program, with SIGTERM first, and wait until it is gone; nothing if it is already."""
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait(GRACE_SECONDS + 10)
