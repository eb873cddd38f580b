"""Asking a failing account less often, while the others of its policy stay on time."""

from __future__ import annotations

import threading
from datetime import timedelta

from mfa_operator.api.duration import Duration

LONGEST = timedelta(hours=1)
"""An account that works again is tried within this time, or at its next pass where the interval is longer."""


def passes_to_skip(failures: int, interval: timedelta) -> int:
    """How many passes to leave a failing account out: none after the first failure, then 1, 3, 7, … up to an hour's."""
    return int(min(2.0 ** min(failures - 1, 30) - 1, max(LONGEST / interval - 1, 0)))


class AccountBackoff:
    """The failing accounts of one policy, by account id."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: dict[str, int] = {}
        self._skips: dict[str, int] = {}

    def failed(self, account_id: str, interval: Duration) -> None:
        with self._lock:
            self._failures[account_id] = self._failures.get(account_id, 0) + 1
            self._skips[account_id] = passes_to_skip(self._failures[account_id], interval.delta)

    def succeeded(self, account_id: str) -> None:
        with self._lock:
            self._failures.pop(account_id, None)
            self._skips.pop(account_id, None)

    def skips(self, account_id: str) -> bool:
        """Whether this pass leaves the account out; counts the pass."""
        with self._lock:
            left = self._skips.get(account_id, 0)
            if left:
                self._skips[account_id] = left - 1
            return left > 0
