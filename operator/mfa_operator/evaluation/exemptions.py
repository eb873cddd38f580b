"""Which exemption, if any, covers a user. Pure.

Globs match case-sensitively: on the name, or on path and name where the glob starts with a slash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache

from mfa_operator.api.globs import AnyGlob
from mfa_operator.api.policy import Exemption, PolicySpec

KEPT = 1024
"""Exemptions whose globs are kept between users, accounts and passes: those of the largest ten policies, some 50 MB."""


class _Users:
    """The globs of one exemption."""

    __slots__ = ("_names", "_paths")

    def __init__(self, globs: tuple[str, ...]) -> None:
        self._names = AnyGlob(glob for glob in globs if not glob.startswith("/"))
        self._paths = AnyGlob(glob for glob in globs if glob.startswith("/"))

    def cover(self, name: str, path: str) -> bool:
        """`path` begins and ends with a slash, as IAM has it."""
        return self._names.matches(name) or self._paths.matches(path + name)


def candidates(
    spec: PolicySpec,
    account_id: str,
    name: str,
    path: str,
    now: datetime,
    *,
    checkpoint: Callable[[], object] = lambda: None,
) -> list[Exemption]:
    """Exemptions that cover the user as far as name, account and expiry go; tags are not checked.

    `checkpoint` is called again and again meanwhile; what it raises ends the judging.
    """
    found = []
    for exemption in spec.exemptions:
        checkpoint()
        here = not exemption.accounts or account_id in exemption.accounts
        if here and exemption.active(now) and _users(exemption.users).cover(name, path):
            found.append(exemption)
    return found


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


_users = lru_cache(maxsize=KEPT)(_Users)
