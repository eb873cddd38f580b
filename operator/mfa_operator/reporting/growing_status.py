"""MfaPolicy.status while a pass is under way: it grows as accounts end. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from mfa_operator.api.enums import ConditionReason, ConditionType
from mfa_operator.api.status import Condition, PolicyStatus, PolicySummary
from mfa_operator.organization.account_list import AccountList
from mfa_operator.reporting.account_result import AccountResult
from mfa_operator.reporting.conditions import accounts_discovered, compliant, new_condition, with_transition_times
from mfa_operator.reporting.policy_status import account_fields, summarize
from mfa_operator.reporting.status_size import fitted
from mfa_operator.reporting.wording import many


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pass is."""

    audited: int
    failed: int
    total: int
    """Accounts that the policy covers."""

    def __str__(self) -> str:
        failed = f", {self.failed:,} could not be audited" if self.failed else ""
        return f"{self.audited:,} of {self.total:,} {'account' if self.total == 1 else 'accounts'} audited{failed}"


def is_first_pass(status: PolicyStatus) -> bool:
    """Whether no pass over the policy's accounts has ended yet."""
    ready = status.condition(ConditionType.READY)
    # Pending, too, is a policy all of whose accounts have just joined their organization.
    joining = status.summary.accounts_pending if status.summary else 0
    return ready is None or (ready.reason is ConditionReason.PENDING and not joining)


def pass_running_status(
    before: PolicyStatus, generation: int, now: datetime, progress: Progress | None = None
) -> PolicyStatus:
    """The status while a pass that an edit or a request asked for is under way; None: its accounts are not known yet.

    `observed_generation` stays: whoever waits for the pass must not return on what an earlier one found.
    """
    kept = [each for each in before.conditions if each.type not in (ConditionType.RECONCILING, ConditionType.STALLED)]
    ready_before = before.condition(ConditionType.READY)
    if ready_before is None or ready_before.reason is ConditionReason.PENDING:
        message = f"the first pass has not ended yet{f': {progress}' if progress else ''}"
        kept = [
            new_condition(ConditionType.READY, "Unknown", ConditionReason.PENDING, message, generation, now),
            new_condition(ConditionType.COMPLIANT, "Unknown", ConditionReason.NOT_AUDITED, message, generation, now),
            *(each for each in kept if each.type is ConditionType.ACCOUNTS_DISCOVERED),
        ]
    doing = f"a pass is under way{f': {progress}' if progress else ''}"
    running = new_condition(ConditionType.RECONCILING, "True", ConditionReason.PASS_RUNNING, doing, generation, now)
    return msgspec.structs.replace(before, conditions=with_transition_times([*kept, running], before))


def growing_status(
    before: PolicyStatus,
    generation: int,
    results: Sequence[AccountResult],
    progress: Progress,
    now: datetime,
    *,
    asked_for: bool,
    listed: AccountList | None = None,
) -> PolicyStatus:
    """The status in the middle of a pass: `results` of the accounts that are done, and the earlier ones of the others.

    Until the pass is over it never says more good than before: Ready stays, Compliant can only get worse. What says
    which pass it was (times, observedGeneration) stays, too. AccountsDiscovered is no matter of the pass: it is as
    `listed`, the accounts that the pass is about, has it. `asked_for`: by an edit or a request.
    """
    status = pass_running_status(before, generation, now, progress) if asked_for else before
    summary = msgspec.structs.replace(summarize(results, listed), accounts=progress.total)
    conditions = [_compliant_so_far(each, summary, len(results), generation, now) for each in status.conditions]
    if listed and listed.discovery:
        discovered = accounts_discovered(listed.discovery, generation, now)
        conditions = [discovered if each.type is discovered.type else each for each in conditions]
    return fitted(
        msgspec.structs.replace(
            status, conditions=with_transition_times(conditions, before), **account_fields(results, summary)
        )
    )


def _compliant_so_far(each: Condition, summary: PolicySummary, known: int, generation: int, now: datetime) -> Condition:
    """Compliant, if that is what the condition is, where what is known by now makes it worse."""
    if each.type is not ConditionType.COMPLIANT:
        return each
    found = compliant(summary, generation, now)
    if known < summary.accounts:
        message = f"{summary.accounts - known:,} of {many(summary.accounts, 'account')} not audited yet"
        found = new_condition(ConditionType.COMPLIANT, "Unknown", ConditionReason.NOT_AUDITED, message, generation, now)
    goodness = ("False", "Unknown", "True")
    return found if goodness.index(found.status) < goodness.index(each.status) else each
