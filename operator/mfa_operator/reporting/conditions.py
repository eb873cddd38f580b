"""The conditions of an MfaPolicy, as a pass finds them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from mfa_operator.api.enums import NOT_FAILED, AccountReason, AccountState, ConditionReason, ConditionType
from mfa_operator.api.policy import PolicySpec
from mfa_operator.api.status import AccountStatus, Condition, PolicyStatus, PolicySummary
from mfa_operator.organization.discovery import Discovery
from mfa_operator.reporting.alike import causes_in_words
from mfa_operator.reporting.wording import many, shortened

ConditionStatus = Literal["True", "False", "Unknown"]


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
        status, reason, message = _nothing_to_audit(discovery)
    return new_condition(ConditionType.READY, status, reason, message, generation, now)


def _nothing_to_audit(discovery: Discovery | None) -> tuple[ConditionStatus, ConditionReason, str]:
    """Ready of a policy that has no account now."""
    if discovery is None or discovery.succeeded:
        why = discovery.message if discovery else "the policy has no account"
        return "False", ConditionReason.NO_ACCOUNT_AUDITED, f"no account to audit: {why}"
    if discovery.succeeded is None:
        return "Unknown", ConditionReason.PENDING, discovery.message
    not_allowed = discovery.reason is ConditionReason.NOT_ALLOWED
    reason = ConditionReason.NOT_ALLOWED if not_allowed else ConditionReason.NO_ACCOUNT_AUDITED
    return "False", reason, discovery.message


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
        message = "the accounts are not known yet" if discovery and not discovery.in_force else "no account"
    elif summary.unknown:
        status, reason = "Unknown", ConditionReason.NOT_AUDITED
        message = f"{many(summary.unknown, 'user')} could not be checked"
    else:
        reason = ConditionReason.ALL_COMPLIANT
        exempt = f", {summary.exempt} exempt" if summary.exempt else ""
        message = f"all of {many(summary.users, 'user')} meet the requirement{exempt}"
    return new_condition(ConditionType.COMPLIANT, status, reason, message, generation, now)


def accounts_discovered(discovery: Discovery, generation: int, now: datetime) -> Condition:
    """The condition AccountsDiscovered."""
    status: ConditionStatus = "Unknown" if discovery.succeeded is None else "True" if discovery.succeeded else "False"
    kind = ConditionType.ACCOUNTS_DISCOVERED
    return new_condition(kind, status, discovery.reason, discovery.message, generation, now)


def new_condition(
    kind: ConditionType,
    status: ConditionStatus,
    reason: ConditionReason,
    message: str,
    generation: int,
    now: datetime,
) -> Condition:
    """A condition whose status changed at `now`; see with_transition_times. The message is cut to what fits."""
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


def _pending_message(pending: int) -> str:
    verb = "has" if pending == 1 else "have"
    return f"{many(pending, 'account')} {verb} joined the organization within the last hour and not given the role yet"


def _all_not_allowed(failed: Sequence[AccountStatus]) -> bool:
    return all(account.reason == AccountReason.NOT_ALLOWED for account in failed)


def _not_audited_message(failed: Sequence[AccountStatus], total: int) -> str:
    causes = causes_in_words(failed, more="see status.accounts and the MfaReports")
    return f"{len(failed)} of {many(total, 'account')} not audited: {causes}"
