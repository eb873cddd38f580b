"""What all tests share: fixtures, how they are spread over processes, and that nothing is skipped in silence."""

from __future__ import annotations

import os
import signal
import sys

# jsonschema would load it for a format that no schema here has: it takes 1.6 s, in each process of a run.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

# A run in the background has SIGINT ignored, and so would every program that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Without its byte code each of some five hundred processes compiles all that it imports: the operator takes 1.3 s of
# processor time to start then, and 0.5 s with it. What git ignores is no reason against writing it.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Programs under test go by it; the parallel run sets it for its workers.
os.environ.pop("COLUMNS", None)

pytest_plugins = [
    "tests.garbage",
    "tests.not_run",
    "tests.parallel",
    "tests.fixtures.quick_botocore",
    "tests.fixtures.aws",
    "tests.fixtures.control_plane",
    "tests.fixtures.ready_command",
    "tests.fixtures.operator",
    "tests.fixtures.remediation_harness",
    "tests.fixtures.organization_harness",
    "tests.fixtures.quarantined",
    "tests.fixtures.shared_operator",
]
