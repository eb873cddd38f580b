"""Accounts that events are about, by policy: coalesced, and audited by targeted passes at a bounded rate.

A targeted pass audits only the accounts that events named, between two passes over the whole policy. No threads, no
loop, no waiting here. The cost is bounded whatever comes in: an account is audited at most once in MIN_GAP seconds,
less often while targeted passes find nothing new, and one targeted pass takes at most BATCH accounts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mfa_operator.api.objects import PolicyRef

COALESCE = 1.0
"""Seconds from a hint until the targeted pass: events come in bunches."""
MIN_GAP = 3.0
"""Seconds between the starts of two targeted passes over one account for one policy."""
LAST_GAP = 60.0
"""The same after many targeted passes in a row found nothing new: a flood of hints costs little."""
PATIENCE = 4
"""So many targeted passes may find nothing new before the gap begins to double."""
SECOND_CHECK = 15.0
"""Seconds after a targeted pass that saw no change until the second check: IAM's reads lag behind its events."""
BATCH = 8
"""Accounts in one job, all at once where places are free: the policy's own pass, should it become due, waits for the
slowest of them at most."""
MAX_USERS = 50
"""Users of one account that are waiting to be read."""
MAX_TICKETS = 500
"""Hints that wait for one targeted pass."""

Unseen = Mapping[str, frozenset[str] | None]
"""By account, the users in doubt of whom a targeted pass saw nothing new; None where it saw nothing new of the account
at all. Accounts of which everything was seen are left out."""

Done = Callable[[bool], None]
"""Called once: whether what was found is published."""


class Ticket:
    """One hint, until it is served in every policy that covers the account. Not for two threads at once."""

    def __init__(self, done: Done) -> None:
        self._done = done
        self._open = 1
        self._published = True

    def add(self) -> None:
        """One more policy has to serve it."""
        self._open += 1

    def settle(self, *, published: bool = True) -> None:
        """One policy has served it, or cannot."""
        self._open -= 1
        self._published = self._published and published
        if self._open == 0:
            self._done(self._published)


@dataclass(frozen=True, slots=True)
class Doubt:
    """What a targeted pass has to read again of one account."""

    users: frozenset[str]
    """Empty: only what speaks of all users at once."""
    since: datetime
    """When the last hint came: facts from before are not used."""


@dataclass(slots=True)
class _Account:
    """What is waiting, and how often the account was audited for hints."""

    users: set[str] = field(default_factory=set)
    since: datetime | None = None
    due: float | None = None
    """On the monotonic clock; None where nothing is waiting."""
    tickets: list[Ticket] = field(default_factory=list)
    last: bool = False
    """Whether the targeted pass that is due is the second check, after which there is no other."""
    begun: float | None = None
    idle: int = 0
    """Targeted passes in a row that found nothing new."""

    @property
    def gap(self) -> float:
        """Seconds from `begun` until the next targeted pass at the earliest."""
        # Past 16 doublings it is the longest in any case, and a larger power would overflow a float.
        doublings = min(max(self.idle - PATIENCE, 0), 16)
        return min(MIN_GAP * float(1 << doublings), LAST_GAP)


class TargetedPassFailed(Exception):
    """Some accounts could not be audited; what was found of the others is published."""

    def __init__(self, accounts: Collection[str], unseen: Unseen) -> None:
        """`accounts` are those not audited, whose hints are to come again; `unseen` is of the others."""
        super().__init__(f"accounts not audited: {', '.join(sorted(accounts))}")
        self.accounts = frozenset(accounts)
        self.unseen = unseen


@dataclass(frozen=True, slots=True)
class TargetedPass:
    """What one targeted pass audits: accounts of one policy."""

    doubts: Mapping[str, Doubt]
    tickets: Mapping[str, tuple[Ticket, ...]]
    """By account."""
    last: frozenset[str]


