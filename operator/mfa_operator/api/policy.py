"""MfaPolicy.spec as frozen typed models: what a person asks for.

The field names and bounds are those of deploy/crds/mfapolicies.yaml; a test holds the two equal.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from mfa_operator.api.conversion import WrongField, prepare
from mfa_operator.api.duration import Duration, hours, minutes
from mfa_operator.api.enums import DeviceType, RemediationAction, RootRequirement, UserScope
from mfa_operator.api.fields import (
    AccountId,
    AwareDatetime,
    ExternalId,
    Model,
    RoleArn,
    Tags,
    check_each_once,
    check_tags,
    check_within,
)
from mfa_operator.api.organization import Organization

UserGlob = Annotated[str, Meta(min_length=1, max_length=512)]

MIN_INTERVAL, DEFAULT_INTERVAL, MAX_INTERVAL = minutes(1), minutes(15), hours(24)
MAX_STALENESS, MAX_GRACE = hours(24), hours(8760)


class Account(Model, frozen=True):
    """One AWS account to audit."""

    id: AccountId
    name: Annotated[str, Meta(min_length=1, max_length=64)] = ""
    """What people see; the id where empty."""
    role_arn: RoleArn | None = None
    """Role to assume; None audits with the operator's own credentials."""
    external_id: ExternalId | None = None

    @property
    def partition(self) -> str | None:
        """AWS partition of the role (`aws`, `aws-cn`, …); None where no role is named."""
        return self.role_arn.split(":")[1] if self.role_arn else None

    def __post_init__(self) -> None:
        if self.role_arn and self.role_arn.split(":")[4] != self.id:
            raise WrongField("roleArn", f"is in account {self.role_arn.split(':')[4]}, but id is {self.id}")
        if self.external_id and not self.role_arn:
            raise WrongField("externalId", "needs roleArn")


class Requirement(Model, frozen=True):
    """What is asked of users and root."""

    users: UserScope = UserScope.CONSOLE
    root: RootRequirement = RootRequirement.IGNORE
    device_types: Annotated[tuple[DeviceType, ...], Meta(min_length=1, max_length=4)] = (
        DeviceType.VIRTUAL,
        DeviceType.SECURITY_KEY,
        DeviceType.HARDWARE_TOKEN,
    )

    @property
    def accepted(self) -> frozenset[DeviceType]:
        """Device types of which any one suffices."""
        return frozenset(self.device_types)

    def __post_init__(self) -> None:
        check_each_once("deviceTypes", self.device_types)


class Exemption(Model, frozen=True):
    """Users who may go without MFA, why, and until when."""

    users: Annotated[tuple[UserGlob, ...], Meta(min_length=1, max_length=50)]
    reason: Annotated[str, Meta(min_length=1, max_length=256)]
    accounts: Annotated[tuple[AccountId, ...], Meta(min_length=1, max_length=1000)] = ()
    tags: Tags = msgspec.field(default_factory=dict)
    expires: AwareDatetime | None = None

    def __post_init__(self) -> None:
        check_each_once("users", self.users)
        check_each_once("accounts", self.accounts)
        check_tags(self.tags)

    def active(self, now: datetime) -> bool:
        """Whether it counts at `now`: from the moment that it expires on it does not."""
        return self.expires is None or now < self.expires


class Remediation(Model, frozen=True):
    """What may be done about Overdue users, and how much of it."""

    action: RemediationAction = RemediationAction.NONE
    dry_run: bool = True
    max_per_pass: Annotated[int, Meta(ge=1, le=5000)] = 5
    """Actions per account and pass."""
    max_percent: Annotated[int, Meta(ge=1, le=100)] = 10
    """Per cent of an account's console users per pass."""
    quarantine_access_keys: bool = False

    def __post_init__(self) -> None:
        if self.quarantine_access_keys and self.action is not RemediationAction.QUARANTINE:
            raise WrongField("quarantineAccessKeys", "needs action QuarantineUntilMfa")


class PolicySpec(Model, frozen=True):
    """MfaPolicy.spec."""

    suspend: bool = False
    interval: Duration = DEFAULT_INTERVAL
    accounts: Annotated[tuple[Account, ...], Meta(min_length=1, max_length=1000)] = ()
    organization: Organization | None = None
    requirement: Requirement = Requirement()
    max_staleness: Duration = hours(4)
    grace_period: Duration = hours(168)
    exemptions: Annotated[tuple[Exemption, ...], Meta(max_length=100)] = ()
    remediation: Remediation = Remediation()

    def __post_init__(self) -> None:
        if not self.accounts and self.organization is None:
            raise WrongField("accounts", "nothing to audit: give accounts, organization, or both")
        check_within("interval", self.interval, MIN_INTERVAL, MAX_INTERVAL)
        check_within("maxStaleness", self.max_staleness, hours(0), MAX_STALENESS)
        check_within("gracePeriod", self.grace_period, hours(0), MAX_GRACE)
        check_each_once("accounts", (account.id for account in self.accounts))


prepare(PolicySpec, Account, Requirement, Exemption, Remediation)
