"""What a pass would do and why not, worked out without a cluster and without touching anything."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import chain

import msgspec

from mfa_operator.api.conversion import prepare
from mfa_operator.api.enums import RefusalReason, RemediationAction, UserState
from mfa_operator.api.policy import Account
from mfa_operator.aws.errors import AwsFailure
from mfa_operator.config.access_rules import AccessRules
from mfa_operator.offline.audit import PolicyResult
from mfa_operator.offline.policy_files import Previous
from mfa_operator.passes.auditor import Auditor
from mfa_operator.remediation.inputs import AccountPass, quarantined_users
from mfa_operator.remediation.planner import Decision, refusal_message
from mfa_operator.remediation.planning import make_plan
from mfa_operator.remediation.quarantines import AccountQuarantines


class PlannedUser(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One user and what would be done about them."""

    account_id: str
    account_name: str = ""
    user: str
    state: UserState
    deadline: datetime | None = None
    action: RemediationAction
    acts: bool
    """Whether a pass now would take the action."""
    reason: str = ""
    """Why not."""
    message: str = ""


def plan_policy(
    result: PolicyResult, auditor: Auditor, access: AccessRules, published: Previous, now: datetime
) -> list[PlannedUser]:
    """The plan for every audited account of one policy, in the order in which it would be carried out."""
    planned: list[PlannedUser] = []
    for account in result.listed:
        audit = result.audits.get(account.id)
        if audit is None:
            continue
        try:
            decisions = _decide(result, account, auditor, access, published, now)
            planned.extend(_planned(account, decision) for decision in decisions)
        except AwsFailure as error:
            action = result.policy.spec.remediation.action
            refused = (Decision(verdict, action, RefusalReason.LOOKUP_DENIED) for verdict in audit.verdicts)
            planned.extend(
                _planned(account, decision, str(error))
                for decision in refused
                if decision.verdict.state is UserState.OVERDUE
            )
    return planned


def _decide(
    result: PolicyResult, account: Account, auditor: Auditor, access: AccessRules, published: Previous, now: datetime
) -> Sequence[Decision]:
    report = published.get((result.policy.ref, account.id))
    inputs = AccountPass.of(result.policy, account, result.audits[account.id], report, now)
    session = auditor.collector(account).session

    def others() -> frozenset[str]:
        """Users whom the other policies hold under quarantine, as far as their reports are known here."""
        known = (
            status.findings
            for (ref, account_id), status in published.items()
            if account_id == account.id and ref != result.policy.ref
        )
        return quarantined_users(chain.from_iterable(known))

    quarantines = AccountQuarantines(result.policy, session, others)
    return make_plan(inputs, inputs.verdicts, access, session, quarantines).decisions


def _planned(account: Account, decision: Decision, why: str = "") -> PlannedUser:
    verdict = decision.verdict
    return PlannedUser(
        account_id=account.id,
        account_name=account.name,
        user=verdict.user,
        state=verdict.state,
        deadline=verdict.deadline,
        action=decision.action,
        acts=decision.acts,
        reason=decision.refusal or "",
        message=why or (refusal_message(decision.refusal) if decision.refusal else ""),
    )


prepare(PlannedUser)
