"""A counter by account that thousands of accounts can have: a number for what happened, nothing for what did not."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

from mfa_operator.api.objects import PolicyRef
from mfa_operator.metrics.families import ACCOUNT, Accounts, Family, Sample

Values = tuple[str, ...]


class AccountCounter:
    """Counts by policy, account and further labels. Safe to call from any thread.

    Not prometheus_client.Counter: that holds some 1.5 KB a series and removes one by going through all of them.
    """

    def __init__(self, name: str, help_text: str, labels: Values) -> None:
        """`labels`: beside those of an account."""
        self._name, self._help_text, self._labels = name, help_text, labels
        self._lock = threading.Lock()
        self._counts: dict[PolicyRef, dict[str, Counter[Values]]] = {}
        self._totals: dict[PolicyRef, Counter[Values]] = {}
        """Also of accounts that are gone: Prometheus takes a total that falls for a restart, and counts twice."""

    def count(self, ref: PolicyRef, account_id: str, *values: str) -> None:
        """One more; it shows once the policy's figures name the account."""
        with self._lock:
            self._counts.setdefault(ref, {}).setdefault(account_id, Counter())[values] += 1
            self._totals.setdefault(ref, Counter())[values] += 1

    def forget_account(self, ref: PolicyRef, account_id: str) -> None:
        """From 0 again, where the account comes back."""
        with self._lock:
            self._counts.get(ref, {}).pop(account_id, None)

    def forget(self, ref: PolicyRef) -> None:
        """The same for all of a policy."""
        with self._lock:
            self._counts.pop(ref, None)
            self._totals.pop(ref, None)

    def family(self, accounts: Accounts) -> Family:
        """What was counted of these accounts, as it is now. A policy's totals stand under the policy's own name."""
        return Family(self._name, self._help_text, (*ACCOUNT, *self._labels), list(self._samples(accounts)), "counter")

    def _samples(self, accounts: Accounts) -> Iterator[Sample]:
        with self._lock:
            for ref, shown in accounts.items():
                if str(ref) in shown:
                    counted = {str(ref): self._totals.get(ref, Counter[Values]())}
                else:
                    counted = self._counts.get(ref, {})
                for account_id, counts in counted.items():
                    if account_id in shown:
                        for values, number in counts.items():
                            yield (ref.namespace, ref.name, account_id, *values), number
