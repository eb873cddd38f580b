"""Several questions at once: every answer, in order, and no more threads than there may be."""

from __future__ import annotations

import threading

import pytest

from mfa_operator.aws.side_by_side import FEW, side_by_side


@pytest.mark.parametrize("count", [0, 1, FEW - 1, FEW, 50])
@pytest.mark.parametrize("width", [1, 4])
def test_answers_come_in_the_order_of_the_questions(count: int, width: int) -> None:
    assert side_by_side(lambda number: number * 2, range(count), width) == [number * 2 for number in range(count)]


def test_as_many_as_may_are_under_way_at_once() -> None:
    """The barrier opens only where four are in a call together."""
    together = threading.Barrier(4, timeout=20)
    asked: set[int] = set()

    def call(number: int) -> None:
        asked.add(threading.get_ident())
        together.wait()

    side_by_side(call, range(FEW), 4)
    assert len(asked) == 4
    assert threading.get_ident() in asked


def test_a_few_are_asked_without_threads() -> None:
    asked = side_by_side(lambda _: threading.get_ident(), range(FEW - 1), 4)
    assert set(asked) == {threading.get_ident()}


@pytest.mark.parametrize("fails", [0, 20])
def test_the_first_error_ends_the_others(fails: int) -> None:
    asked: list[int] = []
    failed = threading.Event()

    def call(number: int) -> None:
        asked.append(number)
        if number == fails:
            failed.set()
            raise LookupError(number)
        if number > fails:
            failed.wait(20)
            # All of them would take seconds.
            threading.Event().wait(0.01)

    with pytest.raises(LookupError):
        side_by_side(call, range(1000), 4)
    assert len(asked) < 1000
