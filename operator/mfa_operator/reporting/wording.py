"""Words for people, cut to what a field holds."""

MAX_MESSAGE = 1024
"""Characters of a message in status; the CRDs' bound."""


def shortened(message: str, limit: int = MAX_MESSAGE) -> str:
    return message if len(message) <= limit else message[: limit - 1] + "…"


def many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(names: list[str], limit: int = 5) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def account_label(account_id: str, name: str) -> str:
    return f"account {name} ({account_id})" if name else f"account {account_id}"
