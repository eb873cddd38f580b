"""The state of the embedded Kubernetes, and the rules by which the API server changes it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from mfa_sandbox.kubernetes import metadata
from mfa_sandbox.kubernetes.errors import ApiError, already_exists, not_found, precondition_failed
from mfa_sandbox.kubernetes.history import Change, History
from mfa_sandbox.kubernetes.resources import NAMESPACES, ResourceType
from mfa_sandbox.kubernetes.schema import check_micro_times, conform

Object = dict[str, Any]

# etcd's --max-request-bytes by default.
MAX_OBJECT_BYTES = 1024 * 1024 * 3 // 2


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Store:
    """Objects by resource, namespace and name ("" for none).

    Stored objects are never changed in place: a write puts a new one, so that readers and watches share them freely.
    Used from one event loop's thread only. `now` gives the time for creation and deletion timestamps.
    """

    def __init__(self, *, history: History | None = None, now: Callable[[], datetime] = _utc_now) -> None:
        self.history = history or History()
        self._now = now
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

    def create(self, resource: ResourceType, namespace: str, body: Object, *, dry_run: bool = False) -> Object:
        """Raises ApiError 400, 404 (no such namespace), 409 (name taken), 422 and 500 (too large)."""
        metadata.check_type(resource, body)
        check_micro_times(resource, body)
        new = conform(body, resource.schema)
        if resource.has_status:
            new.pop("status", None)
        new["metadata"] = metadata.of_new(resource, namespace, body, now=self._now())
        name = new["metadata"]["name"]
        if resource.namespaced and self.find(NAMESPACES, "", namespace) is None:
            raise not_found(NAMESPACES, namespace)
        if self.find(resource, namespace, name) is not None:
            raise already_exists(resource, name)
        if resource is NAMESPACES:
            own_label = {"kubernetes.io/metadata.name": name}
            new["metadata"]["labels"] = (new["metadata"].get("labels") or {}) | own_label
            new |= {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
        if dry_run:
            return new
        self._put(resource, None, new)
        if new["metadata"].get("ownerReferences") and not self._has_owner(new):
            self._remove(resource, new)  # what the garbage collector does to it a moment later
        return new

    def update(
        self,
        resource: ResourceType,
        namespace: str,
        name: str,
        change: Callable[[Object], Object],
        *,
        subresource: str = "",
        replace: bool = False,
        dry_run: bool = False,
    ) -> Object:
        """Put what `change` makes of the object; `replace` demands a resourceVersion, as PUT does.

        A write that changes nothing gives no new resource version and no watch event.
        Raises ApiError 400, 404, 409 (resourceVersion or uid of another state), 422 and 500 (too large).
        """
        old = self.get(resource, namespace, name)
        wanted = change(old)
        metadata.check_type(resource, wanted)
        check_micro_times(resource, wanted)
        metadata.check_identity(resource, old, wanted, replace=replace)
        if subresource == "status":
            new = {**old, "status": wanted.get("status")}
            if "status" not in wanted:
                del new["status"]
        else:
            new = {**wanted, "metadata": metadata.of_updated(old, wanted)}
            if resource.has_status:
                new.pop("status", None)
                new |= {"status": old["status"]} if "status" in old else {}
        new = conform(new, resource.schema)
        if new == old:
            return old
        if subresource == "" and resource.custom and metadata.is_new_generation(old, new):
            new["metadata"]["generation"] = old["metadata"]["generation"] + 1
        if dry_run:
            return new
        if new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers"):
            self._remove(resource, new)
        else:
            self._put(resource, old, new)
        return new

    def delete(
        self,
        resource: ResourceType,
        namespace: str,
        name: str,
        *,
        uid: str | None = None,
        version: str | None = None,
        orphan: bool = False,
        dry_run: bool = False,
    ) -> tuple[Object, bool]:
        """Delete it, or mark it for deletion while it has finalizers; returns its last state and whether it is gone.

        What it alone owns goes with it, unless `orphan`. Raises ApiError 404, and 409 for another uid or version.
        """
        old = self.get(resource, namespace, name)
        for key, label, wanted, otherwise in (
            ("uid", "UID", uid, "deleted and then recreated"),
            ("resourceVersion", "ResourceVersion", version, "modified"),
        ):
            actual = old["metadata"][key]
            if wanted is not None and wanted != actual:
                why = f"the {label} in the precondition ({wanted}) does not match the {label} in record ({actual})"
                raise precondition_failed(resource, name, f"{why}. The object might have been {otherwise}")
        gone = not old["metadata"].get("finalizers")
        if dry_run or (not gone and "deletionTimestamp" in old["metadata"]):
            return old, gone
        if gone:
            self._remove(resource, old, orphan=orphan)
            return old, True
        new = {**old, "metadata": metadata.of_deleted(old, now=self._now())}
        self._put(resource, old, new)
        return new, False

    def _put(self, resource: ResourceType, old: Object | None, new: Object) -> None:
        size = len(json.dumps(new, separators=(",", ":")).encode())
        if size > MAX_OBJECT_BYTES:
            raise ApiError(500, "etcdserver: request is too large")
        version = self.history.next_version()
        new["metadata"]["resourceVersion"] = str(version)
        key = new["metadata"].get("namespace", ""), new["metadata"]["name"]
        self._objects.setdefault(resource, {})[key] = new
        self.history.record(Change(version, resource, old, new))

    def _remove(self, resource: ResourceType, last: Object, *, orphan: bool = False) -> None:
        name = last["metadata"]["name"]
        if resource is NAMESPACES:
            for content, objects in self._objects.items():
                for key in [key for key in objects if key[0] == name]:
                    if key in objects:  # not gone already with its owner
                        self._remove(content, objects[key])
        del self._objects[resource][last["metadata"].get("namespace", ""), name]
        self.history.record(Change(self.history.next_version(), resource, last, None))
        self._release_dependents(last["metadata"]["uid"], orphan=orphan)

    def _release_dependents(self, owner: str, *, orphan: bool) -> None:
        """What the garbage collector does once the object with this uid is gone."""
        dependents = [
            (resource, key)
            for resource, objects in self._objects.items()
            for key, item in objects.items()
            if any(ref["uid"] == owner for ref in item["metadata"].get("ownerReferences", ()))
        ]
        for resource, key in dependents:
            item = self.find(resource, *key)
            if item is None:
                continue  # gone already, with another owner that fell in the same cascade
            references = [ref for ref in item["metadata"]["ownerReferences"] if ref["uid"] != owner]
            left = {**item, "metadata": {**item["metadata"], "ownerReferences": references}}
            if not references:
                del left["metadata"]["ownerReferences"]
            if orphan or self._has_owner(left):
                self._put(resource, item, left)
            else:
                self.delete(resource, *key)

    def _has_owner(self, body: Object) -> bool:
        wanted = {reference["uid"] for reference in body["metadata"].get("ownerReferences", ())}
        return any(item["metadata"]["uid"] in wanted for objects in self._objects.values() for item in objects.values())
