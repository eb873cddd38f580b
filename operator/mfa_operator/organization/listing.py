"""What AWS Organizations says of its accounts: one account, and a complete listing of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class MemberState(StrEnum):
    """State of an account in its organization, as AWS has it (State, or Status where there is no State)."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    PENDING_CLOSURE = "PENDING_CLOSURE"
    CLOSED = "CLOSED"
    PENDING_ACTIVATION = "PENDING_ACTIVATION"


@dataclass(frozen=True, slots=True)
class Member:
    """One account of an organization."""

    id: str
    name: str = ""
    state: str = MemberState.ACTIVE
    """A MemberState, or the word of a newer AWS that this version does not know."""
    joined: datetime | None = None
    """When it joined; None where that is not known."""
    units: tuple[str, ...] = ()
    """Ids of root and units above it, from the top; the upper end may be missing where AWS gives no Paths."""
    tags: Mapping[str, str] | None = None
    """None: not asked."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A complete listing of an organization: who is not in it does not belong to it."""

    organization_id: str
    management_id: str
    """Id of the management account."""
    partition: str
    members: tuple[Member, ...]
    """Each id once."""
    listed_at: datetime
    """When the listing began."""
    units: frozenset[str] = frozenset()
    """Units that exist, and of which every account below is known to be; root included."""
    unknown_units: frozenset[str] = frozenset()
    """Units that a spec names and that AWS does not find in this organization."""
