"""Which accounts a policy covers, from where, by which role, and which are skipped and why. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from mfa_operator.api.conversion import prepare
from mfa_operator.api.objects import Policy
from mfa_operator.api.policy import Account
from mfa_operator.config.access_rules import AccessRules
from mfa_operator.organization.account_list import merged
from mfa_operator.organization.listing import Listing, Member
from mfa_operator.organization.selection import Skipped, select
from mfa_operator.reporting.wording import many

NOT_ALLOWED = "NotAllowed"
"""The operator's access rules refuse it."""


class Source(StrEnum):
    """Where a policy has an account from."""

    SPEC = "spec"
    """spec.accounts"""
    ORGANIZATION = "organization"


class CoveredAccount(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One account, as `mfa-operator accounts` shows it."""

    id: str
    name: str
    path: str
    """Names of the organizational units above it, from the top, `/Production/Payments`; ids where AWS does not give
    the names, "/" directly below the root, "" outside an organization."""
    role_arn: str | None
    """None: the operator's own credentials."""
    source: Source
    skipped: str | None
    """Why it is not audited; None where it is."""


def covered_accounts(
    policy: Policy, listing: Listing | None, access: AccessRules, unit_names: Mapping[str, str]
) -> list[CoveredAccount]:
    """Every account of the spec and of the organization, by name. `unit_names`: by the id of the unit.

    Raises UnknownUnits and NotAsked, as `select` does.
    """
    spec, namespace = policy.spec, policy.ref.namespace
    members = {member.id: member for member in listing.members} if listing else {}
    accounts = merged(spec, listing.partition, listing.members) if listing else spec.accounts
    named = {account.id for account in spec.accounts}
    skipped = select(spec.organization, listing).skipped if listing and spec.organization else {}

    def row(account: Account) -> CoveredAccount:
        typed = account.id in named
        why: str | None = None if typed else skipped.get(account.id)
        if why is None and not access.allows(namespace, account):
            why = NOT_ALLOWED
        return CoveredAccount(
            id=account.id,
            name=account.name,
            path=_path(members.get(account.id), unit_names),
            role_arn=account.role_arn,
            source=Source.SPEC if typed else Source.ORGANIZATION,
            skipped=why,
        )

    return sorted(map(row, accounts), key=lambda each: (each.name.casefold() or each.id, each.id))


def totals(accounts: Iterable[CoveredAccount]) -> str:
    """`7 accounts: 4 to audit (1 from spec.accounts, 3 from the organization), 1 skipped (1 Suspended), 2 excluded`."""
    accounts = tuple(accounts)
    sources = Counter(each.source for each in accounts if each.skipped is None)
    reasons = Counter(each.skipped for each in accounts if each.skipped is not None)
    words = {Source.SPEC: "spec.accounts", Source.ORGANIZATION: "the organization"}
    parts = ", ".join(f"{sources[source]} from {words[source]}" for source in Source if sources[source])
    text = f"{many(len(accounts), 'account')}: {sources.total()} to audit" + (f" ({parts})" if parts else "")
    excluded = reasons.pop(Skipped.EXCLUDED, 0)
    if reasons:
        by_count = sorted(reasons.items(), key=lambda each: (-each[1], each[0]))
        listed = ", ".join(f"{count} {reason}" for reason, count in by_count)
        text += f", {reasons.total()} skipped ({listed})"
    return text + (f", {excluded} excluded" if excluded else "")


def _path(member: Member | None, unit_names: Mapping[str, str]) -> str:
    if member is None:
        return ""
    return "/" + "/".join(unit_names.get(unit, unit) for unit in member.units if not unit.startswith("r-"))


prepare(CoveredAccount)
