"""What the start of `mfa-operator audit` costs before it asks AWS anything."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 5
STATEMENTS = {
    "python": "pass",
    "help": "from mfa_operator.cli.program import cli; cli.get_command(None, 'audit')",
    "audit": "from mfa_operator.cli.program import cli; cli.get_command(None, 'audit');"
    "import mfa_operator.passes.auditor",
}


def measure() -> dict[str, float]:
    """Median seconds of a process that imports what `--help` needs, and what an audit needs."""
    walls: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for _ in range(ROUNDS):
        for name, statement in STATEMENTS.items():
            begun = time.monotonic()
            subprocess.run([sys.executable, "-c", statement], check=True)
            walls[name].append(time.monotonic() - begun)
    return {name: round(statistics.median(each), 3) for name, each in walls.items()}
