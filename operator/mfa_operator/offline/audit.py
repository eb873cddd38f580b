"""A pass without a cluster: policies from files, audited once. It never remediates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from mfa_operator.api.enums import AccountState, ConditionReason
from mfa_operator.api.objects import Policy
from mfa_operator.api.policy import Account
from mfa_operator.api.status import AccountStatus, PolicyStatus, ReportStatus
from mfa_operator.offline.policy_files import Previous
from mfa_operator.organization.account_list import AccountList
from mfa_operator.passes.auditor import Audit, Auditor
from mfa_operator.passes.failures import account_failure
from mfa_operator.reporting.account_report import account_status, failed_report
from mfa_operator.reporting.account_result import AccountResult
from mfa_operator.reporting.policy_status import not_audited_status, policy_status

COMPLIANT, VIOLATIONS, NOT_AUDITED, BAD_INPUT = range(4)
"""Exit statuses."""


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """One policy audited once."""

    policy: Policy
    listed: AccountList
    status: PolicyStatus
    """As a cluster would hold it: with no more accounts than fit."""
    accounts: tuple[AccountStatus, ...]
    """All of them."""
    audits: Mapping[str, Audit]
    """By account id, of the accounts that were audited."""
    all_reports: tuple[ReportStatus, ...] = ()
    """One for each account, audited or not: as the operator writes them."""

    @property
    def reports(self) -> tuple[ReportStatus, ...]:
        """Those of the accounts that were audited."""
        return tuple(audit.report for audit in self.audits.values())


@dataclass(frozen=True, slots=True)
class AccountAudit:
    """What came of one account."""

    result: AccountResult
    report: ReportStatus
    audit: Audit | None
    """None where it could not be audited."""


def audit_policies(
    policies: Sequence[tuple[Policy, AccountList]],
    auditor: Auditor,
    previous: Previous,
    now: datetime,
    *,
    width: int,
    done: Callable[[], None],
) -> list[PolicyResult]:
    """Audit every account of every policy, `width` at a time; `done` is called after each account, from any thread."""

    def audit(policy: Policy, listed: AccountList, account: Account) -> AccountAudit:
        known = previous.get((policy.ref, account.id))
        try:
            found = auditor.audit(policy.spec, account, known, now)
            result = AccountResult.of(account_status(found.report, now), found.report)
            return AccountAudit(result, found.report, found)
        except Exception as error:  # noqa: BLE001 - one account's failure, a bug included, touches no other account
            failure = account_failure(error).in_organization(listed, account.id, None, now)
            status = failure.status(account, None)
            return AccountAudit(AccountResult(status=status), failed_report(known, status), None)
        finally:
            done()

    pool = ThreadPoolExecutor(width, thread_name_prefix="mfa-account")
    try:
        running = [
            (policy, listed, [pool.submit(audit, policy, listed, account) for account in listed])
            for policy, listed in policies
        ]
        return [
            _result(policy, listed, [future.result() for future in futures], now) for policy, listed, futures in running
        ]
    finally:
        # After Ctrl-C nobody waits for the accounts that are left.
        pool.shutdown(wait=False, cancel_futures=True)


def exit_status(results: Iterable[PolicyResult]) -> int:
    """0 compliant, 1 violations, 2 something could not be audited; 2 wins over 1."""
    statuses = [_exit_status(result) for result in results]
    return max(statuses, default=NOT_AUDITED)


def _exit_status(result: PolicyResult) -> int:
    summary = result.status.summary
    if summary is None or summary.accounts_failed or summary.accounts_pending or summary.unknown:
        return NOT_AUDITED
    if not result.accounts or (result.listed.discovery and not result.listed.discovery.succeeded):
        return NOT_AUDITED
    return VIOLATIONS if summary.violating + summary.overdue else COMPLIANT


def _result(policy: Policy, listed: AccountList, outcomes: Sequence[AccountAudit], now: datetime) -> PolicyResult:
    if policy.spec.suspend:
        status = not_audited_status(
            PolicyStatus(), 0, ConditionReason.SUSPENDED, "spec.suspend is true: no audits", now
        )
        return PolicyResult(policy, listed, status, (), {})
    results = [outcome.result for outcome in outcomes]
    return PolicyResult(
        policy,
        listed,
        policy_status(policy.spec, 0, results, PolicyStatus(), now, None, listed=listed),
        accounts=tuple(result.status for result in results),
        audits={outcome.result.status.id: outcome.audit for outcome in outcomes if outcome.audit},
        all_reports=tuple(outcome.report for outcome in outcomes),
    )


def failed_accounts(result: PolicyResult) -> list[AccountStatus]:
    """The accounts that were not audited, those that wait for their role (Pending) included."""
    return [account for account in result.accounts if account.state is not AccountState.AUDITED]
