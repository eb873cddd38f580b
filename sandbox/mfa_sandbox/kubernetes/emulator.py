"""The API server over HTTP: kmock's emulator, with the state and the rules that it lacks."""

import json
from datetime import UTC, datetime
from typing import Any

import kmock
from aiohttp import web

from mfa_sandbox.kubernetes import openapi, tables
from mfa_sandbox.kubernetes.calls import Call, read_call
from mfa_sandbox.kubernetes.discovery import CORE_VERSIONS, SERVER_VERSION, api_resources
from mfa_sandbox.kubernetes.errors import REASONS, ApiError, NotServedError
from mfa_sandbox.kubernetes.faults import Fault, Faults, LoggedRequest, RequestLog
from mfa_sandbox.kubernetes.rest import RestApi
from mfa_sandbox.kubernetes.watching import ConnectionCut

Object = dict[str, Any]

# kmock's words for the verbs.
_ACTIONS = {
    "get": kmock.action.FETCH,
    "list": kmock.action.LIST,
    "watch": kmock.action.WATCH,
    "create": kmock.action.CREATE,
    "update": kmock.action.UPDATE,
    "patch": kmock.action.UPDATE,
    "delete": kmock.action.DELETE,
}


class ClusterEmulator(kmock.KubernetesEmulator):
    """An aiohttp handler that answers as an API server does.

    kmock gives the discovery of API groups, and the scripting of single answers (`emulator["get /version"] << 503`),
    which come before everything else. `faults` and `log` may be used from any thread.
    """

    def __init__(self, api: RestApi) -> None:
        super().__init__()
        self.api = api
        self.faults = Faults()
        self.log = RequestLog()
        self._payloads.clear()  # of kmock's own answers; only those that a test scripts are left to it
        self._columns = {resource: tables.columns_of(resource) for resource in api.resources}
        for resource in api.resources:
            self.resources[kmock.resource(resource.group, resource.version, resource.plural)] = kmock.ResourceInfo(
                kind=resource.kind
            )

    async def __call__(self, raw_request: web.BaseRequest) -> web.StreamResponse:
        try:
            body = await raw_request.read()
        except web.HTTPRequestEntityTooLarge:
            return _refusal(ApiError(413, "Request entity too large: limit is 3145728"))
        call = read_call(raw_request.method, raw_request.path, raw_request.query, raw_request.headers, body)
        entry = self.log.begin(call)
        fault = self.faults.take(call)
        response: web.StreamResponse | None
        try:
            if fault is None or fault.applied:
                response = await self._respond(call, raw_request, entry)
            if fault is not None:
                response = _failure(fault)
        except ApiError as error:
            response = _refusal(error)
        except NotServedError:
            response = web.Response(status=404, text="404 page not found\n")
        except ConnectionCut:
            response = None
        if response is None:
            if raw_request.transport is not None:
                raw_request.transport.abort()
            return web.Response()
        entry.status = response.status
        return response

    async def _respond(self, call: Call, raw_request: web.BaseRequest, entry: LoggedRequest) -> web.StreamResponse:
        if self._payloads and (scripted := await self._scripted(_kmock_request(call, raw_request))) is not None:
            return scripted
        if call.verb == "watch":
            return await self._stream(call, raw_request, entry)
        if call.plural:
            status, body = self.api.answer(call)
            return _json(self._tabulated(call, body), status=status)
        return await self._about(call, _kmock_request(call, raw_request))

    async def _scripted(self, request: kmock.Request) -> web.StreamResponse | None:
        """The answer that a test has scripted for such a request, if it has."""
        self._requests.append(request)  # kmock matches only what is in its record
        try:
            # Past the stock emulator, which would keep a state of its own.
            return await super(kmock.KubernetesEmulator, self)._handle(request)
        except NotImplementedError:
            return None
        finally:
            self._requests.remove(request)

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

    async def _about(self, call: Call, request: kmock.Request) -> web.StreamResponse:
        """Everything but objects: discovery, version, health, OpenAPI. Raises NotServedError."""
        resources = self.api.resources
        body: object
        match call.path.strip("/").split("/"):
            case ["healthz" | "livez" | "readyz"]:
                return web.Response(text="ok")
            case [""]:
                body = await self._serve_root(request)
            case ["version"]:
                body = SERVER_VERSION
            case ["api"]:
                body = CORE_VERSIONS
            case ["apis"]:
                body = await self._serve_apis(request)
            case ["apis", group] if any(resource.group == group for resource in resources):
                body = await self._serve_group(request)
            case ["openapi", "v3"]:
                body = openapi.index(resources)
            case ["openapi", "v3", *path]:
                body = openapi.document(resources, "/" + "/".join(path))
            case _:
                # kmock's list of an API version lacks what kubectl needs of subresources.
                body = api_resources(resources, call.path.rstrip("/"))
        if body is None:
            raise NotServedError
        return _json(body)


def _kmock_request(call: Call, raw_request: web.BaseRequest) -> kmock.Request:
    try:
        data = json.loads(call.body) if call.body else None
    except ValueError:
        data = None
    group = call.group or (call.path.split("/")[2] if call.path.startswith("/apis/") else "")
    return kmock.Request(
        method=kmock.method(call.method),
        url=raw_request.url,
        params=dict(call.query),
        headers=dict(call.headers),
        body=call.body,
        text=call.body.decode(errors="replace"),
        data=data,
        action=_ACTIONS.get(call.verb),
        resource=kmock.resource(group=group, version=call.version or None, plural=call.plural or None),
        namespace=call.namespace or None,
        name=call.name or None,
        subresource=call.subresource or None,
        raw_request=raw_request,
    )


def _json(body: object, *, status: int = 200) -> web.Response:
    return web.json_response(body, status=status)


def _refusal(error: ApiError) -> web.Response:
    response = _json(error.status(), status=error.code)
    if error.code == 429:
        response.headers["Retry-After"] = "1"
    return response


def _failure(fault: Fault) -> web.Response | None:
    """The answer to a request that a fault was waiting for; None cuts the connection."""
    if fault.status == "reset":
        return None
    return _refusal(ApiError(fault.status, fault.message or f"injected fault: {REASONS[fault.status]}", details={}))
