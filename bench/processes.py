"""Whole processes, measured: wall time, CPU time, peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LAUNCHER = """
import json, os, sys, time
started = time.monotonic()
pid = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
with open(sys.argv[1], "w") as file:
    json.dump({
        "wall": time.monotonic() - started,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
        "status": os.waitstatus_to_exitcode(status),
    }, file)
"""
"""Stands between: a process's peak begins with what its parent held, and the bench holds a whole AWS."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of one process and its children."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds, user and system."""
    peak_mb: float
    """Peak resident memory in MiB, of the process itself."""
    status: int


def run(command: Sequence[str], environment: Mapping[str, str], *, output: Path, timeout: float = 1800.0) -> Measured:
    """Run a command to its end; what it prints goes into the file.

    It may write bytecode, as a tool does that somebody installed: without any, imports take most of a short run's time,
    and of a large tool's memory.
    """
    figures = output.with_suffix(".figures")
    with output.open("wb") as out:
        subprocess.run(
            [sys.executable, "-I", "-S", "-c", LAUNCHER, str(figures), *command],
            env={**os.environ, **environment, "PYTHONDONTWRITEBYTECODE": ""},
            stdout=out,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=True,
        )
    return Measured(**json.loads(figures.read_text()))


def resident_mb(pid: int) -> float:
    """Resident memory of a running process in MiB."""
    return _memory(pid, "VmRSS")


def peak_mb(pid: int) -> float:
    """The most that a running process ever had, in MiB. Unlike its rusage, it does not begin with its parent's."""
    return _memory(pid, "VmHWM")


def _memory(pid: int, figure: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{figure}:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


def cpu_seconds(pid: int) -> float:
    """CPU time of a running process, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def sockets(pid: int) -> int:
    found = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found += str(descriptor.readlink()).startswith("socket:")
        except FileNotFoundError:
            continue
    return found
