"""The state of the embedded Kubernetes, and the rules by which the API server changes it."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from mfa_sandbox.kubernetes.errors import ApiError, already_exists, bad_request, conflict, not_found
from mfa_sandbox.kubernetes.history import Change, History
from mfa_sandbox.kubernetes.resources import NAMESPACES, ResourceType

Object = dict[str, Any]

# Set by the API server alone; what a client sends in them is ignored.
_OWN = ("uid", "creationTimestamp", "generation", "resourceVersion", "name", "namespace")
_IGNORED = (*_OWN, "managedFields", "selfLink")


class Store:
    """Objects by resource, namespace and name ("" for none).

    Stored objects are never changed in place: a write puts a new one, so that readers and watches share them freely.
    Used from one event loop's thread only.
    """

    def __init__(self) -> None:
        self.history = History()
        self._objects: dict[ResourceType, dict[tuple[str, str], Object]] = {}

    def find(self, resource: ResourceType, namespace: str, name: str) -> Object | None:
        return self._objects.get(resource, {}).get((namespace, name))

    def get(self, resource: ResourceType, namespace: str, name: str) -> Object:
        """Raises ApiError 404."""
        found = self.find(resource, namespace, name)
        if found is None:
            raise not_found(resource, name)
        return found

    def objects_of(self, resource: ResourceType, namespace: str = "") -> list[Object]:
        """In the order of namespace and name; of all namespaces for ""."""
        objects = sorted(self._objects.get(resource, {}).items())
        return [item for (where, _), item in objects if namespace in ("", where)]

    def create(self, resource: ResourceType, namespace: str, body: Object) -> Object:
        """Raises ApiError 400, 404 (no such namespace), 409 (name taken) and 422."""
        new = _complete(resource, body)
        new["metadata"] = _new_metadata(resource, namespace, new, now=datetime.now(UTC))
        if resource.has_status:
            new.pop("status", None)
        name = new["metadata"]["name"]
        if resource.namespaced and self.find(NAMESPACES, "", namespace) is None:
            raise not_found(NAMESPACES, namespace)
        if self.find(resource, namespace, name) is not None:
            raise already_exists(resource, name)
        self._put(resource, None, new)
        return new

    def update(
        self,
        resource: ResourceType,
        namespace: str,
        name: str,
        change: Callable[[Object], Object],
        *,
        subresource: str = "",
    ) -> Object:
        """Put what `change` makes of the object.

        A write that changes nothing gives no new resource version and no watch event.
        Raises ApiError 400, 404 and 409 (resourceVersion or uid of another state).
        """
        old = self.get(resource, namespace, name)
        wanted = _complete(resource, change(old))
        given = wanted["metadata"]
        _check_state(resource, old, uid=given.get("uid"), version=given.get("resourceVersion"))
        # Each of the two paths leaves alone what the other one writes.
        if subresource == "status":
            new = {key: value for key, value in old.items() if key != "status"}
            kept = wanted
        else:
            new = {**wanted, "metadata": _updated_metadata(old, wanted)}
            kept = old if resource.has_status else wanted
            new.pop("status", None)
        if "status" in kept:
            new["status"] = kept["status"]
        if new == old:
            return old
        if resource.custom and _is_new_generation(old, new):
            new["metadata"]["generation"] = old["metadata"]["generation"] + 1
        self._put(resource, old, new)
        return new

    def delete(
        self, resource: ResourceType, namespace: str, name: str, *, uid: str | None = None, version: str | None = None
    ) -> Object:
        """Delete it at once, and what it owns with it, as the garbage collector does; returns its last state.

        Raises ApiError 404, and 409 for another uid or version.
        """
        old = self.get(resource, namespace, name)
        _check_state(resource, old, uid=uid, version=version)
        del self._objects[resource][old["metadata"].get("namespace", ""), name]
        self.history.record(Change(self.history.next_version(), resource, old, None))
        for kind, objects in list(self._objects.items()):
            for key, item in list(objects.items()):
                owners = item["metadata"].get("ownerReferences", ())
                if any(owner["uid"] == old["metadata"]["uid"] for owner in owners):
                    self.delete(kind, *key)
        return old

    def _put(self, resource: ResourceType, old: Object | None, new: Object) -> None:
        version = self.history.next_version()
        new["metadata"] = {**new["metadata"], "resourceVersion": str(version)}
        key = new["metadata"].get("namespace", ""), new["metadata"]["name"]
        self._objects.setdefault(resource, {})[key] = new
        self.history.record(Change(version, resource, old, new))


def _complete(resource: ResourceType, body: Object) -> Object:
    """The body with apiVersion, kind and metadata. Raises ApiError 400 for another kind or version."""
    whole = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {}, **body}
    if (whole["apiVersion"], whole["kind"]) != (resource.api_version, resource.kind):
        raise bad_request(f"{whole['kind']} in {whole['apiVersion']} is not {resource.kind} in {resource.api_version}")
    return whole


def _new_metadata(resource: ResourceType, namespace: str, body: Object, *, now: datetime) -> Object:
    """The metadata of an object to be created. Raises ApiError 422 without a name."""
    name = body["metadata"].get("name")
    if not name:
        raise ApiError(422, f"{resource.kind} is invalid: metadata.name: Required value: name is required")
    return {
        **_given(body),
        "name": name,
        **({"namespace": namespace} if resource.namespaced else {}),
        "uid": str(uuid.uuid4()),
        # RFC 3339 in whole seconds.
        "creationTimestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        **({"generation": 1} if resource.custom else {}),
    }


def _check_state(resource: ResourceType, old: Object, *, uid: str | None, version: str | None) -> None:
    """Hold a write to the object and the state that it means; None or "" is any. Raises ApiError 409."""
    meta = old["metadata"]
    if uid and uid != meta["uid"]:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {meta['uid']}"
        raise conflict(resource, meta["name"], why)
    if version and version != meta["resourceVersion"]:
        raise conflict(resource, meta["name"])


def _updated_metadata(old: Object, wanted: Object) -> Object:
    """The metadata after a write to the main resource: the client's, but for what is the API server's own."""
    return _given(wanted) | {key: old["metadata"][key] for key in _OWN if key in old["metadata"]}


def _is_new_generation(old: Object, new: Object) -> bool:
    """Whether anything but metadata and status changed."""
    return {key: value for key, value in old.items() if key not in ("metadata", "status")} != {
        key: value for key, value in new.items() if key not in ("metadata", "status")
    }


def _given(body: Object) -> Object:
    """What is empty is as good as absent."""
    return {key: value for key, value in body["metadata"].items() if value and key not in _IGNORED}
