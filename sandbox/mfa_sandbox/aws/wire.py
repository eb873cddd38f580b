"""AWS's query protocol as IAM and STS speak it: calls in, answers out.

A request is a form (`Action=ListUsers&MaxItems=…`), an answer is XML whose shape follows from the result alone:
lists become `<member>` elements, bytes base64, times ISO 8601 in UTC to the second.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TypeAlias
from uuid import uuid4
from xml.sax.saxutils import escape

Result: TypeAlias = Mapping[str, object]
"""What an operation answers, in the names of AWS's API reference."""

NAMESPACES = {
    "iam": "https://iam.amazonaws.com/doc/2010-05-08/",
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
}

# The statuses of botocore's service model and of IAM's common errors; everything else is a 400.
STATUS_OF_CODE = {
    "AccessDenied": 403,
    "DeleteConflict": 409,
    "EntityAlreadyExists": 409,
    "EntityTemporarilyUnmodifiable": 409,
    "ExpiredToken": 403,
    "InternalFailure": 500,
    "InvalidAuthenticationCode": 403,
    "InvalidClientTokenId": 403,
    "LimitExceeded": 409,
    "MissingAuthenticationToken": 403,
    "NoSuchEntity": 404,
    "ReportExpired": 410,
    "ReportInProgress": 404,
    "ReportNotPresent": 410,
    "ServiceFailure": 500,
    "ServiceUnavailable": 503,
}

UNKNOWN_CREDENTIALS = "The security token included in the request is invalid."
EXPIRED_CREDENTIALS = "The security token included in the request is expired"


class AwsError(Exception):
    """An error that AWS answers: `code` as clients see it, with the HTTP status that belongs to it.

    `reason` is the member Reason that some errors of the JSON services have.
    """

    def __init__(self, code: str, message: str, *, status: int | None = None, reason: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
        self.status = status if status is not None else STATUS_OF_CODE.get(code, 400)


class DropConnectionError(Exception):
    """The client gets no answer: its connection is reset."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back over the wire. `code` is the AWS error code, None for a success."""

    status: int
    body: bytes
    content_type: str = "text/xml"
    code: str | None = None
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def status_line(self) -> str:
        return f"{self.status} {HTTPStatus(self.status).phrase}"


class Entries(dict[str, int]):
    """A map, which goes over the wire as entries of key and value."""


def iso_time(moment: datetime) -> str:
    """AWS's timestamps: UTC, whole seconds. A naive datetime (moto's) is UTC already."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def success(service: str, operation: str, result: Result | None) -> Answer:
    inner = "" if result is None else f"<{operation}Result>{_elements(result)}</{operation}Result>"
    xml = (
        f'<{operation}Response xmlns="{NAMESPACES[service]}">{inner}'
        f"<ResponseMetadata><RequestId>{uuid4()}</RequestId></ResponseMetadata></{operation}Response>"
    )
    return Answer(200, xml.encode())


def failure(service: str, error: AwsError) -> Answer:
    sender = "Sender" if error.status < 500 else "Receiver"
    xml = (
        f'<ErrorResponse xmlns="{NAMESPACES.get(service, NAMESPACES["iam"])}"><Error><Type>{sender}</Type>'
        f"<Code>{error.code}</Code><Message>{escape(error.message)}</Message></Error>"
        f"<RequestId>{uuid4()}</RequestId></ErrorResponse>"
    )
    return Answer(error.status, xml.encode(), code=error.code)


def _elements(result: Mapping[str, object]) -> str:
    return "".join(f"<{name}>{_text(value)}</{name}>" for name, value in result.items() if value is not None)


def _text(value: object) -> str:
    match value:
        case str():
            text = escape(value)
        case bool():
            text = "true" if value else "false"
        case datetime():
            text = iso_time(value)
        case bytes():
            text = base64.b64encode(value).decode()
        case Entries():
            text = "".join(f"<entry><key>{key}</key><value>{n}</value></entry>" for key, n in value.items())
        case Mapping():
            text = _elements(value)
        case list() | tuple():
            text = "".join(f"<member>{_text(item)}</member>" for item in value)
        case _:
            text = str(value)
    return text
