"""Which accounts of an organization a policy audits: from a complete listing and the spec. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from mfa_operator.api.organization import Organization
from mfa_operator.organization.listing import Listing, Member, MemberState


class Skipped(StrEnum):
    """Why an account of the organization is not audited."""

    SUSPENDED = "Suspended"
    PENDING_CLOSURE = "PendingClosure"
    CLOSED = "Closed"
    PENDING_ACTIVATION = "PendingActivation"
    UNKNOWN_STATE = "UnknownState"
    """AWS gives it a state that this version does not know."""
    EXCLUDED = "Excluded"
    """By the spec: not included, or excluded."""


_STATES: Mapping[str, Skipped] = {
    MemberState.SUSPENDED: Skipped.SUSPENDED,
    MemberState.PENDING_CLOSURE: Skipped.PENDING_CLOSURE,
    MemberState.CLOSED: Skipped.CLOSED,
    MemberState.PENDING_ACTIVATION: Skipped.PENDING_ACTIVATION,
}


class UnknownUnits(Exception):
    """The spec names units that the organization does not have."""

    def __init__(self, units: Iterable[str]) -> None:
        self.units = tuple(sorted(units))
        super().__init__(", ".join(self.units))


class NotAsked(Exception):
    """The listing cannot decide: it was made before the spec asked for these units, or for tags."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a spec makes of a listing: every member is in exactly one of the two."""

    audited: tuple[Member, ...]
    skipped: Mapping[str, Skipped]
    """Why the others are not audited, by account id."""

    @property
    def excluded(self) -> int:
        """How many the spec leaves out."""
        return sum(why is Skipped.EXCLUDED for why in self.skipped.values())

    @property
    def inactive(self) -> int:
        """How many are skipped for their state."""
        return len(self.skipped) - self.excluded


def select(spec: Organization, listing: Listing) -> Selection:
    """Raises UnknownUnits and NotAsked: what cannot be decided must not end the audit of an account."""
    if unknown := spec.units & listing.unknown_units:
        raise UnknownUnits(unknown)
    if missing := spec.units - listing.units:
        raise NotAsked(", ".join(sorted(missing)))
    selector = Selector(spec)
    audited: list[Member] = []
    skipped: dict[str, Skipped] = {}
    for member in listing.members:
        why = selector.why_skipped(member)
        if why is None:
            audited.append(member)
        else:
            skipped[member.id] = why
    return Selection(tuple(audited), skipped)


class Selector:
    """A spec, ready to judge many members."""

    def __init__(self, spec: Organization) -> None:
        self._spec = spec
        self._included = frozenset(spec.include.organizational_units)
        self._excluded = frozenset(spec.exclude.organizational_units)
        self._excluded_ids = frozenset(spec.exclude.accounts)

    def why_skipped(self, member: Member) -> Skipped | None:
        """Why the member is not audited; None where it is. Raises NotAsked where its tags decide and are not known."""
        if member.state != MemberState.ACTIVE:
            # Before the spec's word: a suspended account counts as suspended, whatever else would leave it out.
            return _STATES.get(member.state, Skipped.UNKNOWN_STATE)
        if not self._selects_but_for_tags(member):
            return Skipped.EXCLUDED
        if not self._spec.by_tags:
            return None
        if member.tags is None:
            raise NotAsked(f"the tags of {member.id}")
        excluded = self._spec.exclude.tags and _carries(member.tags, self._spec.exclude.tags)
        return None if _carries(member.tags, self._spec.include.tags) and not excluded else Skipped.EXCLUDED

    def needs_tags(self, member: Member) -> bool:
        """Whether the member's tags decide: all else selects it."""
        return self._spec.by_tags and member.state == MemberState.ACTIVE and self._selects_but_for_tags(member)

    def _selects_but_for_tags(self, member: Member) -> bool:
        return (
            member.id not in self._excluded_ids
            and (not self._included or not self._included.isdisjoint(member.units))
            and self._excluded.isdisjoint(member.units)
        )


def _carries(tags: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(tags.get(key) == value for key, value in wanted.items())
