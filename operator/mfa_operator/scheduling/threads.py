"""Starting a call in a pool of threads where the system may have no thread left."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def start(threads: ThreadPoolExecutor, call: Callable[[], None], not_started: Callable[[RuntimeError], None]) -> None:
    """Have `call` run in one of the threads, or where none can be started `not_started` here: one of the two, once.

    ThreadPoolExecutor.submit raises where the system has no thread left, and where the interpreter ends. What it was
    given stands in its queue all the same: a thread may be at it already, or run it much later.
    """
    begun = threading.Lock()

    def run() -> None:
        if begun.acquire(blocking=False):
            call()

    try:
        threads.submit(run)
    except RuntimeError as error:
        if begun.acquire(blocking=False):
            not_started(error)


def run_in(threads: ThreadPoolExecutor, call: Callable[[], T]) -> Future[T]:
    """What comes of `call` in one of the threads; RuntimeError where none can be started, and then it never runs."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - whoever waits for the result gets it
            future.set_exception(error)

    start(threads, run, future.set_exception)
    return future
