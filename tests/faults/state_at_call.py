"""How things really are at the moment of a call that changes something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mfa_operator.api.conversion import from_dict
from mfa_operator.api.enums import RemediationAction
from mfa_operator.api.objects import PolicyRef, report_name
from mfa_operator.api.policy import Account as PolicyAccount
from mfa_sandbox.aws import Account
from tests.fixtures.remediation_harness import RemediationHarness


@dataclass(frozen=True)
class StateAtCall:
    """How things are at the moment of a call."""

    policy: PolicyRef
    specs: dict[PolicyRef, dict[str, Any]]
    protected: frozenset[str]
    """Users with an accepted device, or without a password."""
    there: frozenset[str]
    allowed: RemediationAction
    held_elsewhere: frozenset[str]
    """Users that another policy's report says it holds under quarantine."""


def state_now(harness: RemediationHarness, account: Account, policy: PolicyRef) -> StateAtCall:
    """The state now, while a pass over `policy` runs."""
    spec = harness.cluster.policies[policy]["spec"]
    [entry] = spec["accounts"]
    allowed = harness.rules.max_action(policy.namespace, from_dict(PolicyAccount, entry))
    own = policy.namespace, report_name(policy, account.id)
    return StateAtCall(
        policy,
        {ref: body["spec"] for ref, body in harness.cluster.policies.items()},
        frozenset(user.name for user in account.users() if user.mfa_serials or not user.has_password),
        frozenset(user.name for user in account.users()),
        allowed if harness.rules.remediation else RemediationAction.NONE,
        frozenset(
            finding.user
            for key, report in harness.cluster.reports.items()
            if key != own
            for finding in report.status.findings
            if finding.remediation and finding.remediation.holds_quarantine
        ),
    )
