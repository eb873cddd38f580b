"""The process of `mfa-operator run` ends in time, whatever its threads are doing."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys, threading, time
from mfa_operator.cli import main
from mfa_operator.process.lifecycle import Operator

def run(self):
    threading.Thread(target=time.sleep, args=[600]).start()
    return 0

Operator.run = run
sys.argv = ["mfa-operator", "run"]
main()
"""


def test_a_thread_that_hangs_does_not_hold_up_the_exit() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
