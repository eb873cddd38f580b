"""Facts about one account, each with its time. No judgement is made here.

What there is of every user is a msgspec Struct: made in a fifth of the time of a frozen dataclass, invisible to the
garbage collector (facts hold no cycles), and written as a short array where it is kept packed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from mfa_operator.api.conversion import prepare
from mfa_operator.api.enums import AccountReason, DeviceType, FindingReason

T = TypeVar("T")


class Fact(msgspec.Struct, Generic[T], frozen=True, array_like=True, gc=False):
    """A value, and the moment it was true at AWS."""

    value: T
    at: datetime


class ReportRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A user's row of the credential report, as far as the check needs it. None: an invalid token."""

    user: str
    created: datetime | None
    password_enabled: bool | None
    mfa_active: bool | None
    twice: bool = False
    """The name stood in the report more than once; the more dangerous row is kept."""


class User(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An IAM user as ListUsers gives it."""

    name: str
    path: str
    user_id: str
    created: datetime
    password_last_used: datetime | None = None
    """Outlives the password: it proves no console access."""


class LoginProfile(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A password for the console. `created` is None where there is none."""

    created: datetime | None

    @property
    def exists(self) -> bool:
        return self.created is not None


class UserFacts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Everything known about one user."""

    user: User
    row: Fact[ReportRow] | None = None
    """The user's row, where the report speaks of this very user (same creation time), not a namesake."""
    has_virtual_device: Fact[bool] | None = None
    """None where the list of virtual devices could not be read."""
    lost_virtual_device: bool = False
    """A virtual device was there at an earlier pass and is not now."""
    profile: Fact[LoginProfile] | None = None
    devices: Fact[frozenset[DeviceType]] | None = None
    tags: Fact[Mapping[str, str]] | None = None
    failure: FindingReason | None = None
    """Why the user could not be read live."""


@dataclass(frozen=True, slots=True)
class RootFacts:
    """What is known of the root user. None: not known."""

    password: bool | None
    access_keys: bool | None
    mfa: bool | None
    virtual_device: bool | None
    at: datetime
    failure: FindingReason | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An account at the time of a pass."""

    account_id: str
    partition: str
    taken_at: datetime
    report_time: datetime | None
    """GeneratedTime of the credential report; None where it could not be had."""
    users: tuple[UserFacts, ...]
    root: RootFacts | None = None
    """None where the policies do not ask for root."""
    notes: tuple[str, ...] = ()
    """What was worked around, in words for people."""
    own_user: str | None = None
    """Name of the IAM user the operator itself signs in as in this account, where it is one."""
    partial: AccountReason | None = None
    """Why some of it had to be read in another way; the account is audited all the same."""


prepare(Fact, LoginProfile, ReportRow, User, UserFacts)
