"""What the kubelet asks: /healthz (is the process stuck?) and /readyz (does it do its work, or wait its turn?)."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

from aiohttp import web

ACCEPTS = 4
"""Connections that asyncio accepts in one go. Where the process has no file descriptor left, it logs each that fails,
again every second: with its default of 128 that is a thousand tracebacks a second."""


class HealthServer:
    """Answers in the scheduler's own loop, so that a loop that hangs answers nobody."""

    def __init__(self, *, healthy: Callable[[], bool], ready: Callable[[], bool]) -> None:
        application = web.Application()
        application.router.add_get("/healthz", _answer(healthy))
        application.router.add_get("/readyz", _answer(ready))
        # No access log: a probe every few seconds tells nobody anything.
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)

    async def start(self, listening: socket.socket) -> None:
        """Answer on the socket, which is then the server's to close."""
        await self._runner.setup()
        await web.SockSite(self._runner, listening, backlog=ACCEPTS).start()

    async def close(self) -> None:
        await self._runner.cleanup()


def _answer(holds: Callable[[], bool]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text="ok\n") if holds() else web.Response(status=500, text="not ok\n")

    return answer
