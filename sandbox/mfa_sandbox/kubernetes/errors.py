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

    `code` is the HTTP status; `reason` defaults to what the API server gives with that code.
    """

    def __init__(self, code: int, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = REASONS[code] if reason is None else reason

    def status(self) -> dict[str, Any]:
        """The body: an object of kind Status."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }


class NotServedError(Exception):
    """A path that leads nowhere; the API server answers it with 404 and no Status."""


def not_found(resource: ResourceType, name: str) -> ApiError:
    return ApiError(404, f'{resource.qualified} "{name}" not found')


def already_exists(resource: ResourceType, name: str) -> ApiError:
    return ApiError(409, f'{resource.qualified} "{name}" already exists', reason="AlreadyExists")


def conflict(
    resource: ResourceType,
    name: str,
    why: str = "the object has been modified; please apply your changes to the latest version and try again",
) -> ApiError:
    return ApiError(409, f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}')


def bad_request(message: str) -> ApiError:
    return ApiError(400, message)


def expired(version: int, oldest: int) -> ApiError:
    return ApiError(410, f"too old resource version: {version} ({oldest})")
