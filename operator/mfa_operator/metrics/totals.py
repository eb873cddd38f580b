"""One set of figures for all accounts of a policy that has too many for a series each. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from mfa_operator.api.enums import AccountState
from mfa_operator.api.objects import PolicyRef
from mfa_operator.api.status import Counts, summed
from mfa_operator.metrics.families import Accounts, Figures
from mfa_operator.reporting.figures import AccountFigures


def shown_accounts(figures: Figures, limit: int | None) -> Accounts:
    """Every account of each policy; where there are more than `limit`, their total alone.

    The total's account_id is `<policy_namespace>/<policy>`: one for each policy, as queries that count an account of
    several policies once would else take the totals of two policies for one account.
    """
    return {ref: _shown(ref, policy.accounts, limit) for ref, policy in figures.items()}


def total(name: str, accounts: Collection[AccountFigures]) -> AccountFigures:
    """Sums of counts, the oldest of times, and Failed where any account fails.

    Times of audits are of audited accounts: how old that of a failed account is says nothing of the others.
    """
    audited = [account for account in accounts if account.state is AccountState.AUDITED]
    failed = any(account.state in (AccountState.FAILED, AccountState.DENIED) for account in accounts)
    counts = [account.counts for account in accounts if account.counts]
    return AccountFigures(
        name=name,
        state=AccountState.FAILED if failed else AccountState.AUDITED,
        counts=Counts(**summed(counts)) if counts else None,
        last_success=_oldest(account.last_success for account in audited),
        credential_report_time=_oldest(account.credential_report_time for account in audited),
        oldest_violation=_oldest(account.oldest_violation for account in accounts),
    )


def _shown(ref: PolicyRef, accounts: Mapping[str, AccountFigures], limit: int | None) -> Mapping[str, AccountFigures]:
    if limit is None or len(accounts) <= limit:
        return accounts
    return {str(ref): total(f"all accounts of {ref}", accounts.values())}


def _oldest(moments: Iterable[datetime | None]) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)
