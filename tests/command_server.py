"""A program that has imported `mfa-operator` and its libraries, and forks a process for each command it is asked for.

From `main` to the end of the interpreter the fork does what the command `mfa-operator` does; only the imports (0.1 s of
CPU, and 1 s for `run`) are not repeated. tests/fixtures/ready_command.py starts it and asks.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import selectors
import signal
import socket
import sys
import time
from typing import Any

LARGEST_REQUEST = 1 << 20
DESCRIPTORS = 4
"""That come with a request: stdin, stdout, stderr, and a socket that is told the process id, then the status."""


class Server:
    """Has no threads: a fork would take their locks with it, and nobody to release them."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._selector = selectors.PollSelector()
        self._selector.register(requests, selectors.EVENT_READ)

    def serve(self) -> dict[str, Any]:
        """Returns in each fork, with the request it is for. Ends the process when nobody is left to ask."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._requests:
                    if (request := self._answered()) is not None:
                        return request
                else:
                    self._selector.unregister(key.fileobj)
                    os.close(key.fd)
                    _tell_ending(*key.data)

    def _answered(self) -> dict[str, Any] | None:
        """Fork for the next request; None where this is not the fork."""
        content, descriptors, *_ = socket.recv_fds(self._requests, LARGEST_REQUEST, DESCRIPTORS)
        if not content:
            sys.exit()
        request: dict[str, Any] = json.loads(content)
        for module in request["modules"]:
            importlib.import_module(module)
        # Left alone by the fork's garbage collector, which would copy every page.
        gc.freeze()
        *standard, told = descriptors
        pid = os.fork()
        asking = socket.socket(fileno=told)
        if pid == 0:
            self._forget()
            _become(request, standard)
            asking.sendall(os.getpid().to_bytes(4, "big"))
            asking.close()
            return request
        for descriptor in standard:
            os.close(descriptor)
        self._selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, asking))
        return None

    def _forget(self) -> None:
        """Close what a command that was started by itself would not have open."""
        for key in list(self._selector.get_map().values()):
            if key.fileobj is not self._requests:
                os.close(key.fd)
                key.data[1].close()
        self._requests.close()
        self._selector.close()


def _tell_ending(pid: int, asking: socket.socket) -> None:
    _, status = os.waitpid(pid, 0)
    with asking, contextlib.suppress(BrokenPipeError):
        asking.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))


def _become(request: dict[str, Any], standard: list[int]) -> None:
    """Take over what a process inherits: descriptors, directory, environment, arguments, signals."""
    for number, descriptor in enumerate(standard):
        os.dup2(descriptor, number)
        os.close(descriptor)
    for number, name, mode in ((0, "stdin", "rb"), (1, "stdout", "wb"), (2, "stderr", "wb")):
        was = getattr(sys, name)
        stream = io.TextIOWrapper(
            os.fdopen(number, mode, closefd=False),
            was.encoding,
            was.errors,
            line_buffering=number == 2 or os.isatty(number),
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    sys.argv[:] = request["arguments"]
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _ended_without_teardown(ending: dict[str, int]) -> None:
    """The last handler of the interpreter's exit: what it would do now is free memory, page by copied page."""
    if "status" in ending:
        sys.stdout.flush()
        os._exit(ending["status"])


def main() -> None:
    # Ctrl-C at a terminal reaches it, too; the tests that it is meant for end it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ending: dict[str, int] = {}
    atexit.register(_ended_without_teardown, ending)
    Server(socket.socket(fileno=int(sys.argv[1]))).serve()
    from mfa_operator.cli import main as command

    try:
        command()
    except SystemExit as error:
        if isinstance(error.code, int):
            ending["status"] = error.code
        raise


if __name__ == "__main__":
    main()
