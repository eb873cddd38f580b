"""Queues as SQS keeps them: messages that come back after their visibility timeout, long polling, deletion.

Times are the machine's monotonic clock, as SDKs wait by it; a message's SentTimestamp is the world's.
"""

import hashlib
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

from mfa_sandbox.aws.wire import AwsError

MAX_BODY = 1024 * 1024
"""Bytes of a message (1 MiB since August 2025)."""
DNS_SUFFIXES = {"aws-cn": "amazonaws.com.cn"}


@dataclass(slots=True, eq=False)
class Message:
    """One message; `handle` is that of the last receive, which alone deletes it."""

    body: str
    sent: datetime
    visible_at: float
    expires_at: float
    id: str = field(default_factory=lambda: str(uuid4()))
    receives: int = 0
    handle: str = ""

    @property
    def md5(self) -> str:
        return hashlib.md5(self.body.encode(), usedforsecurity=False).hexdigest()


def queue_does_not_exist() -> AwsError:
    return AwsError("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")


class Queue:
    """A standard queue. Safe to use from several threads."""

    def __init__(
        self, account_id: str, region: str, name: str, url: str, *, visibility_timeout: float, retention: timedelta
    ) -> None:
        self.account_id, self.region, self.name, self.url = account_id, region, name, url
        self.visibility_timeout = visibility_timeout
        self.retention = retention
        self.deleted = False
        self._messages: list[Message] = []
        self._changed = threading.Condition()

    def __len__(self) -> int:
        """Messages that were not deleted, in flight or not."""
        return len(self._messages)

    @property
    def in_flight(self) -> int:
        """Messages that somebody received and that are neither deleted nor back yet."""
        with self._changed:
            now = time.monotonic()
            return sum(message.receives > 0 and message.visible_at > now for message in self._messages)

    def send(self, body: str, sent: datetime, *, delay: float = 0.0) -> Message:
        """Raises AwsError for a body that SQS refuses."""
        if not body:
            raise AwsError("MissingParameter", "The request must contain the parameter MessageBody.")
        if len(body.encode()) > MAX_BODY:
            raise AwsError(
                "InvalidParameterValue",
                f"One or more parameters are invalid. Reason: Message must be shorter than {MAX_BODY} bytes.",
            )
        now = time.monotonic()
        message = Message(body, sent, now + delay, now + self.retention.total_seconds())
        with self._changed:
            self._check_there()
            self._messages.append(message)
            self._changed.notify_all()
        return message

    def receive(self, most: int, *, wait: float, visibility: float | None = None) -> list[Message]:
        """Up to `most` messages, which then stay invisible; waits up to `wait` seconds for the first."""
        hidden = self.visibility_timeout if visibility is None else visibility
        end = time.monotonic() + wait
        with self._changed:
            while True:
                self._check_there()
                now = time.monotonic()
                self._messages = [message for message in self._messages if message.expires_at > now]
                found = [message for message in self._messages if message.visible_at <= now][:most]
                if found or now >= end:
                    break
                next_visible = min((message.visible_at for message in self._messages), default=end)
                self._changed.wait(max(min(end, next_visible) - now, 0.001))
            for message in found:
                message.visible_at = now + hidden
                message.receives += 1
                message.handle = str(uuid4())
        return found

    def delete(self, handle: str) -> None:
        """Delete the message of this receipt. One that is gone, or was received again since, is no error."""
        with self._changed:
            self._check_there()
            self._messages = [message for message in self._messages if message.handle != handle]

    def change_visibility(self, handle: str, seconds: float) -> None:
        with self._changed:
            self._check_there()
            found = [message for message in self._messages if message.handle == handle]
            if not found:
                raise AwsError("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
            found[0].visible_at = time.monotonic() + seconds
            self._changed.notify_all()

    def purge(self) -> None:
        with self._changed:
            self._messages.clear()

    def close(self) -> None:
        """The queue is deleted: whoever waits for a message gets an error."""
        with self._changed:
            self.deleted = True
            self._messages.clear()
            self._changed.notify_all()

    def _check_there(self) -> None:
        if self.deleted:
            raise queue_does_not_exist()


class Queues:
    """All queues, by account, region and name."""

    def __init__(self, partition: str) -> None:
        self._suffix = DNS_SUFFIXES.get(partition, "amazonaws.com")
        self._queues: dict[tuple[str, str, str], Queue] = {}
        self._lock = threading.Lock()

    def create(
        self,
        account_id: str,
        region: str,
        name: str,
        *,
        visibility_timeout: float = 30.0,
        retention: timedelta = timedelta(days=4),
    ) -> Queue:
        """The queue of this name; made if it is not there."""
        with self._lock:
            key = (account_id, region, name)
            if key not in self._queues:
                url = f"https://sqs.{region}.{self._suffix}/{account_id}/{name}"
                self._queues[key] = Queue(
                    account_id, region, name, url, visibility_timeout=visibility_timeout, retention=retention
                )
            return self._queues[key]

    def find(self, account_id: str, region: str, name: str) -> Queue:
        """Raises AwsError where there is none."""
        with self._lock:
            queue = self._queues.get((account_id, region, name))
        if queue is None:
            raise queue_does_not_exist()
        return queue

    def delete(self, queue: Queue) -> None:
        with self._lock:
            self._queues.pop((queue.account_id, queue.region, queue.name), None)
        queue.close()

    def close(self) -> None:
        """Delete every queue, so that nobody waits for a message any more."""
        with self._lock:
            queues = list(self._queues.values())
            self._queues.clear()
        for queue in queues:
            queue.close()
