"""Asking about several users at once, where there are enough of them: a thread costs more than a short wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

FEW = 8
"""Fewer items than these are asked about one after the other. Accounts are audited side by side, too: most have few
suspects, and threads of their own would cost them more CPU than the questions."""


def side_by_side(call: Callable[[T], R], items: Sequence[T], width: int) -> list[R]:
    """`call` of each item, in order; up to `width` calls at once, one of them always in this thread."""
    threads = width - 1
    if threads < 1 or len(items) < FEW:
        return [call(item) for item in items]
    answers: dict[int, R] = {}
    # Whoever is free takes the next: fewer hand-overs than one for each item.
    numbers = iter(range(len(items)))

    def work() -> None:
        try:
            for number in numbers:
                answers[number] = call(items[number])
        except BaseException:
            # The others end with what they are at.
            deque(numbers, maxlen=0)
            raise

    with ThreadPoolExecutor(threads, thread_name_prefix="mfa-lookup") as pool:
        helpers = [pool.submit(work) for _ in range(threads)]
        work()
        for helper in helpers:
            helper.result()
    return [answers[number] for number in range(len(items))]
