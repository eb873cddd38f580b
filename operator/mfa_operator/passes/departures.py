"""Accounts that a policy covered once and covers no more: their reports are deleted, and what stays behind is said."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from mfa_operator.api.conversion import InvalidObject
from mfa_operator.api.enums import EventReason
from mfa_operator.api.objects import Policy
from mfa_operator.api.policy import Account
from mfa_operator.kube.cluster import Cluster
from mfa_operator.kube.report_pages import ListedReport
from mfa_operator.organization.account_list import AccountList
from mfa_operator.reporting.commands import release_command
from mfa_operator.reporting.events import EventNote
from mfa_operator.reporting.transitions import departures
from mfa_operator.reporting.wording import account_label, listed, many, name_and_id

logger = logging.getLogger(__name__)

MAX_COMMANDS = 2
"""Commands in one Event, whose note holds 1,024 bytes."""


class Departures:
    """Safe to use from several threads."""

    def __init__(self, cluster: Cluster, *, command_prefix: str) -> None:
        """`command_prefix` stands before the commands that Events name."""
        self._cluster = cluster
        self._prefix = command_prefix

    def drop_reports(
        self, policy: Policy, accounts: AccountList, before: AccountList, reports: Iterable[ListedReport]
    ) -> None:
        """Delete the reports of accounts that the policy covered once and covers no more. Raises ClusterError.

        Only where the list is complete: what a listing that failed does not show may be there all the same. `before`:
        the list of the last pass. `reports`: the policy's, of accounts that are not in the list.
        """
        if not accounts.complete:
            return
        left: list[str] = []
        quarantined: dict[str, int] = {}
        for report in sorted(reports, key=lambda report: report.account_id):
            if report.account_id in accounts.inactive:
                continue
            try:
                stored = report.read()
            except InvalidObject as error:
                # A newer operator's, perhaps, which may still need it.
                logger.warning("MfaReport %s/%s was not deleted: %s", report.namespace, report.name, error)
                continue
            self._cluster.delete_report(stored)
            left.append(account_label(report.account_id, stored.status.account_name))
            if count := stored.status.summary.quarantined:
                quarantined[report.account_id] = count
        self._say(policy, accounts, left, quarantined, before)

    def _say(
        self,
        policy: Policy,
        accounts: AccountList,
        left: list[str],
        quarantined: Mapping[str, int],
        before: AccountList,
    ) -> None:
        if accounts.discovery:
            for event in departures(left):
                self._cluster.emit(policy, event)
        if quarantined:
            noun = "account" if len(quarantined) == 1 else "accounts"
            verb = "discover" if accounts.discovery else "name"
            names = {account.id: account.name for account in before}
            labels = [name_and_id(account_id, names.get(account_id, "")) for account_id in sorted(quarantined)]
            why = f"the policy no longer {verb}s {noun} {listed(labels)}"
            self._cluster.emit(policy, self.quarantines_left(quarantined, why, before))

    def quarantines_left(self, by_account: Mapping[str, int], why: str, accounts: AccountList) -> EventNote:
        """`accounts`: as they were while these were among them, for the roles; empty where nobody saw it."""
        known = accounts.by_id()
        commands = [
            release_command(known.get(account_id, Account(id=account_id)), prefix=self._prefix)
            for account_id in sorted(by_account)
        ]
        shown = ", ".join(f"`{command}`" for command in commands[:MAX_COMMANDS])
        more = f"; and the same in {len(commands) - MAX_COMMANDS} more accounts" if len(commands) > MAX_COMMANDS else ""
        users = many(sum(by_account.values()), "user")
        note = f"{users} stay under quarantine although {why}; lift them with {shown}{more}"
        return EventNote(EventReason.QUARANTINES_LEFT, "Remediate", note)
