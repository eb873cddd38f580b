"""The accounts of some policies, those of organizations included, for the commands without a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mfa_operator.api.objects import Policy, PolicyRef
from mfa_operator.api.organization import Organization
from mfa_operator.aws.errors import AwsFailure
from mfa_operator.aws.organization import Lister, OrganizationLister
from mfa_operator.aws.sessions import Sessions
from mfa_operator.config.access_rules import AccessRules
from mfa_operator.config.settings import SettingsError
from mfa_operator.offline.covered import CoveredAccount, covered_accounts
from mfa_operator.organization.account_list import AccountList
from mfa_operator.organization.discovery import Discovery
from mfa_operator.organization.listing import Listing
from mfa_operator.organization.selection import UnknownUnits
from mfa_operator.organization.standing import Standing
from mfa_operator.passes import discovery_words

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Listed:
    """The accounts of one policy, and the listing behind them."""

    accounts: AccountList
    listing: Listing | None = None
    """None: the policy has no organization, or it could not be listed; `problem` says why."""
    lister: OrganizationLister | None = None

    @property
    def problem(self) -> str:
        """Why the organization was not listed; empty where it was, or where there is none."""
        discovery = self.accounts.discovery
        return discovery.message if discovery and not discovery.succeeded else ""


def list_accounts(
    policies: Sequence[Policy], sessions: Sessions, access: AccessRules, progress: Progress
) -> dict[PolicyRef, Listed]:
    """The accounts of every policy. Policies that list by the same role share one listing.

    Raises SettingsError for a policy that names a unit which its organization does not have.
    """
    found: dict[PolicyRef, Listed] = {}
    sharing: dict[Lister, list[tuple[Policy, Organization]]] = {}
    for policy in policies:
        organization = policy.spec.organization
        if organization is None:
            found[policy.ref] = Listed(AccountList.of(policy.spec))
        elif access.may_discover(policy.ref.namespace, organization.role_arn):
            sharing.setdefault(Lister.of(organization), []).append((policy, organization))
        else:
            found[policy.ref] = _not_listed(policy, discovery_words.not_allowed(policy.ref, organization))
    for lister, sharers in sharing.items():
        try:
            worker = OrganizationLister(sessions, lister)
            listing = worker.list([organization for _, organization in sharers], progress)
        except AwsFailure as error:
            reason, message = discovery_words.what_failed(error, lister)
            found |= {policy.ref: _not_listed(policy, Discovery(reason, message)) for policy, _ in sharers}
        else:
            found |= {policy.ref: _listed(policy, organization, listing, worker) for policy, organization in sharers}
    return found


def covered(policy: Policy, listed: Listed, access: AccessRules, progress: Progress) -> list[CoveredAccount]:
    """Every account of the policy, the skipped ones included, with the names of its units."""
    names = listed.lister.unit_names(listed.listing, progress) if listed.lister and listed.listing else {}
    return covered_accounts(policy, listed.listing, access, names)


def _not_listed(policy: Policy, discovery: Discovery) -> Listed:
    return Listed(Standing().account_list(policy.spec, discovery))


def _listed(policy: Policy, organization: Organization, listing: Listing, worker: OrganizationLister) -> Listed:
    try:
        standing = Standing().updated(organization, listing)
    except UnknownUnits as error:
        units = "unit" if len(error.units) == 1 else "units"
        raise SettingsError(
            f"MfaPolicy {policy.ref}: spec.organization: organization {listing.organization_id} has no {units} {error}"
        ) from error
    discovery = discovery_words.discovered(listing, standing)
    return Listed(standing.account_list(policy.spec, discovery), listing, worker)
