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


class OtherOrganization(Exception):
    """A listing is of another organization than the accounts that are audited: by it, all of them would have left."""

    def __init__(self, known: str, listed: str) -> None:
        """Ids of the two organizations; `known` may be ""."""
        self.known, self.listed = known, listed
        super().__init__(f"{listed}, not {known or 'the one before'}")


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
    organization_id: str = ""
    """Of the organization that the accounts were discovered in; "" where that is not known."""
    unidentified: frozenset[str] = frozenset()
    """Ids of accounts that were discovered in an organization whose id is not known."""
    listing: Listing | None = None
    """The complete listing that it was selected from; None where it was restored from reports, or is empty."""
    spec: Organization | None = None
    """What it was selected by; None where nobody knows any more."""
    in_force: bool = False
    """Whether a complete listing was behind it, of this process or of an earlier one."""

    def updated(self, spec: Organization, listing: Listing) -> Standing:
        """By a complete listing and the spec as it is now.

        Raises OtherOrganization, UnknownUnits and NotAsked: then this one stays.
        """
        if self.listing is listing and self.spec == spec:
            return self
        if self._is_of_another(listing):
            raise OtherOrganization(self.organization_id, listing.organization_id)
        selection = select(spec, listing)
        return Standing(
            members=selection.audited,
            inactive=frozenset(each for each, why in selection.skipped.items() if why is not Skipped.EXCLUDED),
            skipped=selection.inactive,
            excluded=selection.excluded,
            partition=listing.partition,
            management_id=listing.management_id,
            organization_id=listing.organization_id,
            listing=listing,
            spec=spec,
            in_force=True,
        )

    def _is_of_another(self, listing: Listing) -> bool:
        if self.organization_id:
            return listing.organization_id != self.organization_id
        # No account is in two organizations: one that has none of those known before is another one.
        return bool(self.unidentified) and self.unidentified.isdisjoint(member.id for member in listing.members)

    def account_list(self, spec: PolicySpec, discovery: Discovery) -> AccountList:
        """The policy's accounts, typed and discovered. What the spec excludes by its id is never among them."""
        excluded = frozenset(spec.organization.exclude.accounts if spec.organization else ())
        members = [member for member in self.members if member.id not in excluded]
        return AccountList(
            accounts=merged(spec, self.partition, members),
            members={member.id: member for member in members},
            typed=frozenset(account.id for account in spec.accounts),
            organization_id=self.organization_id,
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
