"""An HTTP answer has to be there as a whole after some time.

The timeouts of urllib3, and so those of botocore and the Kubernetes client, are for each read of the socket: an answer
of which one byte comes now and then never ends, and holds its thread for ever.
"""

from __future__ import annotations

import io
import socket
import time
from http.client import HTTPResponse
from typing import Any

ANSWER_SECONDS = 60.0
"""From the moment the request is sent to the last byte of the answer."""


class _TimedReads(io.RawIOBase):
    """Reads a socket, until the time is up."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self._sock = sock
        self._reads: socket.SocketIO = sock.makefile("rb", buffering=0)
        self._end = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - as RawIOBase has it
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer was not complete in time")
        usual = self._sock.gettimeout()
        if usual is None or usual > left:
            self._sock.settimeout(left)
        return self._reads.readinto(buffer)

    def fileno(self) -> int:
        return self._reads.fileno()

    def close(self) -> None:
        self._reads.close()
        super().close()


class _Source:
    """Stands where http.client's response has its socket, which it opens as a file and forgets."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self._sock, self._seconds = sock, seconds

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReads(self._sock, self._seconds))


class BoundedResponse(HTTPResponse):
    """http.client's response; reading it raises TimeoutError where it is not complete in time.

    For `response_class` of a connection.
    """

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - http.client's
        super().__init__(_Source(sock, ANSWER_SECONDS), *arguments, **options)  # type: ignore[arg-type]  # all it uses
