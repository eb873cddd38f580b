"""The SQS queue that IAM's events come from: long polls and deletions, with the operator's own credentials.

Three rights suffice: sqs:ReceiveMessage, sqs:DeleteMessage and sqs:GetQueueAttributes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError

from mfa_operator import __version__
from mfa_operator.aws.clients import RequestCounter, bound_answers, refuse_other_answers
from mfa_operator.aws.environment import session_of_the_environment
from mfa_operator.aws.errors import CALL_ERRORS, AwsFailure, failure
from mfa_operator.aws.json_answers import MOST_MESSAGES
from mfa_operator.config.queue_url import QueueUrl
from mfa_operator.config.settings import SettingsError
from mfa_operator.scheduling.lease_guard import LeaseGuard

WAIT_SECONDS = 20
"""A long poll: the longest that SQS waits for the first message."""
VISIBILITY_SECONDS = 60
"""How long a message that was received stays away before it comes back: far longer than a targeted pass takes."""
QUEUE_CONFIG = Config(
    # Who calls waits and tries again: a retry of botocore's own would take seconds, deaf to the end of the process.
    retries={"mode": "standard", "total_max_attempts": 1},
    connect_timeout=5,
    read_timeout=WAIT_SECONDS + 10,
    max_pool_connections=4,
    user_agent_extra=f"mfa-operator/{__version__}",
)


@dataclass(frozen=True, slots=True)
class Message:
    """A message that was received; `receipt` deletes it."""

    id: str
    receipt: str = field(repr=False)
    body: str = field(repr=False)


class EventQueue:
    """One queue. Safe to use from several threads."""

    def __init__(
        self,
        url: QueueUrl,
        *,
        check_before_request: Callable[[], None] | None = None,
        count_request: RequestCounter | None = None,
    ) -> None:
        """`check_before_request` is called before each request goes out, and raises where it must not.

        Raises SettingsError where neither the URL nor the AWS settings say a region.
        """
        self._url = url
        self._check = check_before_request or LeaseGuard().check_still_leading
        self._count_request = count_request
        self._lock = threading.Lock()
        self._made: Any = None
        self.region = queue_region(url)
        bound_answers()

    def receive(self, wait: int = WAIT_SECONDS, *, visibility: int = VISIBILITY_SECONDS) -> list[Message]:
        """The next messages, at most ten; waits up to `wait` seconds for the first.

        Raises AwsFailure, PassAbandoned.
        """
        answer = self._ask(
            "ReceiveMessage",
            lambda client: client.receive_message(
                QueueUrl=str(self._url),
                MaxNumberOfMessages=MOST_MESSAGES,
                WaitTimeSeconds=wait,
                VisibilityTimeout=visibility,
            ),
        )
        messages = answer.get("Messages") or []
        return [Message(one["MessageId"], one["ReceiptHandle"], one.get("Body") or "") for one in messages]

    def delete(self, receipts: Sequence[str]) -> None:
        """Delete messages, at most ten. Raises AwsFailure where one is left, and PassAbandoned."""
        entries = [{"Id": str(index), "ReceiptHandle": receipt} for index, receipt in enumerate(receipts)]
        answer = self._ask(
            "DeleteMessageBatch",
            lambda client: client.delete_message_batch(QueueUrl=str(self._url), Entries=entries),
        )
        for failed in answer.get("Failed") or []:
            code, message = str(failed.get("Code", "Unknown")), str(failed.get("Message", ""))
            raise AwsFailure("DeleteMessageBatch", code, message)
        if len(answer.get("Successful") or []) < len(entries):
            raise AwsFailure("DeleteMessageBatch", "InvalidAnswer", "the answer lacks messages that were to be deleted")

    def check_reachable(self) -> None:
        """Raise AwsFailure where the queue cannot be asked about."""
        self._ask(
            "GetQueueAttributes",
            lambda client: client.get_queue_attributes(QueueUrl=str(self._url), AttributeNames=["QueueArn"]),
        )

    def close(self) -> None:
        """Close the connections that nobody uses; requests make new ones."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made.close()

    def _ask(self, operation: str, question: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - boto3's own
        self._check()
        try:
            return question(self._client())
        except CALL_ERRORS as error:
            # Made again for the next request, with credentials read again: these may have been exchanged since.
            self.close()
            raise failure(operation, error) from error

    def _client(self) -> Any:  # noqa: ANN401 - boto3's own
        with self._lock:
            if self._made is None:
                held = os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT_URL_SQS")
                endpoint = {} if held or self._url.endpoint is None else {"endpoint_url": self._url.endpoint}
                make: Callable[..., Any] = session_of_the_environment().client
                client = make("sqs", region_name=self.region, config=QUEUE_CONFIG, **endpoint)
                client.meta.events.register("before-send.sqs", self._check_before_send)
                client.meta.events.register("before-parse.sqs", refuse_other_answers)
                client.meta.events.register("response-received.sqs", self._count)
                self._made = client
            return self._made

    def _check_before_send(self, **_rest: object) -> None:
        """The last thing that happens before a request is handed to the connection."""
        self._check()

    def _count(self, event_name: str, response_dict: Any, parsed_response: Any, **_rest: object) -> None:  # noqa: ANN401 - botocore's hook
        if self._count_request:
            _, service, operation = event_name.split(".")
            error = (parsed_response or {}).get("Error", {})
            self._count_request(service, operation, error.get("Code") or str((response_dict or {}).get("status_code")))


def queue_region(url: QueueUrl) -> str:
    """The region of the queue's host, else the configured one. Raises SettingsError where there is neither."""
    if url.region:
        return url.region
    try:
        region = session_of_the_environment().region_name
    except BotoCoreError as error:
        raise SettingsError(f"invalid AWS settings: {error}") from error
    if not region:
        raise SettingsError(f"the queue URL {url} names no region; set AWS_REGION to the region of the queue")
    return str(region)
