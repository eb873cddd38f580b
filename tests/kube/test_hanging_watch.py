"""A list or a watch that hangs, or comes a byte at a time, is asked for again: the operator never stops watching."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import kopf
import pytest
from aiohttp import web

from mfa_operator.api.enums import API_VERSION, GROUP, VERSION
from mfa_operator.config.settings import ClusterSettings
from mfa_operator.process.watch import watcher_settings

POLICIES = f"/apis/{API_VERSION}/mfapolicies"
NAMESPACES = {
    "name": "namespaces",
    "singularName": "namespace",
    "kind": "Namespace",
    "namespaced": False,
    "verbs": ["list"],
}
RESOURCE = {
    "name": "mfapolicies",
    "singularName": "mfapolicy",
    "kind": "MfaPolicy",
    "namespaced": True,
    "verbs": ["list", "watch"],
}
POLICY = {
    "apiVersion": API_VERSION,
    "kind": "MfaPolicy",
    "metadata": {"name": "p", "namespace": "d", "uid": "u", "resourceVersion": "2"},
}
SHORT = 0.3
"""Seconds in place of the 70 of a watch and the 45 of a list."""


class HangingApi:
    """Lists nothing, and lets the first answer of one kind hang."""

    def __init__(self, hangs: str, how: str) -> None:
        self._hangs, self._how = hangs, how
        self.asked: Counter[str] = Counter()

    async def serve(self) -> tuple[web.AppRunner, str]:
        application = web.Application()
        for path, answer in {
            "/apis": {
                "groups": [
                    {"name": GROUP, "preferredVersion": {"version": VERSION}, "versions": [{"version": VERSION}]}
                ]
            },
            "/api": {"versions": ["v1"]},
            "/api/v1": {"resources": [NAMESPACES]},
            f"/apis/{API_VERSION}": {"resources": [RESOURCE]},
        }.items():
            application.router.add_get(path, _json(answer))
        application.router.add_get(POLICIES, self._policies)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def _policies(self, request: web.Request) -> web.StreamResponse:
        kind = "watch" if "watch" in request.query else "list"
        self.asked[kind] += 1
        if kind == self._hangs and self.asked[kind] == 1:
            return await self._hang(request)
        if kind == "list":
            return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(web.json_response({"type": "ADDED", "object": POLICY}).body + b"\n")  # type: ignore[operator]
        await asyncio.sleep(60)
        return answer

    async def _hang(self, request: web.Request) -> web.StreamResponse:
        if self._how == "no answer":
            await asyncio.sleep(60)
        answer = web.StreamResponse()
        await answer.prepare(request)
        while self._how == "a byte at a time":
            await answer.write(b" ")
            await asyncio.sleep(SHORT / 10)
        await asyncio.sleep(60)
        return answer


def _json(content: Any) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(content)

    return answer


@pytest.mark.parametrize("how", ["no answer", "no byte", "a byte at a time"])
@pytest.mark.parametrize("hangs", ["list", "watch"])
def test_a_watch_goes_on(hangs: str, how: str) -> None:
    api = HangingApi(hangs, how)

    async def run() -> None:
        runner, url = await api.serve()
        seen, stop = asyncio.Event(), asyncio.Event()
        registry = kopf.OperatorRegistry()
        settings = watcher_settings(ClusterSettings())
        assert settings.watching.inactivity_timeout == 70
        assert settings.networking.request_timeout == 45
        settings.watching.inactivity_timeout = settings.networking.request_timeout = SHORT

        @kopf.on.event(GROUP, VERSION, "mfapolicies", registry=registry)
        async def policy_event(**_: Any) -> None:
            seen.set()

        @kopf.on.login(registry=registry)
        async def login(**_: Any) -> kopf.ConnectionInfo:
            return kopf.ConnectionInfo(server=url)

        tasks = await kopf.spawn_tasks(
            registry=registry, settings=settings, standalone=True, clusterwide=True, stop_flag=stop
        )
        try:
            async with asyncio.timeout(20):
                await seen.wait()
        finally:
            for task in tasks:
                task.cancel()
            # kopf itself waits for 5 s.
            await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()}, timeout=0.1)
            await runner.cleanup()

    asyncio.run(run())
    assert api.asked[hangs] >= 2
