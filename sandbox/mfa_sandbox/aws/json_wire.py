"""AWS's JSON protocols, as Organizations (1.1) and SQS (1.0) speak them: X-Amz-Target names the operation."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import uuid4

from mfa_sandbox.aws.wire import Answer, AwsError, Result

JSON_TYPES = {"organizations": "application/x-amz-json-1.1", "sqs": "application/x-amz-json-1.0"}
"""Content type of the services that speak JSON."""

# What these services call differently than IAM does.
_CODES = {
    "AccessDenied": "AccessDeniedException",
    "ExpiredToken": "ExpiredTokenException",
    "InvalidAction": "UnknownOperationException",
    "InvalidClientTokenId": "UnrecognizedClientException",
    "MissingAuthenticationToken": "MissingAuthenticationTokenException",
    "ServiceFailure": "ServiceException",
    "Throttling": "TooManyRequestsException",
}
# SQS spoke the query protocol once: clients know its errors by the codes of that time, which travel in a header.
_SQS_SHAPES = {
    "AWS.SimpleQueueService.NonExistentQueue": "com.amazonaws.sqs#QueueDoesNotExist",
    "AccessDenied": "com.amazon.coral.service#AccessDeniedException",
    "ExpiredToken": "com.amazon.coral.service#ExpiredTokenException",
    "InvalidClientTokenId": "com.amazon.coral.service#UnrecognizedClientException",
}
MAX_RECORDED = 200
"""Characters of a parameter that the record of calls keeps."""


def operation_of(target: str) -> str:
    """`ReceiveMessage` of `AmazonSQS.ReceiveMessage`."""
    return target.rpartition(".")[2]


def document_of(body: bytes) -> dict[str, object]:
    """The parameters. Raises AwsError for what is no JSON object."""
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise AwsError("SerializationException", "The request is not a JSON object.")
    return document


def recorded(document: Mapping[str, object]) -> dict[str, str]:
    """The parameters as the record of calls has them: as text, and short."""
    return {
        name: (value if isinstance(value, str) else json.dumps(value, default=str))[:MAX_RECORDED]
        for name, value in document.items()
    }


def json_success(service: str, result: Result | None) -> Answer:
    """Members without a value are left out; times are seconds since 1970."""
    return Answer(200, json.dumps(_plain(result or {})).encode(), JSON_TYPES[service], headers=(_request_id(),))


def json_failure(service: str, error: AwsError) -> Answer:
    if service == "sqs":
        sender = "Sender" if error.status < 500 else "Receiver"
        body = {"__type": _SQS_SHAPES.get(error.code, error.code), "message": error.message}
        headers = (("x-amzn-query-error", f"{error.code};{sender}"), _request_id())
        return Answer(error.status, json.dumps(body).encode(), JSON_TYPES[service], error.code, headers)
    code = _CODES.get(error.code, error.code)
    body = {"__type": code, "Message": error.message, **({"Reason": error.reason} if error.reason else {})}
    status = error.status if error.status >= 500 else 400
    return Answer(status, json.dumps(body).encode(), JSON_TYPES[service], code, (_request_id(),))


def _request_id() -> tuple[str, str]:
    return "x-amzn-RequestId", str(uuid4())


def _plain(value: object) -> object:
    match value:
        case datetime():
            moment = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
            return round(moment.timestamp(), 3)
        case Mapping():
            return {name: _plain(one) for name, one in value.items() if one is not None}
        case list() | tuple():
            return [_plain(one) for one in value]
        case _:
            return value
