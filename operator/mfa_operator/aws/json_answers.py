"""Answers of the services that speak JSON, checked before botocore reads them.

botocore takes a page that is no JSON for an answer without any field: a proxy's "please sign in" would be a queue
without messages. On JSON of another shape it fails in as many ways as Python has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from botocore.parsers import ResponseParserError

MOST_MESSAGES = 10
"""In one answer of SQS, and in one deletion: SQS gives and takes no more."""


class _Answer(msgspec.Struct):
    """Any object: which fields it needs, who asks knows."""


class _Message(msgspec.Struct, rename="pascal"):
    message_id: str
    receipt_handle: str
    body: str = ""


class _Received(msgspec.Struct, rename="pascal"):
    """Without messages the field is missing."""

    messages: Annotated[list[_Message], msgspec.Meta(max_length=MOST_MESSAGES)] | None = None


class _Entry(msgspec.Struct, rename="pascal"):
    id: str
    code: str = ""
    message: str | None = None


class _Deleted(msgspec.Struct, rename="pascal"):
    """Each entry of the request stands in one of the two."""

    successful: list[_Entry] | None = None
    failed: list[_Entry] | None = None


class _QueueAttributes(msgspec.Struct, rename="pascal"):
    attributes: dict[str, str]


class _Error(msgspec.Struct):
    kind: str = msgspec.field(name="__type", default="")
    lower: str | None = msgspec.field(name="message", default=None)
    upper: str | None = msgspec.field(name="Message", default=None)


_SHAPES: dict[str, type[msgspec.Struct]] = {
    "ReceiveMessage": _Received,
    "DeleteMessageBatch": _Deleted,
    "GetQueueAttributes": _QueueAttributes,
}
for _shape in (_Answer, _Error, *_SHAPES.values()):
    # msgspec is not safe where two threads make the first decoder of a type at once.
    msgspec.json.Decoder(_shape)


def check_json_answer(operation: str, answer: Mapping[str, Any]) -> None:
    """Raise ResponseParserError unless `answer`, as botocore's hook before-parse has it, may be AWS's."""
    status, body = answer["status_code"], bytes(answer["body"])
    failed = status >= 300
    try:
        text = body.decode()
        try:
            # As botocore reads it: what it takes is not refused here for how it is written.
            content = json.loads(text)
        except json.JSONDecodeError:
            if failed:
                # A page of text: botocore has the status as the code, and shows the text.
                return
            raise
        msgspec.convert(content, _Error if failed else _SHAPES.get(operation, _Answer))
    except msgspec.ValidationError as error:
        raise _no_answer(operation, status, str(error)) from error
    except (ValueError, RecursionError) as error:
        raise _no_answer(operation, status, repr(body[:100])) from error


def _no_answer(operation: str, status: int, why: str) -> ResponseParserError:
    return ResponseParserError(f"invalid answer to {operation} (HTTP status {status}): {why}")
