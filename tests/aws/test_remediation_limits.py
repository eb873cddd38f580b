"""How many users passes may act on that nobody asked for and that come before the interval is over."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from mfa_operator.kube.cluster import ClusterUnavailable
from mfa_operator.scheduling.due import Cause
from mfa_sandbox.aws import Account
from tests.fixtures.remediation_harness import MINUTE, REMOVE, Crash, RemediationHarness


@pytest.fixture
def ready(harness: RemediationHarness, account: Account) -> RemediationHarness:
    """Nine users are overdue, and published; a pass may act on two."""
    for number in range(9):
        account.user(f"user-{number}", password=True)
    harness.policy(account, remediation={**REMOVE, "maxPerPass": 2})
    harness.run()
    return harness


def passes(harness: RemediationHarness, cause: Cause, count: int = 3) -> int:
    """Passes, a minute after each other; returns how many users have been acted on so far."""
    for _ in range(count):
        harness.acting = False
        harness.clock.advance(MINUTE)
        [ref] = harness.cluster.policies
        fresh = cause in (Cause.REQUESTED, Cause.SPEC_CHANGED)
        with suppress(ClusterUnavailable):
            harness.reconciler.run_pass(ref, fresh=fresh, cause=cause)
    return harness.written().count("DeleteLoginProfile")


def away() -> None:
    raise ClusterUnavailable("the API server is away")


def test_retries_share_the_limits_of_the_pass_that_failed(ready: RemediationHarness) -> None:
    for _ in range(3):
        ready.at("write status", away)
    assert passes(ready, Cause.RETRY) == 2
    ready.clock.advance(15 * MINUTE)
    assert passes(ready, Cause.RETRY) == 4


@pytest.mark.parametrize("cause", [Cause.DISCOVERED, Cause.OVERLOOKED, Cause.RESTART])
def test_passes_that_nobody_asked_for_share_the_limits(ready: RemediationHarness, cause: Cause) -> None:
    """Whoever may write into the events queue can have an organization listed every minute, and passes follow."""
    assert passes(ready, cause) == 2
    ready.clock.advance(15 * MINUTE)
    assert passes(ready, cause) == 4


@pytest.mark.parametrize("cause", [Cause.INTERVAL, Cause.REQUESTED, Cause.SPEC_CHANGED])
def test_a_pass_that_is_due_or_asked_for_has_limits_of_its_own(ready: RemediationHarness, cause: Cause) -> None:
    assert passes(ready, cause) == 6


@pytest.mark.parametrize("cause", [Cause.RESTART, Cause.REQUESTED, Cause.SPEC_CHANGED])
def test_a_process_that_crashes_again_and_again_acts_no_more(ready: RemediationHarness, cause: Cause) -> None:
    """What a person asked for is asked for still, each time that the process starts."""

    def die() -> None:
        raise Crash("out of memory")

    deaths: list[Callable[[], None]] = [die] * 3
    for death in deaths:
        ready.start()
        ready.at("write status", death)
        with pytest.raises(Crash):
            passes(ready, cause, 1)
    assert ready.written().count("DeleteLoginProfile") == 2
