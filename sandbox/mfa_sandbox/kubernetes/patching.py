"""JSON merge patches."""

import copy
import json
from collections.abc import Mapping
from typing import Any

from mfa_sandbox.kubernetes.errors import bad_request

MERGE_PATCH = "application/merge-patch+json"

Object = dict[str, Any]


def decode_object(body: bytes) -> Object:
    """Read a body that has to be an object. Raises ApiError 400."""
    try:
        value = json.loads(body)
    except ValueError as error:
        raise bad_request(f"error decoding the request body: {error}") from error
    if not isinstance(value, dict):
        raise bad_request("the request body is not an object")
    return value


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
