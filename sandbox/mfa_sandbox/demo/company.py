"""The made-up company: an organization with users of every state, and the policies that judge them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mfa_operator.api.enums import API_VERSION
from mfa_sandbox.aws import EmbeddedAws, Unit

NAMESPACE = "mfa-demo"
PROD, STAGING, AGENCY, OLD = "111122223333", "222233334444", "333344445555", "444455556666"
NEW, ACQUIRED = "555566667777", "666677778888"
EXTERNAL_ID = "acme-7f3a"
LOSE_USER = "bob"
"""The user whose virtual device people are invited to take away."""
TRY_USER = "alice"
"""The user whom people are invited to give MFA."""


@dataclass(frozen=True)
class Company:
    """What policies say of it."""

    agencies: Unit
    accounts: int


def populate(aws: EmbeddedAws) -> Company:
    """Fill the embedded AWS. The home account manages the organization."""
    _users(aws)
    world = aws.world
    organization = world.create_organization()
    workloads, agencies = organization.unit("Workloads"), organization.unit("Agencies")
    production, staging = organization.unit("Production", workloads), organization.unit("Staging", workloads)
    long_ago, just_now = world.now() - timedelta(days=400), world.now() - timedelta(minutes=5)
    organization.rename(world.home_id, "acme-management")
    organization.join(PROD, "payments-prod", production, joined=long_ago)
    organization.join(STAGING, "web-staging", staging, joined=long_ago)
    organization.join(AGENCY, "agency", agencies, joined=long_ago, method="INVITED")
    organization.join(OLD, "legacy-shop", production, joined=long_ago, state="SUSPENDED")
    # Nobody has made the role in these two: the one has just joined, the other was forgotten.
    organization.join(NEW, "data-lake", production, joined=just_now)
    organization.join(ACQUIRED, "acquired-crm", workloads, joined=long_ago, method="INVITED")
    return Company(agencies, len(organization.members))


def _users(aws: EmbeddedAws) -> None:
    world = aws.world
    now = world.now()
    world.home.root(password=True, mfa="hardware")

    prod = world.account(PROD, external_id=EXTERNAL_ID)
    prod.user(TRY_USER, path="/eng/", password=True, password_last_used=now - timedelta(days=1))
    prod.user("bob", path="/eng/", password=True, mfa=["virtual"], password_last_used=now - timedelta(hours=3))
    prod.user("carol", path="/eng/", password=True, mfa=["security_key"])
    prod.user("dave", path="/ops/", password=True, mfa=["hardware"])
    prod.user("erin", path="/ops/", password=True, mfa=["sms"])
    prod.user("ci-deploy", access_keys=2)
    prod.user("break-glass-1", password=True)
    prod.user("partner", password=True, tags={"mfa-exempt": "true"})
    prod.root(password=True, mfa="virtual")

    staging = world.account(STAGING, external_id=EXTERNAL_ID)
    staging.user("frank", password=True, password_last_used=None)
    staging.user("grace", password=True, mfa=["virtual", "security_key"])
    staging.user("judy", password=True)
    # A role that may not look at this one user: Unknown, never compliant.
    aws.faults.add("ListMFADevices", "access_denied", account=STAGING, user="judy", times=None)
    staging.root(password=False)

    agency = world.account(AGENCY, external_id=EXTERNAL_ID)
    for name in ("heidi", "ivan", "mallory"):
        agency.user(name, path="/contractors/", password=True, access_keys=1)
    agency.user("niaj", path="/contractors/", password=True, mfa=["virtual"])
    agency.root(password=False)


def policies(namespace: str, company: Company) -> list[dict[str, Any]]:
    """The policies to apply: the company's own users, and contractors, who get no grace."""
    role = {"externalId": EXTERNAL_ID}
    agencies = {"organizationalUnits": [company.agencies.id]}
    employees = {
        "interval": "1m",
        "organization": {"accountRole": role, "exclude": agencies},
        "requirement": {"root": "Mfa"},
        "exemptions": [
            {"users": ["break-glass-*"], "reason": "Sealed break-glass users, checked monthly"},
            {"users": ["*"], "tags": {"mfa-exempt": "true"}, "reason": "Partners with MFA at their own side"},
        ],
    }
    contractors = {
        "interval": "2m",
        "organization": {"accountRole": role, "include": agencies},
        "gracePeriod": "0s",
        "remediation": {"action": "QuarantineUntilMfa", "dryRun": True, "maxPercent": 50},
    }
    return [
        {
            "apiVersion": API_VERSION,
            "kind": "MfaPolicy",
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        }
        for name, spec in (("employees", employees), ("contractors", contractors))
    ]


ACCESS_RULES = """\
# What the operator itself allows; policies can ask for no more.
access:
  - namespaces: [mfa-demo]
    organization: true
    remediation: QuarantineUntilMfa
"""
