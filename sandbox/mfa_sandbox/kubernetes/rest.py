"""The API server's verbs, from a call to an answer."""

import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from mfa_sandbox.kubernetes import patching, selectors, watching
from mfa_sandbox.kubernetes.calls import Call
from mfa_sandbox.kubernetes.errors import ApiError, NotServedError
from mfa_sandbox.kubernetes.events import stored_as, to_served, to_stored
from mfa_sandbox.kubernetes.resources import ResourceType
from mfa_sandbox.kubernetes.store import Store

Object = dict[str, Any]
Answer = tuple[int, Object]


class RestApi:
    """Answers calls about resources from a store. Used from one event loop's thread only."""

    def __init__(self, store: Store, resources: Sequence[ResourceType]) -> None:
        self.store = store
        self.resources = resources
        # The rest of each list that was not read to its end, with the version of its first page.
        self._paged: dict[str, tuple[int, list[Object]]] = {}

    def resource(self, call: Call) -> ResourceType:
        """The resource that the call is about. Raises NotServedError."""
        for resource in self.resources:
            if (resource.group, resource.version, resource.plural) == (call.group, call.version, call.plural):
                return resource
        raise NotServedError

    def answer(self, call: Call) -> Answer:
        """HTTP status and body of every verb but `watch`. Raises ApiError and NotServedError."""
        resource = self.resource(call)
        if call.subresource and not (call.subresource == "status" and resource.has_status):
            raise NotServedError
        if resource.namespaced and not call.namespace and call.verb != "list":
            raise NotServedError
        verbs: dict[str, Callable[[Call, ResourceType], Answer]] = {
            "get": self._get,
            "list": self._list,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
        }
        if call.verb not in verbs:
            raise ApiError(405, "the server does not allow this method on the requested resource")
        return verbs[call.verb](call, resource)

    def watch(self, call: Call) -> AbstractContextManager[AsyncGenerator[Object, None]]:
        """The events of a watch, from the moment that the context is entered.

        Raises NotServedError and ApiError 400 at once; later errors are events.
        """
        return watching.follow(self.store, self.resource(call), call)

    def _get(self, call: Call, resource: ResourceType) -> Answer:
        return 200, to_served(resource, self.store.get(stored_as(resource), call.namespace, call.name))

    def _list(self, call: Call, resource: ResourceType) -> Answer:
        limit = int(call.query.get("limit") or 0)
        token = call.query.get("continue", "")
        if token:
            version, items = self._continued(token)
        else:
            version, items = self.store.history.version, self._selected(call, resource)
        meta: Object = {"resourceVersion": str(version)}
        if limit and len(items) > limit:
            meta["continue"] = secrets.token_urlsafe(16)
            meta["remainingItemCount"] = len(items) - limit
            self._paged[meta["continue"]] = version, items[limit:]
            items = items[:limit]
        listed = {"apiVersion": resource.api_version, "kind": f"{resource.kind}List", "metadata": meta}
        return 200, {**listed, "items": items}

    def _continued(self, token: str) -> tuple[int, list[Object]]:
        """The version and the rest of a list; a page belongs to the state in which its list began."""
        version, items = self._paged.pop(token, (-1, []))
        if version < self.store.history.oldest:
            raise ApiError(
                410,
                "The provided continue parameter is too old to display a consistent list result. "
                "You can start a new list without the continue parameter.",
            )
        return version, items

    def _selected(self, call: Call, resource: ResourceType) -> list[Object]:
        selected = selectors.of_call(call)
        found = self.store.objects_of(stored_as(resource), call.namespace)
        return [item for item in (to_served(resource, item) for item in found) if selected(item)]

    def _create(self, call: Call, resource: ResourceType) -> Answer:
        body = to_stored(resource, patching.decode_object(call.body))
        return 201, to_served(resource, self.store.create(stored_as(resource), call.namespace, body))

    def _update(self, call: Call, resource: ResourceType) -> Answer:
        body = patching.decode_object(call.body)
        return 200, self._changed(call, resource, lambda _: body)

    def _patch(self, call: Call, resource: ResourceType) -> Answer:
        if call.content_type != patching.MERGE_PATCH:
            raise ApiError(415, f"the sandbox takes no patch but {patching.MERGE_PATCH}")
        patch = patching.decode_object(call.body)
        return 200, self._changed(call, resource, lambda old: patching.merge(old, patch))

    def _changed(self, call: Call, resource: ResourceType, change: Callable[[Object], Object]) -> Object:
        new = self.store.update(
            stored_as(resource),
            call.namespace,
            call.name,
            lambda old: to_stored(resource, change(to_served(resource, old))),
            subresource=call.subresource,
        )
        return to_served(resource, new)

    def _delete(self, call: Call, resource: ResourceType) -> Answer:
        options = patching.decode_object(call.body) if call.body else {}
        asked = options.get("preconditions") or {}
        last = self.store.delete(
            stored_as(resource), call.namespace, call.name, uid=asked.get("uid"), version=asked.get("resourceVersion")
        )
        # kubectl waits until the object of this uid is gone.
        details = {"name": call.name, "group": resource.group, "kind": resource.plural, "uid": last["metadata"]["uid"]}
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return 200, {**status, "details": details}