class Hints:
    """What is waiting in each policy. `now` is the monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._policies: dict[PolicyRef, dict[str, _Account]] = {}

    def add(
        self, ref: PolicyRef, account_id: str, users: Iterable[str], ticket: Ticket, *, at: datetime, now: float
    ) -> None:
        """Take in a hint. Where too much is waiting already its ticket is settled as not published."""
        account = self._policies.setdefault(ref, {}).setdefault(account_id, _Account())
        merged = account.users | set(users)
        if len(merged) > MAX_USERS or len(account.tickets) >= MAX_TICKETS:
            ticket.settle(published=False)
            return
        account.users, account.since, account.last = merged, at, False
        account.tickets.append(ticket)
        earliest = self._earliest(account, now + COALESCE)
        account.due = earliest if account.due is None else min(earliest, account.due)

    def due_at(self, ref: PolicyRef) -> float | None:
        """When the policy's next targeted pass is due; None where none is waiting."""
        accounts = self._policies.get(ref, {}).values()
        return min((account.due for account in accounts if account.due is not None), default=None)

    def waiting(self, able: Callable[[PolicyRef], bool]) -> list[tuple[float, PolicyRef]]:
        """When the next targeted pass is due of each policy that is `able` to have one, the longest overdue first."""
        due = ((self.due_at(ref), ref) for ref in self._policies if able(ref))
        return sorted((moment, ref) for moment, ref in due if moment is not None)

    def take(self, ref: PolicyRef, *, at: datetime, now: float) -> TargetedPass:
        """The accounts that are due, the longest overdue first. `at` is the same moment on the wall clock."""
        accounts = self._policies.get(ref, {})
        due = [(account.due, account_id) for account_id, account in accounts.items() if account.due is not None]
        taken = [account_id for when, account_id in sorted(due)[:BATCH] if when <= now]
        doubts: dict[str, Doubt] = {}
        tickets: dict[str, tuple[Ticket, ...]] = {}
        last: set[str] = set()
        for account_id in taken:
            account = accounts[account_id]
            assert account.since is not None  # noqa: S101 - for the type checker: it is due
            # A second check must read everything again, or it finds what the first one found.
            doubts[account_id] = Doubt(frozenset(account.users), at if account.last else account.since)
            tickets[account_id] = tuple(account.tickets)
            last |= {account_id} if account.last else set()
            account.users, account.tickets, account.due, account.begun = set(), [], None, now
        return TargetedPass(doubts, tickets, frozenset(last))

    def ended(
        self,
        ref: PolicyRef,
        targeted: TargetedPass,
        unseen: Unseen,
        now: float,
        *,
        failed: Collection[str] = (),
    ) -> None:
        """Take in what a targeted pass found.

        `unseen`: by account, the users of whom it saw nothing new, None where it saw nothing new of the account;
        accounts where it saw the change are not in it. Tickets are settled as published, except those of accounts that
        `failed`: their hints come again.
        """
        accounts = self._policies.get(ref, {})
        for account_id, doubt in targeted.doubts.items():
            account = accounts.get(account_id)
            if account is None:
                continue
            if account_id in failed:
                account.idle += 1
                continue
            missing = unseen.get(account_id, frozenset())
            nothing = missing is None or (bool(missing) and missing == doubt.users)
            account.idle = account.idle + 1 if nothing else 0
            if account_id not in targeted.last and (missing is None or missing):
                self._check_again(account, missing or frozenset(), doubt, now)
        self._settle(targeted, failed)
        self._tidy(ref, now)

    def failed(self, ref: PolicyRef, targeted: TargetedPass, now: float) -> None:
        """Nothing was published: the hints come again."""
        for account_id in targeted.doubts:
            if account := self._policies.get(ref, {}).get(account_id):
                account.idle += 1
        self._settle(targeted, targeted.doubts)
        self._tidy(ref, now)

    def forget(self, ref: PolicyRef) -> None:
        """The policy is gone: it has nothing to serve any more."""
        for account in self._policies.pop(ref, {}).values():
            for ticket in account.tickets:
                ticket.settle()

    def _earliest(self, account: _Account, wanted: float) -> float:
        return wanted if account.begun is None else max(wanted, account.begun + account.gap)

    def _check_again(self, account: _Account, users: frozenset[str], doubt: Doubt, now: float) -> None:
        if account.due is not None:
            # Hinted at again meanwhile: that pass reads these users too, and has a second check of its own.
            account.users |= users
            return
        account.users, account.since, account.last = set(users), doubt.since, True
        account.due = self._earliest(account, now + SECOND_CHECK)

    def _settle(self, targeted: TargetedPass, failed: Collection[str]) -> None:
        for account_id, tickets in targeted.tickets.items():
            for ticket in tickets:
                ticket.settle(published=account_id not in failed)

    def _tidy(self, ref: PolicyRef, now: float) -> None:
        """Drop what tells nothing any more: accounts without a hint for a while."""
        accounts = self._policies.get(ref, {})
        for account_id in [
            key
            for key, account in accounts.items()
            if account.due is None and (account.begun is None or account.begun + LAST_GAP < now)
        ]:
            del accounts[account_id]
        if not accounts:
            self._policies.pop(ref, None)
