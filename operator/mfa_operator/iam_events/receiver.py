"""Reads the queue while this replica leads, and deletes a message once what it asked for is published.

Two threads of its own, one that waits for messages and one that deletes them. Both are daemons: a long poll may last
20 s, and neither the end of the process nor the loss of the Lease waits for it. What a poll brings after that is
dropped, and comes back to the next leader.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

from mfa_operator.aws.errors import AwsFailure
from mfa_operator.aws.event_queue import VISIBILITY_SECONDS, Message
from mfa_operator.aws.json_answers import MOST_MESSAGES
from mfa_operator.clock import utc_moment
from mfa_operator.iam_events.message import Hint, Ignored, OrganizationChanged, Unreadable, parse
from mfa_operator.iam_events.table import OTHER, TABLE, UNREADABLE, About
from mfa_operator.metrics.event_metrics import EventMetrics
from mfa_operator.scheduling.due import PassAbandoned

logger = logging.getLogger(__name__)

MAX_IN_FLIGHT = 2_000
"""Messages that wait for their targeted pass; more are not read. Each takes some 500 bytes, whatever its size was."""
MAX_TO_DELETE = 2_000
"""Receipts that wait to be deleted; what is more comes back."""
FIRST_PAUSE, LAST_PAUSE = 1.0, 60.0
"""Seconds after a failed request, doubling; a random half of it is left out."""
QUICK_SECONDS = 0.5
"""An empty answer that came faster than this was no long poll: the next waits, or there would be no end of asking."""
TURN = 0.5
"""Seconds after which a thread that waits checks whether it still may."""
LOG_SECONDS = 30.0
"""Between two log lines about unreadable messages."""


class MessageQueue(Protocol):
    """Where messages come from. Raises AwsFailure and PassAbandoned."""

    def receive(self) -> list[Message]: ...
    def delete(self, receipts: list[str]) -> None: ...


class HintTaker(Protocol):
    """What hints are for: the scheduler, behind its loop. Called from the receiver's thread; must not block."""

    def covers(self, account_id: str) -> bool:
        """Whether any policy covers the account."""
        ...

    def hint(self, account_id: str, users: frozenset[str], done: Callable[[bool], None]) -> None:
        """Have the account audited; `done` says, from any thread, whether what was found is published."""
        ...

    def refresh_organizations(self, account_id: str) -> None:
        """Accounts joined or left: read the lists of accounts again soon."""
        ...


@dataclass(slots=True)
class _Waiting:
    """A message whose targeted pass is not published yet."""

    receipt: str
    since: float


