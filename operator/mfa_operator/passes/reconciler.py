"""Passes over policies: from the object in the cluster to its status, reports, Events and metrics."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from mfa_operator.api.conversion import InvalidObject
from mfa_operator.api.enums import ConditionReason, ConditionType, EventReason
from mfa_operator.api.objects import Body, Policy, PolicyRef, read_policy, requested_at
from mfa_operator.clock import utc_moment
from mfa_operator.kube.claims import Claims
from mfa_operator.kube.cluster import ObjectGone, PolicyIdentity
from mfa_operator.organization.account_list import AccountList
from mfa_operator.passes.backoff import AccountBackoff
from mfa_operator.passes.claiming import Claiming
from mfa_operator.passes.coverage import Coverage
from mfa_operator.passes.departures import Departures
from mfa_operator.passes.discovery import Discoverer
from mfa_operator.passes.memory import PolicyMemory
from mfa_operator.passes.policy_pass import PolicyPass
from mfa_operator.passes.publishing import KnownPolicy, Pace, PolicyPublisher
from mfa_operator.passes.targeted import news
from mfa_operator.passes.tools import Tools
from mfa_operator.reporting.account_result import AccountResult
from mfa_operator.reporting.events import EventNote
from mfa_operator.reporting.figures import Serving
from mfa_operator.reporting.policy_status import not_audited_status
from mfa_operator.scheduling.due import Cause, PassEnd, limits_since, next_due
from mfa_operator.scheduling.fair_pool import FairPool
from mfa_operator.scheduling.hints import Doubt, TargetedPassFailed

logger = logging.getLogger(__name__)

LISTING_PROGRESS = timedelta(seconds=10)
"""From one pass to the next of a policy that has no account until its organization is listed."""


class Reconciler:
    """Runs passes; called from threads, never twice at once for one policy."""

    def __init__(
        self,
        tools: Tools,
        *,
        discoverer: Discoverer,
        claims: Claims | None = None,
        max_concurrent_accounts: int = 16,
        pace: Pace | None = None,
        clock: Callable[[], datetime] = utc_moment,
        chance: random.Random | None = None,
    ) -> None:
        """`discoverer` lists organizations. `claims` tells which policies are ours to serve; None: all of them.

        `pace`: how often a pass says how far it is.
        """
        self._tools, self._cluster, self._metrics = tools, tools.cluster, tools.metrics
        self._claiming = Claiming(tools.cluster, tools.metrics, claims, clock)
        self._width = max_concurrent_accounts
        self._clock = clock
        self._chance = chance or random.SystemRandom()
        self._pace = pace or Pace()
        self._accounts = FairPool(max_concurrent_accounts, name="mfa-account", held_back=tools.auditor.held_back)
        self._running: dict[PolicyRef, PolicyPass] = {}
        """Passes under way, not the targeted ones."""
        self._backoffs: dict[PolicyRef, AccountBackoff] = {}
        """Of the policies that had a pass in this process. Each entry is its policy's passes' alone."""
        self._memory = PolicyMemory(tools.cluster, tools.metrics, clock, with_users=tools.user_violation_info)
        self._departures = Departures(tools.cluster, command_prefix=tools.events.command_prefix)
        self._discoverer = discoverer
        self._coverage = Coverage(discoverer, self._memory, tools.auditor, tools.access)

    def run_pass(self, ref: PolicyRef, *, fresh: bool, cause: str) -> PassEnd:
        """Audit one policy and publish what was found. `fresh`: a person asked, so nothing remembered is used.

        Raises ClusterError where nothing can be read or published (ObjectGone where the policy is not found) and
        PassAbandoned where the operator is stopping.
        """
        started = time.monotonic()
        begun = self._clock()
        # As Kubernetes objects hold times.
        now = begun.replace(microsecond=0)
        policy = self._admit(ref, now)
        if isinstance(policy, PassEnd):
            return policy
        accounts, reports = self._coverage.now(policy, refresh=cause == Cause.REQUESTED)
        accounts_before = self._coverage.take(ref, accounts)
        first = ref not in self._backoffs
        backoff = self._backoffs.setdefault(ref, AccountBackoff())
        # After the accounts are known to be this policy's: another one's pass keeps for it what it fetches of them.
        reports = self._memory.own_reports(policy) if reports is None else reports
        known = self._memory.recall(policy, reports)
        publisher = self._publisher(policy, accounts, known, now, asked_for=fresh)
        publisher.begin()
        # The first pass of a policy may share what another policy's just fetched: nobody saw anything older of it.
        listed = {account.id: reports.pop(account.id) for account in accounts if account.id in reports}
        one_pass = PolicyPass(
            self._tools,
            policy,
            accounts,
            reports=listed,
            known=known,
            backoff=backoff,
            now=now,
            acted_since=limits_since(cause, now, self._tools.interval(policy), first=first),
            fresh=fresh and cause != Cause.CREATED,
        )
        self._running[ref] = one_pass
        try:
            one_pass.run(self._accounts, self._width, publisher)
        finally:
            del self._running[ref]
            # Also of a pass that was cut short: what it wrote into reports is no news to the next one.
            self._memory.remember(policy, publisher.results)
        due = self._next_pass(policy, accounts, begun)
        # A pass that nobody asked for may use what an earlier one looked up.
        served = policy.requested_at if fresh else policy.status.last_handled_requested_at
        status = publisher.end(due, served)
        self._departures.drop_reports(policy, accounts, accounts_before, reports.values())
        publisher.write(status)
        self._metrics.observe_pass(ref, time.monotonic() - started)
        self._coverage.prune()
        return PassEnd(policy.generation, policy.requested_at, due)

    def _admit(self, ref: PolicyRef, now: datetime) -> Policy | PassEnd:
        """The policy as it is now, claimed; or how its pass ends, where there is to be none. Raises ClusterError."""
        read = self._cluster.get_policy(ref)
        if read is None:
            # One answer may be wrong: only the watch or a list says that a policy was deleted, and then calls forget.
            raise ObjectGone(f"MfaPolicy {ref} does not exist")
        if read["metadata"].get("deletionTimestamp"):
            # A report written now would belong to an object that is about to go.
            logger.info("policy %s is being deleted: no further pass", ref)
            return PassEnd(int(read["metadata"].get("generation", 0)), requested_at(read), None)
        body = self._claiming.take(read)
        if isinstance(body, PassEnd):
            self._drop(ref)
            return body
        try:
            policy = read_policy(body)
        except InvalidObject as error:
            return self._refuse(body, ConditionReason.INVALID_SPEC, str(error), now)
        if policy.spec.suspend:
            if policy.status.last_pass_time:
                self._memory.recall(policy)
            return self._refuse(body, ConditionReason.SUSPENDED, "spec.suspend is true: no audits", now)
        return policy

    def _next_pass(self, policy: Policy, accounts: AccountList, begun: datetime) -> datetime:
        """When the pass is due after the one begun then."""
        due = next_due(begun, self._tools.interval(policy), self._chance.random())
        if self._tools.interval_override is None:
            due = due.replace(microsecond=0)
        if not accounts.accounts and accounts.discovery and accounts.discovery.succeeded is None:
            # Somebody may be waiting: the next pass says how far the listing is.
            due = min(due, (begun + LISTING_PROGRESS).replace(microsecond=0))
        return due

    def _publisher(
        self,
        policy: Policy,
        accounts: AccountList,
        known: Mapping[str, AccountResult],
        now: datetime,
        *,
        asked_for: bool,
    ) -> PolicyPublisher:
        return PolicyPublisher(
            policy,
            accounts,
            known,
            cluster=self._cluster,
            metrics=self._metrics,
            now=now,
            asked_for=asked_for,
            pace=self._pace,
        )

    def run_accounts(self, ref: PolicyRef, doubts: Mapping[str, Doubt]) -> Mapping[str, frozenset[str] | None]:
        """Audit these accounts of a policy because of events, and publish what was found as a pass does.

        What a pass stands for stays: its times, the interval, the back-off of failing accounts. Where none is to come,
        or another operator serves the policy, nothing is done; where a pass over the whole policy has to come first,
        all accounts count as failed. See PassRunner for what is returned and raised.
        """
        now = self._clock().replace(microsecond=0)
        body = self._cluster.get_policy(ref)
        if body is None:
            raise ObjectGone(f"MfaPolicy {ref} does not exist")
        policy = self._auditable(body, doubts)
        claimed = self._claiming.renewed(body) if policy else None
        if policy is None or claimed is None:
            return {}
        if claimed is not body:
            policy = read_policy(claimed)
        known = self._memory.recall(policy)
        current, _ = self._coverage.now(policy)
        # Those of the last pass: of an account that has joined since, nothing is known that a sum could be made of.
        accounts = replace(self._coverage.last(ref), discovery=current.discovery, settled=current.settled)
        publisher = self._publisher(policy, accounts, known, now, asked_for=False)
        # A listing since may have left an account out: then it is audited no more, let alone remediated.
        chosen = tuple(account for account in accounts if account.id in doubts and current.covers(account.id))
        # Also what passes did that came sooner than the interval says.
        acted_since = min(policy.status.last_pass_time or now, now - self._tools.interval(policy))
        targeted = PolicyPass(
            self._tools,
            policy,
            replace(accounts, accounts=chosen),
            reports=None,
            known=known,
            backoff=self._backoffs.get(ref) or AccountBackoff(),
            now=now,
            acted_since=acted_since,
            doubts=doubts,
        )
        outcomes = targeted.run(self._accounts, max(self._width // 2, 1), publisher)
        for outcome in outcomes:
            publisher.ended(news(outcome.result, known.get(outcome.result.status.id)))
        status = publisher.end_targeted()
        self._memory.remember(policy, publisher.results)
        if status is not None:
            publisher.write(status)
        unseen = {outcome.result.status.id: outcome.unseen for outcome in outcomes if outcome.unseen != frozenset()}
        if failed := [outcome.result.status.id for outcome in outcomes if outcome.failed]:
            raise TargetedPassFailed(failed, unseen)
        return unseen

    def _auditable(self, body: Body, doubts: Collection[str]) -> Policy | None:
        """The policy; None where it is suspended, invalid or going.

        Raises TargetedPassFailed where a pass over it comes first: until then nothing that a hint is about is
        published, and that pass may be cut off.
        """
        try:
            policy = read_policy(body)
        except InvalidObject:
            return None
        if policy.spec.suspend or body["metadata"].get("deletionTimestamp"):
            return None
        if policy.status.last_pass_time is None or policy.status.observed_generation != policy.generation:
            raise TargetedPassFailed(doubts, {})
        return policy

    def covering(self, account_id: str) -> list[PolicyRef]:
        """The policies that cover the account, as far as passes and statuses have shown."""
        return self._coverage.covering(account_id)

    def hurry_account(self, ref: PolicyRef, account_id: str, users: frozenset[str], at: datetime) -> None:
        """Have the pass that runs over the policy, if one does, take up the account next where it has not yet."""
        if running := self._running.get(ref):
            running.hurry(account_id, users, at)

    def refresh_organizations(self, account_id: str) -> None:
        """An account joined or left its organization: the organizations are listed again, soon."""
        # At debug: a forged message costs its sender nothing, and the listing itself is logged.
        logger.debug("account %s joined or left its organization", account_id or "of an unknown id")
        self._discoverer.refresh_soon()

    def restore(self, body: Body) -> None:
        """Take up metrics from a policy's status and reports, as an earlier process left them. Raises ClusterError."""
        policy = read_policy(body)
        if self._claiming.is_elsewhere(policy.status.served_by):
            # Two operators would show the same series.
            return
        reports = self._memory.own_reports(policy)
        self._coverage.restore(policy, reports)
        self._memory.restore(policy, reports)

    def forget(self, ref: PolicyRef) -> None:
        """The policy is gone: its series vanish, and so does what is remembered of accounts that nobody else names."""
        self._metrics.forget(ref)
        self._claiming.forget(ref)
        accounts, known = self._drop(ref)
        if known and (quarantined := known.quarantined()):
            # In a thread: forget is called in the event loop.
            event = self._departures.quarantines_left(quarantined, "the policy was deleted", accounts)
            identity = PolicyIdentity(ref, known.uid)
            self._accounts.submit(ref.namespace, partial(self._cluster.emit, identity, event), policy=ref.name)

    def _drop(self, ref: PolicyRef) -> tuple[AccountList, KnownPolicy | None]:
        """Forget what is known of the policy; returns its accounts and what was known."""
        self._backoffs.pop(ref, None)
        return self._coverage.drop(ref), self._memory.forget(ref)

    def _refuse(self, body: Body, reason: ConditionReason, message: str, now: datetime) -> PassEnd:
        """Say in status why the policy is not audited. What was known stays, and nothing is due until an edit."""
        identity = PolicyIdentity.of(body)
        generation = int(body["metadata"].get("generation", 0))
        before = identity.status
        status = not_audited_status(before, generation, reason, message, now, requested_at(body))
        if status != before:
            self._cluster.write_policy_status(identity, status)
            known = before.condition(ConditionType.READY)
            changed = known is None or (known.reason, known.message) != (reason, status.conditions[0].message)
            if reason is ConditionReason.INVALID_SPEC and changed:
                self._cluster.emit(identity, EventNote(EventReason.INVALID_SPEC, "Validate", message))
        suspended = reason is ConditionReason.SUSPENDED
        self._metrics.set_serving(identity.ref, Serving.of(status, suspended=suspended))
        logger.info("policy %s is not audited: %s: %s", identity.ref, reason, message)
        return PassEnd(generation, requested_at(body), None)
