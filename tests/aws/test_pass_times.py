"""When the pass after this one is due: one interval from the moment at which this one began, give or take 5 %."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mfa_sandbox.aws import Account
from tests.fixtures.remediation_harness import MINUTE, RemediationHarness

INTO_THE_SECOND = timedelta(milliseconds=900)


@pytest.mark.parametrize("interval", [timedelta(milliseconds=50), timedelta(milliseconds=500), timedelta(seconds=5)])
def test_an_interval_override_counts_from_the_moment_itself(
    harness: RemediationHarness, account: Account, interval: timedelta
) -> None:
    harness.interval_override = interval
    harness.start()
    harness.policy(account)
    due = harness.run(by=INTO_THE_SECOND).next_due
    assert due is not None
    assert 0.95 * interval <= due - harness.clock.utc_moment() <= 1.05 * interval


def test_what_is_due_is_the_moment_that_the_status_tells(harness: RemediationHarness, account: Account) -> None:
    ref = harness.policy(account, interval="15m")
    due = harness.run(by=INTO_THE_SECOND).next_due
    assert due is not None
    assert harness.cluster.policies[ref]["status"]["nextPassTime"] == f"{due:%Y-%m-%dT%H:%M:%SZ}"
    assert due.microsecond == 0
    assert 14 * MINUTE < due - harness.clock.utc_moment() < 16 * MINUTE
