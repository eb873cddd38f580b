"""Who shortens the time for which threads that compute keep others waiting does not cut it short for the others."""

from __future__ import annotations

import sys

from mfa_operator.kube.busy_threads import URGENT_SECONDS, USUAL_SECONDS, Hurry, before_busy_threads


def pace() -> float:
    return round(sys.getswitchinterval(), 6)


def test_the_end_of_a_process_goes_on_hurrying_after_a_renewal() -> None:
    """The Lease is renewed every two seconds until the process has ended."""
    hurry = Hurry()
    hurry.begin()
    hurry.begin()
    with before_busy_threads():
        assert pace() == URGENT_SECONDS
    assert pace() == URGENT_SECONDS
    hurry.end()
    assert pace() == USUAL_SECONDS


def test_a_renewal_under_way_does_not_end_what_began_since() -> None:
    hurry = Hurry()
    with before_busy_threads():
        hurry.begin()
    assert pace() == URGENT_SECONDS
    hurry.end()
    assert pace() == USUAL_SECONDS


def test_the_usual_pace_comes_back_with_the_last_renewal() -> None:
    with before_busy_threads():
        with before_busy_threads():
            assert pace() == URGENT_SECONDS
        assert pace() == URGENT_SECONDS
    assert pace() == USUAL_SECONDS


def test_an_operator_that_has_ended_hurries_no_more() -> None:
    hurry = Hurry()
    hurry.end()
    hurry.begin()
    assert pace() == USUAL_SECONDS
