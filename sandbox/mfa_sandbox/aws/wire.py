"""AWS's query protocol as IAM and STS speak it: calls in, answers out.

A request is a form (`Action=ListUsers&MaxItems=…`), an answer is XML whose shape follows from the result alone:
lists become `<member>` elements, bytes base64, times ISO 8601 in UTC to the second.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias
from uuid import uuid4
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from mfa_sandbox.aws.account import Account
    from mfa_sandbox.aws.principals import Principal

Result: TypeAlias = Mapping[str, object]
"""What an operation answers, in the names of AWS's API reference."""

Handler: TypeAlias = "Callable[[Call], Result | None]"
"""One operation: raises `AwsError`, or answers its result (None: an empty one)."""

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
    """An error that AWS answers: `code` as clients see it, with the HTTP status that belongs to it."""

    def __init__(self, code: str, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
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

    @property
    def status_line(self) -> str:
        return f"{self.status} {HTTPStatus(self.status).phrase}"


@dataclass(frozen=True, slots=True)
class Call:
    """One request whose caller is known. `account` is the caller's."""

    service: str
    operation: str
    parameters: Mapping[str, str]
    principal: "Principal"
    account: "Account"
    now: datetime
    region: str = "us-east-1"
    raw: bytes = field(default=b"", repr=False)

    @property
    def action(self) -> str:
        """The name that policies know it by, such as `iam:ListUsers`."""
        return f"{self.service}:{self.operation}"

    @property
    def subject_account(self) -> str:
        """The account that the call is about: for AssumeRole the role's, else the caller's."""
        if self.operation == "AssumeRole":
            parts = self.parameters.get("RoleArn", "").split(":")
            if len(parts) > 4:
                return parts[4]
        return self.account.id

    def require(self, name: str) -> str:
        """A parameter that AWS demands. Raises ValidationError without it."""
        value = self.parameters.get(name, "")
        if not value:
            member = name[0].lower() + name[1:]
            raise AwsError(
                "ValidationError",
                f"1 validation error detected: Value null at '{member}' failed to satisfy constraint: "
                "Member must not be null",
            )
        return value

    def flag(self, name: str) -> bool:
        return self.parameters.get(name, "false").lower() == "true"

    def members(self, name: str) -> list[dict[str, str]]:
        """A list of structures (`Tags.member.1.Key=…`) in order."""
        found: dict[int, dict[str, str]] = {}
        for key, value in self.parameters.items():
            parts = key.split(".")
            if len(parts) == 4 and parts[0] == name and parts[1] == "member":
                found.setdefault(int(parts[2]), {})[parts[3]] = value
        return [found[index] for index in sorted(found)]


class Entries(dict[str, int]):
    """A map, which goes over the wire as entries of key and value."""


def iso_time(moment: datetime) -> str:
    """AWS's timestamps: UTC, whole seconds. A naive datetime (moto's) is UTC already."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def success(call: Call, result: Result | None) -> Answer:
    inner = "" if result is None else f"<{call.operation}Result>{_elements(result)}</{call.operation}Result>"
    xml = (
        f'<{call.operation}Response xmlns="{NAMESPACES[call.service]}">{inner}'
        f"<ResponseMetadata><RequestId>{uuid4()}</RequestId></ResponseMetadata></{call.operation}Response>"
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
