"""A world in which the operator has everything to show that the dashboard draws."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from mfa_sandbox.aws import Account, EmbeddedAws

NAMESPACE = "security"
PROD, STAGING, AGENCY, LEAVERS = "111122223333", "222233334444", "333344445555", "444455556666"
CLOSED, FORBIDDEN, LOST = "555566667777", "666677778888", "777788889999"
EMPLOYEES, CONTRACTORS, LEFT = "employees", "contractors", "left"

ACCESS_RULES = f"""\
access:
  - accounts: ["{PROD}", "{STAGING}", "{CLOSED}", "{LOST}"]
    organization: true
  - accounts: ["{AGENCY}"]
    remediation: QuarantineUntilMfa
  - accounts: ["{LEAVERS}"]
    remediation: RemoveConsoleAccess
"""

USERS: dict[tuple[str, str], dict[str, int]] = {
    (EMPLOYEES, PROD): {"compliant": 2, "violating": 1, "exempt": 1, "no_console": 1},
    (EMPLOYEES, STAGING): {"compliant": 1, "unknown": 1},
    # As it was seen last.
    (EMPLOYEES, CLOSED): {"compliant": 1, "violating": 2},
    # Quarantined users stay overdue.
    (CONTRACTORS, AGENCY): {"compliant": 1, "overdue": 3},
    # leaver-1 has lost the password, that of leaver-2 cannot be removed.
    (LEFT, LEAVERS): {"overdue": 1, "no_console": 1},
}
"""What the operator shows in the end, by policy and account: users by state, without the states of none."""
NOT_AUDITED = {CLOSED, FORBIDDEN, LOST}


def populate(aws: EmbeddedAws) -> Account:
    """Fill the embedded AWS; returns the account that is to be closed once it was audited."""
    world = aws.world
    prod = world.account(PROD)
    prod.user("alice", password=True)
    prod.user("bob", password=True, mfa=["virtual"])
    prod.user("carol", password=True, mfa=["security_key"])
    prod.user("break-glass-1", password=True)
    prod.user("ci-deploy", access_keys=1)

    staging = world.account(STAGING)
    staging.user("grace", password=True, mfa=["virtual"])
    staging.user("judy", password=True)
    aws.faults.add("ListMFADevices", "access_denied", account=STAGING, user="judy", times=None)
    aws.faults.add("ListUsers", "throttling", account=STAGING)
    # Audited without a credential report, user by user.
    aws.faults.add("GetCredentialReport", "report_not_present", account=STAGING, times=None)

    agency = world.account(AGENCY)
    for name in ("heidi", "ivan", "mallory"):
        agency.user(name, password=True)
    agency.user("niaj", password=True, mfa=["virtual"])

    leavers = world.account(LEAVERS)
    leavers.user("leaver-1", password=True)
    leavers.user("leaver-2", password=True)
    aws.faults.add("DeleteLoginProfile", "access_denied", account=LEAVERS, user="leaver-2", times=None)

    closed = world.account(CLOSED)
    closed.user("peggy", password=True, mfa=["virtual"])
    closed.user("trent", password=True)
    closed.user("victor", password=True)

    world.create_organization().join(LEAVERS)

    world.account(FORBIDDEN)
    world.account(LOST).suspended = True
    return closed


def policies(aws: EmbeddedAws) -> list[dict[str, Any]]:
    """The policies to apply."""
    expires = (aws.world.now() + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    at_once = {"gracePeriod": "0s"}
    specs: dict[str, dict[str, Any]] = {
        EMPLOYEES: {
            "accounts": _accounts(PROD, STAGING, CLOSED, FORBIDDEN, LOST),
            "gracePeriod": "168h",
            "exemptions": [{"users": ["break-glass-*"], "reason": "Sealed, checked monthly", "expires": expires}],
        },
        CONTRACTORS: {
            "accounts": _accounts(AGENCY),
            **at_once,
            "remediation": {"action": "QuarantineUntilMfa", "dryRun": False, "maxPerPass": 1, "maxPercent": 100},
        },
        LEFT: {
            "accounts": _accounts(LEAVERS),
            "organization": {"exclude": {"accounts": [aws.world.home_id]}},
            **at_once,
            "remediation": {"action": "RemoveConsoleAccess", "dryRun": False, "maxPerPass": 2, "maxPercent": 100},
        },
    }
    return [
        {
            "apiVersion": "mfa-operator.io/v1alpha1",
            "kind": "MfaPolicy",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": spec,
        }
        for name, spec in specs.items()
    ]


def _accounts(*ids: str) -> list[dict[str, str]]:
    return [{"id": each, "roleArn": f"arn:aws:iam::{each}:role/mfa-operator"} for each in ids]
