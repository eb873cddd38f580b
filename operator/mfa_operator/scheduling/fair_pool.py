"""Threads that namespaces, and the policies in them, share: none keeps the others out, however long its work takes."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from mfa_operator.scheduling.threads import start
from mfa_operator.scheduling.turns import EXTRA, next_namespace

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Task(Generic[T]):
    namespace: str
    policy: str
    account: str
    call: Callable[[], T]
    future: Future[T] = field(default_factory=Future)


class FairPool:
    """Runs calls in threads, taking turns between namespaces, and between the policies of each.

    Safe to use from several threads.
    """

    def __init__(self, width: int, *, name: str, held_back: Callable[[str], bool] = lambda _: False) -> None:
        """`width`: calls under way at once; one more is for a namespace that has none under way.

        `held_back` says whether calls about an account mostly wait: as many of these as `width` take no place.
        """
        self._width = width
        self._held_back = held_back
        self._threads = ThreadPoolExecutor(2 * width + EXTRA, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._waiting: dict[str, dict[str, deque[_Task[Any]]]] = {}
        """By namespace and policy; the policy that was served last comes last."""
        self._running: Counter[str] = Counter()
        self._running_by_policy: Counter[tuple[str, str]] = Counter()
        self._tasks: set[_Task[Any]] = set()
        """Under way, and taking a place."""
        self._aside: set[_Task[Any]] = set()
        """Under way, and taking none."""

    def submit(self, namespace: str, call: Callable[[], T], *, policy: str = "", account: str = "") -> Future[T]:
        """Have `call` run in a thread once it is the policy's turn; until then the future can be cancelled."""
        task = _Task(namespace, policy, account, call)
        with self._lock:
            self._waiting.setdefault(namespace, {}).setdefault(policy, deque()).append(task)
        self._start()
        return task.future

    def held_back(self, namespace: str, policy: str) -> int:
        """How many of a policy's calls take no place now, as they mostly wait. Others may begin in their stead."""
        self._start()
        with self._lock:
            return sum((task.namespace, task.policy) == (namespace, policy) for task in self._aside)

    def _set_aside(self) -> None:
        """Take their places from the calls that mostly wait, and give them back to those that wait no more."""
        for task in [task for task in self._aside if not self._held_back(task.account)]:
            self._aside.discard(task)
            self._occupy(task)
        for task in [task for task in self._tasks if task.account and self._held_back(task.account)]:
            if len(self._aside) < self._width:
                self._vacate(task)
                self._aside.add(task)

    def _start(self) -> None:
        with self._lock:
            self._set_aside()
            while True:
                free = self._width - self._running.total()
                namespace = next_namespace(self._waiting, self._running, free)
                if namespace is None:
                    return
                task = self._take(namespace)
                # A task that was cancelled while it waited takes no place.
                if task.future.set_running_or_notify_cancel():
                    self._occupy(task)
                    start(self._threads, partial(self._run, task), partial(self._not_started, task))

    def _take(self, namespace: str) -> _Task[Any]:
        """The next task of the namespace: of the policy with the fewest places, the one not served for longest."""
        policies = self._waiting[namespace]
        policy = min(policies, key=lambda name: self._running_by_policy[namespace, name])
        tasks = policies.pop(policy)
        task = tasks.popleft()
        if tasks:
            policies[policy] = tasks
        if not policies:
            del self._waiting[namespace]
        return task

    def _occupy(self, task: _Task[Any]) -> None:
        self._tasks.add(task)
        self._running[task.namespace] += 1
        self._running_by_policy[task.namespace, task.policy] += 1

    def _vacate(self, task: _Task[Any]) -> None:
        self._tasks.discard(task)
        # This drops those that are left with none.
        self._running -= Counter([task.namespace])
        self._running_by_policy -= Counter([(task.namespace, task.policy)])

    def _end(self, task: _Task[Any]) -> None:
        if task in self._aside:
            self._aside.discard(task)
        else:
            self._vacate(task)

    def _run(self, task: _Task[Any]) -> None:
        try:
            task.future.set_result(task.call())
        except BaseException as error:  # noqa: BLE001 - whoever waits for the result gets it
            task.future.set_exception(error)
        finally:
            with self._lock:
                self._end(task)
            self._start()

    def _not_started(self, task: _Task[Any], error: RuntimeError) -> None:
        """The lock is held: what waits for the future's end must not call the pool."""
        self._end(task)
        task.future.set_exception(error)
