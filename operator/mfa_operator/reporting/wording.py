"""Words for people, cut to what a field holds."""

from __future__ import annotations

from mfa_operator.api.text import error_text

MAX_MESSAGE = 1024
"""Characters of a message in status; the CRDs' bound."""


def shortened(message: str, limit: int = MAX_MESSAGE) -> str:
    """A message for status: one line, free of secrets, at most `limit` characters."""
    return error_text(message, limit)


def many(count: int, noun: str) -> str:
    """`1 user`, `2 users`; for nouns that take an s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(names: list[str], limit: int = 5) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def account_label(account_id: str, name: str) -> str:
    return f"account {name_and_id(account_id, name)}"


def name_and_id(account_id: str, name: str) -> str:
    """How tables and lists call an account."""
    return f"{name} ({account_id})" if name else account_id
