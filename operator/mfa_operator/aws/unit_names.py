"""Names of organizational units, for people: as many as AWS tells in reasonable time."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from mfa_operator.aws.errors import AwsFailure

ENOUGH_SECONDS = 60.0
"""After this no further unit is asked about: AWS answers one call a second, and allows 2,000 units."""

Pages = Callable[..., Iterable[Mapping[str, Any]]]


def unit_names(pages: Pages, chains: Collection[tuple[str, ...]], progress: Callable[[str], None]) -> dict[str, str]:
    """Names by id of the units in these chains, each from the root down. What AWS refuses or delays is left out."""
    parents = {parent: depth for chain in chains for depth, parent in enumerate(chain[:-1])}
    begun = time.monotonic()
    names: dict[str, str] = {}
    # One call tells the names of all units directly below a parent.
    for count, parent in enumerate(sorted(parents, key=lambda each: (parents[each], each)), 1):
        if time.monotonic() - begun > ENOUGH_SECONDS:
            break
        try:
            below = pages("ListOrganizationalUnitsForParent", "OrganizationalUnits", ParentId=parent)
            names |= {str(unit["Id"]): str(unit["Name"]) for unit in below}
        except (AwsFailure, KeyError):
            break
        progress(f"names below {count:,} of {len(parents):,} units read")
    return names
