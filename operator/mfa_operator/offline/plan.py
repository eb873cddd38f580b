"""What a pass would do and why not, worked out without a cluster and without touching anything."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from mfa_operator.api.conversion import prepare
from mfa_operator.api.enums import RefusalReason, RemediationAction, UserState
from mfa_operator.api.objects import PolicyRef
from mfa_operator.api.policy import Account
from mfa_operator.api.status import Finding, ReportStatus
from mfa_operator.aws.errors import AwsFailure
from mfa_operator.aws.quarantine_document import Variant
from mfa_operator.aws.quarantine_policies import QuarantinePolicies
from mfa_operator.config.access_rules import AccessRules
from mfa_operator.config.settings import SettingsError
from mfa_operator.evaluation.verdicts import Verdict
from mfa_operator.offline.audit import PolicyResult
from mfa_operator.offline.policy_files import Previous
from mfa_operator.passes.auditor import Auditor
from mfa_operator.remediation.own_users import own_users
from mfa_operator.remediation.planner import Decision, Terms, plan, refusal_message


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
    for account in result.policy.spec.accounts:
        audit = result.audits.get(account.id)
        if audit is None:
            continue
        report = published.get((result.policy.ref, account.id))
        findings = {finding.user: finding for finding in report.findings} if report else {}
        try:
            decisions = _decide(result, account, auditor, access, findings, now)
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


def published_in_cluster(refs: Sequence[PolicyRef], kubeconfig: Path | None, context: str | None) -> Previous:
    """The reports of the policies as they stand in the cluster. Raises SettingsError where it cannot be reached."""
    from mfa_operator.kube.cluster import Cluster, ClusterError
    from mfa_operator.kube.connection import ConnectionSettingsError, connect

    try:
        api, _ = connect(str(kubeconfig) if kubeconfig else None, context)
        cluster = Cluster(api, reporting_instance="mfa-operator-plan")
        found: dict[tuple[PolicyRef, str], ReportStatus] = {
            (ref, stored.status.account_id): stored.status for ref in refs for stored in cluster.list_reports(ref)
        }
    except (ConnectionSettingsError, ClusterError) as error:
        raise SettingsError(str(error)) from error
    return found


def _decide(
    result: PolicyResult,
    account: Account,
    auditor: Auditor,
    access: AccessRules,
    findings: dict[str, Finding],
    now: datetime,
) -> list[Decision]:
    wanted = result.policy.spec.remediation
    audit = result.audits[account.id]
    session = auditor.collector(account).session
    in_force: frozenset[str] = frozenset()
    if wanted.action is RemediationAction.QUARANTINE:
        quarantines, variant = QuarantinePolicies(session), Variant.of(access_keys=wanted.quarantine_access_keys)
        in_force = quarantines.members(variant) - quarantines.members(variant.other)
    verdicts: list[Verdict] = list(audit.verdicts)
    terms = Terms(
        remediation=wanted,
        switched_on=access.remediation,
        permitted=access.permits(result.policy.ref.namespace, account, wanted.action),
        own_users=own_users(session, audit.snapshot.own_user, verdicts),
        console_users=audit.report.summary.console_users,
        now=now,
    )
    return plan(verdicts, findings, terms, in_force=in_force)


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
