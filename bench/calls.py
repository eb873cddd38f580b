"""Calls counted at the wire, with verdicts held against the seeded truth."""

from __future__ import annotations

import math
import os
import random
from dataclasses import asdict, dataclass
from datetime import timedelta
from unittest.mock import patch

from bench import manifests, worlds
from mfa_operator.api.objects import read_policy
from mfa_operator.aws.sessions import Sessions
from mfa_operator.clock import utc_now
from mfa_operator.passes.auditor import Auditor
from mfa_sandbox.aws import EmbeddedAws

SIZES = (100, 1000, 5000)
ACCOUNT = "111122223333"


@dataclass(frozen=True, slots=True)
class Row:
    """One size of account."""

    users: int
    suspects: int
    """Users whom the bulk answers leave open: no MFA by the report, or MFA of a kind that it does not tell."""
    violators: int
    first: int
    first_goal: int
    steady: int
    steady_goal: int
    exact: bool


def measure() -> list[dict[str, object]]:
    """First and steady passes of accounts of each size, through AssumeRole."""
    rows = []
    for size in SIZES:
        with EmbeddedAws() as aws, patch.dict(os.environ, aws.environment()):
            _, truth = worlds.seed(aws, ACCOUNT, size, chance=random.Random(size))
            policy = read_policy(manifests.policy("calls", [ACCOUNT]))
            auditor = Auditor(Sessions())
            account = policy.spec.accounts[0]
            counts, exact = [], True
            report = None
            for _ in range(3):
                aws.calls.clear()
                # So short an interval that no pass takes over what the one before fetched.
                audit = auditor.audit(policy.spec, account, report, utc_now(), interval=timedelta.resolution)
                report = audit.report
                counts.append(len(aws.calls))
                exact &= {verdict.user: str(verdict.state) for verdict in audit.verdicts} == truth.states
            kinds = round(size * worlds.SECURITY_KEYS) + round(size * worlds.HARDWARE)
            suspects = len(truth.violators) + kinds
            pages = math.ceil(size / 1000)
            rows.append(
                asdict(
                    Row(
                        size,
                        suspects,
                        len(truth.violators),
                        counts[0],
                        5 + 2 * pages + 2 * suspects,
                        max(counts[1:]),
                        4 + 2 * pages,
                        exact,
                    )
                )
            )
    return rows
