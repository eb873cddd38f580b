"""What the API server makes of an object by its structural schema, validation apart."""

import copy
import re
from collections.abc import Mapping
from typing import Any

from mfa_sandbox.kubernetes.errors import bad_request
from mfa_sandbox.kubernetes.resources import EVENTS, LEASES, ResourceType

TYPE_META = ("apiVersion", "kind", "metadata")


def conform(body: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in the defaults and drop the fields that the schema does not know, as the API server does on a write.

    https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/, "Defaulting" and
    "Field pruning". Returns a new object; an empty schema leaves everything as it is.
    """
    if not schema:
        return copy.deepcopy(dict(body))
    kept = {key: copy.deepcopy(body[key]) for key in TYPE_META if key in body}
    rest = {key: value for key, value in body.items() if key not in TYPE_META}
    properties = {key: sub for key, sub in schema.get("properties", {}).items() if key not in TYPE_META}
    return kept | _conform_object(rest, {**schema, "properties": properties})


def _conform_object(value: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties", {})
    additional = schema.get("additionalProperties")
    preserve = schema.get("x-kubernetes-preserve-unknown-fields", False) or additional is True
    result = {}
    for key, item in value.items():
        known = properties.get(key, additional if isinstance(additional, dict) else None)
        if known is not None:
            result[key] = _conform(item, known)
        elif preserve:
            result[key] = copy.deepcopy(item)
    for key, sub in properties.items():
        # A null where none is allowed counts as absent.
        absent = key not in result or (result[key] is None and not sub.get("nullable", False))
        if absent and "default" in sub:
            result[key] = _conform(copy.deepcopy(sub["default"]), sub)
    return result


def _conform(value: object, schema: Mapping[str, Any]) -> object:
    if isinstance(value, dict):
        return _conform_object(value, schema)
    if isinstance(value, list):
        return [_conform(item, schema.get("items", {})) for item in value]
    return value


# Fields of type MicroTime: unlike all other times they are not read without their six decimals.
_MICRO_TIMES = {
    EVENTS: (("eventTime",), ("series", "lastObservedTime")),
    LEASES: (("spec", "acquireTime"), ("spec", "renewTime")),
}
_MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")


def check_micro_times(resource: ResourceType, body: Mapping[str, Any]) -> None:
    """Raises ApiError 400 for a MicroTime in another form, as the API server does."""
    for path in _MICRO_TIMES.get(resource, ()):
        value: object = body
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None and not (isinstance(value, str) and _MICRO_TIME.fullmatch(value)):
            raise bad_request(
                f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
                f'parsing time "{value}" as "2006-01-02T15:04:05.000000Z07:00"'
            )
