"""Single calls of the Kubernetes API, and what their failures say."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import urllib3
from kubernetes.client import ApiClient, ApiException, CustomObjectsApi
from kubernetes.config import ConfigException

from mfa_operator.api.enums import GROUP, VERSION
from mfa_operator.api.text import error_text
from mfa_operator.kube.objects import REPORTING_CONTROLLER
from mfa_operator.kube.report_pages import ReportPage, read_page

logger = logging.getLogger(__name__)

TIMEOUT = (5.0, 30.0)
"""Seconds to connect, and to wait for more of an answer, in each try."""
NO_ANSWER = 0
CONFLICT, INVALID, TOO_LARGE, NOT_FOUND, EXPIRED = 409, 422, 413, 404, 410
READS = frozenset({"GET", "HEAD", "OPTIONS"})


class Resource(NamedTuple):
    """A kind of object and where the API serves it."""

    kind: str
    plural: str
    group: str = GROUP
    version: str = VERSION


POLICIES = Resource("MfaPolicy", "mfapolicies")
REPORTS = Resource("MfaReport", "mfareports")
EVENTS = Resource("Event", "events", "events.k8s.io", "v1")


class CallFailed(Exception):
    """One try failed: `status` is the HTTP status, NO_ANSWER where there was none; `retry_after` is in seconds."""

    def __init__(self, status: int, message: str, retry_after: float = 0.0) -> None:
        self.status, self.message, self.retry_after = status, error_text(message), retry_after
        super().__init__(f"{status or 'no answer'}: {self.message}")


class _CheckedPool:
    """urllib3's pool, asked through `check` before each request that changes something."""

    def __init__(self, pool: urllib3.PoolManager, check: Callable[[], None]) -> None:
        self._pool, self._check = pool, check
        self.clear = pool.clear

    def request(self, method: str, url: str, **options: Any) -> urllib3.BaseHTTPResponse:  # noqa: ANN401 - urllib3's own
        if method not in READS:
            self._check()
        return self._pool.request(method, url, **options)


def checked(api: ApiClient, check: Callable[[], None]) -> ApiClient:
    """The same client, but `check` is called directly before each request that changes something goes out.

    It raises where the request must not. Here, and not before the call: to turn a large report into JSON takes time.
    """
    copied = copy.copy(api)
    copied.rest_client = copy.copy(api.rest_client)
    copied.rest_client.pool_manager = _CheckedPool(api.rest_client.pool_manager, check)  # type: ignore[assignment]  # as far as the client uses it
    return copied


