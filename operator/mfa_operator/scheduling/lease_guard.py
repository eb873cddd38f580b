"""Whether this replica still leads, asked directly before every request that changes something.

A process can sleep anywhere: SIGSTOP, a frozen container, a suspended machine, a starved CPU. When it wakes up another
replica may have acted, and the world may be another one. So the answer of a minute ago counts for nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from mfa_operator.scheduling.due import PassAbandoned


class LeaseGuard:
    """Safe to use from several threads. Without an argument it always leads: for a process without a Lease."""

    def __init__(self, leading: Callable[[], bool] = lambda: True) -> None:
        """`leading`: whether the Lease is certainly ours at this moment. It must be cheap, and must not block."""
        self.leading = leading

    def check_still_leading(self) -> None:
        """Raise PassAbandoned unless the Lease is certainly ours."""
        if not self.leading():
            raise PassAbandoned("the Lease is no longer certainly ours: the rest is left to the next leader")
