"""The HTTP server that Prometheus scrapes: threads of its own, so that a busy loop answers no later."""

from __future__ import annotations

import socket
import threading
import time
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import WSGIApplication

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
        self._server.set_app(application)
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_port

    def close(self) -> None:
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

    def get_request(self) -> tuple[socket.socket, object]:
        try:
            return super().get_request()
        except OSError:
            time.sleep(PAUSE_SECONDS)
            raise


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_SECONDS

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name for it
        """A scrape every few seconds is no news."""
