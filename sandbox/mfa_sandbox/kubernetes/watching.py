"""What a WATCH streams."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any

from mfa_sandbox.kubernetes import selectors
from mfa_sandbox.kubernetes.calls import Call
from mfa_sandbox.kubernetes.errors import ApiError, expired
from mfa_sandbox.kubernetes.events import stored_as, to_served
from mfa_sandbox.kubernetes.history import Change, Feed
from mfa_sandbox.kubernetes.resources import ResourceType
from mfa_sandbox.kubernetes.selectors import Selector
from mfa_sandbox.kubernetes.store import Store

Object = dict[str, Any]


@contextmanager
def follow(store: Store, resource: ResourceType, call: Call) -> Iterator[AsyncGenerator[Object, None]]:
    """Watch events: what there is, or what happened since `resourceVersion`, and then what happens.

    The stream ends after `timeoutSeconds`. A version that is too old gives an ERROR event with code 410, as the API
    server's watch cache does it. Raises ApiError 400 at once.
    """
    selected = selectors.of_call(call)
    version = int(call.query.get("resourceVersion") or 0)
    seconds = int(call.query.get("timeoutSeconds") or 0)
    ends = asyncio.get_running_loop().time() + seconds if seconds else None

    async def stream(past: list[Object], feed: Feed) -> AsyncGenerator[Object, None]:
        for event in past:
            yield event
            if event["type"] == "ERROR":
                return
        try:
            async with asyncio.timeout_at(ends):
                while (change := await feed.get()) is not None:
                    if (seen := _event(resource, call.namespace, selected, change)) is not None:
                        yield seen
        except TimeoutError:
            return
        oldest = store.history.oldest
        yield {"type": "ERROR", "object": expired(oldest - 1, oldest).status()}

    with store.history.follow() as feed:
        # Nothing is awaited in between, so no change falls between the past and the feed.
        yield stream(_past(store, resource, call, selected, version), feed)


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
    if not bookmarked:
        return added
    # A client that asked for initial events is told that these are all.
    meta = {"resourceVersion": str(store.history.version), "annotations": {"k8s.io/initial-events-end": "true"}}
    end = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta}
    return [*added, {"type": "BOOKMARK", "object": end}]


def _event(resource: ResourceType, namespace: str, selected: Selector, change: Change) -> Object | None:
    """The change as a watch with this selector sees it, which does not look at what the object was before."""
    body = change.old if change.new is None else change.new
    if body is None or change.resource is not stored_as(resource):
        return None
    served = to_served(resource, body)
    if namespace not in ("", body["metadata"].get("namespace", "")) or not selected(served):
        return None
    if change.new is not None:
        return {"type": "ADDED" if change.old is None else "MODIFIED", "object": served}
    meta = {**served["metadata"], "resourceVersion": str(change.version)}
    return {"type": "DELETED", "object": {**served, "metadata": meta}}
