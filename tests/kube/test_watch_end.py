"""What ends with a leader is no error in the log: requests that it cuts off itself, and what fails after the end."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import Any

import aiohttp
import pytest
from kubernetes.client import ApiClient

from mfa_operator.kube.errors import ClusterError
from mfa_operator.process.leader import first_to_end
from mfa_operator.process.watch import WatchContact, connection
from tests.controlplane.process import free_ports


def request_version(api: ApiClient, close_at: str = "") -> aiohttp.ClientError | None:
    """Ask the API server for its version as the watch asks; the session is closed at this step of the request."""

    async def request() -> aiohttp.ClientError | None:
        watching = connection(api, WatchContact())
        session = watching.aiohttp_session

        async def close(*_: Any) -> None:
            await session.close()

        if close_at:
            closing = aiohttp.TraceConfig()
            getattr(closing, close_at).append(close)
            closing.freeze()
            session.trace_configs.append(closing)
        try:
            async with session.get(f"{watching.server}/version") as answer:
                await answer.read()
        except aiohttp.ClientError as error:
            return error
        finally:
            await session.close()
        return None

    return asyncio.run(request())


@pytest.mark.parametrize("step", ["on_connection_create_start", "on_request_headers_sent"])
def test_a_request_that_the_end_cuts_off_is_no_error(
    api: ApiClient, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    """kopf closes its session when it ends, whatever is under way: "Connector is closed", "Server disconnected"."""
    error = request_version(api, step)
    assert error is not None
    assert caplog.records == [], error


def test_a_request_that_finds_no_server_is_an_error(api: ApiClient, caplog: pytest.LogCaptureFixture) -> None:
    [port] = free_ports(1)
    api.configuration.host = f"http://127.0.0.1:{port}"
    assert request_version(api) is not None
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_what_fails_after_the_end_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Such as the first list of the policies, where the process is stopped while the API server is away."""

    async def run() -> None:
        stop, stopped, failing = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def list_policies() -> None:
            await stopped.wait()
            failing.set()
            raise ClusterError("no answer")

        asyncio.get_running_loop().call_soon(stop.set)
        assert await first_to_end(stop, list_policies()) is None
        stopped.set()
        await failing.wait()

    asyncio.run(run())
    gc.collect()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
