"""Failures on demand, and a record of every request: what tests of an operator ask of an API server."""

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from mfa_sandbox.kubernetes.calls import Call
from mfa_sandbox.kubernetes.errors import REASONS

Failure = int | Literal["reset"]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A failure that waits for the requests it is meant for; None matches everything.

    `status` is the HTTP status, or "reset" for a connection cut without an answer. `times` is how many requests it
    fails, None for all of them. `continued` tells a list's further pages from its first. `applied` lets the request
    take effect first: only its answer is lost.
    """

    status: Failure
    verb: str | None = None
    resource: str | None = None
    subresource: str | None = None
    namespace: str | None = None
    name: str | None = None
    continued: bool | None = None
    times: int | None = 1
    message: str | None = None
    applied: bool = False

    def meets(self, call: Call) -> bool:
        wanted = (self.verb, self.resource, self.subresource, self.namespace, self.name, self.continued)
        continued = "continue" in call.query
        actual = (call.verb, call.plural, call.subresource, call.namespace, call.name, continued)
        return all(want in (None, have) for want, have in zip(wanted, actual, strict=True))


class Faults:
    """The faults in wait, taken in the order of adding. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def add(
        self,
        *,
        status: Failure,
        verb: str | None = None,
        resource: str | None = None,
        subresource: str | None = None,
        namespace: str | None = None,
        name: str | None = None,
        continued: bool | None = None,
        times: int | None = 1,
        message: str | None = None,
        applied: bool = False,
    ) -> None:
        """See Fault. Raises ValueError for a status that no API server fails with."""
        if status != "reset" and status not in REASONS:
            raise ValueError(f"not a status of a failure: {status}")
        fault = Fault(
            status=status,
            verb=verb,
            resource=resource,
            subresource=subresource,
            namespace=namespace,
            name=name,
            continued=continued,
            times=times,
            message=message,
            applied=applied,
        )
        with self._lock:
            self._waiting.append(fault)

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
            for index, fault in enumerate(self._waiting):
                if fault.meets(call):
                    if fault.times is not None:
                        left = [replace(fault, times=fault.times - 1)] if fault.times > 1 else []
                        self._waiting[index : index + 1] = left
                    return fault
        return None


@dataclass(kw_only=True)
class LoggedRequest:
    """One request as it was seen; `status` is None until it is answered, and None for a connection cut."""

    method: str
    path: str
    verb: str
    resource: str
    subresource: str
    namespace: str
    name: str
    user_agent: str
    status: int | None = None


class RequestLog:
    """The last `limit` requests. Safe to use from any thread."""

    def __init__(self, limit: int = 10_000) -> None:
        self._requests: deque[LoggedRequest] = deque(maxlen=limit)

    def begin(self, call: Call) -> LoggedRequest:
        request = LoggedRequest(
            method=call.method,
            path=call.path,
            verb=call.verb,
            resource=call.plural,
            subresource=call.subresource,
            namespace=call.namespace,
            name=call.name,
            user_agent=call.headers.get("User-Agent", ""),
        )
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
        wanted = (verb, resource, subresource)
        return sum(
            all(
                want in (None, have)
                for want, have in zip(wanted, (request.verb, request.resource, request.subresource), strict=True)
            )
            for request in self
        )