class KubernetesCalls:
    """Each method is one request, raises CallFailed, and may be called from any thread."""

    def __init__(self, api: ApiClient) -> None:
        self._objects = CustomObjectsApi(api)
        self._warned: set[Resource] = set()

    def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        call = self._objects.get_namespaced_custom_object_with_http_info
        return self._object(resource, self._once(resource, call, namespace=namespace, name=name))

    def page(
        self, resource: Resource, namespace: str | None, *, labels: str, limit: int, token: str = ""
    ) -> dict[str, Any]:
        """One page of a list, the first where `token` is empty; namespace None: of all namespaces."""
        return self._object(resource, self._page(resource, namespace, labels, limit, token))

    def report_page(self, namespace: str | None, *, labels: str, limit: int, token: str = "") -> ReportPage:
        """The same of MfaReports, whose content stays as it was sent."""
        answer = self._page(REPORTS, namespace, labels, limit, token)
        try:
            return read_page(answer)
        except ValueError as error:
            raise _no_answer(REPORTS, answer) from error

    def _page(self, resource: Resource, namespace: str | None, labels: str, limit: int, token: str) -> bytes:
        query: dict[str, Any] = (
            {"limit": limit} | ({"label_selector": labels} if labels else {}) | ({"_continue": token} if token else {})
        )
        if namespace is None:
            return self._once(resource, self._objects.list_cluster_custom_object_with_http_info, **query)
        call = self._objects.list_namespaced_custom_object_with_http_info
        return self._once(resource, call, namespace=namespace, **query)

    def create(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        namespace = body["metadata"]["namespace"]
        call = self._objects.create_namespaced_custom_object_with_http_info
        answer = self._once(resource, call, namespace=namespace, body=body, field_manager=REPORTING_CONTROLLER)
        return self._object(resource, answer)

    def replace_status(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        target = {field: body["metadata"][field] for field in ("namespace", "name")}
        call = self._objects.replace_namespaced_custom_object_status_with_http_info
        return self._object(
            resource, self._once(resource, call, **target, body=body, field_manager=REPORTING_CONTROLLER)
        )

    def delete(self, resource: Resource, namespace: str, name: str, uid: str, version: str) -> None:
        """Delete this very version of this very object: any other one is left alone, with a conflict."""
        call = self._objects.delete_namespaced_custom_object_with_http_info
        preconditions = {"preconditions": {"uid": uid, "resourceVersion": version}}
        answer = self._once(resource, call, namespace=namespace, name=name, body=preconditions)
        # A Status, or the object: that it is JSON of the API server is all that can be asked.
        if not isinstance(_json(answer), dict):
            raise _no_answer(resource, answer)

    def _once(
        self,
        resource: Resource,
        call: Callable[..., Any],
        **arguments: Any,  # noqa: ANN401 - the client has no types
    ) -> bytes:
        """The body of the answer as it was sent: the client's own way to objects takes several times as long."""
        try:
            answer: urllib3.BaseHTTPResponse = call(
                group=resource.group,
                version=resource.version,
                plural=resource.plural,
                _preload_content=False,
                _request_timeout=TIMEOUT,
                **arguments,
            )
            body = answer.data
        except ApiException as error:
            raise call_failed(error) from error
        except (urllib3.exceptions.HTTPError, OSError, ConfigException) as error:
            raise CallFailed(NO_ANSWER, f"{type(error).__name__}: {error}") from error
        if "json" not in answer.headers.get("Content-Type", "json"):
            raise _no_answer(resource, body)
        if warning := answer.headers.get("Warning"):
            self._warn(resource, warning)
        return body

    def _object(self, resource: Resource, answer: bytes) -> dict[str, Any]:
        body = _json(answer)
        if not isinstance(body, dict) or not _answers(resource, body):
            # A proxy's word, most often. Of a list without its items nobody may conclude that there are none.
            raise _no_answer(resource, answer)
        return body

    def _warn(self, resource: Resource, warning: str) -> None:
        """Say once what the API server warns of, such as fields that an older CRD does not know and drops."""
        if resource not in self._warned:
            self._warned.add(resource)
            logger.warning("the API server warns about %s: %s", resource.plural, error_text(warning))


def _json(answer: bytes) -> object:
    """What the answer says; None where it is no JSON."""
    try:
        return msgspec.json.decode(answer)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _no_answer(resource: Resource, answer: bytes) -> CallFailed:
    return CallFailed(NO_ANSWER, f"invalid answer about {resource.plural}: {answer[:100].decode(errors='replace')!r}")


def _answers(resource: Resource, body: dict[str, Any]) -> bool:
    """Whether it is an object of the resource, or a list of them."""
    match body:
        case {"kind": kind, "metadata": {"uid": str()}}:
            return bool(kind == resource.kind)
        case {"kind": kind, "metadata": dict(), "items": list()}:
            return bool(kind == f"{resource.kind}List")
    return False


def call_failed(error: ApiException) -> CallFailed:
    """What the API server answered, as CallFailed."""
    message = answer_message(error.body) or str(error.reason)
    status = int(error.status or NO_ANSWER)
    # The API server's own limit has a status of its own; etcd's limit (1.5 MiB) and gRPC's (2 MiB) come as 500.
    if status == 500 and ("request is too large" in message or "message larger than max" in message):
        status = TOO_LARGE
    return CallFailed(status, message, _retry_after(error))


def answer_message(body: str | bytes | None) -> str:
    """What the API server says in the body of an error; the body itself where that is not the API server's."""
    try:
        return str(json.loads(body or "")["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace") if isinstance(body, bytes) else body or ""


def _retry_after(error: ApiException) -> float:
    try:
        return urllib3.Retry().parse_retry_after((error.headers or {}).get("Retry-After") or "0")
    except urllib3.exceptions.InvalidHeader:
        return 0.0
