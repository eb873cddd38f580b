"""Many accounts in one process: memory, CPU an account, growth."""

from __future__ import annotations

import json
import math
import random
import sys
import tempfile
from pathlib import Path

from bench import processes, worlds
from mfa_sandbox.aws import EmbeddedAws

COUNTS = (10, 100, 1000)
USERS = 100


def measure(counts: tuple[int, ...] = COUNTS) -> dict[str, object]:
    """A child process audits 10, 100, 1,000 accounts of 100 users, three passes each."""
    rows: list[dict[str, float]] = []
    for count in counts:
        with EmbeddedAws() as aws, tempfile.TemporaryDirectory() as scratch:
            chance = random.Random(count)
            for number in range(count):
                worlds.seed(aws, f"{100_000_000_000 + number}", USERS, chance=chance)
            output = Path(scratch) / "out.json"
            measured = processes.run(
                [sys.executable, "-m", "bench.many_accounts", str(count)], aws.environment(), output=output
            )
            if measured.status:
                raise RuntimeError(output.read_text())
            rows.append({"accounts": count, "peak_mb": round(measured.peak_mb), **json.loads(output.read_text())})
    return {
        "users": USERS,
        "rows": rows,
        "first_slope": _slope(rows, "first_wall"),
        "steady_slope": _slope(rows, "steady_wall"),
    }


def _slope(rows: list[dict[str, float]], figure: str) -> float:
    """Slope of log time over log accounts: 1 is linear growth."""
    first, last = rows[0], rows[-1]
    return round(math.log(last[figure] / first[figure]) / math.log(last["accounts"] / first["accounts"]), 3)
