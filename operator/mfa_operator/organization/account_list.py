"""The accounts of one policy, as a pass takes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mfa_operator.api.policy import Account, PolicySpec


@dataclass(frozen=True, slots=True)
class AccountList:
    """The accounts that a policy covers, each id once."""

    accounts: tuple[Account, ...] = ()

    @classmethod
    def of(cls, spec: PolicySpec) -> AccountList:
        """The accounts that the spec names."""
        return cls(spec.accounts)

    def __iter__(self) -> Iterator[Account]:
        return iter(self.accounts)

    def __len__(self) -> int:
        return len(self.accounts)

    def by_id(self) -> dict[str, Account]:
        return {account.id: account for account in self.accounts}
