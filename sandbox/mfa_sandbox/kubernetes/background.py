"""An aiohttp handler served from a thread with an event loop of its own."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from aiohttp import web

T = TypeVar("T")

# The API server's own limit for a request's body.
MAX_REQUEST_BYTES = 3 * 1024 * 1024
_START_SECONDS = 30


class BackgroundServer:
    """Serves on loopback, on a port that the system chooses at the first start and that stays."""

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        self._handler = handler
        self._port = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    @property
    def running(self) -> bool:
        return self._loop is not None

    @property
    def url(self) -> str:
        """Raises RuntimeError before the first start."""
        if not self._port:
            raise RuntimeError("the server has not been started")
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Returns once it listens. Raises RuntimeError when it runs already, OSError when it cannot listen."""
        if self._thread is not None:
            raise RuntimeError("the server runs already")
        started: concurrent.futures.Future[None] = concurrent.futures.Future()
        thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), name="embedded-kubernetes", daemon=True
        )
        thread.start()
        started.result(_START_SECONDS)
        self._thread = thread

    def stop(self) -> None:
        """End all connections and stop listening; does nothing when it does not run."""
        if self._thread is None or self._loop is None or self._stopping is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._thread = None

    def result(self, work: Coroutine[Any, Any, T], *, timeout: float) -> T:
        """Do the work in the server's thread and wait for it. Raises RuntimeError when it does not run."""
        if self._loop is None:
            work.close()
            raise RuntimeError("the server is not running")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    async def _serve(self, started: concurrent.futures.Future[None]) -> None:
        # Cancellation ends a watch as soon as its client is gone, not at the next event.
        server = web.Server(self._handler, request_factory=_make_request, handler_cancellation=True, access_log=None)
        # What is still open after this long are watches, which do not end by themselves.
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
        except OSError as error:
            await runner.cleanup()
            started.set_exception(error)
            return
        self._port = runner.addresses[0][1]
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        started.set_result(None)
        try:
            await self._stopping.wait()
        finally:
            self._loop = self._stopping = None
            # A connection is known to the server, and a closed one's socket closed, only some turns of the loop later.
            await _turns()
            await runner.cleanup()
            await _turns()


async def _turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def _make_request(*arguments: Any) -> web.BaseRequest:  # noqa: ANN401  # passed on as aiohttp gives them
    message, payload, protocol, writer, task = arguments
    return web.BaseRequest(
        message, payload, protocol, writer, task, asyncio.get_running_loop(), client_max_size=MAX_REQUEST_BYTES
    )
