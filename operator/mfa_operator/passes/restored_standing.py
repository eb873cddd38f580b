"""The accounts of an organization after a restart, from what an earlier process left: reports and status. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from mfa_operator.api.enums import ConditionType
from mfa_operator.api.objects import Policy
from mfa_operator.api.status import PolicyStatus
from mfa_operator.kube.report_pages import ListedReport
from mfa_operator.organization.listing import Member
from mfa_operator.organization.standing import Standing
from mfa_operator.passes.memory import readable


def restored_standing(policy: Policy, reports: Iterable[ListedReport], partition: str) -> Standing:
    """The list in force until the first listing."""
    reports = tuple(reports)
    known = Counter(report.organization_id for report in reports if report.organization_id).most_common(1)
    members = [Member(id=status.account_id, name=status.account_name) for status in readable(reports)]
    reported = frozenset(member.id for member in members)
    inactive = _inactive(policy.status, reported)
    # Where the status has no AccountsDiscovered, every report is of a typed account, also of one typed no longer.
    discovered = policy.status.condition(ConditionType.ACCOUNTS_DISCOVERED) is not None
    typed = {account.id for account in policy.spec.accounts}
    summary = policy.status.summary
    return Standing(
        members=tuple(member for member in members if member.id not in inactive),
        inactive=inactive,
        organization_id=known[0][0] if known else "",
        unidentified=frozenset() if known or not discovered else reported - typed,
        partition=partition,
        # Edited while nobody watched: which accounts it means now, only a listing tells.
        spec=policy.spec.organization if policy.status.observed_generation == policy.generation else None,
        skipped=summary.accounts_skipped if summary else 0,
        excluded=summary.accounts_excluded if summary else 0,
        in_force=bool(reported - typed) and _whole(policy.status, reported),
    )


def _whole(status: PolicyStatus, reported: Collection[str]) -> bool:
    """Whether a pass over all accounts has ended once: each has a report then.

    A first pass may have been cut off, or the list never have come: who was not reached may violate.
    """
    total = status.summary.accounts if status.summary and status.last_pass_time else 0
    return 0 < total <= len(reported) and all(account.id in reported for account in status.accounts)


def _inactive(status: PolicyStatus, reported: Collection[str]) -> frozenset[str]:
    """Accounts that are suspended or closed: their reports stay, and they are not to be asked.

    Only where the status lists all accounts of the last pass, as it does up to 200. Where more accounts have a report
    than were skipped, a pass was cut off that had found new ones: then all are asked.
    """
    shown = {account.id for account in status.accounts}
    left_out = frozenset(reported) - shown
    complete = status.accounts_total == len(shown) > 0 and status.summary is not None
    return left_out if complete and status.summary and len(left_out) <= status.summary.accounts_skipped else frozenset()
