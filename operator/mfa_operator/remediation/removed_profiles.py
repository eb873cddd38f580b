"""Login profiles that this process removed a moment ago; IAM, which is eventually consistent, may still show them."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from mfa_operator.evaluation.verdicts import READS_MAY_LAG


class RemovedProfiles:
    """By account, user and CreateDate, whichever policy asked for it; safe to use from several threads.

    IAM deletes whichever profile a user has when the request arrives. Were the old one taken for real, the request
    would meet a new password, which was never published as a violation.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._removed: dict[tuple[str, str, datetime], datetime] = {}

    def note(self, account_id: str, user_id: str, created: datetime, now: datetime) -> None:
        """Remember that the user's login profile of this CreateDate is gone."""
        with self._lock:
            self._removed = {key: at for key, at in self._removed.items() if _may_still_show(at, now)}
            self._removed[account_id, user_id, created] = now

    def holds(self, account_id: str, user_id: str, created: datetime | None, now: datetime) -> bool:
        """Whether what IAM shows is a profile that is gone. After some time it was never removed."""
        if created is None:
            return False
        with self._lock:
            at = self._removed.get((account_id, user_id, created))
        return at is not None and _may_still_show(at, now)


def _may_still_show(removed_at: datetime, now: datetime) -> bool:
    return timedelta() <= now - removed_at <= READS_MAY_LAG
