"""Which accounts are below an organizational unit, found by walking down, where ListAccounts does not say it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mfa_operator.aws.errors import AwsFailure

MAX_UNITS = 2_000
"""Units that are walked in one listing: as many as AWS allows an organization."""
MAX_WALKS = 4
"""Walks in one listing until two agree."""
REMEMBERED = 1800.0
"""Seconds for which a listing that is tried again trusts what the failed one found."""
UNKNOWN_CODES = frozenset({"ParentNotFoundException", "InvalidInputException"})
"""What AWS answers to the id of a unit that it does not find, or that belongs to another organization."""

Pages = Callable[..., Iterable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Found:
    """What a walk found."""

    units: frozenset[str]
    """Units that exist, and of which every account below is in `units_of`."""
    unknown: frozenset[str]
    roots: tuple[str, ...]
    """Roots among the units that were asked for: everybody is below them, and `units_of` need not say it."""
    units_of: Mapping[str, tuple[str, ...]]
    """The units above an account, by its id, from the highest that was walked."""


class UnitWalk:
    """Walks down from units, and remembers the way until the listing is complete."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._children: dict[tuple[str, str], tuple[float, tuple[str, ...]]] = {}
        self._last: Found | None = None
        """What the last walk found, and the one before it."""

    def forget(self) -> None:
        self._children.clear()

    def below(self, units: Collection[str], progress: Callable[[str], None]) -> Found:
        """What two walks in a row found, the last listing's among them. Raises AwsFailure.

        An account that is moved from one unit to another while they are walked is in neither of them: one walk would
        have it leave a policy that includes both, or join one that excludes both.
        """
        for _ in range(MAX_WALKS):
            before, self._last = self._last, self._walk_once(units, progress)
            if self._last == before or not units:
                return self._last
            self.forget()
        raise AwsFailure(
            "ListChildren", "Moving", f"no two of {MAX_WALKS} listings agree: accounts are being moved between units"
        )

    def _walk_once(self, units: Collection[str], progress: Callable[[str], None]) -> Found:
        roots = [unit for unit in units if unit.startswith("r-")]
        parents: dict[str, str] = {}
        unknown: set[str] = set()
        known_roots: list[str] = []
        for root in roots:
            if self._known(root) is None:
                unknown.add(root)
            else:
                known_roots.append(root)
        waiting = sorted(unit for unit in units if not unit.startswith("r-"))
        walked: dict[str, tuple[str, ...]] = {}
        while waiting:
            unit = waiting.pop()
            if unit in walked or unit in unknown:
                continue
            below = self._known(unit)
            if below is None and unit not in units:
                # AWS has just named it. Its accounts may be in a unit now whose answer is older: nothing is complete.
                self.forget()
                raise AwsFailure("ListChildren", "UnitGone", f"unit {unit} was removed while its accounts were listed")
            if below is None:
                unknown.add(unit)
                continue
            if len(walked) >= MAX_UNITS:
                raise AwsFailure(
                    "ListChildren", "TooManyUnits", f"more than {MAX_UNITS:,} units below those of the spec"
                )
            walked[unit] = self._ask(unit, "ACCOUNT")
            for child in below:
                parents[child] = unit
                waiting.append(child)
            progress(f"{len(walked):,} units walked")
        units_of: dict[str, tuple[str, ...]] = {}
        for unit, accounts in walked.items():
            chain = _chain(unit, parents)
            units_of.update((account_id, chain) for account_id in accounts)
        return Found(frozenset(walked) | frozenset(known_roots), frozenset(unknown), tuple(known_roots), units_of)

    def _known(self, unit: str) -> tuple[str, ...] | None:
        """The units directly below; None where AWS does not find the unit itself."""
        try:
            return self._ask(unit, "ORGANIZATIONAL_UNIT")
        except AwsFailure as error:
            if error.code in UNKNOWN_CODES:
                return None
            raise

    def _ask(self, parent: str, kind: str) -> tuple[str, ...]:
        asked, children = self._children.get((parent, kind), (0.0, ()))
        if not asked or time.monotonic() - asked > REMEMBERED:
            found = self._pages("ListChildren", "Children", ParentId=parent, ChildType=kind)
            children = tuple(str(child.get("Id") or "") for child in found)
            if not all(children):
                # An account without its id would seem to be outside the unit.
                raise AwsFailure("ListChildren", "InvalidAnswer", f"the answer for {parent} has an entry without Id")
            self._children[parent, kind] = time.monotonic(), children
        return children


def _chain(unit: str, parents: Mapping[str, str]) -> tuple[str, ...]:
    """The unit and the walked ones above it, from the top."""
    chain = [unit]
    # A unit that was moved while it was walked may seem to be below itself.
    while chain[-1] in parents and parents[chain[-1]] not in chain:
        chain.append(parents[chain[-1]])
    return tuple(reversed(chain))
