"""The API server's verbs, from a call to an answer."""

import secrets
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from mfa_sandbox.kubernetes import patching, watching
from mfa_sandbox.kubernetes.calls import Call
from mfa_sandbox.kubernetes.errors import (
    ApiError,
    NotServedError,
    bad_request,
    invalid,
)
from mfa_sandbox.kubernetes.events import stored_as, to_served, to_stored
from mfa_sandbox.kubernetes.resources import SELF_SUBJECT_REVIEWS, ResourceType
from mfa_sandbox.kubernetes.selectors import Selector, field_selector, label_selector
from mfa_sandbox.kubernetes.store import Store

Object = dict[str, Any]
Answer = tuple[int, Object]

# How many unfinished paged lists are remembered; older ones answer 410, as those of 5 minutes ago do on a real server.
_MAX_PAGED_LISTS = 100


class RestApi:
    """Answers calls about resources from a store. Used from one event loop's thread only."""

    def __init__(self, store: Store, resources: Sequence[ResourceType]) -> None:
        self.store = store
        self.resources = resources
        self._paged: OrderedDict[str, tuple[int, list[Object]]] = OrderedDict()
        self._applied: dict[tuple[str, str, str], Object] = {}

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
        verbs: dict[str, Callable[[Call, ResourceType], Answer]] = {
            "get": self._get,
            "list": self._list,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }
        if resource.namespaced and not call.namespace and call.verb not in ("list", "deletecollection"):
            raise NotServedError
        if call.verb not in resource.verbs:
            raise ApiError(405, "the server does not allow this method on the requested resource", details={})
        return verbs[call.verb](call, resource)

    def watch(self, call: Call) -> AbstractContextManager[AsyncGenerator[Object, None]]:
        """The events of a watch, from the moment that the context is entered.

        Raises NotServedError and ApiError 400 and 405 at once; later errors are events.
        """
        resource = self.resource(call)
        if call.verb not in resource.verbs:
            raise ApiError(405, "the server does not allow this method on the requested resource", details={})
        return watching.follow(self.store, resource, call, _selector(resource, call))

    def _get(self, call: Call, resource: ResourceType) -> Answer:
        return 200, to_served(resource, self.store.get(stored_as(resource), call.namespace, call.name))

    def _list(self, call: Call, resource: ResourceType) -> Answer:
        limit = _number(call, "limit")
        token = call.query.get("continue", "")
        if token:
            version, items = self._continued(token)
        else:
            version, items = self.store.history.version, self._selected(call, resource)
        meta: Object = {"resourceVersion": str(version)}
        if limit and len(items) > limit:
            meta["continue"] = f"{version}.{secrets.token_urlsafe(16)}"
            meta["remainingItemCount"] = len(items) - limit
            self._paged[meta["continue"]] = version, items[limit:]
            items = items[:limit]
            while len(self._paged) > _MAX_PAGED_LISTS:
                self._paged.popitem(last=False)
        return 200, {
            "apiVersion": resource.api_version,
            "kind": f"{resource.kind}List",
            "metadata": meta,
            # In lists, only custom resources carry their apiVersion and kind.
            "items": items if resource.custom else [_without_type(item) for item in items],
        }

    def _continued(self, token: str) -> tuple[int, list[Object]]:
        """The version and the rest of a list; a page belongs to the state in which its list began."""
        version = token.partition(".")[0]
        if not version.isdecimal():
            raise bad_request("invalid continue token: continue key is not valid")
        if token not in self._paged or int(version) < self.store.history.oldest:
            raise ApiError(
                410,
                "The provided continue parameter is too old to display a consistent list result. "
                "You can start a new list without the continue parameter.",
            )
        return self._paged[token]

    def _selected(self, call: Call, resource: ResourceType) -> list[Object]:
        selected = _selector(resource, call)
        found = self.store.objects_of(stored_as(resource), call.namespace)
        return [item for item in (to_served(resource, item) for item in found) if selected(item)]

    def _create(self, call: Call, resource: ResourceType) -> Answer:
        if resource is SELF_SUBJECT_REVIEWS:
            user = {"username": "sandbox", "groups": ["system:masters", "system:authenticated"]}
            kind = {"apiVersion": resource.api_version, "kind": resource.kind}
            return 201, {**kind, "metadata": {}, "status": {"userInfo": user}}
        return 201, self._created(call, resource, _body(call))

    def _created(self, call: Call, resource: ResourceType, body: Object) -> Object:
        stored = stored_as(resource)
        new = self.store.create(stored, call.namespace, to_stored(resource, body), dry_run=call.dry_run)
        return to_served(resource, new)

    def _update(self, call: Call, resource: ResourceType) -> Answer:
        body = _body(call)
        return 200, self._changed(call, resource, lambda _: body, replace=True)

    def _patch(self, call: Call, resource: ResourceType) -> Answer:
        if call.content_type == patching.APPLY_PATCH:
            return self._apply(call, resource)
        change = patching.read_patch(resource, call.content_type, call.body)
        return 200, self._changed(call, resource, change)

    def _changed(self, call: Call, resource: ResourceType, change: patching.Change, *, replace: bool = False) -> Object:
        new = self.store.update(
            stored_as(resource),
            call.namespace,
            call.name,
            lambda old: to_stored(resource, change(to_served(resource, old))),
            subresource=call.subresource,
            replace=replace,
            dry_run=call.dry_run,
        )
        return to_served(resource, new)

    def _apply(self, call: Call, resource: ResourceType) -> Answer:
        """Server-side apply without conflicts between managers: each takes away only what it applied before."""
        manager = call.query.get("fieldManager", "")
        if not manager:
            raise invalid(
                "meta.k8s.io",
                "PatchOptions",
                "",
                field="fieldManager",
                reason="FieldValueRequired",
                message="Required value: is required for apply patch",
            )
        wanted = patching.decode_object(call.body)
        found = self.store.find(stored_as(resource), call.namespace, call.name)
        if found is None:
            status, new = 201, self._created(call, resource, patching.merge({"metadata": {"name": call.name}}, wanted))
        else:
            before = self._applied.get((found["metadata"]["uid"], manager, call.subresource), {})
            gone = patching.dropped(before, wanted)
            change = lambda old: patching.merge(patching.merge(old, gone), wanted)  # noqa: E731  # used once
            status, new = 200, self._changed(call, resource, change)
        if not call.dry_run:
            self._applied[new["metadata"]["uid"], manager, call.subresource] = wanted
        return status, new

    def _delete(self, call: Call, resource: ResourceType) -> Answer:
        last, gone = self._deleted(call, resource, call.namespace, call.name)
        if not gone:
            return 200, to_served(resource, last)
        details = {"name": call.name, "group": resource.group, "kind": resource.plural, "uid": last["metadata"]["uid"]}
        return 200, {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        }

    def _delete_collection(self, call: Call, resource: ResourceType) -> Answer:
        _, listed = self._list(call, resource)
        for item in listed["items"]:
            meta = item["metadata"]
            self._deleted(call, resource, meta.get("namespace", ""), meta["name"])
        return 200, listed

    def _deleted(self, call: Call, resource: ResourceType, namespace: str, name: str) -> tuple[Object, bool]:
        options = patching.decode_object(call.body) if call.body else {}
        preconditions = options.get("preconditions") or {}
        policy = options.get("propagationPolicy") or call.query.get("propagationPolicy")
        return self.store.delete(
            stored_as(resource),
            namespace,
            name,
            uid=preconditions.get("uid"),
            version=preconditions.get("resourceVersion"),
            orphan=policy == "Orphan",
            dry_run=call.dry_run or options.get("dryRun") == ["All"],
        )


def _without_type(body: Object) -> Object:
    return {key: value for key, value in body.items() if key not in ("apiVersion", "kind")}


def _body(call: Call) -> Object:
    """Raises ApiError 400 and 415."""
    if call.content_type == "application/vnd.kubernetes.protobuf":
        # Only kubectl's subcommands for single built-in kinds send it (`kubectl create namespace`).
        raise ApiError(415, "the sandbox does not read protobuf: use `kubectl apply -f` with a manifest")
    return patching.decode_object(call.body)


def _selector(resource: ResourceType, call: Call) -> Selector:
    """Raises ApiError 400."""
    labels = label_selector(call.query.get("labelSelector", ""))
    fields = field_selector(call.query.get("fieldSelector", ""), any_field=resource.kind == "Event")
    return lambda item: labels(item) and fields(item)


def _number(call: Call, parameter: str) -> int:
    text = call.query.get(parameter) or "0"
    if not text.isdecimal():
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)
