"""The accounts of one policy's organization: the list in force, and how a newer listing replaces it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mfa_operator.api.conversion import rfc3339
from mfa_operator.api.organization import Organization
from mfa_operator.api.policy import PolicySpec
from mfa_operator.organization.account_list import AccountList, merged
from mfa_operator.organization.discovery import Discovery
from mfa_operator.organization.listing import Listing, Member
from mfa_operator.organization.selection import Skipped, select


@dataclass(frozen=True, slots=True)
class Standing:
    """The list in force of one policy."""

    members: tuple[Member, ...] = ()
    """Who is audited."""
    inactive: frozenset[str] = frozenset()
    """Ids of the accounts that are suspended or closed."""
    skipped: int = 0
    excluded: int = 0
    partition: str = "aws"
    management_id: str = ""
    listing: Listing | None = None
    """The complete listing that it was selected from; None where it was restored from reports, or is empty."""
    spec: Organization | None = None
    """What it was selected by; None where nobody knows any more."""
    in_force: bool = False
    """Whether a complete listing was behind it, of this process or of an earlier one."""

    def updated(self, spec: Organization, listing: Listing) -> Standing:
        """By a complete listing and the spec as it is now. Raises UnknownUnits and NotAsked: then this one stays."""
        if self.listing is listing and self.spec == spec:
            return self
        selection = select(spec, listing)
        return Standing(
            members=selection.audited,
            inactive=frozenset(each for each, why in selection.skipped.items() if why is not Skipped.EXCLUDED),
            skipped=selection.inactive,
            excluded=selection.excluded,
            partition=listing.partition,
            management_id=listing.management_id,
            listing=listing,
            spec=spec,
            in_force=True,
        )

    def account_list(self, spec: PolicySpec, discovery: Discovery) -> AccountList:
        """The policy's accounts, typed and discovered. What the spec excludes by its id is never among them."""
        excluded = frozenset(spec.organization.exclude.accounts if spec.organization else ())
        members = [member for member in self.members if member.id not in excluded]
        return AccountList(
            accounts=merged(spec, self.partition, members),
            members={member.id: member for member in members},
            typed=frozenset(account.id for account in spec.accounts),
            management_id=self.management_id,
            skipped=self.skipped,
            excluded=self.excluded,
            inactive=self.inactive,
            complete=self.listing is not None and self.spec == spec.organization,
            settled=self.spec == spec.organization,
            discovery=replace(
                discovery,
                in_force=self.in_force,
                last_success=self.listing.listed_at if self.listing else None,
            ),
        )

    @property
    def in_words(self) -> str:
        """What is audited while nothing newer is known."""
        if self.listing:
            return f"the list of {rfc3339(self.listing.listed_at)} stays in force"
        if self.members:
            return "the accounts that the reports name are audited until then"
        return "no account of it is known yet"
