"""The rate at which an account is asked that throttles: never faster than learned, never stuck, nobody passed over."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mfa_operator.aws.request_rate import (
    BETWEEN_PROBES,
    CUT,
    FIRST_RATE,
    FORGET_AFTER,
    FULL_RATE,
    LOWEST_RATE,
    PATIENCE,
    RequestRate,
)

STEPS = st.lists(
    st.tuples(st.floats(0, 5), st.sampled_from(["ask", "ask", "ask", "throttled", "accepted"])), max_size=200
)
"""Seconds that pass, and what happens then."""


def played(steps: list[tuple[float, str]]) -> tuple[RequestRate, list[tuple[float, float, float]], float]:
    """The rate at the end, each reservation as (asked at, may go out at, rate then), and the moment of the end."""
    rate, now, places = RequestRate(cut_at=0.0), 0.0, []
    for seconds, what in steps:
        now += seconds
        if what == "throttled":
            rate.throttled(now)
        elif what == "accepted":
            rate.accepted()
        else:
            at = rate.reserve(now)
            places.append((now, at, rate.per_second(at)))
    return rate, places, now


@given(STEPS)
def test_no_window_holds_more_than_the_rate_allows(steps: list[tuple[float, str]]) -> None:
    _, places, _ = played(steps)
    going = [at for _, at, _ in places]
    for first in range(len(going)):
        fastest = 0.0
        for last in range(first + 1, len(going)):
            fastest = max(fastest, places[last - 1][2])
            assert last - first <= fastest * (going[last] - going[first]) + 1e-6


@given(STEPS)
def test_requests_are_served_in_order_without_extra_waiting(steps: list[tuple[float, str]]) -> None:
    _, places, _ = played(steps)
    assert all(one[1] < other[1] for one, other in pairwise(places))
    for index, (asked, at, _) in enumerate(places):
        ahead = sum(1 for _, other, _ in places[:index] if other > asked)
        assert asked <= at <= asked + (ahead + 2) / LOWEST_RATE


@given(STEPS)
def test_the_rate_keeps_within_its_bounds(steps: list[tuple[float, str]]) -> None:
    rate, _, now = played(steps)
    assert LOWEST_RATE <= rate.per_second(now) <= FULL_RATE


@given(STEPS)
def test_it_always_recovers_once_aws_throttles_no_more(steps: list[tuple[float, str]]) -> None:
    rate, _, now = played(steps)
    assert rate.recovered(now + 120)
    assert rate.may_ask(now + 120)


@given(STEPS, st.floats(1.01, 10))
def test_each_sign_of_throttling_cuts_the_rate_once(steps: list[tuple[float, str]], later: float) -> None:
    """Answers to what was under way at that moment do not count again."""
    rate, _, now = played(steps)
    now += later
    before = rate.per_second(now)
    rate.throttled(now)
    after = rate.per_second(now)
    assert after == max(before * CUT, LOWEST_RATE)
    rate.throttled(now)
    assert rate.per_second(now) == after


def test_it_begins_at_what_iam_gives_an_account() -> None:
    rate = RequestRate(cut_at=50.0)
    rate.throttled(50.0)
    assert rate.per_second(50.0) == FIRST_RATE


def test_it_grows_faster_the_longer_nothing_is_throttled() -> None:
    rate = RequestRate(cut_at=0.0)
    gains = [rate.per_second(second + 10) - rate.per_second(second) for second in (0, 10, 20, 30)]
    assert gains == sorted(gains)
    assert gains[0] < 5


def test_where_everything_is_throttled_it_asks_now_and_then_only() -> None:
    rate = RequestRate(cut_at=0.0)
    for second in range(int(PATIENCE) + 1):
        assert rate.may_ask(float(second))
        rate.throttled(float(second))
    asked = [second for second in range(61, 80) if rate.may_ask(float(second))]
    assert asked == [61, 61 + BETWEEN_PROBES]
    rate.accepted()
    assert rate.may_ask(80.0)


def test_two_throttled_answers_far_apart_are_no_minute_of_them() -> None:
    rate = RequestRate(cut_at=0.0)
    rate.throttled(0.0)
    rate.throttled(FORGET_AFTER)
    rate.throttled(PATIENCE)
    assert not rate.endless(PATIENCE)
