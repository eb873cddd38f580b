"""What is said of a discovery in a policy's status: the condition's reason and message."""

from __future__ import annotations

from mfa_operator.api.conversion import rfc3339
from mfa_operator.api.enums import ConditionReason
from mfa_operator.api.objects import PolicyRef
from mfa_operator.api.organization import Organization
from mfa_operator.aws.errors import AwsFailure, CredentialsMissing, Denied
from mfa_operator.aws.organization import Lister
from mfa_operator.organization.discovery import Discovery
from mfa_operator.organization.listing import Listing
from mfa_operator.organization.selection import UnknownUnits
from mfa_operator.organization.standing import OtherOrganization, Standing
from mfa_operator.reporting.wording import many

NOT_IN_USE = "AWSOrganizationsNotInUseException"


def discovered(listing: Listing, standing: Standing) -> Discovery:
    counts = ((standing.skipped, "skipped"), (standing.excluded, "excluded"))
    left_out = "".join(f", {count} {why}" for count, why in counts if count)
    message = (
        f"{many(len(standing.members), 'account')} of organization {listing.organization_id}{left_out};"
        f" listed {rfc3339(listing.listed_at)}"
    )
    return Discovery(ConditionReason.DISCOVERED, message)


def pending(progress: str) -> Discovery:
    """`progress`: how far the listing is; "" before its first answer."""
    return Discovery(
        ConditionReason.PENDING, f"listing the organization: {progress}" if progress else "listing the organization"
    )


def failed(error: Exception, lister: Lister, standing: Standing) -> Discovery:
    reason, message = what_failed(error, lister)
    return Discovery(reason, f"{message}; {standing.in_words}")


def what_failed(error: Exception, lister: Lister) -> tuple[ConditionReason, str]:
    if not isinstance(error, AwsFailure):
        words = f"unexpected {type(error).__name__}: {error}; the traceback is in the operator's log"
        return ConditionReason.DISCOVERY_FAILED, f"listing the organization failed: {words}"
    if error.code == NOT_IN_USE:
        return ConditionReason.NOT_IN_USE, f"the account of {lister} belongs to no organization: {error}"
    if isinstance(error, Denied | CredentialsMissing):
        message = f"{lister} may not list the organization: {error} (docs/aws-setup.md has the permissions)"
        return ConditionReason.DISCOVERY_DENIED, message
    return ConditionReason.DISCOVERY_FAILED, f"listing the organization through {lister} failed: {error}"


def other_organization(error: OtherOrganization, lister: Lister, standing: Standing) -> Discovery:
    known = f"organization {error.known}" if error.known else "another organization: it lists none of them"
    message = (
        f"{lister} lists organization {error.listed}, and the accounts of this policy belong to {known}; by this list"
        " all of them would have left, so it is not used. Correct the role or the operator's credentials or, if the"
        " change is intended, delete the policy and apply it again (docs/runbooks/MfaDiscoveryFailed.md);"
        f" {standing.in_words}"
    )
    return Discovery(ConditionReason.DISCOVERY_FAILED, message)


def unknown_units(error: UnknownUnits, listing: Listing, standing: Standing) -> Discovery:
    units = "unit" if len(error.units) == 1 else "units"
    message = f"organization {listing.organization_id} has no {units} {error}: correct spec.organization"
    return Discovery(ConditionReason.UNKNOWN_UNIT, f"{message}; {standing.in_words}")


def not_allowed(ref: PolicyRef, organization: Organization) -> Discovery:
    through = f"through {organization.role_arn}" if organization.role_arn else "with the operator's own credentials"
    return Discovery(
        ConditionReason.NOT_ALLOWED,
        f"the operator's access rules do not let namespace {ref.namespace} list an organization {through}: the rule"
        " that matches needs organization: true",
    )
