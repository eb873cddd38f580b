"""The API server's refusals: a code, a reason and a message in the words that clients match on."""

from collections.abc import Sequence
from typing import Any

from mfa_operator.sandbox.kubernetes.resources import ResourceType

# https://github.com/kubernetes/apimachinery, StatusReason; 422 is Invalid and 503 ServiceUnavailable there.
REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Expired",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class ApiError(Exception):
    """A request that the API server refuses.

    `code` is the HTTP status. `reason` defaults to what the API server gives with that code.
    """

    def __init__(
        self,
        code: int,
        message: str,
        *,
        reason: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason or REASONS.get(code, "Unknown")
        self.details = details

    def status(self) -> dict[str, Any]:
        """The body: an object of kind Status."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            **({"details": self.details} if self.details is not None else {}),
            "code": self.code,
        }


def not_found(resource: ResourceType, name: str) -> ApiError:
    return ApiError(404, f'{resource.qualified} "{name}" not found', details=_details(resource, name))


def already_exists(resource: ResourceType, name: str) -> ApiError:
    message = f'{resource.qualified} "{name}" already exists'
    return ApiError(409, message, reason="AlreadyExists", details=_details(resource, name))


def conflict(
    resource: ResourceType,
    name: str,
    why: str = "the object has been modified; please apply your changes to the latest version and try again",
) -> ApiError:
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return ApiError(409, message, details=_details(resource, name))


def invalid(resource: ResourceType, name: str, causes: Sequence[tuple[str, str, str]]) -> ApiError:
    """A refusal with causes, each a field path, a reason (`FieldValueRequired` …) and a message."""
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    listed = [f"{field}: {message}" for field, _, message in causes]
    message = listed[0] if len(listed) == 1 else f"[{', '.join(listed)}]"
    details = _details(resource, name) | {
        "kind": resource.kind,
        "causes": [{"reason": reason, "message": text, "field": field} for field, reason, text in causes],
    }
    return ApiError(422, f'{kind} "{name}" is invalid: {message}', details=details)


def bad_request(message: str) -> ApiError:
    return ApiError(400, message)


def expired(version: int, oldest: int) -> ApiError:
    return ApiError(410, f"too old resource version: {version} ({oldest})")


def no_such_endpoint() -> ApiError:
    return ApiError(404, "the server could not find the requested resource", details={})


def _details(resource: ResourceType, name: str) -> dict[str, Any]:
    group = {"group": resource.group} if resource.group else {}
    return {"name": name, **group, "kind": resource.plural}
