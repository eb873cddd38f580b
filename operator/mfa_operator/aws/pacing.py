"""Requests to an account that throttles are spaced out, whoever in the process asks and through whichever role.

botocore's own retry mode `adaptive` limits a client, and all accounts share the clients here: one account would slow
down all others. So each account has a rate of its own, from its first throttled answer until it has recovered. A
request that botocore repeats waits like a new one. Only the thread that asks waits.

A write does not wait: nothing may come between the last check and it. It takes its place in the row all the same.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from mfa_operator.aws.errors import THROTTLING_CODES, Throttled
from mfa_operator.aws.operations import changes_something
from mfa_operator.aws.request_rate import PATIENCE, RequestRate
from mfa_operator.clock import seconds_since_boot
from mfa_operator.scheduling.due import PassAbandoned

logger = logging.getLogger(__name__)

NOT_PACED = frozenset({"GenerateCredentialReport"})
"""AWS has a limit of its own for making reports, which says nothing about other requests."""
QUESTION_PATIENCE = 180.0
"""Seconds after which a question that AWS goes on throttling, while it answers others, is given up."""

_account: ContextVar[str | None] = ContextVar("account", default=None)


@contextmanager
def asking(account_id: str) -> Iterator[None]:
    """Within it, what this thread asks of IAM is asked of this account."""
    token = _account.set(account_id)
    try:
        yield
    finally:
        _account.reset(token)


def _pause(seconds: float, stopping: threading.Event) -> bool:
    """Whether the operator is stopping."""
    return stopping.wait(seconds)


class Pacing:
    """The rates of the accounts that throttle. Safe to use from several threads."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._lock = threading.Lock()
        self._rates: dict[str, RequestRate] = {}

    def paced(self, account_id: str) -> bool:
        """Whether requests to the account are held back now."""
        with self._lock:
            rate = self._rates.get(account_id)
            return rate is not None and not rate.recovered(seconds_since_boot())

    def held_back(self) -> bool:
        """Whether requests to the account that this thread asks have to pass the hooks below."""
        return _account.get() in self._rates

    def before_request(self, account_id: str, operation: str, *, writes: bool = False) -> None:
        """Wait until the account may be asked.

        Raises Throttled where AWS has throttled everything for a minute, and PassAbandoned where the operator stops.
        """
        if account_id not in self._rates or operation in NOT_PACED:
            return
        with self._lock:
            now = seconds_since_boot()
            self._drop_recovered(now)
            rate = self._rates.get(account_id)
            if rate is None:
                return
            if not writes and not rate.may_ask(now):
                raise Throttled(
                    operation, "Throttling", f"not sent: AWS has throttled every request for {PATIENCE:.0f} s"
                )
            pause = rate.reserve(now) - now
        if not writes and pause > 0 and _pause(pause, self._stopping):
            raise PassAbandoned(operation)

    def after_response(self, account_id: str, operation: str, code: str) -> None:
        """Learn from an answer; `code` is AWS's error code, empty where there is none."""
        if code not in THROTTLING_CODES:
            if account_id in self._rates:
                with self._lock:
                    if rate := self._rates.get(account_id):
                        rate.accepted()
            return
        if operation in NOT_PACED:
            return
        with self._lock:
            now = seconds_since_boot()
            self._drop_recovered(now)
            begins = account_id not in self._rates
            rate = self._rates.setdefault(account_id, RequestRate(cut_at=now))
            rate.throttled(now)
            per_second = rate.per_second(now)
        if begins:
            logger.info(
                "AWS throttles account %s: requests to it are limited to %.0f a second at first",
                account_id,
                per_second,
            )

    def worth_another_try(self, account_id: str, operation: str, since: float) -> bool:
        """Whether to repeat a throttled question that was first asked at `since`, in seconds since boot."""
        now = seconds_since_boot()
        with self._lock:
            rate = self._rates.get(account_id)
            waits = rate is not None and not rate.endless(now)
        # What does not wait for its turn must not be repeated.
        return waits and operation not in NOT_PACED and now - since < QUESTION_PATIENCE

    def attach(self, client: Any) -> None:  # noqa: ANN401 - boto3's own
        """Have every request of an IAM client wait, and every answer count."""
        client.meta.events.register("before-sign.iam", self._before_sign)
        client.meta.events.register("response-received.iam", self._response_received)

    def _before_sign(self, operation_name: str, **rest: object) -> None:  # noqa: ARG002 - botocore's hook
        if account_id := _account.get():
            self.before_request(account_id, operation_name, writes=changes_something(operation_name))

    def _response_received(self, event_name: str, parsed_response: Mapping[str, Any] | None, **rest: object) -> None:  # noqa: ARG002 - botocore's hook
        account_id = _account.get()
        if account_id and parsed_response is not None:
            code = parsed_response.get("Error", {}).get("Code", "")
            self.after_response(account_id, event_name.rsplit(".", 1)[1], code)

    def _drop_recovered(self, now: float) -> None:
        for account_id in [account_id for account_id, rate in self._rates.items() if rate.recovered(now)]:
            del self._rates[account_id]
            logger.info("AWS no longer throttles account %s: requests to it are not limited any more", account_id)
