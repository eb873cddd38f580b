"""The accounts that a pass has still to begin, in order; an event about one of them brings it to the front."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from datetime import datetime

from mfa_operator.api.policy import Account
from mfa_operator.scheduling.hints import MAX_USERS, Doubt


class AccountLine:
    """Safe to use from several threads."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self._lock = threading.Lock()
        self._waiting = OrderedDict((account.id, account) for account in accounts)
        self._doubts: dict[str, Doubt] = {}

    def __iter__(self) -> Iterator[Account]:
        """Takes account after account, until none waits."""
        while True:
            with self._lock:
                if not self._waiting:
                    return
                _, account = self._waiting.popitem(last=False)
            yield account

    def hurry(self, account_id: str, users: frozenset[str], at: datetime) -> bool:
        """Have the account begin next, with these users read live; returns whether it was still waiting."""
        with self._lock:
            if account_id not in self._waiting:
                return False
            if account_id in self._doubts:
                before = self._doubts[account_id].users
                # More than that are read by the targeted pass that follows.
                users = before | users if len(before | users) <= MAX_USERS else before
            self._doubts[account_id] = Doubt(users, at)
            self._waiting.move_to_end(account_id, last=False)
            return True

    def doubt(self, account_id: str) -> Doubt | None:
        """What events have said of the account while it waited."""
        with self._lock:
            return self._doubts.get(account_id)
