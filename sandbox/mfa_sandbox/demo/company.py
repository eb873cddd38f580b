"""The made-up company: accounts and users of every state, and the policies that judge them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from mfa_operator.api.enums import API_VERSION
from mfa_sandbox.aws import EmbeddedAws

NAMESPACE = "mfa-demo"
PROD, STAGING, AGENCY, OLD = "111122223333", "222233334444", "333344445555", "444455556666"
TRY_USER = "alice"
"""The user whom people are invited to give MFA."""


def populate(aws: EmbeddedAws) -> None:
    """Fill the embedded AWS."""
    world = aws.world
    now = world.now()
    prod = world.account(PROD, external_id="acme-7f3a")
    prod.user(TRY_USER, path="/eng/", password=True, password_last_used=now - timedelta(days=1))
    prod.user("bob", path="/eng/", password=True, mfa=["virtual"], password_last_used=now - timedelta(hours=3))
    prod.user("carol", path="/eng/", password=True, mfa=["security_key"])
    prod.user("dave", path="/ops/", password=True, mfa=["hardware"])
    prod.user("erin", path="/ops/", password=True, mfa=["sms"])
    prod.user("ci-deploy", access_keys=2)
    prod.user("break-glass-1", password=True)
    prod.user("partner", password=True, tags={"mfa-exempt": "true"})
    prod.root(password=True, mfa="virtual")

    staging = world.account(STAGING)
    staging.user("frank", password=True, password_last_used=None)
    staging.user("grace", password=True, mfa=["virtual", "security_key"])
    staging.user("judy", password=True)
    # A role that may not look at this one user: Unknown, never compliant.
    aws.faults.add("ListMFADevices", "access_denied", account=STAGING, user="judy", times=None)
    staging.root(password=False)

    agency = world.account(AGENCY)
    for name in ("heidi", "ivan", "mallory"):
        agency.user(name, path="/contractors/", password=True, access_keys=1)
    agency.user("niaj", path="/contractors/", password=True, mfa=["virtual"])
    agency.root(password=False)

    world.account(OLD).suspended = True


def policies(namespace: str) -> list[dict[str, Any]]:
    """The policies to apply: the company's own users, and contractors, who get no grace."""
    employees = {
        "interval": "1m",
        "accounts": [
            {"id": PROD, "name": "payments-prod", "roleArn": _role(PROD), "externalId": "acme-7f3a"},
            {"id": STAGING, "name": "web-staging", "roleArn": _role(STAGING)},
            {"id": OLD, "name": "closed-account", "roleArn": _role(OLD)},
        ],
        "requirement": {"root": "Mfa"},
        "exemptions": [
            {"users": ["break-glass-*"], "reason": "Sealed break-glass users, checked monthly"},
            {"users": ["*"], "tags": {"mfa-exempt": "true"}, "reason": "Partners with MFA at their own side"},
        ],
    }
    contractors = {
        "interval": "2m",
        "gracePeriod": "0s",
        "accounts": [{"id": AGENCY, "name": "agency", "roleArn": _role(AGENCY)}],
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
    remediation: QuarantineUntilMfa
"""


def _role(account_id: str) -> str:
    return f"arn:aws:iam::{account_id}:role/mfa-operator"
