"""From the receiver's threads into the scheduler's loop: what an event says is taken up as a hint."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial

from mfa_operator.scheduling.pass_runner import PassRunner
from mfa_operator.scheduling.scheduler import Scheduler


class SchedulerHints:
    """Takes hints for a scheduler, whose loop is the one that runs when this is made. Safe to call from any thread."""

    def __init__(self, scheduler: Scheduler, runner: PassRunner) -> None:
        self._scheduler = scheduler
        self._runner = runner
        self._loop = asyncio.get_running_loop()

    def covers(self, account_id: str) -> bool:
        return bool(self._runner.covering(account_id))

    def hint(self, account_id: str, users: frozenset[str], done: Callable[[bool], None]) -> None:
        # A loop that is closed by now has no scheduler any more: the message comes back to whoever leads then.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(partial(self._scheduler.hint, account_id, users, done))

    def refresh_organizations(self, account_id: str) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(partial(self._runner.refresh_organizations, account_id))
