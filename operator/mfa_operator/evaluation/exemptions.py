"""Which exemption, if any, covers a user. Pure.

Globs match case-sensitively: on the name, or on path and name where the glob starts with a slash.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from fnmatch import fnmatchcase

from mfa_operator.api.policy import Exemption, PolicySpec


def candidates(spec: PolicySpec, account_id: str, name: str, path: str, now: datetime) -> list[Exemption]:
    """Exemptions that cover the user as far as name, account and expiry go; tags are not looked at."""
    return [
        exemption
        for exemption in spec.exemptions
        if exemption.active(now)
        and (not exemption.accounts or account_id in exemption.accounts)
        and any(_matches(glob, name, path) for glob in exemption.users)
    ]


def covering(found: Iterable[Exemption], tags: Mapping[str, str] | None) -> Exemption | None:
    """The first of `found` whose tags all match; with `tags` None (not read) only those that ask for none."""
    return next(
        (
            exemption
            for exemption in found
            if not exemption.tags or (tags is not None and exemption.tags.items() <= tags.items())
        ),
        None,
    )


def next_expiry(spec: PolicySpec, now: datetime) -> datetime | None:
    """When the next exemption stops counting; None where none will."""
    return min(
        (exemption.expires for exemption in spec.exemptions if exemption.expires and exemption.expires > now),
        default=None,
    )


def _matches(glob: str, name: str, path: str) -> bool:
    return fnmatchcase(f"{path}{name}" if glob.startswith("/") else name, glob)
