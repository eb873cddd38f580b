"""The accounts of some policies, those of organizations included, for the commands without a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mfa_operator.api.enums import ConditionReason
from mfa_operator.api.objects import Policy
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

    @property
    def advice(self) -> str:
        """What to do about the problem."""
        discovery = self.accounts.discovery
        return _ADVICE.get(discovery.reason, "") if discovery else ""


_ADVICE: Mapping[ConditionReason, str] = {
    ConditionReason.DISCOVERY_DENIED: (
        "Grant the permissions of docs/aws-setup.md, step 2, to whoever lists, or run this command where the operator's"
        " credentials are: kubectl -n mfa-operator exec -i deploy/mfa-operator -- mfa-operator accounts -f -"
        " < policy.yaml"
    ),
    ConditionReason.NOT_IN_USE: (
        "Use credentials of the organization's management account or of a delegated administrator, or name a role there"
        " in spec.organization.roleArn."
    ),
    ConditionReason.NOT_ALLOWED: "Set organization: true on the first rule of --config that matches the namespace.",
    ConditionReason.DISCOVERY_FAILED: "Try again; AWS's limit is shared by everybody who lists the organization.",
}
"""What to do, by what is wrong."""


def list_accounts(
    policies: Sequence[Policy], sessions: Sessions, access: AccessRules, progress: Progress
) -> list[Listed]:
    """The accounts of every policy, in order. Policies that list by the same role share one listing.

    Raises SettingsError for a policy that names a unit which its organization does not have.
    """
    sharing: dict[Lister, list[Organization]] = {}
    for policy in policies:
        organization = policy.spec.organization
        if organization and access.may_discover(policy.ref.namespace, organization.role_arn):
            sharing.setdefault(Lister.of(organization), []).append(organization)
    outcomes = {lister: _list(sessions, lister, specs, progress) for lister, specs in sharing.items()}
    return [_listed(policy, outcomes) for policy in policies]


_Outcome = tuple[OrganizationLister, Listing] | AwsFailure


def _list(sessions: Sessions, lister: Lister, specs: Sequence[Organization], progress: Progress) -> _Outcome:
    try:
        worker = OrganizationLister(sessions, lister)
        return worker, worker.list(specs, progress)
    except AwsFailure as error:
        return error


def covered(policy: Policy, listed: Listed, access: AccessRules, progress: Progress) -> list[CoveredAccount]:
    """Every account of the policy, the skipped ones included, with the names of its units."""
    names = listed.lister.unit_names(listed.listing, progress) if listed.lister and listed.listing else {}
    return covered_accounts(policy, listed.listing, access, names)


def _listed(policy: Policy, outcomes: Mapping[Lister, _Outcome]) -> Listed:
    organization = policy.spec.organization
    if organization is None:
        return Listed(AccountList.of(policy.spec))
    lister = Lister.of(organization)
    outcome = outcomes.get(lister)
    if outcome is None:
        return _not_listed(policy, discovery_words.not_allowed(policy.ref, organization))
    if isinstance(outcome, AwsFailure):
        return _not_listed(policy, Discovery(*discovery_words.what_failed(outcome, lister)))
    worker, listing = outcome
    try:
        standing = Standing().updated(organization, listing)
    except UnknownUnits as error:
        units = "unit" if len(error.units) == 1 else "units"
        raise SettingsError(
            f"MfaPolicy {policy.ref}: spec.organization: organization {listing.organization_id} has no {units} {error}"
        ) from error
    discovery = discovery_words.discovered(listing, standing)
    return Listed(standing.account_list(policy.spec, discovery), listing, worker)


def _not_listed(policy: Policy, discovery: Discovery) -> Listed:
    return Listed(Standing().account_list(policy.spec, discovery))
