"""The plan for one account, made in one way for the operator's passes and for `mfa-operator plan`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mfa_operator.aws.sessions import AccountSession
from mfa_operator.config.access_rules import AccessRules
from mfa_operator.evaluation.verdicts import Verdict
from mfa_operator.remediation.inputs import AccountPass
from mfa_operator.remediation.own_users import own_users
from mfa_operator.remediation.planner import Decision, Terms, plan
from mfa_operator.remediation.quarantines import AccountQuarantines


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, and about whom nothing needs to be."""

    decisions: tuple[Decision, ...]
    """In the order in which the actions are to be taken."""
    in_force: frozenset[str]
    """Users who are under the quarantine that the policy asks for."""


def make_plan(
    inputs: AccountPass,
    verdicts: Sequence[Verdict],
    rules: AccessRules,
    session: AccountSession,
    quarantines: AccountQuarantines,
) -> Plan:
    """Plan for these users. Raises AwsFailure, ClusterError: where AWS does not answer, nothing is planned."""
    in_force = quarantines.in_force(verdicts)
    terms = Terms(
        remediation=inputs.policy.spec.remediation,
        switched_on=rules.remediation,
        permitted=rules.permits(inputs.policy.ref.namespace, inputs.account, inputs.action),
        own_users=own_users(session, inputs.snapshot.own_user, verdicts),
        console_users=inputs.console_users,
        now=inputs.now,
        taken=inputs.taken({verdict.user for verdict in verdicts}),
    )
    return Plan(tuple(plan(verdicts, inputs.published, terms, in_force=in_force)), in_force)
