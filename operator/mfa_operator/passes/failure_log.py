"""What a pass logs of accounts that could not be audited: the first of each cause in full, the others as a number."""

from __future__ import annotations

import logging
import threading

from mfa_operator.api.objects import PolicyRef
from mfa_operator.api.status import AccountStatus
from mfa_operator.reporting.alike import EXAMPLES, cause
from mfa_operator.reporting.wording import account_label

logger = logging.getLogger(__name__)


class FailureLog:
    """Of one pass over one policy. Safe to use from several threads."""

    def __init__(self, policy: PolicyRef) -> None:
        self._policy = policy
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], int] = {}
        self._first: dict[tuple[str, str], AccountStatus] = {}
        self._levels: dict[tuple[str, str], int] = {}

    def add(self, level: int, status: AccountStatus, what: str, error: Exception | None = None) -> None:
        """Log that the account failed; beyond the first few of its cause at DEBUG.

        `what` happened to it, in words that follow its name; `error` is one whose traceback is worth reading.
        """
        key = cause(status)
        with self._lock:
            count = self._counts[key] = self._counts.get(key, 0) + 1
            self._first.setdefault(key, status)
            self._levels.setdefault(key, level)
        shown = count <= EXAMPLES
        label = account_label(status.id, status.name)
        logger.log(
            level if shown else logging.DEBUG,
            "%s %s %s: %s",
            self._policy,
            label,
            what,
            status.message,
            exc_info=error if shown else None,
        )

    def end(self) -> None:
        """Log how many more there were."""
        with self._lock:
            more = {key: count - EXAMPLES for key, count in self._counts.items() if count > EXAMPLES}
        for key, count in more.items():
            first = self._first[key]
            like = account_label(first.id, first.name)
            message = "%s: %s more failed for the same cause as %s (%s); see their MfaReports"
            logger.log(self._levels[key], message, self._policy, f"{count:,}", like, first.reason)
