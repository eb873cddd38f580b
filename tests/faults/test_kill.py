"""kill -9 at any moment, with removal on: nothing is done twice, too early or unannounced, and nothing is forgotten.

A small number of runs in `make test`, 200 and more with `make chaos`. The seed is printed; MFA_CHAOS_SEED repeats it.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from mfa_operator.api.enums import FindingState, RemediationAction
from mfa_sandbox.aws import Account, EmbeddedAws
from tests.controlplane import ControlPlane
from tests.faults.report_history import ReportHistory, recording
from tests.fixtures.operator import Policies, StartOperator, eventually
from tests.fixtures.promises import lost_records, moved_dates, repeated, write_problems

RUNS = int(os.environ.get("MFA_CHAOS_RUNS", "8"))
SEED = int(os.environ.get("MFA_CHAOS_SEED", str(time.time_ns() % 1_000_000)))
ACCOUNT = "111122223333"
USERS = [f"user-{number}" for number in range(8)]
EXEMPT = "break-glass-1"
GRACE = timedelta(seconds=2)
"""The operator passes every 0.2 s here."""
REMOVE = RemediationAction.REMOVE_CONSOLE_ACCESS
MOMENTS = ("", "GetUser", "ListMFADevices", "DeleteLoginProfile", "DeleteLoginProfile")
"""After which call the kill comes; "" at any time. Left to itself chance would rarely hit the instant of an action."""


@dataclass
class People:
    """Who gets which login profile when. All users are made by hand, so that nobody else changes them."""

    account: Account
    chance: random.Random
    given: Counter[str] = field(default_factory=Counter)

    def arrive(self) -> None:
        for name in [*USERS, EXEMPT]:
            self.account.user(name, password=True)
            self.given[name] += 1
        for number in range(20):
            self.account.user(f"safe-{number}", password=True, mfa=["virtual"])

    def live_on(self) -> None:
        """Some who lost their password get a new one: a new violation, with a grace period of its own."""
        for name in USERS:
            user = self.account.existing_user(name)
            if not user.has_password and self.chance.random() < 0.5:
                user.set_password()
                self.given[name] += 1

    @property
    def all_removed(self) -> bool:
        return not any(self.account.existing_user(name).has_password for name in USERS)


@pytest.mark.timeout(90 + 40 * RUNS)
def test_killed_at_random_moments(
    control_plane: ControlPlane,
    aws: EmbeddedAws,
    start_operator: StartOperator,
    policies: Policies,
    free_lease: Callable[[], object],
    tmp_path: Path,
) -> None:
    sys.stdout.write(f"MFA_CHAOS_SEED={SEED}\n")  # pytest shows it where the test failed
    chance = random.Random(SEED)
    people = People(aws.world.account(ACCOUNT), chance)
    people.arrive()
    config = tmp_path / "access.yaml"
    config.write_text("access: [{remediation: RemoveConsoleAccess}]")
    flags = (f"--config={config}", "--interval-override=200ms")
    with recording(control_plane, aws, policies.namespace, f"p-{ACCOUNT}") as history:
        policies.apply(
            "p",
            accounts=[{"id": ACCOUNT, "roleArn": f"arn:aws:iam::{ACCOUNT}:role/mfa-operator"}],
            gracePeriod=f"{GRACE.total_seconds():.0f}s",
            exemptions=[{"users": [EXEMPT], "reason": "sealed"}],
            remediation={"action": "RemoveConsoleAccess", "dryRun": False, "maxPerPass": 2, "maxPercent": 100},
        )
        reached: Counter[str] = Counter()
        for _ in range(RUNS):
            operator = start_operator(*flags)
            reached[wait_for(chance.choice(MOMENTS), aws, history, chance)] += 1
            operator.kill()
            free_lease()
            people.live_on()
        sys.stdout.write(f"killed after: {dict(reached)}\n")
        start_operator(*flags)
        eventually(lambda: people.all_removed, "everybody is removed at last")
        eventually(lambda: all_on_record(history), "all is on record")
    problems = check(history)
    assert problems == []
    executed = Counter(write.call.parameters["UserName"] for write in history.writes)
    assert set(executed) == set(USERS), "only who violates is acted on, and they all are"
    assert all(executed[name] <= people.given[name] for name in USERS), "one removal a login profile"
    assert people.account.existing_user(EXEMPT).has_password


def wait_for(operation: str, aws: EmbeddedAws, history: ReportHistory, chance: random.Random) -> str:
    """Wait for a moment to kill at, and return after which call it came."""
    before = aws.calls.count(operation)
    if operation:
        with history.heard:
            seen = history.heard.wait_for(lambda: aws.calls.count(operation) > before, timeout=6.0)
        # Within what the next steps take, the writing of the outcome among them.
        time.sleep(chance.uniform(0.0, 0.06))
        return operation if seen else f"{operation} in vain"
    time.sleep(chance.uniform(0.0, 3.0))
    return "any"


def all_on_record(history: ReportHistory) -> bool:
    history.read()
    last = {finding.user: finding for finding in history.all[-1].findings}
    return all(name in last and last[name].state is FindingState.REMEDIATED for name in USERS)


def check(history: ReportHistory) -> list[str]:
    """Every broken promise, by what was published and what AWS was asked."""
    problems: list[str] = []
    removals: list[tuple[str, datetime | None]] = []
    for write in history.writes:
        user = write.call.parameters["UserName"]
        until = history.until(write.version)
        problems += write_problems(until, user, write.call.time, REMOVE, GRACE)
        record = next((each.remediation for each in until[-1].findings if each.user == user), None)
        removals.append((user, record.profile_created if record else None))
    problems += repeated(removals)
    problems += moved_dates(history.all)
    problems += lost_records(history.all, USERS)
    return problems
