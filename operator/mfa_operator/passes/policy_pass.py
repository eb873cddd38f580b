"""One pass over one policy: its accounts audited side by side, each isolated from the others, each report published."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import islice
from logging import ERROR, INFO, WARNING
from queue import Empty, SimpleQueue

import msgspec

from mfa_operator.api.conversion import InvalidObject
from mfa_operator.api.enums import AccountReason, ErrorReason
from mfa_operator.api.objects import Policy
from mfa_operator.api.policy import Account
from mfa_operator.api.status import AccountStatus, ReportStatus
from mfa_operator.aws.errors import AwsFailure
from mfa_operator.kube.cluster import (
    ClusterUnavailable,
    ObjectGone,
    ReadRefused,
    StaleData,
    StoredReport,
    WriteRefused,
)
from mfa_operator.kube.report_pages import ListedReport
from mfa_operator.organization.account_list import AccountList
from mfa_operator.passes.account_line import AccountLine
from mfa_operator.passes.auditor import Audit
from mfa_operator.passes.backoff import AccountBackoff
from mfa_operator.passes.failure_log import FailureLog
from mfa_operator.passes.failures import account_failure
from mfa_operator.passes.publishing import PolicyPublisher
from mfa_operator.passes.targeted import unseen_users
from mfa_operator.passes.tools import Tools
from mfa_operator.reporting.account_report import account_status, failed_account, failed_report, unchanged
from mfa_operator.reporting.account_result import AccountResult
from mfa_operator.reporting.commands import restart_command
from mfa_operator.reporting.transitions import account_events, finding_events
from mfa_operator.reporting.wording import account_label
from mfa_operator.scheduling.due import PassAbandoned
from mfa_operator.scheduling.fair_pool import FairPool
from mfa_operator.scheduling.hints import Doubt

logger = logging.getLogger(__name__)

LOOK_AROUND = 1.0
"""Seconds after which a pass sees whether some of its accounts mostly wait."""

PASS_ENDING = (PassAbandoned, ObjectGone, ClusterUnavailable)
"""What ends the whole pass: the operator stops, the policy is gone, or nothing could be published."""


@dataclass(frozen=True, slots=True)
class AccountOutcome:
    """What a pass knows of one account at its end."""

    result: AccountResult
    unseen: frozenset[str] | None = frozenset()
    """Users in doubt of whom nothing new was seen; None where nothing new was seen of the account at all."""
    failed: bool = False
    """Whether it was to be audited and could not be, or what was found could not be published."""


class PolicyPass:
    """Audits the accounts of one policy, once."""

    def __init__(
        self,
        tools: Tools,
        policy: Policy,
        accounts: AccountList,
        *,
        reports: dict[str, ListedReport] | None,
        known: Mapping[str, AccountResult],
        backoff: AccountBackoff,
        now: datetime,
        acted_since: datetime | None,
        fresh: bool = False,
        doubts: Mapping[str, Doubt] | None = None,
    ) -> None:
        """What it works with.

        `reports` are the policy's by account id, as the pass read them at its beginning; each is taken out as its
        account's turn comes. None: each is to be read by itself. `known` is what was last known of each account.
        `acted_since`: what was done since counts against the limits of remediation, too; None: only what this pass
        does. `fresh`: nothing remembered is used, and no account is left out.

        `doubts`: by account, what events say may have changed. Then it is a targeted pass, and moves no back-off.
        """
        self.policy = policy
        self._tools, self._cluster = tools, tools.cluster
        self._accounts = accounts
        self._reports, self._known = reports, known
        self._backoff = backoff
        self._now = now
        self._acted_since = acted_since
        self._fresh = fresh
        self._doubts = doubts
        self._failures = FailureLog(policy.ref)
        self._line = AccountLine(accounts)

    def hurry(self, account_id: str, users: frozenset[str], at: datetime) -> None:
        """Something has happened in the account: its turn is next, unless it has begun. From any thread."""
        self._line.hurry(account_id, users, at)

    def run(self, pool: FairPool, width: int, publisher: PolicyPublisher) -> list[AccountOutcome]:
        """Audit every account, `width` at a time; the publisher gets each result as the account ends.

        For an account that mostly waits, as AWS throttles it, another one begins.

        Raises one of PASS_ENDING.
        """
        waiting = iter(self._line)
        ended: SimpleQueue[Future[AccountOutcome]] = SimpleQueue()
        outcomes: list[AccountOutcome] = []
        running: set[Future[AccountOutcome]] = set()
        try:
            while True:
                # No more are handed to the shared pool at once: what ends this pass has little to take back.
                held_back = pool.held_back(self.policy.ref.namespace, self.policy.ref.name)
                room = max(width + held_back - len(running), 0)
                running.update(self._start(pool, islice(waiting, room), ended))
                if not running:
                    return outcomes
                try:
                    future = ended.get(timeout=min(publisher.turn(), LOOK_AROUND))
                except Empty:
                    continue
                running.discard(future)
                outcome = future.result()
                outcomes.append(outcome)
                publisher.ended(outcome.result)
        finally:
            for future in running:
                future.cancel()
            self._failures.end()

    def _start(
        self, pool: FairPool, accounts: Iterator[Account], ended: SimpleQueue[Future[AccountOutcome]]
    ) -> Iterator[Future[AccountOutcome]]:
        ref = self.policy.ref
        for account in accounts:
            future = pool.submit(ref.namespace, partial(self._account, account), policy=ref.name, account=account.id)
            future.add_done_callback(ended.put)
            yield future

    def _account(self, account: Account) -> AccountOutcome:
        """Audit one account and publish its report. Raises one of PASS_ENDING."""
        if self._reports is None:
            return self._audit(account, lambda: self._report_now(account))
        listed = self._reports.pop(account.id, None)
        try:
            return self._audit(account, listed.read if listed else lambda: None)
        except StaleData:
            if listed is not None:
                raise
            # There is a report all the same: somebody took its labels away, or it is newer than the list.
            return self._audit(account, lambda: self._report_now(account))

    def _report_now(self, account: Account) -> StoredReport | None:
        stored = self._cluster.get_report(self.policy.ref, account.id)
        # A report of a deleted policy of this name says nothing about this one.
        return stored if stored and stored.owner_uid == self.policy.uid else None

    def _audit(self, account: Account, read: Callable[[], StoredReport | None]) -> AccountOutcome:
        """`read` gives the account's report, and raises InvalidObject and ClusterError."""
        before = self._known.get(account.id)
        stored: StoredReport | None = None
        as_read = False
        """Whether `stored` is what stands in the cluster."""
        try:
            stored = read()
            as_read = True
            if not self._allowed(account):
                return self._not_audited(account, before, self._not_allowed(account, before), stored, as_read=True)
            if before and not self._fresh and self._doubts is None and self._backoff.skips(account.id):
                return AccountOutcome(before)
            known = stored.status if stored else None
            audit = self._tools.auditor.audit(
                self.policy.spec,
                account,
                known,
                self._now,
                fresh=self._fresh,
                interval=self._tools.interval_override,
                doubt=self._doubt(account),
            )
            as_read = False
            report = self._publish(account, audit, stored)
        except PASS_ENDING:
            raise
        except Exception as error:  # noqa: BLE001 - one account's failure, a bug included, touches no other account
            return self._failed(account, before, stored, error, as_read=as_read)
        self._backoff.succeeded(account.id)
        for failure in audit.failures:
            self._count(account, failure.error_reason)
        result = AccountResult.of(account_status(report, self._now), report, with_users=self._tools.user_violation_info)
        self._emit_transition(before, result.status)
        return AccountOutcome(result, unseen_users(self._doubt(account), known, report))

    def _doubt(self, account: Account) -> Doubt | None:
        return self._doubts.get(account.id) if self._doubts else self._line.doubt(account.id)

    def _allowed(self, account: Account) -> bool:
        if self._accounts.refuses(account.id):
            return False
        return self._tools.access().allows(self.policy.ref.namespace, account)

    def _publish(self, account: Account, audit: Audit, stored: StoredReport | None) -> ReportStatus:
        before = stored.status if stored else None
        report = audit.report
        if remediator := self._tools.remediator:
            policy = self.policy if self._accounts.may_remediate(account.id) else only_planned(self.policy)
            since = self._acted_since
            report, stored = remediator.act(policy, account, audit, stored, self._now, acted_since=since)
        if not unchanged(report, stored.status if stored else None):
            self._write(account, report, stored)
        for note in finding_events(before, report, self._tools.events.runbook_base_url):
            self._cluster.emit(self.policy, note)
        return report

    def _write(self, account: Account, report: ReportStatus, stored: StoredReport | None) -> None:
        """Write the account's report. Raises ClusterError."""
        organization_id = self._accounts.organization_of(account.id)
        self._cluster.write_report(self.policy, report, stored, organization_id=organization_id)

    def _not_allowed(self, account: Account, before: AccountResult | None) -> AccountStatus:
        return failed_account(
            account,
            before.status if before else None,
            denied=False,
            reason=AccountReason.NOT_ALLOWED,
            message=f"the operator's access rules do not let namespace {self.policy.ref.namespace} audit account "
            f"{account.id} {'through ' + account.role_arn if account.role_arn else 'with its own credentials'}",
        )

    def _failed(
        self,
        account: Account,
        before: AccountResult | None,
        stored: StoredReport | None,
        error: Exception,
        *,
        as_read: bool,
    ) -> AccountOutcome:
        was = before.status if before else None
        failure = account_failure(error).with_restart(restart_command(self._tools.events.command_prefix))
        failure = failure.in_organization(self._accounts, account.id, was, self._now)
        if failure.unexpected:
            failure = replace(failure, message=f"{failure.message}; the traceback is in the operator's log")
        status = failure.status(account, was)
        if failure.unexpected:
            self._failures.add(ERROR, status, "failed unexpectedly", error)
        elif failure.audited:
            self._failures.add(ERROR, status, "was audited, but the API server refused its report")
        else:
            expected = isinstance(error, AwsFailure)
            self._failures.add(INFO if failure.pending else WARNING if expected else ERROR, status, "was not audited")
        if not failure.pending:
            self._count(account, failure.counted)
        if self._doubts is None and not failure.pending:
            self._backoff.failed(account.id, self.policy.spec.interval)
        outcome = self._not_audited(account, before, status, stored, as_read=as_read)
        return replace(outcome, failed=True)

    def _not_audited(
        self,
        account: Account,
        before: AccountResult | None,
        status: AccountStatus,
        stored: StoredReport | None,
        *,
        as_read: bool,
    ) -> AccountOutcome:
        """Publish that the account was not audited, and keep what is known of its users. Raises one of PASS_ENDING."""
        try:
            if not as_read:
                # It could not be read, or has been written since.
                stored = self._report_now(account)
            report = failed_report(stored.status if stored else None, status)
            if stored is None or report != stored.status:
                self._write(account, report, stored)
        except (ReadRefused, WriteRefused, InvalidObject) as error:
            label = f"{self.policy.ref} {account_label(account.id, account.name)}"
            logger.warning("the failed audit could not be recorded in the MfaReport of %s: %s", label, error)
        self._emit_transition(before, status)
        return AccountOutcome(before.with_status(status) if before else AccountResult(status=status))

    def _emit_transition(self, before: AccountResult | None, status: AccountStatus) -> None:
        """Events about an account that could no longer be audited, or can be again."""
        for note in account_events(before.status if before else None, status):
            self._cluster.emit(self.policy, note)

    def _count(self, account: Account, reason: ErrorReason) -> None:
        self._tools.metrics.count_error(self.policy.ref, account.id, reason)


def only_planned(policy: Policy) -> Policy:
    """The policy as a dry run: what it would do is planned and published, and nobody is acted on."""
    remediation = msgspec.structs.replace(policy.spec.remediation, dry_run=True)
    return msgspec.structs.replace(policy, spec=msgspec.structs.replace(policy.spec, remediation=remediation))
