"""Accounts that could not be audited for the same cause, said once for all of them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mfa_operator.api.status import AccountStatus
from mfa_operator.reporting.wording import name_and_id, shortened

EXAMPLES = 3
"""Accounts of one cause that are named, and causes that one message gives."""
MAX_CAUSES = 800
"""Characters that the causes in one message share."""

_UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FailedAlike:
    """Accounts that failed for one cause; at least one."""

    accounts: tuple[AccountStatus, ...]

    @property
    def text(self) -> str:
        """The first account's message."""
        return self.accounts[0].message

    def in_words(self, limit: int = MAX_CAUSES) -> str:
        """`payments (1…): TEXT`, or `312 accounts, such as 1…, 2…, 3…: TEXT`; at most `limit` characters of text."""
        text = shortened(self.text, limit)
        if len(self.accounts) == 1:
            return f"{_label(self.accounts[0])}: {text}"
        examples = ", ".join(_label(account) for account in self.accounts[:EXAMPLES])
        which = f", such as {examples}" if len(self.accounts) > EXAMPLES else f" ({examples})"
        return f"{len(self.accounts):,} accounts{which}: {text}"


def failed_alike(failed: Iterable[AccountStatus]) -> list[FailedAlike]:
    """By cause, the one with the most accounts first; accounts, and causes of equal size, in the order given."""
    groups: dict[tuple[str, str], list[AccountStatus]] = {}
    for account in failed:
        groups.setdefault(cause(account), []).append(account)
    return sorted((FailedAlike(tuple(group)) for group in groups.values()), key=lambda each: -len(each.accounts))


def cause(account: AccountStatus) -> tuple[str, str]:
    """What is the same in accounts that failed alike: the reason, and the message but for the account and request."""
    return account.reason, _UUID.sub("-", account.message.replace(account.id, "-"))


def causes_in_words(failed: Sequence[AccountStatus], more: str = "") -> str:
    """The first causes, and how many accounts failed for others. `more` says where all accounts stand."""
    groups = failed_alike(failed)
    shown = groups[:EXAMPLES]
    parts = [group.in_words(MAX_CAUSES // len(shown)) for group in shown]
    if others := sum(len(group.accounts) for group in groups[EXAMPLES:]):
        parts.append(f"{others:,} more for other causes")
    if more and len(failed) > sum(min(len(group.accounts), EXAMPLES) for group in shown):
        parts.append(more)
    return "; ".join(parts)


def _label(account: AccountStatus) -> str:
    return name_and_id(account.id, account.name)
