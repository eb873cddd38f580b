"""Accounts of a given size on the embedded AWS, with the truth about every user."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from mfa_sandbox.aws import Account, EmbeddedAws

CONSOLE, VIOLATORS, SECURITY_KEYS, HARDWARE = 0.60, 0.12, 0.06, 0.02
"""Shares of an account's users: with a password; of these without MFA, with a passkey or key, with a hardware token."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What a right audit says of an account."""

    states: dict[str, str]
    """`Compliant`, `Violating` or `NoConsole`, by user."""

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.states.values())

    @property
    def violators(self) -> set[str]:
        return {user for user, state in self.states.items() if state == "Violating"}


def seed(aws: EmbeddedAws, account_id: str, size: int, *, chance: random.Random) -> tuple[Account, Truth]:
    """Make an account with `size` users; the same `chance` makes the same account."""
    account = aws.world.account(account_id)
    kinds = (
        ["violator"] * round(size * VIOLATORS)
        + ["security_key"] * round(size * SECURITY_KEYS)
        + ["hardware"] * round(size * HARDWARE)
    )
    kinds += ["virtual"] * (round(size * CONSOLE) - len(kinds))
    kinds += ["keys"] * (size - len(kinds))
    chance.shuffle(kinds)
    states = {}
    for number, kind in enumerate(kinds):
        name = f"user-{number:05}"
        console = kind != "keys"
        account.user(
            name,
            password=console,
            mfa=[kind] if kind in ("virtual", "security_key", "hardware") else [],  # type: ignore[list-item]  # checked
            access_keys=0 if console else 1,
        )
        states[name] = {"violator": "Violating", "keys": "NoConsole"}.get(kind, "Compliant")
    return account, Truth(states)
