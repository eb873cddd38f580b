"""Due times: where a restart picks up, what a person's wish changes, and that chance stays in its bounds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mfa_operator.api.conversion import rfc3339
from mfa_operator.api.duration import Duration
from mfa_operator.api.policy import Account, PolicySpec
from mfa_operator.api.status import PolicyStatus, ServedBy
from mfa_operator.scheduling.due import JITTER, MAX_SPREAD, Cause, Due, first_due, next_due, retry_delay

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ACCOUNTS = (Account(id="111122223333"),)

fractions = st.floats(0, 1, exclude_max=True)
intervals = st.timedeltas(timedelta(minutes=1), timedelta(hours=24))
moments = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds it

END_OF_TIME = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def spec(interval: timedelta = timedelta(minutes=15)) -> PolicySpec:
    return PolicySpec(accounts=ACCOUNTS, interval=Duration(interval))


def status(
    last: timedelta | None = timedelta(minutes=-5), due: timedelta | None = timedelta(minutes=10), observed: int = 3
) -> PolicyStatus:
    """A status whose times are given relative to NOW."""
    return PolicyStatus(
        observed_generation=observed,
        last_pass_time=None if last is None else NOW + last,
        next_pass_time=None if due is None else NOW + due,
    )


def first(of: PolicyStatus, *, generation: int = 3, requested_at: str = "", spread: float = 0.5) -> Due:
    return first_due(of, spec(), generation, requested_at, NOW, spread)


class TestFirstDue:
    def test_a_restart_keeps_the_time_that_the_status_promised(self) -> None:
        assert first(status()) == Due(NOW + timedelta(minutes=10), Cause.INTERVAL)

    def test_without_a_next_pass_time_the_last_pass_counts(self) -> None:
        assert first(status(due=None)) == Due(NOW + timedelta(minutes=10), Cause.INTERVAL)

    def test_a_policy_that_never_had_a_pass_is_due_now(self) -> None:
        assert first(status(last=None, due=None, observed=0)) == Due(NOW, Cause.CREATED, fresh=True)

    @given(st.one_of(st.text(max_size=40), st.floats().map(repr), st.integers().map(str)))
    @example("1e17")
    @example("-1e17")
    def test_whatever_an_annotation_says_it_ends_no_process(self, asked: str) -> None:
        """Whoever may edit one policy writes it, and it is read while all policies are listed."""
        assert first(status(), requested_at=asked).cause in (Cause.REQUESTED, Cause.INTERVAL)

    def test_a_spec_edited_while_nobody_watched_is_due_now(self) -> None:
        assert first(status(), generation=4) == Due(NOW, Cause.SPEC_CHANGED, fresh=True)

    @pytest.mark.parametrize(
        "asked",
        [
            rfc3339(NOW - timedelta(minutes=4)),
            "2026-11-24T13:57:00.123+02:00",
            "2026-11-24T11:57:00",
            "please",
            "9999999999999999999999",
        ],
        ids=["after the last pass", "another time zone", "no time zone means UTC", "no time", "a number"],
    )
    def test_a_pass_asked_for_while_nobody_watched_is_due_now(self, asked: str) -> None:
        assert first(status(), requested_at=asked) == Due(NOW, Cause.REQUESTED, fresh=True)

    @pytest.mark.parametrize("asked", [rfc3339(NOW - timedelta(minutes=6)), "2026-11-24T13:54:00+02:00"])
    def test_a_pass_asked_for_before_the_last_one_was_that_one(self, asked: str) -> None:
        assert first(status(), requested_at=asked).cause is Cause.INTERVAL

    def test_a_request_that_was_served_is_not_served_again(self) -> None:
        served = msgspec.structs.replace(status(), last_handled_requested_at="please")
        assert first(served, requested_at="please").cause is Cause.INTERVAL
        assert first(served, requested_at="please, once more") == Due(NOW, Cause.REQUESTED, fresh=True)
        # Served by value, whatever the clocks of people and operator say.
        assert first(served, requested_at=rfc3339(NOW - timedelta(days=9))).cause is Cause.REQUESTED

    @given(fractions, intervals, st.timedeltas(timedelta(0), timedelta(days=400)))
    def test_overdue_policies_are_spread_over_a_tenth_up_to_30_s(
        self, spread: float, interval: timedelta, late: timedelta
    ) -> None:
        overdue = status(last=-late - interval, due=-late)
        due = first_due(overdue, spec(interval), 3, "", NOW, spread)
        assert due.cause is Cause.RESTART
        assert timedelta(0) <= due.at - NOW <= min(interval / 10, timedelta(seconds=30))

    def test_many_overdue_policies_do_not_start_in_the_same_second(self) -> None:
        starts = [first(status(due=timedelta(minutes=-1)), spread=index / 100).at for index in range(100)]
        busiest = max(sum(start <= other < start + timedelta(seconds=1) for other in starts) for start in starts)
        assert busiest <= 5

    @pytest.mark.parametrize(
        ("last", "due"),
        [
            (timedelta(hours=1), timedelta(hours=2)),
            (timedelta(seconds=10), timedelta(minutes=15)),
            (timedelta(minutes=-5), timedelta(hours=3)),
        ],
        ids=["both lie in the future", "the last pass does, by a little", "the next one is too far away"],
    )
    def test_impossible_times_after_a_clock_change_delay_nothing(self, last: timedelta, due: timedelta) -> None:
        found = first(status(last=last, due=due))
        assert (found.cause, found.at - NOW <= MAX_SPREAD) == (Cause.RESTART, True)

    @pytest.mark.parametrize("due", [None, END_OF_TIME], ids=["no next pass", "the next pass, too"])
    def test_a_status_of_the_end_of_time_is_no_error(self, due: datetime | None) -> None:
        """It ended the process, and with it the passes of every policy."""
        written = PolicyStatus(observed_generation=3, last_pass_time=END_OF_TIME, next_pass_time=due)
        assert first_due(written, spec(), 3, "", NOW, 0.5).cause is Cause.RESTART

    @given(moments, moments, moments, intervals, fractions)
    def test_no_policy_waits_longer_than_its_interval(
        self, now: datetime, last: datetime, due: datetime, interval: timedelta, spread: float
    ) -> None:
        written = PolicyStatus(observed_generation=3, last_pass_time=last, next_pass_time=due)
        found = first_due(written, spec(interval), 3, "", now, spread)
        assert now <= found.at <= now + interval * (1 + JITTER)

    @pytest.mark.parametrize(
        ("lease", "cause"),
        [("a/ours", Cause.INTERVAL), ("a/theirs", Cause.RESTART), (None, Cause.RESTART)],
        ids=["ours", "another operator's", "nobody's"],
    )
    def test_a_policy_served_by_another_operator_is_due_at_once(self, lease: str | None, cause: Cause) -> None:
        served_by = ServedBy(lease=lease, holder="x") if lease else None
        found = first_due(
            msgspec.structs.replace(status(), served_by=served_by), spec(), 3, "", NOW, 0.99, lease="a/ours"
        )
        assert found.cause is cause
        assert cause is Cause.INTERVAL or found.at - NOW <= MAX_SPREAD

    def test_an_override_also_holds_for_passes_planned_before(self) -> None:
        found = first_due(status(), spec(), 3, "", NOW, 0.99, timedelta(seconds=2))
        assert found.at - NOW <= timedelta(seconds=2)


class TestNextDue:
    @given(moments, intervals, fractions)
    def test_stays_within_5_per_cent_of_the_interval(
        self, start: datetime, interval: timedelta, fraction: float
    ) -> None:
        tolerance = interval * 0.05 + timedelta(microseconds=1)
        assert interval - tolerance <= next_due(start, interval, fraction) - start <= interval + tolerance

    def test_reaches_both_ends_of_the_jitter(self) -> None:
        hour = timedelta(hours=1)
        assert next_due(NOW, hour, 0) == NOW + timedelta(minutes=57)
        assert next_due(NOW, hour, 0.999999) > NOW + timedelta(minutes=62, seconds=59)


class TestRetryDelay:
    @given(st.integers(1, 10**6), fractions)
    def test_is_never_shorter_than_2_s_nor_longer_than_5_min(self, failures: int, fraction: float) -> None:
        assert timedelta(seconds=2) <= retry_delay(failures, fraction) <= timedelta(minutes=5)

    @given(st.integers(1, 20))
    def test_grows_with_the_failures_until_the_longest(self, failures: int) -> None:
        shorter, longer = retry_delay(failures, 0), retry_delay(failures + 1, 0)
        assert longer == min(shorter * 2, timedelta(seconds=150))

    @given(st.integers(1, 20), fractions, fractions)
    def test_jitter_is_up_to_half_of_it(self, failures: int, one: float, other: float) -> None:
        assert retry_delay(failures, max(one, other)) <= retry_delay(failures, min(one, other)) * 2
