"""The organizations that policies discover their accounts in: listed in threads of their own, never in a pass.

One listing serves every policy that names the same role and external id. A listing that fails changes nothing but what
the policies' conditions say.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from datetime import datetime
from functools import partial

from mfa_operator.api.objects import Policy, PolicyRef
from mfa_operator.api.organization import Organization
from mfa_operator.api.policy import Account
from mfa_operator.aws.errors import AwsFailure
from mfa_operator.aws.organization import Lister, OrganizationLister
from mfa_operator.aws.sessions import Sessions
from mfa_operator.config.access_rules import AccessRules
from mfa_operator.kube.report_pages import ListedReport
from mfa_operator.organization.account_list import AccountList
from mfa_operator.organization.discovery import Discovery
from mfa_operator.organization.listing import Listing
from mfa_operator.organization.selection import NotAsked, UnknownUnits
from mfa_operator.organization.standing import OtherOrganization, Standing
from mfa_operator.passes import discovery_words as words
from mfa_operator.passes.organization_source import OrganizationSource
from mfa_operator.passes.restored_standing import restored_standing
from mfa_operator.reporting.wording import many
from mfa_operator.scheduling.due import PassAbandoned
from mfa_operator.scheduling.fair_pool import FairPool

logger = logging.getLogger(__name__)

WIDTH = 4
"""Organizations listed at once."""
TURN = 1.0
"""Seconds that the loop sleeps at most."""


class Discoverer:
    """Keeps the list of accounts of every policy that has an organization. Safe to use from several threads."""

    def __init__(
        self,
        sessions: Sessions,
        *,
        list_changed: Callable[[PolicyRef], None] = lambda _: None,
        chance: random.Random | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        background: bool = True,
    ) -> None:
        """`list_changed` is called in another thread with each policy that waited for a listing that has ended.

        `background` False: nothing is listed but by `run_due`.
        """
        self.list_changed = list_changed
        self._sessions = sessions
        self._chance = chance or random.SystemRandom()
        self._monotonic = monotonic
        self._background = background
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._started = False
        self._sources: dict[Lister, OrganizationSource] = {}
        self._standings: dict[PolicyRef, tuple[str, Standing]] = {}
        """By policy, with the uid of the object that it belongs to."""

    def knows(self, policy: Policy) -> bool:
        """Whether something is known of the policy's accounts; if not, `restore` comes first."""
        with self._lock:
            return self._standings.get(policy.ref, ("", None))[0] == policy.uid

    def restore(self, policy: Policy, reports: Iterable[ListedReport]) -> None:
        """Take up the accounts that an earlier process left reports of."""
        organization = policy.spec.organization
        if organization is None:
            return
        partition = organization.role_arn.split(":")[1] if organization.role_arn else self._own_partition()
        standing = restored_standing(policy, reports, partition)
        with self._lock:
            if self._standings.get(policy.ref, ("", None))[0] != policy.uid:
                self._standings[policy.ref] = policy.uid, standing

    def _own_partition(self) -> str:
        try:
            return self._sessions.own_partition()
        except AwsFailure:
            # A region that AWS does not have; each account says so by itself.
            return "aws"

    def accounts(self, policy: Policy, rules: AccessRules, *, refresh: bool = False) -> AccountList:
        """The policy's accounts as far as they are known now; never waits. `refresh`: a person wants a new listing."""
        organization = policy.spec.organization
        if organization is None:
            self.forget(policy.ref)
            return AccountList.of(policy.spec)
        with self._lock:
            uid, standing = self._standings.get(policy.ref, ("", Standing()))
            standing = standing if uid == policy.uid else Standing()
            if rules.may_discover(policy.ref.namespace, organization.role_arn):
                source = self._join(policy.ref, organization)
                if refresh:
                    source.hurry(self._monotonic())
                standing, discovery = self._current(source, organization, standing)
                if refresh or not discovery.succeeded:
                    source.waiting.add(policy.ref)
            else:
                self._leave(policy.ref)
                discovery = words.not_allowed(policy.ref, organization)
            self._standings[policy.ref] = policy.uid, standing
        self._start()
        return standing.account_list(policy.spec, discovery)

    def _current(
        self, source: OrganizationSource, organization: Organization, standing: Standing
    ) -> tuple[Standing, Discovery]:
        """The policy's list by the last complete listing, and what is to be said of it."""
        if source.listing:
            try:
                standing = standing.updated(organization, source.listing)
            except OtherOrganization as error:
                return standing, words.other_organization(error, source.lister, standing)
            except UnknownUnits as error:
                return standing, words.unknown_units(error, source.listing, standing)
            except NotAsked:
                source.hurry(self._monotonic())
                if source.problem is None:
                    return standing, words.pending(source.progress)
        if source.problem:
            return standing, words.failed(source.problem, source.lister, standing)
        if source.listing is None:
            return standing, words.pending(source.progress)
        return standing, words.discovered(source.listing, standing)

    def covers(self, policy: Policy, account: Account) -> bool:
        """Whether the account is still the policy's: a listing since its pass began may have left it out."""
        organization = policy.spec.organization
        if organization is None or any(typed.id == account.id for typed in policy.spec.accounts):
            return True
        with self._lock:
            uid, standing = self._standings.get(policy.ref, ("", Standing()))
            source = self._sources.get(Lister.of(organization))
            if uid != policy.uid or source is None:
                return False
            standing, _ = self._current(source, organization, standing)
            self._standings[policy.ref] = uid, standing
        return any(member.id == account.id for member in standing.members)

    def forget(self, ref: PolicyRef) -> None:
        """The policy is gone, or has no organization any more."""
        with self._lock:
            self._leave(ref)
            self._standings.pop(ref, None)

    def refresh_soon(self) -> None:
        """Something has happened in an organization: list them all again. Their policies hear of the outcome."""
        with self._lock:
            for source in self._sources.values():
                source.hurry(self._monotonic())
                source.waiting.update(source.specs)
        self._wake.set()

    def last_success(self, ref: PolicyRef) -> tuple[datetime | None, bool] | None:
        """When the policy's organization was last listed, and whether the last try succeeded; None: it lists none."""
        with self._lock:
            found = next((source for source in self._sources.values() if ref in source.specs), None)
            return (found.last_success, found.problem is None) if found else None

    def run_due(self) -> None:
        """List, one after the other, every organization that is due."""
        for source in self._take_due():
            self._list(source)

    def _take_due(self) -> list[OrganizationSource]:
        now = self._monotonic()
        with self._lock:
            due = [source for source in self._sources.values() if not source.running and source.due <= now]
            for source in due:
                source.begin(now)
        return due

    def _start(self) -> None:
        with self._lock:
            if self._background and not self._started:
                threading.Thread(target=self._loop, name="mfa-discoverer", daemon=True).start()
                self._started = True
        self._wake.set()

    def _loop(self) -> None:
        pool = FairPool(WIDTH, name="mfa-discovery")
        while not self._sessions.stopping.is_set():
            for source in self._take_due():
                with self._lock:
                    namespace = min((ref.namespace for ref in source.specs), default="")
                listing = pool.submit(namespace, partial(self._list, source))
                listing.add_done_callback(partial(self._check_begun, source))
            self._wake.wait(TURN)
            self._wake.clear()

    def _check_begun(self, source: OrganizationSource, listing: Future[None]) -> None:
        """A listing that no thread could begin is one that failed: it comes again."""
        error = listing.exception()
        if isinstance(error, Exception) and source.running:
            logger.warning("listing the organization through %s could not begin: %s", source.lister, error)
            self._ended(source, error)

    def _list(self, source: OrganizationSource) -> None:
        """List one organization. What goes wrong stands in the source: nothing is raised."""
        with self._lock:
            specs = list(source.specs.values())
        try:
            source.worker = source.worker or OrganizationLister(self._sessions, source.lister)
            listing = source.worker.list(specs, partial(setattr, source, "progress"))
        except PassAbandoned:
            source.abandon()
            return
        except AwsFailure as error:
            logger.warning("listing the organization through %s failed: %s", source.lister, error)
            self._ended(source, error)
        except Exception as error:  # a bug must not end the discovery for ever
            logger.exception("listing the organization through %s failed unexpectedly", source.lister)
            self._ended(source, error)
        else:
            accounts = many(len(listing.members), "account")
            logger.info("organization %s, listed through %s: %s", listing.organization_id, source.lister, accounts)
            self._ended(source, listing)

    def _ended(self, source: OrganizationSource, outcome: Listing | Exception) -> None:
        with self._lock:
            told = source.end(outcome, self._monotonic(), self._chance.random())
        for ref in sorted(told):
            self.list_changed(ref)

    def _join(self, ref: PolicyRef, organization: Organization) -> OrganizationSource:
        lister = Lister.of(organization)
        source = self._sources.get(lister)
        if source is None or ref not in source.specs:
            self._leave(ref)
            source = self._sources.setdefault(lister, OrganizationSource(lister))
        source.join(ref, organization)
        return source

    def _leave(self, ref: PolicyRef) -> None:
        for lister, source in list(self._sources.items()):
            source.leave(ref)
            if not source.specs:
                del self._sources[lister]
