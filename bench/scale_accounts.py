"""The measured process of scale.py: first, steady and restarted passes over many accounts of several policies."""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import BinaryIO

import msgspec

from bench import manifests, processes
from mfa_operator.api.objects import read_policy
from mfa_operator.api.policy import Account, PolicySpec
from mfa_operator.api.status import ReportStatus
from mfa_operator.aws.sessions import Sessions
from mfa_operator.clock import utc_now
from mfa_operator.passes.auditor import Auditor


class Reports:
    """Keeps the reports in a file, as the cluster keeps them: they are no memory of the operator's."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._places: dict[str, tuple[int, int]] = {}
        self._end = 0

    def get(self, account_id: str) -> ReportStatus | None:
        if account_id not in self._places:
            return None
        begin, length = self._places[account_id]
        self._file.seek(begin)
        return _DECODER.decode(self._file.read(length))

    def put(self, report: ReportStatus) -> None:
        data = _ENCODER.encode(report)
        self._file.seek(self._end)
        self._file.write(data)
        self._places[report.account_id] = self._end, len(data)
        self._end += len(data)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(ReportStatus)


def main(policies: int, accounts: int, width: int) -> None:
    """Run the passes; after each, print its figures as a line of JSON and wait for a line."""
    logging.disable(logging.CRITICAL)
    specs: list[PolicySpec] = []
    for policy in range(policies):
        ids = [f"{100_000_000_000 + policy * accounts + number}" for number in range(accounts)]
        specs.append(read_policy(manifests.policy(f"scale-{policy}", ids)).spec)
    named = [(spec, account) for spec in specs for account in spec.accounts]
    with tempfile.TemporaryFile() as file:
        reports = Reports(file)
        auditor = Auditor(Sessions())
        for name in ("first", "steady", "restart"):
            if name == "restart":
                auditor.sessions.close()
                auditor = Auditor(Sessions())
            auditor.keep_only(account for _, account in named)
            figures = _one_pass(auditor, named, reports, width)
            print(json.dumps({"pass": name, **figures}), flush=True)
            sys.stdin.readline()


def _one_pass(
    auditor: Auditor, named: list[tuple[PolicySpec, Account]], reports: Reports, width: int
) -> dict[str, float]:
    lock = threading.Lock()
    wall, cpu = time.monotonic(), time.process_time()

    def audit(policy_and_account: tuple[PolicySpec, Account]) -> None:
        spec, account = policy_and_account
        with lock:
            before = reports.get(account.id)
        # So short an interval that no pass takes over what the one before fetched.
        report = auditor.audit(spec, account, before, utc_now(), interval=timedelta.resolution).report
        with lock:
            reports.put(report)

    with ThreadPoolExecutor(width) as pool:
        for _ in pool.map(audit, named):
            pass
    return {
        "wall": round(time.monotonic() - wall, 2),
        "cpu_ms_an_account": round(1000 * (time.process_time() - cpu) / len(named), 2),
        "rss_mb": round(processes.resident_mb(os.getpid())),
        "peak_mb": round(processes.peak_mb(os.getpid())),
    }


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
