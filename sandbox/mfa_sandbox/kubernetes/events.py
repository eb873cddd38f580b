"""Events in their two forms: events.k8s.io/v1, in which they are stored, and the older core/v1.

`kubectl describe` and `kubectl get events` ask for the older form; on a real API server too, both are the same objects.
"""

from typing import Any

from mfa_sandbox.kubernetes.resources import CORE_EVENTS, EVENTS, ResourceType

Object = dict[str, Any]

# core/v1 field: events.k8s.io/v1 field, where the names differ.
_FIELDS = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
_BACK = {new: old for old, new in _FIELDS.items()}


def stored_as(resource: ResourceType) -> ResourceType:
    """The resource under which objects of this one are stored."""
    return EVENTS if resource is CORE_EVENTS else resource


def to_stored(resource: ResourceType, body: Object) -> Object:
    """What a client of `resource` sent, as it is stored."""
    if resource is CORE_EVENTS:
        body = {_FIELDS.get(key, key): value for key, value in body.items()}
        if body.get("apiVersion") == CORE_EVENTS.api_version:
            body["apiVersion"] = EVENTS.api_version
    return body


def to_served(resource: ResourceType, body: Object) -> Object:
    """What is stored, as a client of `resource` gets it."""
    if resource is CORE_EVENTS:
        body = {_BACK.get(key, key): value for key, value in body.items()} | {"apiVersion": CORE_EVENTS.api_version}
    return body
