"""Which accounts each policy covers: as they are known now, and as its last pass took them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from mfa_operator.api.objects import Policy, PolicyRef
from mfa_operator.config.access_rules import AccessRules
from mfa_operator.kube.report_pages import ListedReport
from mfa_operator.organization.account_list import AccountList
from mfa_operator.passes.auditor import Auditor
from mfa_operator.passes.discovery import Discoverer
from mfa_operator.passes.memory import PolicyMemory, Reports


class Coverage:
    """The accounts of all policies. Safe to use from several threads."""

    def __init__(
        self, discoverer: Discoverer, memory: PolicyMemory, auditor: Auditor, access: Callable[[], AccessRules]
    ) -> None:
        """`access` gives the rules in force now; the auditor forgets accounts that no policy covers any more."""
        self._discoverer, self._memory, self._auditor, self._access = discoverer, memory, auditor, access
        self._lock = threading.Lock()
        self._lists: dict[PolicyRef, AccountList] = {}
        """As the last pass of each policy took them."""

    def now(self, policy: Policy, *, refresh: bool = False) -> tuple[AccountList, dict[str, ListedReport] | None]:
        """The policy's accounts as they are known now, and its reports if that needed them. Raises ClusterError.

        `refresh`: a person wants a new listing of the organization.
        """
        reports: dict[str, ListedReport] | None = None
        if policy.spec.organization and not self._discoverer.knows(policy):
            # Without the accounts of an earlier process, those would be taken for gone.
            reports = self._memory.own_reports(policy)
            self._discoverer.restore(policy, reports.values())
        return self._discoverer.accounts(policy, self._access(), refresh=refresh), reports

    def restore(self, policy: Policy, reports: Reports) -> None:
        """Take up the accounts that an earlier process left reports of, for events that come before the first pass."""
        self._discoverer.restore(policy, reports.values())
        accounts = self._discoverer.accounts(policy, self._access())
        with self._lock:
            self._lists.setdefault(policy.ref, accounts)

    def take(self, ref: PolicyRef, accounts: AccountList) -> AccountList:
        """A pass begins with these accounts; returns those of the last one."""
        with self._lock:
            before = self._lists.get(ref, AccountList())
            self._lists[ref] = accounts
        self.prune()
        return before

    def last(self, ref: PolicyRef) -> AccountList:
        """The accounts of the last pass; none where there was none."""
        with self._lock:
            return self._lists.get(ref, AccountList())

    def covering(self, account_id: str) -> list[PolicyRef]:
        """The policies that cover the account, as far as passes and statuses have shown."""
        with self._lock:
            return [ref for ref, accounts in self._lists.items() if accounts.covers(account_id)]

    def drop(self, ref: PolicyRef) -> AccountList:
        """The policy is gone, or not ours any more; returns the accounts of its last pass."""
        self._discoverer.forget(ref)
        with self._lock:
            accounts = self._lists.pop(ref, AccountList())
        self.prune()
        return accounts

    def prune(self) -> None:
        """Have the auditor forget accounts that no policy covers."""
        with self._lock:
            self._auditor.keep_only(account for accounts in self._lists.values() for account in accounts)
