"""Policies in memory, what audits them, and a scheduler running over both."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mfa_operator.api.enums import API_VERSION
from mfa_operator.api.objects import Body, PolicyRef, policy_ref, requested_at
from mfa_operator.config.settings import SchedulerSettings
from mfa_operator.kube.errors import ObjectGone
from mfa_operator.scheduling.due import PassAbandoned, PassEnd
from mfa_operator.scheduling.hints import Doubt
from mfa_operator.scheduling.scheduler import Scheduler

PROMPTLY = 2.0
"""Seconds within which an edit acts: a promise to users."""
PATIENCE = 20.0
FOREVER = timedelta(hours=12)
# A turn that nobody waits for: whatever happens has to wake the loop.
SETTINGS = SchedulerSettings(grace=timedelta(seconds=0.5), turn=timedelta(hours=1))
PATIENT = replace(SETTINGS, grace=timedelta(seconds=PATIENCE))


def now() -> datetime:
    return datetime.now(UTC)


class Namespace:
    """Policies in memory, and what audits them: as the reconciler, it reads each anew and remembers nothing."""

    def __init__(self, interval: timedelta = FOREVER) -> None:
        self.interval = interval
        self.seconds = 0.0
        """How long each pass takes."""
        self.objects: dict[PolicyRef, dict[str, Any]] = {}
        self.intervals: dict[PolicyRef, timedelta] = {}
        self.errors: dict[PolicyRef, BaseException] = {}
        self.gates: dict[PolicyRef, threading.Event] = {}
        """A pass over such a policy goes on only once its gate is open."""
        self.stopping = threading.Event()
        self.passes: list[tuple[PolicyRef, bool, str]] = []
        self.targeted: list[tuple[PolicyRef, dict[str, Doubt]]] = []
        self.hurried: list[tuple[PolicyRef, str, frozenset[str], datetime]] = []
        self.unseen: dict[str, frozenset[str] | None] = {}
        """What targeted passes answer that they saw nothing new of."""
        self.threads: set[str] = set()
        self.running: Counter[PolicyRef] = Counter()
        self.most_running = 0
        self.overlapped = False
        self.restored: list[PolicyRef] = []
        self.restore_error: Exception | None = None
        self.forgotten: list[PolicyRef] = []
        self._lock = threading.Lock()
        self._versions = 0

    def apply(self, name: str, **metadata: Any) -> Body:
        """Make or change a policy; returns the object of its event."""
        self._versions += 1
        ref = PolicyRef("security", name)
        before = self.objects.get(ref, {}).get("metadata", {"uid": name, "generation": 1})
        ours = {"namespace": "security", "name": name, "resourceVersion": str(self._versions)}
        found = {
            "apiVersion": API_VERSION,
            "kind": "MfaPolicy",
            "metadata": before | metadata | ours,
            "spec": {"accounts": [{"id": "111122223333"}]},
        }
        self.objects[ref] = found
        return found

    def delete(self, name: str) -> Body:
        self._versions += 1
        found = self.objects.pop(PolicyRef("security", name))
        return found | {"metadata": found["metadata"] | {"resourceVersion": str(self._versions)}}

    def count(self, name: str) -> int:
        return sum(ref.name == name for ref, *_ in self.passes)

    def causes(self, name: str) -> list[str]:
        return [cause for ref, _, cause in self.passes if ref.name == name]

    def close_gate(self, name: str) -> threading.Event:
        return self.gates.setdefault(PolicyRef("security", name), threading.Event())

    def run_pass(self, ref: PolicyRef, *, fresh: bool, cause: str) -> PassEnd:
        with self._lock:
            self.passes.append((ref, fresh, cause))
            self.threads.add(threading.current_thread().name)
            self.running[ref] += 1
            self.overlapped |= self.running[ref] > 1
            self.most_running = max(self.most_running, self.running.total())
        found = self.objects.get(ref)
        try:
            if (gate := self.gates.get(ref)) and not gate.wait(PATIENCE):
                raise PassAbandoned
            if error := self.errors.get(ref):
                raise error
            self.stopping.wait(self.seconds)
        finally:
            with self._lock:
                self.running[ref] -= 1
        if found is None:
            raise ObjectGone(f"MfaPolicy {ref} does not exist")
        interval = self.intervals.get(ref, self.interval)
        return PassEnd(found["metadata"]["generation"], requested_at(found), now() + interval)

    def run_accounts(self, ref: PolicyRef, doubts: Mapping[str, Doubt]) -> Mapping[str, frozenset[str] | None]:
        with self._lock:
            self.targeted.append((ref, dict(doubts)))
            self.running[ref] += 1
            self.overlapped |= self.running[ref] > 1
        try:
            if (gate := self.gates.get(ref)) and not gate.wait(PATIENCE):
                raise PassAbandoned
            if error := self.errors.get(ref):
                raise error
        finally:
            with self._lock:
                self.running[ref] -= 1
        return {account_id: unseen for account_id, unseen in self.unseen.items() if account_id in doubts}

    def covering(self, account_id: str) -> list[PolicyRef]:
        return [
            ref
            for ref, found in self.objects.items()
            if any(account["id"] == account_id for account in found["spec"]["accounts"])
        ]

    def hurry_account(self, ref: PolicyRef, account_id: str, users: frozenset[str], at: datetime) -> None:
        self.hurried.append((ref, account_id, users, at))

    def refresh_organizations(self, account_id: str) -> None:
        raise AssertionError(f"no events come in here: {account_id}")

    def restore(self, body: Body) -> None:
        self.restored.append(policy_ref(body))
        if (gate := self.gates.get(policy_ref(body))) and not gate.wait(PATIENCE):
            raise PassAbandoned
        if self.restore_error:
            raise self.restore_error

    def forget(self, ref: PolicyRef) -> None:
        self.forgotten.append(ref)


@asynccontextmanager
async def running(
    namespace: Namespace, settings: SchedulerSettings = SETTINGS, **options: Any
) -> AsyncIterator[Scheduler]:
    scheduler = Scheduler(
        namespace, clock=now, settings=settings, stopping=namespace.stopping, chance=random.Random(1), **options
    )
    stop = asyncio.Event()
    task = asyncio.create_task(scheduler.run(stop))
    try:
        yield scheduler
        assert not task.done(), "the loop lives"
    finally:
        for gate in namespace.gates.values():
            gate.set()
        stop.set()
        await asyncio.wait_for(task, PATIENCE)


async def eventually(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until the condition holds; TimeoutError where it does not in time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - threads change what is waited for
            await asyncio.sleep(0.005)


def in_loop(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)
