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

from mfa_operator.aws.clients import changes_something
from mfa_sandbox.aws import EmbeddedAws
from tests.fixtures.api_proxy import ApiProxy, Outcome
from tests.fixtures.operator import OperatorProcess, eventually

LATE = "late"
"""The request is held until the process thaws, and reaches the API server then: it had been sent before."""
_OBJECT = re.compile(r"/apis/[^/]+/[^/]+/namespaces/[^/]+/(?P<plural>[a-z]+)(?:/[^/?]+(?P<sub>/[a-z]+)?)?")


@dataclass(frozen=True)
class Sent:
    """One request of a process, but for those about its Lease."""

    at: float
    name: str
    changes: bool


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

    def sending(self, name: str, *, changes: bool) -> Breakpoint | None:
        """Take note of a request before it goes on; where it is the one to freeze at, freeze, and return where."""
        with self._lock:
            self.sent.append(Sent(time.monotonic(), name, changes))
            point = self.armed
            if point is None or point.name != name:
                return None
            if point.skip:
                point.skip -= 1
                return None
            self.armed = None
        freeze(self.process.process.pid)
        point.reached.set()
        return point

    def changes_since(self, moment: float) -> list[str]:
        return [sent.name for sent in self.sent if sent.at >= moment and sent.changes]


def freeze(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    stat = Path(f"/proc/{pid}/stat")
    eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "the process is frozen")


class KubernetesGate(ApiProxy):
    def __init__(self, upstream: str, ca: Path, replica: Replica) -> None:
        super().__init__(upstream, ca)
        self._replica = replica

    def take(self, method: str, target: str, body: bytes) -> Outcome | None:
        found = _OBJECT.match(target)
        if found is None or found["plural"] == "leases":
            return super().take(method, target, body)
        name = f"{method} {found['plural']}{found['sub'] or ''}"
        point = self._replica.sending(name, changes=method != "GET")
        if point is None or point.outcome is None:
            return None
        if point.outcome == LATE:
            point.thawed.wait(60)
            return None
        return point.outcome  # type: ignore[return-value]  # the test says what fits


class AwsGate(ApiProxy):
    def __init__(self, aws: EmbeddedAws, replica: Replica) -> None:
        super().__init__(aws.endpoint_url)
        self._aws, self._replica = aws, replica

    def take(self, method: str, target: str, body: bytes) -> Outcome | None:  # noqa: ARG002 - the base's
        [operation] = parse_qs(body.decode()).get("Action", [""])
        point = self._replica.sending(operation, changes=changes_something(operation))
        if point and point.outcome:
            self._aws.faults.add(operation, str(point.outcome), times=1)
        return None
