"""MfaPolicy.status: totals, conditions and the worst findings. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from heapq import nsmallest
from itertools import chain
from typing import Any, Literal

import msgspec

from mfa_operator.api.enums import NOT_FAILED, AccountReason, AccountState, ConditionReason, ConditionType
from mfa_operator.api.policy import PolicySpec
from mfa_operator.api.status import (
    MAX_REQUESTED_AT,
    MAX_STATUS_ACCOUNTS,
    AccountStatus,
    Condition,
    Counts,
    PolicyStatus,
    PolicySummary,
)
from mfa_operator.organization.account_list import AccountList
from mfa_operator.organization.discovery import Discovery
from mfa_operator.reporting.account_result import AccountResult, worst
from mfa_operator.reporting.alike import causes_in_words
from mfa_operator.reporting.status_size import fitted
from mfa_operator.reporting.wording import many, shortened

ConditionStatus = Literal["True", "False", "Unknown"]


def summarize(results: Collection[AccountResult], listed: AccountList | None = None) -> PolicySummary:
    """Counts over all accounts; a failed one counts with what was last known of it.

    `listed`: the list of accounts that the pass is about.
    """
    known = [result.counts for result in results if result.counts]
    return PolicySummary(
        **{field: sum(getattr(counts, field) for counts in known) for field in Counts.__struct_fields__},
        accounts=len(results),
        accounts_failed=sum(result.status.state not in NOT_FAILED for result in results),
        accounts_pending=sum(result.status.state is AccountState.PENDING for result in results),
        accounts_skipped=listed.skipped if listed else 0,
        accounts_excluded=listed.excluded if listed else 0,
    )


def ready(
    spec: PolicySpec,
    accounts: Sequence[AccountStatus],
    generation: int,
    now: datetime,
    *,
    in_cluster: bool = True,
    discovery: Discovery | None = None,
) -> Condition:
    """The condition Ready after a pass: True as long as at least one account was audited.

    One closed account must not turn the health check of a GitOps tool red for ever; AccountsAudited shows it.
    """
    failed = [account for account in accounts if account.state not in NOT_FAILED]
    audited = sum(account.state is AccountState.AUDITED for account in accounts)
    status: ConditionStatus = "True"
    if audited:
        reason = ConditionReason.PASS_SUCCEEDED
        counted = many(audited, "account")
        counted = f"{audited} of {many(len(accounts), 'account')}" if audited < len(accounts) else counted
        message = f"{counted} audited" + (f", next pass in about {spec.interval}" if in_cluster else "")
    elif failed:
        status, message = "False", _not_audited_message(failed, len(accounts))
        reason = ConditionReason.NOT_ALLOWED if _all_not_allowed(failed) else ConditionReason.NO_ACCOUNT_AUDITED
    elif accounts:
        status, reason, message = "Unknown", ConditionReason.PENDING, _pending_message(len(accounts))
    else:
        status, reason, message = nothing_to_audit(discovery)
    return new_condition(ConditionType.READY, status, reason, message, generation, now)


def accounts_audited(accounts: Sequence[AccountStatus], generation: int, now: datetime) -> Condition:
    """The condition AccountsAudited after a pass; its message names the first few accounts that failed."""
    failed = [account for account in accounts if account.state not in NOT_FAILED]
    pending = sum(account.state is AccountState.PENDING for account in accounts)
    status: ConditionStatus
    if failed:
        status, message = "False", _not_audited_message(failed, len(accounts))
        reason = ConditionReason.ACCOUNTS_NOT_ALLOWED if _all_not_allowed(failed) else ConditionReason.ACCOUNTS_FAILED
    elif pending or not accounts:
        status, reason = "Unknown", ConditionReason.PENDING
        message = _pending_message(pending) if pending else "there is no account to audit yet"
    else:
        status, reason, message = "True", ConditionReason.ALL_AUDITED, f"{many(len(accounts), 'account')} audited"
    return new_condition(ConditionType.ACCOUNTS_AUDITED, status, reason, message, generation, now)


def _pending_message(pending: int) -> str:
    verb = "has" if pending == 1 else "have"
    return f"{many(pending, 'account')} {verb} joined the organization within the last hour and not given the role yet"


def _all_not_allowed(failed: Sequence[AccountStatus]) -> bool:
    return all(account.reason == AccountReason.NOT_ALLOWED for account in failed)


def _not_audited_message(failed: Sequence[AccountStatus], total: int) -> str:
    causes = causes_in_words(failed, more="see status.accounts and the MfaReports")
    return f"{len(failed)} of {many(total, 'account')} not audited: {causes}"


def compliant(
    summary: PolicySummary,
    generation: int,
    now: datetime,
    *,
    in_cluster: bool = True,
    discovery: Discovery | None = None,
) -> Condition:
    """The condition Compliant after a pass: True only where everybody could be checked."""
    open_violations = summary.violating + summary.overdue
    status: ConditionStatus = "True"
    if open_violations:
        status, reason = "False", ConditionReason.VIOLATIONS
        overdue = f", {summary.overdue} of them past the deadline" if summary.overdue else ""
        reports = "; kubectl get mfar lists the reports, and docs/runbooks/console-user-without-mfa.md the steps"
        message = (
            f"{many(open_violations, 'user')} without the required MFA{overdue}: enable MFA, or remove the login"
            f" profile{reports if in_cluster else ''}"
        )
    elif summary.accounts_failed:
        status, reason = "Unknown", ConditionReason.NOT_AUDITED
        message = f"{summary.accounts_failed} of {many(summary.accounts, 'account')} could not be audited"
    elif summary.accounts_pending:
        status, reason, message = "Unknown", ConditionReason.NOT_AUDITED, _pending_message(summary.accounts_pending)
    elif not summary.accounts or (discovery and not discovery.in_force):
        status, reason = "Unknown", ConditionReason.NOT_AUDITED
        message = "which accounts there are is not known yet" if discovery and not discovery.in_force else "no account"
    elif summary.unknown:
        status, reason = "Unknown", ConditionReason.NOT_AUDITED
        message = f"{many(summary.unknown, 'user')} could not be checked"
    else:
        reason = ConditionReason.ALL_COMPLIANT
        exempt = f", {summary.exempt} exempt" if summary.exempt else ""
        message = f"every one of {many(summary.users, 'user')} meets the requirement{exempt}"
    return new_condition(ConditionType.COMPLIANT, status, reason, message, generation, now)


def policy_status(
    spec: PolicySpec,
    generation: int,
    results: Sequence[AccountResult],
    before: PolicyStatus,
    now: datetime,
    next_pass: datetime | None,
    requested_at: str = "",
    listed: AccountList | None = None,
) -> PolicyStatus:
    """MfaPolicy.status after a pass, from the last known of each account.

    `next_pass` is None where there is no cluster, and no other pass to come. `requested_at`: value of the annotation
    that the pass served. `listed`: the list of accounts that the pass was about.
    """
    in_cluster = next_pass is not None
    discovery = listed.discovery if listed else None
    accounts = [result.status for result in results]
    summary = summarize(results, listed)
    conditions = [
        ready(spec, accounts, generation, now, in_cluster=in_cluster, discovery=discovery),
        compliant(summary, generation, now, in_cluster=in_cluster, discovery=discovery),
        accounts_audited(accounts, generation, now),
    ]
    if discovery:
        conditions.append(accounts_discovered(discovery, generation, now))
    status = PolicyStatus(
        observed_generation=generation,
        last_pass_time=now,
        next_pass_time=next_pass,
        conditions=with_transition_times(conditions, before),
        last_handled_requested_at=requested_at[:MAX_REQUESTED_AT],
        **account_fields(results, summary),
    )
    return fitted(status)


def account_fields(results: Sequence[AccountResult], summary: PolicySummary) -> dict[str, Any]:
    """The fields that are made of the accounts."""
    return {
        "summary": summary,
        "accounts": first_accounts(result.status for result in results),
        "accounts_total": summary.accounts,
        "findings": worst(chain.from_iterable(result.findings for result in results)),
        "findings_total": sum(result.findings_total for result in results),
    }


def accounts_discovered(discovery: Discovery, generation: int, now: datetime) -> Condition:
    """The condition AccountsDiscovered."""
    status: ConditionStatus = "Unknown" if discovery.succeeded is None else "True" if discovery.succeeded else "False"
    kind = ConditionType.ACCOUNTS_DISCOVERED
    return new_condition(kind, status, discovery.reason, discovery.message, generation, now)


def nothing_to_audit(discovery: Discovery | None) -> tuple[ConditionStatus, ConditionReason, str]:
    """Ready of a policy that has no account now."""
    if discovery is None or discovery.succeeded:
        why = discovery.message if discovery else "the policy has no account"
        return "False", ConditionReason.NO_ACCOUNT_AUDITED, f"no account to audit: {why}"
    if discovery.succeeded is None:
        return "Unknown", ConditionReason.PENDING, discovery.message
    not_allowed = discovery.reason is ConditionReason.NOT_ALLOWED
    reason = ConditionReason.NOT_ALLOWED if not_allowed else ConditionReason.NO_ACCOUNT_AUDITED
    return "False", reason, discovery.message


def first_accounts(accounts: Iterable[AccountStatus]) -> tuple[AccountStatus, ...]:
    """The accounts that a status shows: those that need attention first, in the same order at every pass."""
    return tuple(nsmallest(MAX_STATUS_ACCOUNTS, accounts, key=_attention))


_STATES = ("Denied", "Failed", "Pending", "Audited")


def _attention(account: AccountStatus) -> tuple[int, int, int, str]:
    return _STATES.index(account.state), -(account.overdue or 0), -(account.violating or 0), account.id


def not_audited_status(
    before: PolicyStatus,
    generation: int,
    reason: ConditionReason,
    message: str,
    now: datetime,
    requested_at: str = "",
) -> PolicyStatus:
    """The status of a policy that is not audited: suspended, or its spec is invalid. What was known stays."""
    quarantined = before.summary.quarantined if before.summary else 0
    if reason is ConditionReason.SUSPENDED and quarantined:
        verb = "is" if quarantined == 1 else "are"
        message += f"; {many(quarantined, 'user')} {verb} still under quarantine"
    conditions = [new_condition(ConditionType.READY, "False", reason, message, generation, now)]
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
            new_condition(ConditionType.COMPLIANT, "Unknown", ConditionReason.NOT_AUDITED, text, generation, now)
        )
    if reason is ConditionReason.SUSPENDED:
        kept = (ConditionType.ACCOUNTS_AUDITED, ConditionType.ACCOUNTS_DISCOVERED)
        conditions += [each for each in before.conditions if each.type in kept]
    if reason is ConditionReason.INVALID_SPEC:
        conditions.append(new_condition(ConditionType.STALLED, "True", reason, message, generation, now))
    return msgspec.structs.replace(
        before,
        observed_generation=generation,
        next_pass_time=None,
        conditions=with_transition_times(conditions, before),
        last_handled_requested_at=requested_at[:MAX_REQUESTED_AT],
    )


def new_condition(
    kind: ConditionType,
    status: ConditionStatus,
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


def with_transition_times(conditions: Iterable[Condition], before: PolicyStatus) -> tuple[Condition, ...]:
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
