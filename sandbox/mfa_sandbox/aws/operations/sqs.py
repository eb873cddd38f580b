"""SQS: standard queues, received by long polling."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from mfa_sandbox.aws.queues import Message, Queue
from mfa_sandbox.aws.request import Call, Handler
from mfa_sandbox.aws.wire import AwsError, Result

MOST_MESSAGES = 10
LONGEST_WAIT = 20
BATCH = 10
DEFAULT_VISIBILITY = 30


def _number(call: Call, name: str, default: int, least: int, most: int) -> int:
    value = call.document.get(name, default)
    if not isinstance(value, int) or not least <= value <= most:
        raise AwsError(
            "InvalidParameterValue",
            f"Value {value} for parameter {name} is invalid. Reason: Must be between {least} and {most}, if provided.",
        )
    return value


def _queue(call: Call) -> Queue:
    """The queue of QueueUrl, whatever its host: clients send it to the endpoint they are told to."""
    url = call.document.get("QueueUrl")
    if not isinstance(url, str) or not url:
        raise AwsError("MissingParameter", "The request must contain the parameter QueueUrl.")
    parts = urlsplit(url).path.strip("/").split("/")
    if len(parts) != 2:
        raise AwsError("InvalidAddress", f"The address {url} is not valid for this endpoint.")
    account_id, name = parts
    queue = call.world.queues.find(account_id, call.region, name)
    if account_id != call.account.id:
        # Without a queue policy nobody of another account may.
        raise AwsError("AccessDenied", f"Access to the resource {url} is denied.")
    return queue


def _create_queue(call: Call) -> Result:
    name, attributes = call.document.get("QueueName"), call.document.get("Attributes") or {}
    if not isinstance(name, str) or not name or not isinstance(attributes, dict):
        raise AwsError("MissingParameter", "The request must contain the parameter QueueName.")
    queue = call.world.queues.create(
        call.account.id,
        call.region,
        name,
        visibility_timeout=float(attributes.get("VisibilityTimeout", DEFAULT_VISIBILITY)),
        retention=timedelta(seconds=float(attributes.get("MessageRetentionPeriod", 345600))),
    )
    return {"QueueUrl": queue.url}


def _delete_queue(call: Call) -> Result | None:
    call.world.queues.delete(_queue(call))
    return None


def _purge_queue(call: Call) -> Result | None:
    _queue(call).purge()
    return None


def _get_queue_url(call: Call) -> Result:
    owner = call.document.get("QueueOwnerAWSAccountId") or call.account.id
    return {"QueueUrl": call.world.queues.find(str(owner), call.region, str(call.document.get("QueueName"))).url}


def _get_queue_attributes(call: Call) -> Result:
    queue = _queue(call)
    wanted: Any = call.document.get("AttributeNames") or []
    in_flight = queue.in_flight
    attributes = {
        "QueueArn": f"arn:{call.account.partition}:sqs:{queue.region}:{queue.account_id}:{queue.name}",
        "ApproximateNumberOfMessages": str(len(queue) - in_flight),
        "ApproximateNumberOfMessagesNotVisible": str(in_flight),
        "VisibilityTimeout": str(int(queue.visibility_timeout)),
        "MessageRetentionPeriod": str(int(queue.retention.total_seconds())),
        "SqsManagedSseEnabled": "true",
    }
    return {"Attributes": {name: value for name, value in attributes.items() if "All" in wanted or name in wanted}}


def _send_message(call: Call) -> Result:
    message = _queue(call).send(
        str(call.document.get("MessageBody") or ""), call.now, delay=_number(call, "DelaySeconds", 0, 0, 900)
    )
    return {"MessageId": message.id, "MD5OfMessageBody": message.md5}


def _receive_message(call: Call) -> Result:
    queue = _queue(call)
    visibility = call.document.get("VisibilityTimeout")
    messages = queue.receive(
        _number(call, "MaxNumberOfMessages", 1, 1, MOST_MESSAGES),
        wait=_number(call, "WaitTimeSeconds", 0, 0, LONGEST_WAIT),
        visibility=None if visibility is None else _number(call, "VisibilityTimeout", 0, 0, 43200),
    )
    return {"Messages": [_message(message) for message in messages]} if messages else {}


def _message(message: Message) -> dict[str, object]:
    return {
        "MessageId": message.id,
        "ReceiptHandle": message.handle,
        "MD5OfBody": message.md5,
        "Body": message.body,
        "Attributes": {
            "SentTimestamp": str(int(message.sent.timestamp() * 1000)),
            "ApproximateReceiveCount": str(message.receives),
        },
    }


def _delete_message(call: Call) -> Result | None:
    _queue(call).delete(str(call.document.get("ReceiptHandle") or ""))
    return None


def _change_message_visibility(call: Call) -> Result | None:
    handle = str(call.document.get("ReceiptHandle") or "")
    _queue(call).change_visibility(handle, _number(call, "VisibilityTimeout", 0, 0, 43200))
    return None


def _batch(call: Call) -> list[dict[str, Any]]:
    entries = call.document.get("Entries")
    if not isinstance(entries, list) or not entries:
        raise AwsError(
            "AWS.SimpleQueueService.EmptyBatchRequest",
            "There should be at least one entry in the request.",
        )
    if len(entries) > BATCH:
        raise AwsError(
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            f"Maximum number of entries per request are {BATCH}. You have sent {len(entries)}.",
        )
    if len({json.dumps(entry.get("Id")) for entry in entries}) != len(entries):
        raise AwsError("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "Id is repeated.")
    return entries


def _send_message_batch(call: Call) -> Result:
    queue = _queue(call)
    sent = [(entry["Id"], queue.send(str(entry.get("MessageBody") or ""), call.now)) for entry in _batch(call)]
    return {
        "Successful": [{"Id": id_, "MessageId": one.id, "MD5OfMessageBody": one.md5} for id_, one in sent],
        "Failed": [],
    }


def _delete_message_batch(call: Call) -> Result:
    queue, entries = _queue(call), _batch(call)
    for entry in entries:
        queue.delete(str(entry.get("ReceiptHandle") or ""))
    return {"Successful": [{"Id": entry["Id"]} for entry in entries], "Failed": []}


OPERATIONS: dict[str, Handler] = {
    "ChangeMessageVisibility": _change_message_visibility,
    "CreateQueue": _create_queue,
    "DeleteMessage": _delete_message,
    "DeleteMessageBatch": _delete_message_batch,
    "DeleteQueue": _delete_queue,
    "GetQueueAttributes": _get_queue_attributes,
    "GetQueueUrl": _get_queue_url,
    "PurgeQueue": _purge_queue,
    "ReceiveMessage": _receive_message,
    "SendMessage": _send_message,
    "SendMessageBatch": _send_message_batch,
}
