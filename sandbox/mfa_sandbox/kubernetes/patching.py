"""The four kinds of PATCH, told apart by their content type."""

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

import jsonpatch
import jsonpointer
import yaml

from mfa_sandbox.kubernetes.errors import ApiError, bad_request
from mfa_sandbox.kubernetes.resources import ResourceType

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

Object = dict[str, Any]
Change = Callable[[Object], Object]


class _PlainLoader(yaml.SafeLoader):
    """YAML as the API server reads it: what looks like a date stays a string."""


_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def decode(body: bytes) -> object:
    """Read a request's body, JSON or YAML. Raises ApiError 400."""
    try:
        return json.loads(body)
    except ValueError:
        try:
            return yaml.load(body, Loader=_PlainLoader)  # noqa: S506  # a SafeLoader with one resolver less
        except yaml.YAMLError as error:
            raise bad_request(f"error decoding the request body: {error}") from error


def decode_object(body: bytes) -> Object:
    """Read a body that has to be an object. Raises ApiError 400."""
    value = decode(body)
    if not isinstance(value, dict):
        raise bad_request("the request body is not an object")
    return value


def _decode_list(body: bytes) -> list[Object]:
    value = decode(body)
    if not isinstance(value, list):
        raise bad_request("the request body is not a list of operations")
    return value


def read_patch(resource: ResourceType, content_type: str, body: bytes) -> Change:
    """The change that a PATCH request asks for, server-side apply apart.

    A strategic merge patch is taken as a merge patch (lists are replaced whole), and only by built-in resources, as on
    a real API server. Raises ApiError 400 and 415; the change itself raises ApiError 422.
    """
    if content_type == JSON_PATCH:
        operations = _decode_list(body)
        return lambda old: _apply_operations(operations, old)
    accepted = [JSON_PATCH, MERGE_PATCH] if resource.custom else [JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH]
    if content_type not in accepted:
        raise ApiError(
            415,
            "the body of the request was in an unknown format - accepted media types include: "
            + ", ".join([*accepted, APPLY_PATCH]),
        )
    patch = decode_object(body)
    return lambda old: merge(old, patch)


def _apply_operations(operations: list[Object], old: Object) -> Object:
    try:
        return jsonpatch.JsonPatch(operations).apply(old)  # type: ignore[no-any-return]  # ships no types
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError) as error:
        message = "the server rejected our request due to an error in our request"
        raise ApiError(422, message, details={}) from error


def merge(target: object, patch: Mapping[str, Any]) -> Object:
    """JSON merge patch (RFC 7386); neither argument is changed."""
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merge(result.get(key), value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def dropped(before: Mapping[str, Any], after: Mapping[str, Any]) -> Object:
    """The merge patch that takes away what `before` had and `after` no longer has."""
    patch: Object = {}
    for key, value in before.items():
        if key not in after:
            patch[key] = None
        elif isinstance(value, dict) and isinstance(after[key], dict) and (inner := dropped(value, after[key])):
            patch[key] = inner
    return patch
