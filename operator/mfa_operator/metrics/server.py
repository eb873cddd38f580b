"""The HTTP server that Prometheus scrapes: threads of its own, so that a busy loop answers no later."""

from __future__ import annotations

import contextlib
import io
import logging
import socket
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 50
"""Each is a thread and a file descriptor, which audits need, too. One more, and the oldest is cut off: a scrape takes a
second or two, and whoever holds connections open must not keep Prometheus out."""
PAUSE_SECONDS = 0.5
"""After a connection that cannot be accepted, for want of file descriptors: it is still there, and would be tried again
at once, for ever."""
REQUEST_SECONDS = 30
"""For each part of a request: a client that says nothing must not hold a thread."""


class MetricsServer:
    """Answers HTTP GET with what the application says."""

    def __init__(self, application: WSGIApplication, listening: socket.socket) -> None:
        """Serve on the socket, which is then the server's to close."""
        self._server = _Server(listening)
        self._server.set_app(_logging_faults(application))
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_port

    def close(self) -> None:
        """Answer no more; does not wait for answers under way."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingMixIn, WSGIServer):
    # A scrape that hangs keeps no process from ending.
    daemon_threads = True

    def __init__(self, listening: socket.socket) -> None:
        """Not through server_bind(): it asks DNS for the machine's name, which can take seconds."""
        address = listening.getsockname()[:2]
        super().__init__(address, _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.server_address = address
        self.server_name, self.server_port = address
        self.setup_environ()
        self._lock = threading.Lock()
        self._open: OrderedDict[socket.socket, None] = OrderedDict()
        """Connections, the oldest first."""

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the base class has it
        with self._lock:
            self._open[request] = None
            oldest = self._open.popitem(last=False)[0] if len(self._open) > MAX_CONNECTIONS else None
        if oldest:
            with contextlib.suppress(OSError):
                # Its thread reads the end of it, and closes it.
                oldest.shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as the base class has it
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the base class's
        """A client that hangs up, or says nothing, is no news; the base class would print a traceback."""
        error = sys.exception()
        if not isinstance(error, OSError):
            logger.error("a request for metrics failed", exc_info=error)

    def get_request(self) -> tuple[socket.socket, object]:
        try:
            return super().get_request()
        except OSError:
            time.sleep(PAUSE_SECONDS)
            raise


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_SECONDS

    def get_stderr(self) -> io.StringIO:
        """What wsgiref prints there: that the client hung up. Faults of the application are logged already."""
        return io.StringIO()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name for it
        """A scrape every few seconds is no news."""


def _logging_faults(application: WSGIApplication) -> WSGIApplication:
    """The application; what it raises becomes a record of the log, in its format."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            return application(environ, start_response)
        except Exception:
            logger.exception("metrics could not be put together")
            raise

    return answer