class Receiver:
    """Reads one queue from start() to stop()."""

    def __init__(
        self,
        messages: MessageQueue,
        taker: HintTaker,
        metrics: EventMetrics,
        *,
        may_go_on: Callable[[], bool],
        clock: Callable[[], datetime] = utc_moment,
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`may_go_on`: whether this replica leads and does not stop; asked before each request, and must be cheap."""
        self._messages = messages
        self._taker = taker
        self._metrics = metrics
        self._may_go_on = may_go_on
        self._clock = clock
        self._monotonic = monotonic
        self._chance = chance
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._waiting: dict[str, _Waiting] = {}
        """By message id."""
        self._done: queue.Queue[str] = queue.Queue(MAX_TO_DELETE)
        """Receipts of messages to delete."""
        self._problems: dict[str, str] = {}
        """By thread, read or delete: why its last request failed."""
        self._next_log = 0.0
        self._unlogged = 0
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to read. The queue counts as up until a request fails."""
        self._metrics.start_at_zero(_series())
        self._metrics.set_up(True)
        for name, work in (("read", self._read), ("delete", self._delete)):
            thread = threading.Thread(target=work, name=f"mfa-events-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Read and delete no more; does not wait for a request under way."""
        self._ending.set()
        self._metrics.set_up(None)

    def _goes_on(self) -> bool:
        return not self._ending.is_set() and self._may_go_on()

    # Reading

    def _read(self) -> None:
        failures = 0
        while self._goes_on():
            if not self._has_room():
                self._ending.wait(TURN)
                continue
            asked = self._monotonic()
            try:
                received = self._messages.receive()
                failures = 0
                self._say_up("read")
                # Leadership may have ended during the poll: what it brought comes back to whoever leads now.
                for message in received if self._goes_on() else ():
                    self._take(message)
                if not received and self._monotonic() - asked < QUICK_SECONDS:
                    self._ending.wait(1.0)
            except PassAbandoned:
                self._ending.wait(TURN)
            except Exception as error:  # noqa: BLE001 - whatever it is, a queue that nobody reads is worse
                failures += 1
                pause = min(FIRST_PAUSE * 2.0 ** min(failures - 1, 16), LAST_PAUSE) * (0.5 + 0.5 * self._chance())
                self._say_down("read", error, pause)
                self._pause(pause)

    def _pause(self, seconds: float) -> None:
        end = self._monotonic() + seconds
        while self._goes_on() and (left := end - self._monotonic()) > 0:
            self._ending.wait(min(left, TURN))

    def _has_room(self) -> bool:
        """Whether another answer may be held. Messages that came back meanwhile are held no more."""
        with self._lock:
            if len(self._waiting) + MOST_MESSAGES <= MAX_IN_FLIGHT:
                return True
            oldest = self._monotonic() - VISIBILITY_SECONDS
            for message_id in [key for key, waiting in self._waiting.items() if waiting.since < oldest]:
                del self._waiting[message_id]
            return len(self._waiting) + MOST_MESSAGES <= MAX_IN_FLIGHT

    def _take(self, message: Message) -> None:
        with self._lock:
            waiting = self._waiting.get(message.id)
            if waiting is not None:
                # It came back before its targeted pass was published: only the last receipt deletes it.
                waiting.receipt, waiting.since = message.receipt, self._monotonic()
                return
        parsed = parse(message.body)
        match parsed:
            case Unreadable(problem=problem):
                self._log_unreadable(problem)
                self._drop(message, parsed.type, "invalid")
            case Ignored():
                self._drop(message, parsed.type, "ignored")
            case OrganizationChanged(account_id=account_id):
                self._taker.refresh_organizations(account_id)
                self._drop(message, parsed.type, "hinted")
            case Hint(account_id=account_id) if not self._taker.covers(account_id):
                self._drop(message, parsed.type, "ignored")
            case Hint():
                self._hint(message, parsed)

    def _hint(self, message: Message, hint: Hint) -> None:
        self._metrics.count_received(hint.type, "hinted")
        with self._lock:
            self._waiting[message.id] = _Waiting(message.receipt, self._monotonic())
        logger.debug("%s in account %s: %s", hint.type, hint.account_id, ", ".join(sorted(hint.users)) or "the account")
        self._taker.hint(hint.account_id, hint.users, partial(self._looked, message.id, hint.time))

    def _looked(self, message_id: str, event_time: datetime | None, published: bool) -> None:
        with self._lock:
            waiting = self._waiting.pop(message_id, None)
        if not published:
            # The message comes back by itself.
            return
        if event_time is not None:
            self._metrics.observe_delay((self._clock() - event_time).total_seconds())
        if waiting is not None:
            self._delete_soon(waiting.receipt)

    def _drop(self, message: Message, kind: str, result: str) -> None:
        self._metrics.count_received(kind, result)
        self._delete_soon(message.receipt)

    def _delete_soon(self, receipt: str) -> None:
        try:
            self._done.put_nowait(receipt)
        except queue.Full:
            # Deletions fail, or are slower than messages come: it comes back, and is deleted then.
            logger.debug("a message is left in the queue: too many wait to be deleted")

    def _log_unreadable(self, problem: str) -> None:
        now = self._monotonic()
        if now < self._next_log:
            self._unlogged += 1
            return
        more = f" ({self._unlogged} more since the last such message)" if self._unlogged else ""
        logger.warning("deleted a message of the events queue that is not an event: %s%s", problem, more)
        self._next_log, self._unlogged = now + LOG_SECONDS, 0

    # Deleting

    def _delete(self) -> None:
        while self._goes_on():
            receipts: list[str] = []
            try:
                receipts.append(self._done.get(timeout=TURN))
                while len(receipts) < MOST_MESSAGES:
                    receipts.append(self._done.get(timeout=0.05))
            except queue.Empty:
                if not receipts:
                    continue
            if not self._goes_on():
                return
            try:
                self._messages.delete(receipts)
                self._say_up("delete")
            except PassAbandoned:
                continue
            except Exception as error:  # noqa: BLE001 - they come back, and are deleted then
                self._say_down("delete", error, 1.0)
                self._pause(1.0)

    # Saying whether it works

    def _say_up(self, what: str) -> None:
        with self._lock:
            again = self._problems.pop(what, None) is not None
            up = not self._problems
        if self._ending.is_set():
            return
        if again:
            logger.info("messages of the events queue: %s works again", what)
        self._metrics.set_up(up)

    def _say_down(self, what: str, error: Exception, pause: float) -> None:
        if self._ending.is_set():
            return
        self._metrics.set_up(False)
        expected = isinstance(error, AwsFailure)
        problem = str(error) or type(error).__name__
        with self._lock:
            same = self._problems.get(what) == problem
            self._problems[what] = problem
        level = logging.DEBUG if same else logging.WARNING if expected else logging.ERROR
        message = "messages of the events queue: %s failed: %s; again in %.0f s, and passes go on at their intervals"
        logger.log(level, message, what, problem, pause, exc_info=None if expected else error)


def _series() -> list[tuple[str, str]]:
    """Types and results that are to be seen from the beginning."""
    hinted = [(name, "hinted") for (_, name), about in TABLE.items() if about is not About.NOTHING]
    ignored = [(name, "ignored") for (_, name), about in TABLE.items() if about is not About.ORGANIZATION]
    return [*hinted, *ignored, (OTHER, "ignored"), (UNREADABLE, "invalid")]
