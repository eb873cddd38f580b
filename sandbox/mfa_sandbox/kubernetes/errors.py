"""The API server's refusals: a code, a reason and a message in the words that clients match on."""

from typing import Any

from mfa_sandbox.kubernetes.resources import ResourceType

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

    `code` is the HTTP status. `reason` defaults to what the API server gives with that code; "" stands for none.
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
        self.reason = REASONS[code] if reason is None else reason
        self.details = details

    def status(self) -> dict[str, Any]:
        """The body: an object of kind Status."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            **({"reason": self.reason} if self.reason else {}),
            **({"details": self.details} if self.details is not None else {}),
            "code": self.code,
        }


class NotServedError(Exception):
    """A path that leads nowhere; the API server answers it with 404 and no Status."""


def not_found(resource: ResourceType, name: str) -> ApiError:
    return ApiError(
        404, f'{resource.qualified} "{name}" not found', details=_details(resource.group, resource.plural, name)
    )


def already_exists(resource: ResourceType, name: str) -> ApiError:
    message = f'{resource.qualified} "{name}" already exists'
    return ApiError(409, message, reason="AlreadyExists", details=_details(resource.group, resource.plural, name))


def conflict(
    resource: ResourceType,
    name: str,
    why: str = "the object has been modified; please apply your changes to the latest version and try again",
) -> ApiError:
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return ApiError(409, message, details=_details(resource.group, resource.plural, name))


def precondition_failed(resource: ResourceType, name: str, why: str) -> ApiError:
    """A conflict as a deletion's preconditions give it, which goes by the kind."""
    message = f'Operation cannot be fulfilled on {_qualified(resource.group, resource.kind)} "{name}": {why}'
    return ApiError(409, message, details=_details(resource.group, resource.kind, name))


def invalid(group: str, kind: str, name: str, *, field: str, reason: str, message: str) -> ApiError:
    """A refusal of one field; `reason` is a cause's, such as `FieldValueRequired`."""
    cause = {"reason": reason, "message": message, "field": field}
    return ApiError(
        422,
        f'{_qualified(group, kind)} "{name}" is invalid: {field}: {message}',
        details=_details(group, kind, name) | {"causes": [cause]},
    )


def bad_request(message: str) -> ApiError:
    return ApiError(400, message)


def expired(version: int, oldest: int) -> ApiError:
    return ApiError(410, f"too old resource version: {version} ({oldest})")


def _qualified(group: str, word: str) -> str:
    return f"{word}.{group}" if group else word


def _details(group: str, kind: str, name: str) -> dict[str, Any]:
    return {key: value for key, value in (("name", name), ("group", group), ("kind", kind)) if value}
