"""MfaPolicy.status after a pass: totals, conditions, and the accounts and findings that need attention. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from heapq import nsmallest
from itertools import chain
from typing import Any

import msgspec

from mfa_operator.api.enums import NOT_FAILED, AccountState, ConditionReason, ConditionType
from mfa_operator.api.policy import PolicySpec
from mfa_operator.api.status import (
    MAX_REQUESTED_AT,
    MAX_STATUS_ACCOUNTS,
    AccountStatus,
    PolicyStatus,
    PolicySummary,
    summed,
)
from mfa_operator.organization.account_list import AccountList
from mfa_operator.reporting.account_result import AccountResult, worst
from mfa_operator.reporting.conditions import (
    accounts_audited,
    accounts_discovered,
    compliant,
    new_condition,
    ready,
    with_transition_times,
)
from mfa_operator.reporting.status_size import fitted
from mfa_operator.reporting.wording import many


def summarize(results: Collection[AccountResult], listed: AccountList | None = None) -> PolicySummary:
    """Counts over all accounts; a failed one counts with what was last known of it.

    `listed`: the list of accounts that the pass is about.
    """
    return PolicySummary(
        **summed([result.counts for result in results if result.counts]),
        accounts=len(results),
        accounts_failed=sum(result.status.state not in NOT_FAILED for result in results),
        accounts_pending=sum(result.status.state is AccountState.PENDING for result in results),
        accounts_skipped=listed.skipped if listed else 0,
        accounts_excluded=listed.excluded if listed else 0,
    )


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


def first_accounts(accounts: Iterable[AccountStatus]) -> tuple[AccountStatus, ...]:
    """The accounts that a status shows: those that need attention first, in the same order at every pass."""
    return tuple(nsmallest(MAX_STATUS_ACCOUNTS, accounts, key=_attention))


_STATES = ("Denied", "Failed", "Pending", "Audited")


def _attention(account: AccountStatus) -> tuple[int, int, int, str]:
    return _STATES.index(account.state), -(account.overdue or 0), -(account.violating or 0), account.id


_KEPT_WHILE_SUSPENDED = (ConditionType.COMPLIANT, ConditionType.ACCOUNTS_AUDITED, ConditionType.ACCOUNTS_DISCOVERED)


def not_audited_status(
    before: PolicyStatus,
    generation: int,
    reason: ConditionReason,
    message: str,
    now: datetime,
    requested_at: str = "",
) -> PolicyStatus:
    """The status of a policy that is not audited: suspended, or its spec is invalid. What was known stays."""
    suspended = reason is ConditionReason.SUSPENDED
    quarantined = before.summary.quarantined if before.summary else 0
    if suspended and quarantined:
        verb = "is" if quarantined == 1 else "are"
        message += f"; {many(quarantined, 'user')} {verb} still under quarantine"
    conditions = [new_condition(ConditionType.READY, "False", reason, message, generation, now)]
    if suspended:
        conditions += [each for each in before.conditions if each.type in _KEPT_WHILE_SUSPENDED]
    if all(each.type is not ConditionType.COMPLIANT for each in conditions):
        text = "nothing was audited yet" if suspended else "the current spec was not audited"
        unknown = ConditionReason.NOT_AUDITED
        conditions.append(new_condition(ConditionType.COMPLIANT, "Unknown", unknown, text, generation, now))
    if reason is ConditionReason.INVALID_SPEC:
        conditions.append(new_condition(ConditionType.STALLED, "True", reason, message, generation, now))
    return msgspec.structs.replace(
        before,
        observed_generation=generation,
        next_pass_time=None,
        conditions=with_transition_times(conditions, before),
        last_handled_requested_at=requested_at[:MAX_REQUESTED_AT],
    )
