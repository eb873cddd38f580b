"""AWS's JSON protocols (1.0 and 1.1), as SQS and others speak them: the operation in X-Amz-Target, JSON both ways."""

import json
from collections.abc import Mapping
from uuid import uuid4

from mfa_sandbox.aws.wire import Answer, AwsError, Result

JSON_TYPES = {"sqs": "application/x-amz-json-1.0"}
"""Content type of the services that speak JSON."""

# SQS spoke the query protocol once: clients know its errors by the codes of that time, which travel in a header.
_SHAPES = {
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
    headers = (("x-amzn-RequestId", str(uuid4())),)
    return Answer(200, json.dumps(result or {}).encode(), JSON_TYPES[service], headers=headers)


def json_failure(service: str, error: AwsError) -> Answer:
    sender = "Sender" if error.status < 500 else "Receiver"
    body = {"__type": _SHAPES.get(error.code, error.code), "message": error.message}
    headers = (("x-amzn-query-error", f"{error.code};{sender}"), ("x-amzn-RequestId", str(uuid4())))
    return Answer(error.status, json.dumps(body).encode(), JSON_TYPES[service], error.code, headers)
