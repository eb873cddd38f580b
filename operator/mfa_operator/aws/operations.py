"""Which of AWS's operations change something."""

from __future__ import annotations

READS = ("Get", "List", "Generate", "Simulate", "Describe", "AssumeRole")
"""How the names of operations begin that change nothing anybody has to decide about."""


def changes_something(operation: str) -> bool:
    """Whether an operation of AWS is a write. What is not known to be a read is one."""
    return not operation.startswith(READS)
