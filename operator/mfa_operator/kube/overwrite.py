"""One write over what was read, and over nothing else: how each write of the operator is tried again.

The first try goes over the version that the caller has read. After a failure, of which nobody knows what it did, the
object is read again. An earlier try, whose answer was lost, may have done it. Where nobody has written since, the next
try goes over the version that stands there now. Where somebody else has, nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Generic, TypeVar

from mfa_operator.kube.errors import StaleData
from mfa_operator.kube.retry import Retrier

B = TypeVar("B")
R = TypeVar("R")
T = TypeVar("T")


class DoneBefore(Exception, Generic[R]):
    """An earlier try has done it; `answer` is what a successful one returns."""

    def __init__(self, answer: R) -> None:
        super().__init__()
        self.answer = answer


def overwrite(
    retrier: Retrier,
    name: str,
    *,
    base: B,
    send: Callable[[B], R],
    read_again: Callable[[], B],
    again_after: Collection[int],
    reads_first: bool = False,
) -> R:
    """Write over `base` by `send`, and once that has failed over what `read_again` gives.

    `read_again` raises DoneBefore, StaleData, or ObjectGone. `again_after`: HTTP statuses, besides those that pass by
    themselves, after which it is tried again. `reads_first`: nothing was read that the first try could go over. Raises
    ClusterError.
    """
    first = not reads_first

    def attempt() -> R:
        nonlocal first
        current = base if first else read_again()
        first = False
        return send(current)

    try:
        return retrier.run(attempt, name=name, write=True, also=frozenset(again_after))
    except DoneBefore as done:
        answer: R = done.answer
        return answer


def check_unwritten(found: T, *, wanted: T, known: Collection[T], answer: R, name: str) -> None:
    """Raise DoneBefore where the object holds what was to be written, StaleData where it holds what is not `known`."""
    if found == wanted:
        raise DoneBefore(answer)
    if found not in known:
        raise stale(name)


def stale(name: str) -> StaleData:
    return StaleData(f"{name}: it was changed by somebody else since it was read")
