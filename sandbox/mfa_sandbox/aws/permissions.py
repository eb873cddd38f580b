"""What the callers of one account may do, and why not."""

from collections.abc import Collection
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Protocol

# Granted to everybody, whatever policies say (STS API reference, GetCallerIdentity).
ALWAYS_ALLOWED = frozenset({"sts:GetCallerIdentity"})

IDENTITY_BASED = "identity-based policy"
SERVICE_CONTROL = "service control policy"


class Asked(Protocol):
    """What is judged here."""

    @property
    def action(self) -> str:
        """As policies name it, such as `iam:ListUsers`."""


@dataclass(slots=True)
class Permissions:
    """Actions with `*` and `?` as in policies. `allowed` None: everything; `denied` maps an action to the
    kind of policy that denies it."""

    allowed: frozenset[str] | None = None
    denied: dict[str, str] = field(default_factory=dict)

    def allow_only(self, actions: Collection[str] | None) -> None:
        self.allowed = None if actions is None else frozenset(actions)

    def deny(self, actions: Collection[str], *, by: str = IDENTITY_BASED) -> None:
        self.denied.update(dict.fromkeys(actions, by))

    def allow_again(self, actions: Collection[str] | None = None) -> None:
        """Take denials back; None: all of them."""
        for action in list(self.denied) if actions is None else actions:
            self.denied.pop(action, None)

    def why_not(self, call: Asked) -> str | None:
        """Why the account's callers may not do this, as AWS's messages say it; None where they may."""
        action = call.action
        if action in ALWAYS_ALLOWED:
            return None
        for pattern, policy in self.denied.items():
            if fnmatchcase(action, pattern):
                return f"with an explicit deny in {_article(policy)} {policy}"
        if self.allowed is not None and not any(fnmatchcase(action, one) for one in self.allowed):
            return not_allowed(action)
        return None


def not_allowed(action: str) -> str:
    """Where no policy says anything of the action."""
    return f"because no identity-based policy allows the {action} action"


def _article(policy: str) -> str:
    return "an" if policy[0] in "aeiou" else "a"
