"""Accounts that a policy covered once and covers no more: their reports are deleted, and what stays behind is said."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

from mfa_operator.api.enums import EventReason
from mfa_operator.api.objects import Policy, PolicyRef
from mfa_operator.api.policy import Account
from mfa_operator.kube.cluster import Cluster
from mfa_operator.organization.account_list import AccountList
from mfa_operator.reporting.commands import release_command
from mfa_operator.reporting.events import EventNote
from mfa_operator.reporting.transitions import departures
from mfa_operator.reporting.wording import account_label, listed, many, name_and_id

MAX_COMMANDS = 2
"""Commands in one Event, whose note holds 1,024 bytes."""


class Departures:
    """Knows which accounts of each policy may have a report. Safe to use from several threads."""

    def __init__(self, cluster: Cluster, *, command_prefix: str) -> None:
        """`command_prefix` stands before the commands that Events name."""
        self._cluster = cluster
        self._prefix = command_prefix
        self._lock = threading.Lock()
        self._reported: dict[PolicyRef, set[str]] = {}

    def reported(self, ref: PolicyRef, account_ids: Iterable[str]) -> None:
        """Take in accounts that have a report, or may get one."""
        with self._lock:
            self._reported.setdefault(ref, set()).update(account_ids)

    def forget(self, ref: PolicyRef) -> None:
        with self._lock:
            self._reported.pop(ref, None)

    def drop_reports(self, policy: Policy, accounts: AccountList, before: AccountList) -> None:
        """Delete the reports of accounts that the policy covered once and covers no more. Raises ClusterError.

        Only where the list is complete: what a listing that failed does not show may be there all the same. `before`:
        the list of the last pass.
        """
        covered = accounts.by_id().keys()
        self.reported(policy.ref, [*(account.id for account in policy.status.accounts), *covered])
        if not accounts.complete:
            return
        with self._lock:
            gone = sorted(self._reported[policy.ref] - covered - accounts.inactive)
        left: list[str] = []
        quarantined: dict[str, int] = {}
        for account_id in gone:
            stored = self._cluster.get_report(policy.ref, account_id)
            if stored and stored.owner_uid == policy.uid:
                self._cluster.delete_report(stored)
                left.append(account_label(account_id, stored.status.account_name))
                if count := stored.status.summary.quarantined:
                    quarantined[account_id] = count
            with self._lock:
                self._reported.get(policy.ref, set()).discard(account_id)
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
            why = f"the policy does not {verb} {noun} {listed(labels)} any more"
            self._cluster.emit(policy, self.quarantines_left(quarantined, why, before))

    def quarantines_left(self, by_account: Mapping[str, int], why: str, accounts: AccountList) -> EventNote:
        """`accounts`: as they were while these were among them, for the roles; empty where nobody saw it."""
        known = accounts.by_id()
        commands = [
            release_command(known.get(account_id, Account(id=account_id)), prefix=self._prefix)
            for account_id in sorted(by_account)
        ]
        shown = ", ".join(f"`{command}`" for command in commands[:MAX_COMMANDS])
        more = f"; and likewise in {len(commands) - MAX_COMMANDS} more accounts" if len(commands) > MAX_COMMANDS else ""
        users = many(sum(by_account.values()), "user")
        note = f"{users} stay under quarantine although {why}; lift them with {shown}{more}"
        return EventNote(EventReason.QUARANTINES_LEFT, "Remediate", note)
