"""The accounts of one policy, as a pass takes them: those that its spec names, and those of its organization. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from mfa_operator.api.enums import ConditionReason
from mfa_operator.api.policy import Account, PolicySpec
from mfa_operator.api.text import one_line
from mfa_operator.organization.discovery import Discovery
from mfa_operator.organization.listing import Member

MAX_NAME = 64
"""Characters of an account's name in status. AWS takes 50 where an account is made, 128 in its model."""
JOINING = timedelta(hours=1)
"""How long the StackSet that brings the role may be on its way to an account that has joined."""


@dataclass(frozen=True, slots=True)
class AccountList:
    """The accounts that a policy covers, each id once."""

    accounts: tuple[Account, ...] = ()
    members: Mapping[str, Member] = field(default_factory=dict)
    """What the organization says of them, by id; of accounts outside it nothing."""
    typed: frozenset[str] = frozenset()
    """Ids that the spec names; the other accounts were discovered."""
    organization_id: str = ""
    """Id of the organization; "" where it is not known."""
    management_id: str = ""
    """Id of the organization's management account; "" where it is not known."""
    skipped: int = 0
    """Accounts of the organization that are suspended or closed."""
    excluded: int = 0
    """Accounts of the organization that the spec leaves out."""
    inactive: frozenset[str] = frozenset()
    """Ids of the skipped ones: they may come back, so their reports stay."""
    complete: bool = True
    """Whether the spec alone, or a complete listing, stands behind the list: what it lacks is gone."""
    settled: bool = True
    """Whether the list was made for the spec as it is now; if not, discovered accounts are not remediated."""
    discovery: Discovery | None = None
    """How the discovery stands; None where the spec names every account."""

    @classmethod
    def of(cls, spec: PolicySpec) -> AccountList:
        """The accounts that the spec names."""
        return cls(spec.accounts, typed=frozenset(account.id for account in spec.accounts))

    def __iter__(self) -> Iterator[Account]:
        return iter(self.accounts)

    def covers(self, account_id: str) -> bool:
        return account_id in self.typed or account_id in self.members

    def by_id(self) -> dict[str, Account]:
        return {account.id: account for account in self.accounts}

    def refuses(self, account_id: str) -> bool:
        """Whether the account must not be asked: it was discovered, and the namespace may not discover any more."""
        not_allowed = self.discovery is not None and self.discovery.reason is ConditionReason.NOT_ALLOWED
        return not_allowed and account_id not in self.typed

    def organization_of(self, account_id: str) -> str:
        """Id of the organization that the account was discovered in; "" where it was not, or nobody knows."""
        return self.organization_id if account_id in self.members and account_id not in self.typed else ""

    def may_remediate(self, account_id: str) -> bool:
        return self.settled or account_id in self.typed

    def joined_lately(self, account_id: str, now: datetime) -> datetime | None:
        """When the account joined the organization, where that was within the last hour."""
        member = self.members.get(account_id)
        return member.joined if member and member.joined and now - member.joined < JOINING else None


def merged(spec: PolicySpec, partition: str, members: Collection[Member]) -> tuple[Account, ...]:
    """Typed accounts first, then the discovered ones that no entry of the spec stands for.

    A typed entry without a name gets the discovered one.
    """
    by_id = {member.id: member for member in members}
    typed = {account.id: _named(account, by_id.get(account.id)) for account in spec.accounts}
    return (*typed.values(), *_discovered(spec, partition, (each for each in members if each.id not in typed)))


def _discovered(spec: PolicySpec, partition: str, members: Iterable[Member]) -> Iterator[Account]:
    if spec.organization is None:
        return
    role = spec.organization.account_role
    for member in members:
        yield Account(
            id=member.id,
            name=one_line(member.name, MAX_NAME),
            role_arn=role.arn(partition, member.id),
            external_id=role.external_id,
        )


def _named(account: Account, member: Member | None) -> Account:
    if account.name or member is None:
        return account
    return msgspec.structs.replace(account, name=one_line(member.name, MAX_NAME))
