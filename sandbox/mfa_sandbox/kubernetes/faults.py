"""Failures on demand, and a record of every request: what tests of an operator ask of an API server."""

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from mfa_sandbox.kubernetes.calls import Call
from mfa_sandbox.kubernetes.errors import REASONS

Failure = int | Literal["reset"]


@dataclass(kw_only=True)
class Fault:
    """A failure that waits for the requests it is meant for; None matches everything.

    `status` is the HTTP status, or "reset" for a connection cut without an answer. `times` is how many requests it
    fails, None for all of them. `applied` lets the request take effect first: only its answer is lost.
    """

    status: Failure
    verb: str | None = None
    resource: str | None = None
    subresource: str | None = None
    times: int | None = 1
    message: str | None = None
    applied: bool = False

    def meets(self, call: Call) -> bool:
        return (
            self.verb in (None, call.verb)
            and self.resource in (None, call.plural)
            and self.subresource in (None, call.subresource)
        )


class Faults:
    """The faults in wait, taken in the order of adding. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def add(self, *, status: Failure, **aim: Any) -> None:  # noqa: ANN401 - the fields of Fault
        """See Fault. Raises ValueError for a status that no API server fails with."""
        if status != "reset" and status not in REASONS:
            raise ValueError(f"not a status of a failure: {status}")
        with self._lock:
            self._waiting.append(Fault(status=status, **aim))

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    @property
    def left(self) -> int:
        """How many faults still wait for a request."""
        with self._lock:
            return len(self._waiting)

    def take(self, call: Call) -> Fault | None:
        """The fault that this request meets, if any; it counts as used once."""
        with self._lock:
            for fault in self._waiting:
                if fault.meets(call):
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times == 0:
                            self._waiting.remove(fault)
                    return fault
        return None


@dataclass
class LoggedRequest:
    """One request as it was seen; `status` is None until it is answered, and None for a connection cut."""

    call: Call
    status: int | None = None

    @property
    def verb(self) -> str:
        return self.call.verb

    @property
    def resource(self) -> str:
        return self.call.plural


class RequestLog:
    """The last 10,000 requests. Safe to use from any thread."""

    def __init__(self) -> None:
        self._requests: deque[LoggedRequest] = deque(maxlen=10_000)

    def begin(self, call: Call) -> LoggedRequest:
        # A body may be large, and nobody asks for it.
        request = LoggedRequest(replace(call, body=b""))
        self._requests.append(request)
        return request

    def __iter__(self) -> Iterator[LoggedRequest]:
        return iter(list(self._requests))

    def __len__(self) -> int:
        return len(self._requests)

    def clear(self) -> None:
        self._requests.clear()

    def count(self, *, verb: str | None = None, resource: str | None = None, subresource: str | None = None) -> int:
        """How many requests there were of that kind; None counts all."""
        return sum(
            verb in (None, request.call.verb)
            and resource in (None, request.call.plural)
            and subresource in (None, request.call.subresource)
            for request in self
        )
