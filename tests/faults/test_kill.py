"""kill -9 at any moment, with removal on: nothing is done twice, too early or unannounced, and nothing is forgotten.

A small number of runs in `make test`, 200 and more with `make chaos`. The seed is printed; MFA_CHAOS_SEED repeats it.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from mfa_operator.sandbox.aws import Account, EmbeddedAws
from tests.controlplane import ControlPlane
from tests.faults.report_history import ReportHistory, recording
from tests.fixtures.operator import Policies, StartOperator, eventually

RUNS = int(os.environ.get("MFA_CHAOS_RUNS", "8"))
SEED = int(os.environ.get("MFA_CHAOS_SEED", str(time.time_ns() % 1_000_000)))
ACCOUNT = "111122223333"
USERS = [f"user-{number:02}" for number in range(8)]
EXEMPT = "break-glass-1"
GRACE = 2.0
"""Seconds; the operator passes every 0.2 s here, so that a kill can come between any two steps."""


@pytest.mark.timeout(60 + 40 * RUNS)
def test_killed_at_random_moments(
    control_plane: ControlPlane,
    aws: EmbeddedAws,
    start_operator: StartOperator,
    policies: Policies,
    free_lease: Callable[[], object],
    tmp_path: Path,
) -> None:
    print(f"MFA_CHAOS_SEED={SEED}")  # noqa: T201 - pytest shows it where the test failed
    chance = random.Random(SEED)
    account = aws.world.account(ACCOUNT)
    passwords = Counter(USERS)
    for name in [*USERS, EXEMPT]:
        account.user(name, password=True)
    for number in range(40):
        account.user(f"safe-{number}", password=True, mfa=["virtual"])
    config = tmp_path / "access.yaml"
    config.write_text("access: [{remediation: RemoveConsoleAccess}]")
    flags = (f"--config={config}", "--interval-override=200ms")
    with recording(control_plane, policies.namespace) as history:
        policies.apply(
            "p",
            accounts=[{"id": ACCOUNT, "roleArn": f"arn:aws:iam::{ACCOUNT}:role/mfa-operator"}],
            gracePeriod=f"{GRACE:.0f}s",
            exemptions=[{"users": [EXEMPT], "reason": "sealed"}],
            remediation={"action": "RemoveConsoleAccess", "dryRun": False, "maxPerPass": 2, "maxPercent": 100},
        )
        for _ in range(RUNS):
            operator = start_operator(*flags)
            time.sleep(chance.uniform(0.0, 3.0))  # the random moment is what is tested
            operator.kill()
            free_lease()
            give_passwords_back(account, chance, passwords)
        start_operator(*flags)
        eventually(
            lambda: not any(account.existing_user(name).has_password for name in USERS), "everybody is removed at last"
        )
        eventually(lambda: all(history.of(name)[-1]["state"] == "Remediated" for name in USERS), "all is on record")
    check(aws, history, passwords)
    assert account.existing_user(EXEMPT).has_password


def give_passwords_back(account: Account, chance: random.Random, passwords: Counter[str]) -> None:
    """Some who lost their password get a new one: a new violation, with a grace period of its own."""
    for name in USERS:
        user = account.existing_user(name)
        if not user.has_password and chance.random() < 0.5:
            user.set_password()
            passwords[name] += 1


def check(aws: EmbeddedAws, history: ReportHistory, passwords: Counter[str]) -> None:
    """AWS's call log against what was published."""
    removals = [call for call in aws.calls.select("DeleteLoginProfile") if call.executed and call.http_status == 200]
    assert len(removals) >= len(USERS)
    counted = Counter(call.parameters["UserName"] for call in removals)
    assert set(counted) <= set(USERS), "only who violates is acted on"
    assert all(counted[name] <= passwords[name] for name in counted), "never two removals of one login profile"
    for call in removals:
        name = call.parameters["UserName"]
        intents = [
            finding
            for finding in history.of(name)
            if finding.get("remediation", {}).get("state") == "Intended"
            and moment(finding["remediation"]["time"]) <= call.time.timestamp()
        ]
        assert intents, f"{name} was removed at {call.time} without an intent published before it"
        assert moment(intents[-1]["deadline"]) <= call.time.timestamp(), f"{name} was removed within grace"
    for name in USERS:
        check_first_seen(history, name, passwords[name])


def check_first_seen(history: ReportHistory, name: str, given: int) -> None:
    """No restart resets firstSeen: a user has no more of them than login profiles, and none comes back."""
    seen = [finding["firstSeen"] for finding in history.of(name) if finding["state"] in ("Violating", "Overdue")]
    distinct = list(dict.fromkeys(seen))
    assert len(distinct) <= given, f"{name} has {distinct} for {given} login profiles"
    assert seen == sorted(seen), f"firstSeen of {name} went back: {seen}"


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
