"""MfaPolicy.spec.organization as frozen typed models: which accounts of an AWS organization a policy covers.

The field names and bounds are those of deploy/crds/mfapolicies.yaml; a test holds the two equal.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from mfa_operator.api.conversion import WrongField, prepare, shown
from mfa_operator.api.duration import Duration, hours, minutes
from mfa_operator.api.fields import (
    AccountId,
    ExternalId,
    Model,
    RoleArn,
    Tags,
    check_each_once,
    check_tags,
    check_within,
)

MIN_REFRESH, DEFAULT_REFRESH, MAX_REFRESH = minutes(5), hours(1), hours(24)
MAX_UNITS = 200

UnitId = Annotated[str, Meta(pattern=r"^(r-[0-9a-z]{4,32}|ou-[0-9a-z]{4,32}-[0-9a-z]{8,32})\Z")]
"""Of an organizational unit, or of the root: all of the organization."""
Units = Annotated[tuple[UnitId, ...], Meta(min_length=1, max_length=MAX_UNITS)]

# IAM's own rules for names and paths of roles (CreateRole).
_ROLE_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{1,64}")
_PATH = re.compile(r"/([!-~]{1,510}/)?")


class AccountRole(Model, frozen=True):
    """The role that the operator assumes in every discovered account."""

    name: str = "mfa-operator"
    path: str = "/"
    external_id: ExternalId | None = None

    def __post_init__(self) -> None:
        if not _ROLE_NAME.fullmatch(self.name):
            problem = "give the role's name alone, such as mfa-operator, without ARN; its path goes to path"
            raise WrongField("name", f"invalid name {shown(self.name)}: {problem}")
        if not _PATH.fullmatch(self.path):
            problem = "it begins and ends with a slash, like / or /security/"
            raise WrongField("path", f"invalid path {shown(self.path)}: {problem}")

    def arn(self, partition: str, account_id: str) -> str:
        return f"arn:{partition}:iam::{account_id}:role{self.path}{self.name}"


class Include(Model, frozen=True):
    """Which accounts of the organization; what is left out leaves nobody out."""

    organizational_units: Units = ()
    """Any one of them, or a unit above the account's, suffices."""
    tags: Tags = msgspec.field(default_factory=dict)
    """All must match."""

    def __post_init__(self) -> None:
        check_each_once("organizationalUnits", self.organizational_units)
        check_tags(self.tags)


class Exclude(Model, frozen=True):
    """Which accounts not; each field by itself suffices, and it wins over include."""

    organizational_units: Units = ()
    accounts: Annotated[tuple[AccountId, ...], Meta(min_length=1, max_length=1000)] = ()
    tags: Tags = msgspec.field(default_factory=dict)
    """All must match."""

    def __post_init__(self) -> None:
        check_each_once("organizationalUnits", self.organizational_units)
        check_each_once("accounts", self.accounts)
        check_tags(self.tags)


class Organization(Model, frozen=True):
    """MfaPolicy.spec.organization."""

    role_arn: RoleArn | None = None
    """Role to list the organization with; None lists it with the operator's own credentials."""
    external_id: ExternalId | None = None
    account_role: AccountRole = AccountRole()
    include: Include = Include()
    exclude: Exclude = Exclude()
    refresh_interval: Duration = DEFAULT_REFRESH

    def __post_init__(self) -> None:
        if self.external_id and not self.role_arn:
            raise WrongField("externalId", "needs roleArn")
        check_within("refreshInterval", self.refresh_interval, MIN_REFRESH, MAX_REFRESH)

    @property
    def units(self) -> frozenset[str]:
        """Every unit that the spec names."""
        return frozenset(self.include.organizational_units) | frozenset(self.exclude.organizational_units)

    @property
    def by_tags(self) -> bool:
        """Whether the accounts' tags must be known."""
        return bool(self.include.tags or self.exclude.tags)


prepare(Organization, AccountRole, Include, Exclude)
