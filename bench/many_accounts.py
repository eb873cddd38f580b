"""The measured process of accounts.py: audits many accounts, a few passes each, and prints its figures."""

from __future__ import annotations

import json
import logging
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from bench import manifests
from mfa_operator.api.objects import read_policy
from mfa_operator.api.policy import Account
from mfa_operator.api.status import ReportStatus
from mfa_operator.aws.sessions import Sessions
from mfa_operator.clock import utc_now
from mfa_operator.passes.auditor import Auditor

PASSES = 3


def main(count: int) -> None:
    """Audit the accounts and print the figures as JSON."""
    logging.disable(logging.CRITICAL)
    policy = read_policy(manifests.policy("many", [f"{100_000_000_000 + number}" for number in range(count)]))
    auditor = Auditor(Sessions())
    reports: dict[str, ReportStatus] = {}

    def audit(account: Account) -> None:
        # So short an interval that no pass takes over what the one before fetched.
        audit = auditor.audit(policy.spec, account, reports.get(account.id), utc_now(), interval=timedelta.resolution)
        reports[account.id] = audit.report

    walls, cpus = [], []
    for _ in range(PASSES):
        wall, cpu = time.monotonic(), time.process_time()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(audit, policy.spec.accounts))
        walls.append(time.monotonic() - wall)
        cpus.append(1000 * (time.process_time() - cpu) / count)
    figures = {
        "first_wall": walls[0],
        "steady_wall": min(walls[1:]),
        "first_cpu_ms_an_account": cpus[0],
        "steady_cpu_ms_an_account": min(cpus[1:]),
    }
    json.dump({name: round(figure, 2) for name, figure in figures.items()}, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]))
