"""A small HTTP server that answers as it is told, for answers that no Kubernetes gives."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import NamedTuple, Self


class Reply(NamedTuple):
    """What the scripted server answers to one request."""

    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b'{"kind": "MfaPolicyList", "metadata": {}, "items": []}'
    hang: bool = False


class ScriptedServer(ThreadingHTTPServer):
    """Answers every request with the next reply of a script, the last one for ever."""

    daemon_threads = False
    block_on_close = True

    def __init__(self, script: list[Reply]) -> None:
        super().__init__(("127.0.0.1", 0), ScriptedHandler)
        self.script = script
        self.requests = 0
        self.closing = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()
        self._thread.join()


class ScriptedHandler(BaseHTTPRequestHandler):
    server: ScriptedServer

    def do_GET(self) -> None:
        server = self.server
        server.requests += 1
        reply = server.script.pop(0) if len(server.script) > 1 else server.script[0]
        if reply.hang:
            server.closing.wait()
            return
        self.send_response(reply.status)
        for header, text in {"Content-Type": "application/json", "Content-Length": str(len(reply.body))}.items():
            self.send_header(header, reply.headers.get(header, text))
        for header in reply.headers.keys() - {"Content-Type", "Content-Length"}:
            self.send_header(header, reply.headers[header])
        self.end_headers()
        self.wfile.write(reply.body)

    do_POST = do_GET  # noqa: N815 - the base's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


class NeverWaits(threading.Event):
    """A stop that never comes, and that notes how long it was waited for instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        return False
