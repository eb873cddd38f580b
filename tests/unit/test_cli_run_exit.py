"""The process of `mfa-operator run` ends in time, whatever its threads are doing."""

from __future__ import annotations

import signal
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


FIRST_PROCESS = """
import os, sys, time
os.getpid = lambda: 1
from mfa_operator.cli import main, program

def run():
    sys.stdout.write("up")
    sys.stdout.flush()
    time.sleep(600)

program.run = run
main()
"""


def test_as_pid_1_it_handles_sigterm_from_the_start() -> None:
    """The kernel drops a signal for it that it does not handle, and the pod would end half a minute later."""
    with subprocess.Popen([sys.executable, "-c", FIRST_PROCESS], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.read(2) == b"up"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 128 + signal.SIGTERM
