"""Proxies that belong to one operator process each: they tell who sent what, and freeze it at a request."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs

import urllib3

from mfa_operator.aws.operations import changes_something
from mfa_operator.kube.requests import CONFLICT
from mfa_sandbox.aws import EmbeddedAws
from tests.fixtures.api_proxy import ApiProxy, Outcome
from tests.fixtures.operator import OperatorProcess, eventually

LATE = "late"
"""The request is held until the process thaws, and reaches the API server then: it had been sent before."""
_OBJECT = re.compile(r"/apis/[^/]+/[^/]+/namespaces/[^/]+/(?P<plural>[a-z]+)(?:/[^/?]+(?P<sub>/[a-z]+)?)?")


@dataclass
class Sent:
    """One request of a process, but for those about its Lease."""

    at: float
    name: str
    changes: bool
    status: int = 0
    """Of the answer; 0 where there is none yet."""


@dataclass
class Breakpoint:
    """Freezes a process at a request. `skip` lets so many of its kind pass.

    `outcome`: what becomes of the request. Of one to Kubernetes, as in ApiProxy, or LATE; of one to AWS a fault of the
    embedded AWS. None: it is carried out, and the answer waits in the socket.
    """

    name: str
    outcome: Outcome | str | None = None
    skip: int = 0
    reached: threading.Event = field(default_factory=threading.Event)
    thawed: threading.Event = field(default_factory=threading.Event)

    def __str__(self) -> str:
        return f"{self.name}[{self.skip}] {self.outcome or 'carried out'}"


@dataclass
class Replica:
    """A process, what it sent, and where it is to be frozen."""

    operator: OperatorProcess | None = None
    sent: list[Sent] = field(default_factory=list)
    armed: Breakpoint | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def process(self) -> OperatorProcess:
        assert self.operator is not None
        return self.operator

    @property
    def leads(self) -> bool:
        return self.process.sample("mfa_operator_leader") == 1.0

    def sending(self, name: str, *, changes: bool) -> tuple[Sent, Breakpoint | None]:
        """Take note of a request before it goes on; where it is the one to freeze at, freeze, and return where."""
        with self._lock:
            sent = Sent(time.monotonic(), name, changes)
            self.sent.append(sent)
            point = self.armed
            if point is None or point.name != name:
                return sent, None
            if point.skip:
                point.skip -= 1
                return sent, None
            self.armed = None
        freeze(self.process.process.pid)
        point.reached.set()
        return sent, point

    def changes_since(self, moment: float) -> list[str]:
        """What it sent, but for what the API server refused as outdated.

        A thread may have been frozen between its check and its request: that one cannot be called back, and its
        condition is there for it.
        """
        return [sent.name for sent in self.sent if sent.at >= moment and sent.changes and sent.status != CONFLICT]


def freeze(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    stat = Path(f"/proc/{pid}/stat")
    eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "the process is frozen")


class KubernetesGate(ApiProxy):
    def __init__(self, upstream: str, ca: Path, replica: Replica) -> None:
        super().__init__(upstream, ca)
        self._replica = replica
        self._thread = threading.local()

    def take(self, method: str, target: str, body: bytes) -> Outcome | None:
        self._thread.sent = None
        found = _OBJECT.match(target)
        if found is None or found["plural"] == "leases":
            return super().take(method, target, body)
        name = f"{method} {found['plural']}{found['sub'] or ''}"
        self._thread.sent, point = self._replica.sending(name, changes=method != "GET")
        if point is None or point.outcome is None:
            return None
        if point.outcome == LATE:
            point.thawed.wait(60)
            return None
        return point.outcome  # type: ignore[return-value]  # the test says what fits

    def ask(self, method: str, target: str, headers: dict[str, str], body: bytes) -> urllib3.BaseHTTPResponse:
        answer = super().ask(method, target, headers, body)
        if self._thread.sent:
            self._thread.sent.status = answer.status
        return answer


class AwsGate(ApiProxy):
    def __init__(self, aws: EmbeddedAws, replica: Replica) -> None:
        super().__init__(aws.endpoint_url)
        self._aws, self._replica = aws, replica

    def take(self, method: str, target: str, body: bytes) -> Outcome | None:  # noqa: ARG002 - the base's
        [operation] = parse_qs(body.decode()).get("Action", [""])
        _, point = self._replica.sending(operation, changes=changes_something(operation))
        if point and point.outcome:
            self._aws.faults.add(operation, str(point.outcome), times=1)
        return None
