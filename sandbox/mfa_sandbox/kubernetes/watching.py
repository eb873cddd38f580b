"""What a WATCH streams."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any

from mfa_sandbox.kubernetes.calls import Call
from mfa_sandbox.kubernetes.errors import ApiError, bad_request, expired
from mfa_sandbox.kubernetes.events import stored_as, to_served
from mfa_sandbox.kubernetes.history import Change, EndOfWatch, Feed
from mfa_sandbox.kubernetes.resources import ResourceType
from mfa_sandbox.kubernetes.selectors import Selector
from mfa_sandbox.kubernetes.store import Store

Object = dict[str, Any]


class ConnectionCut(Exception):  # not an error: the end that a test asked for
    """The stream is to end without a word."""


@contextmanager
def follow(
    store: Store, resource: ResourceType, call: Call, selected: Selector
) -> Iterator[AsyncGenerator[Object, None]]:
    """Watch events: what there is, or what happened since `resourceVersion`, and then what happens.

    The stream ends after `timeoutSeconds`. A version that is too old gives an ERROR event with code 410, as the API
    server's watch cache does it. Raises ApiError 400 at once, ConnectionCut from the stream.
    """
    version = call.query.get("resourceVersion") or "0"
    timeout = call.query.get("timeoutSeconds") or "0"
    if not version.isdecimal() or not timeout.isdecimal():
        raise bad_request(f"resourceVersion and timeoutSeconds are numbers: {version!r}, {timeout!r}")
    ends = asyncio.get_running_loop().time() + int(timeout) if int(timeout) else None
    with store.history.follow() as feed:
        # Nothing is awaited in between, so no change falls between the past and the feed.
        past = _past(store, resource, call, selected, int(version))
        yield _stream(store, resource, call, selected, past=past, feed=feed, ends=ends)


async def _stream(
    store: Store,
    resource: ResourceType,
    call: Call,
    selected: Selector,
    *,
    past: list[Object],
    feed: Feed,
    ends: float | None,
) -> AsyncGenerator[Object, None]:
    for event in past:
        yield event
        if event["type"] == "ERROR":
            return
    while (entry := await _next(feed, ends)) is not None:
        if isinstance(entry, Change):
            if (seen := _event(resource, call.namespace, selected, entry)) is not None:
                yield seen
        elif entry.abrupt:
            raise ConnectionCut
        else:
            if entry.expired:
                oldest = store.history.oldest
                yield {"type": "ERROR", "object": expired(oldest - 1, oldest).status()}
            return


def _past(store: Store, resource: ResourceType, call: Call, selected: Selector, version: int) -> list[Object]:
    """The events with which the stream begins."""
    bookmarked = call.query.get("sendInitialEvents") == "true"
    if not bookmarked and version:
        try:
            changes = store.history.since(version)
        except ApiError as error:
            return [{"type": "ERROR", "object": error.status()}]
        seen = (_event(resource, call.namespace, selected, change) for change in changes)
        return [event for event in seen if event]
    present = (to_served(resource, item) for item in store.objects_of(stored_as(resource), call.namespace))
    added = [{"type": "ADDED", "object": item} for item in present if selected(item)]
    end = {"type": "BOOKMARK", "object": _bookmark(resource, str(store.history.version))}
    return [*added, end] if bookmarked else added


async def _next(feed: Feed, ends: float | None) -> Change | EndOfWatch | None:
    """The next entry, None when the time is up first."""
    try:
        async with asyncio.timeout_at(ends):
            return await feed.get()
    except TimeoutError:
        return None


def _event(resource: ResourceType, namespace: str, selected: Selector, change: Change) -> Object | None:
    """The change as a watch with this selector sees it: an object may enter and leave the selection."""
    if change.resource is not stored_as(resource):
        return None

    def seen(body: Object | None) -> Object | None:
        if body is None or namespace not in ("", body["metadata"].get("namespace", "")):
            return None
        served = to_served(resource, body)
        return served if selected(served) else None

    old, new = seen(change.old), seen(change.new)
    if new is not None:
        return {"type": "ADDED" if old is None else "MODIFIED", "object": new}
    if old is not None:
        last = {**old, "metadata": {**old["metadata"], "resourceVersion": str(change.version)}}
        return {"type": "DELETED", "object": last}
    return None


def _bookmark(resource: ResourceType, version: str) -> Object:
    """Tells a client that asked for initial events that these are all."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"resourceVersion": version, "annotations": {"k8s.io/initial-events-end": "true"}},
    }
