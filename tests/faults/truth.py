"""How things really are at the moment of a call that changes something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mfa_operator.api.conversion import from_dict
from mfa_operator.api.enums import RemediationAction
from mfa_operator.api.objects import PolicyRef, report_name
from mfa_operator.api.policy import Account as PolicyAccount
from mfa_sandbox.aws import Account
from tests.fixtures.remediation_stage import Stage


@dataclass(frozen=True)
class Truth:
    """How things are at the moment of a call."""

    policy: PolicyRef
    specs: dict[PolicyRef, dict[str, Any]]
    protected: frozenset[str]
    """Users with an accepted device, or without a password."""
    there: frozenset[str]
    allowed: RemediationAction
    held_elsewhere: frozenset[str]
    """Users that another policy's report says it holds under quarantine."""


def truth_of(stage: Stage, account: Account, policy: PolicyRef) -> Truth:
    """The truth now, while a pass over `policy` runs."""
    spec = stage.cluster.policies[policy]["spec"]
    [entry] = spec["accounts"]
    allowed = stage.rules.max_action(policy.namespace, from_dict(PolicyAccount, entry))
    own = policy.namespace, report_name(policy, account.id)
    return Truth(
        policy,
        {ref: body["spec"] for ref, body in stage.cluster.policies.items()},
        frozenset(user.name for user in account.users() if user.mfa_serials or not user.has_password),
        frozenset(user.name for user in account.users()),
        allowed if stage.rules.remediation else RemediationAction.NONE,
        frozenset(
            finding.user
            for key, report in stage.cluster.reports.items()
            if key != own
            for finding in report.status.findings
            if finding.remediation and finding.remediation.holds_quarantine
        ),
    )
