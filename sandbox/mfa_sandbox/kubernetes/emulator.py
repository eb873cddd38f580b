"""The API server over HTTP."""

import json
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from mfa_sandbox.kubernetes import discovery, tables
from mfa_sandbox.kubernetes.calls import Call, read_call
from mfa_sandbox.kubernetes.errors import REASONS, ApiError, NotServedError
from mfa_sandbox.kubernetes.faults import Fault, Faults, LoggedRequest, RequestLog
from mfa_sandbox.kubernetes.rest import RestApi

Object = dict[str, Any]


class ClusterEmulator:
    """An aiohttp handler that answers as an API server does.

    `scripted` gives what a path answers, bodies or failures, one after the other and the last one for ever.
    `faults` and `log` may be used from any thread.
    """

    def __init__(self, api: RestApi) -> None:
        self.api = api
        self.faults = Faults()
        self.log = RequestLog()
        self.scripted: dict[str, list[Object | int]] = {}
        self._columns = {resource: tables.columns_of(resource) for resource in api.resources}

    async def __call__(self, raw_request: web.BaseRequest) -> web.StreamResponse:
        try:
            body = await raw_request.read()
        except web.HTTPRequestEntityTooLarge:
            return _refusal(ApiError(413, "Request entity too large: limit is 3145728"))
        call = read_call(raw_request.method, raw_request.path, raw_request.query, raw_request.headers, body)
        entry = self.log.begin(call)
        fault = self.faults.take(call)
        response: web.StreamResponse | None = None
        try:
            if fault is None or fault.applied:
                response = await self._respond(call, raw_request, entry)
            if fault is not None:
                response = _failure(fault)
        except ApiError as error:
            response = _refusal(error)
        except NotServedError:
            response = web.Response(status=404, text="404 page not found\n")
        if response is None:
            if raw_request.transport is not None:
                raw_request.transport.abort()
            return web.Response()
        entry.status = response.status
        return response

    async def _respond(self, call: Call, raw_request: web.BaseRequest, entry: LoggedRequest) -> web.StreamResponse:
        if script := self.scripted.get(call.path):
            answer = script.pop(0) if len(script) > 1 else script[0]
            if isinstance(answer, int):
                raise ApiError(answer, "scripted")
            return web.json_response(answer)
        if call.verb == "watch":
            return await self._stream(call, raw_request, entry)
        if call.plural:
            status, body = self.api.answer(call)
            return web.json_response(self._tabulated(call, body), status=status)
        if call.path in ("/healthz", "/livez", "/readyz"):
            return web.Response(text="ok")
        found = discovery.document(self.api.resources, call.path)
        if found is None:
            raise NotServedError
        return web.json_response(found)

    async def _stream(self, call: Call, raw_request: web.BaseRequest, entry: LoggedRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        with self.api.watch(call) as events:
            entry.status = response.status
            try:
                await response.prepare(raw_request)
                async for event in events:
                    shown = event
                    if event["type"] not in ("ERROR", "BOOKMARK"):
                        shown = {**event, "object": self._tabulated(call, event["object"])}
                    await response.write(json.dumps(shown).encode() + b"\n")
                await response.write_eof()
            except ConnectionError:
                pass  # the client has left, which is how most watches end
        return response

    def _tabulated(self, call: Call, body: Object) -> Object:
        """The body as the table that the client asked for, if it did."""
        if call.verb not in ("get", "list", "watch") or not tables.wanted(call.headers.get("Accept", "")):
            return body
        listed = call.verb == "list"
        return tables.table(
            self._columns[self.api.resource(call)],
            body["items"] if listed else [body],
            now=datetime.now(UTC),
            include=call.query.get("includeObject", "Metadata"),
            meta=body["metadata"] if listed else {"resourceVersion": body["metadata"]["resourceVersion"]},
        )


def _refusal(error: ApiError) -> web.Response:
    headers = {"Retry-After": "1"} if error.code == 429 else None
    return web.json_response(error.status(), status=error.code, headers=headers)


def _failure(fault: Fault) -> web.Response | None:
    """The answer to a request that a fault was waiting for; None cuts the connection."""
    if fault.status == "reset":
        return None
    return _refusal(ApiError(fault.status, fault.message or f"injected fault: {REASONS[fault.status]}"))
