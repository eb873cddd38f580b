"""MfaPolicy.status: totals, conditions and the worst findings. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from mfa_operator.api.enums import AccountReason, AccountState, ConditionReason, ConditionType, FindingState
from mfa_operator.api.policy import PolicySpec
from mfa_operator.api.status import (
    MAX_STATUS_FINDINGS,
    AccountStatus,
    Condition,
    Counts,
    PolicyFinding,
    PolicyStatus,
    PolicySummary,
    ReportStatus,
)
from mfa_operator.reporting.wording import many, shortened


def summarize(accounts: Sequence[AccountStatus], reports: Mapping[str, Counts]) -> PolicySummary:
    """Counts over all accounts; `reports` holds the last known counts by account id."""
    totals: Counter[str] = Counter()
    for counts in reports.values():
        totals.update(msgspec.structs.asdict(counts))
    return PolicySummary(
        **totals,
        accounts=len(accounts),
        accounts_failed=sum(account.state is not AccountState.AUDITED for account in accounts),
    )


def ready(spec: PolicySpec, accounts: Sequence[AccountStatus], generation: int, now: datetime) -> Condition:
    """The condition Ready after a pass."""
    failed = [account for account in accounts if account.state is not AccountState.AUDITED]
    if not failed:
        return _condition(
            ConditionType.READY,
            "True",
            ConditionReason.PASS_SUCCEEDED,
            f"{many(len(accounts), 'account')} audited, next pass in about {spec.interval}",
            generation,
            now,
        )
    not_allowed = all(account.reason == AccountReason.NOT_ALLOWED for account in failed)
    named = "; ".join(f"{account.name or account.id}: {account.message}" for account in failed[:3])
    more = f"; and {len(failed) - 3} more, see status.accounts" if len(failed) > 3 else ""
    return _condition(
        ConditionType.READY,
        "False",
        ConditionReason.NOT_ALLOWED if not_allowed else ConditionReason.ACCOUNTS_FAILED,
        f"{len(failed)} of {many(len(accounts), 'account')} not audited: {named}{more}",
        generation,
        now,
    )


def compliant(summary: PolicySummary, generation: int, now: datetime) -> Condition:
    """The condition Compliant after a pass: True only where everybody could be looked at."""
    open_violations = summary.violating + summary.overdue
    status: Literal["True", "False", "Unknown"] = "True"
    if open_violations:
        status, reason = "False", ConditionReason.VIOLATIONS
        overdue = f", {summary.overdue} of them past the deadline" if summary.overdue else ""
        message = (
            f"{many(open_violations, 'user')} without the required MFA{overdue}: enable MFA, or remove the login"
            " profile; kubectl get mfar lists the reports, and docs/runbooks/console-user-without-mfa.md the steps"
        )
    elif summary.accounts_failed:
        status, reason = "Unknown", ConditionReason.NOT_AUDITED
        message = f"{summary.accounts_failed} of {many(summary.accounts, 'account')} could not be audited"
    elif summary.unknown:
        status, reason = "Unknown", ConditionReason.NOT_AUDITED
        message = f"{many(summary.unknown, 'user')} could not be looked at"
    else:
        reason = ConditionReason.ALL_COMPLIANT
        exempt = f", {summary.exempt} exempt" if summary.exempt else ""
        message = f"every one of {many(summary.users, 'user')} meets the requirement{exempt}"
    return _condition(ConditionType.COMPLIANT, status, reason, message, generation, now)


def policy_status(
    spec: PolicySpec,
    generation: int,
    accounts: Sequence[AccountStatus],
    reports: Mapping[str, ReportStatus],
    before: PolicyStatus,
    now: datetime,
    next_pass: datetime | None,
) -> PolicyStatus:
    """MfaPolicy.status after a pass over `accounts`; `reports` are the last known, by account id."""
    summary = summarize(accounts, {account_id: report.summary for account_id, report in reports.items()})
    findings = worst_findings(reports.values())
    conditions = (ready(spec, accounts, generation, now), compliant(summary, generation, now))
    return PolicyStatus(
        observed_generation=generation,
        last_pass_time=now,
        next_pass_time=next_pass,
        conditions=_since(conditions, before),
        summary=summary,
        accounts=tuple(accounts),
        findings=findings[:MAX_STATUS_FINDINGS],
        findings_total=sum(len(report.findings) for report in reports.values()),
    )


def not_audited_status(
    before: PolicyStatus, generation: int, reason: ConditionReason, message: str, now: datetime
) -> PolicyStatus:
    """The status of a policy that is not audited: suspended, or its spec makes no sense. What was known stays."""
    conditions = [_condition(ConditionType.READY, "False", reason, message, generation, now)]
    known = before.condition(ConditionType.COMPLIANT)
    if reason is ConditionReason.SUSPENDED and known:
        conditions.append(known)
    else:
        text = (
            "nothing was audited yet"
            if reason is ConditionReason.SUSPENDED
            else "the policy as it is now was not audited"
        )
        conditions.append(
            _condition(ConditionType.COMPLIANT, "Unknown", ConditionReason.NOT_AUDITED, text, generation, now)
        )
    return msgspec.structs.replace(
        before, observed_generation=generation, next_pass_time=None, conditions=_since(conditions, before)
    )


def worst_findings(reports: Iterable[ReportStatus]) -> tuple[PolicyFinding, ...]:
    """All findings, Overdue first, then Violating and the rest, the oldest first among equals."""
    ranks = {
        state: rank for rank, state in enumerate((FindingState.OVERDUE, FindingState.VIOLATING, FindingState.UNKNOWN))
    }
    ordered = sorted(
        (
            (
                ranks.get(finding.state, len(ranks)),
                finding.first_seen is None,
                finding.first_seen,
                report.account_id,
                finding,
            )
            for report in reports
            for finding in report.findings
        ),
        key=lambda entry: (entry[0], entry[1], entry[2] or datetime.max.replace(tzinfo=UTC), entry[3], entry[4].user),
    )
    return tuple(
        PolicyFinding(
            account_id=account_id,
            user=finding.user,
            state=finding.state,
            reason=finding.reason,
            first_seen=finding.first_seen,
            deadline=finding.deadline,
        )
        for *_, account_id, finding in ordered
    )


def _condition(
    kind: ConditionType,
    status: Literal["True", "False", "Unknown"],
    reason: ConditionReason,
    message: str,
    generation: int,
    now: datetime,
) -> Condition:
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=shortened(message),
        last_transition_time=now,
        observed_generation=generation,
    )


def _since(conditions: Iterable[Condition], before: PolicyStatus) -> tuple[Condition, ...]:
    """Conditions keep the time of their last transition while their status stays."""
    kept = []
    for condition in conditions:
        known = before.condition(condition.type)
        same = known is not None and known.status == condition.status
        kept.append(
            msgspec.structs.replace(condition, last_transition_time=known.last_transition_time)
            if known and same
            else condition
        )
    return tuple(kept)
