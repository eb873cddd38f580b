"""Collecting: one account becomes a Snapshot, for a handful of calls and a live look at the suspects only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from mfa_operator.api.enums import AccountReason, FindingReason
from mfa_operator.api.status import Finding
from mfa_operator.aws import credential_reports, lookups
from mfa_operator.aws.errors import AwsFailure, Denied, NotFound, ReportFailed
from mfa_operator.aws.identity import Identity
from mfa_operator.aws.sessions import AccountSession
from mfa_operator.aws.side_by_side import side_by_side
from mfa_operator.clock import utc_moment, utc_now
from mfa_operator.evaluation.credential_report import CredentialReport
from mfa_operator.evaluation.facts import Fact, RootFacts, Snapshot, User, UserFacts
from mfa_operator.evaluation.lookup_cache import Memory, forget, looked_at_since, recall, remember
from mfa_operator.evaluation.restored import restored
from mfa_operator.evaluation.sufficiency import Needs, Question, next_question, sweep

MAX_CONCURRENT_USERS = 4
"""Calls under way at once in one account: IAM throttles per account, and others use the account too."""
VISIBILITY_DELAY = timedelta(minutes=5)
"""How long IAM may list a new user that it does not find yet."""


@dataclass(frozen=True, slots=True)
class _Bulk:
    """The answers that speak of all users at once."""

    taken_at: datetime
    identity: Identity
    report: CredentialReport | None
    users: list[User]
    virtual: frozenset[str] | None
    root_virtual: bool | None
    notes: tuple[str, ...]
    partial: AccountReason | None


class Collector:
    """Audits one account, reached in one way, for every policy that names it: one fetch serves them all."""

    def __init__(self, session: AccountSession, max_concurrent_users: int = MAX_CONCURRENT_USERS) -> None:
        self.session = session
        self._width = max_concurrent_users
        self._lock = threading.Lock()
        self._memory = Memory()
        self._bulk: _Bulk | None = None
        self._report_time: datetime | None = None

    def collect(
        self,
        needs: Needs,
        now: datetime,
        *,
        deadlines: Mapping[str, datetime],
        not_before: datetime,
        forget_before: datetime | None = None,
        report_time: datetime | None = None,
        published: Mapping[str, Finding] = MappingProxyType({}),
        doubted: Collection[str] = (),
        count_error: Callable[[AwsFailure], None] = lambda _: None,
    ) -> Snapshot:
        """A snapshot good enough for `needs`. Raises AwsFailure where the account cannot be audited.

        `deadlines`: by user name, when a violation becomes Overdue. `not_before`: bulk answers older than this are
        fetched again. `forget_before`: live answers older than this are not used. `report_time` and `published`:
        GeneratedTime of the report last seen and the findings that rest on it, where another process saw it. `doubted`:
        names of users whom only live answers from `not_before` on settle, whatever bulk answers and earlier ones say.
        """
        with self._lock:
            if forget_before:
                self._memory = forget(self._memory, forget_before)
            first = self._bulk is None
            if self._bulk is None or self._bulk.taken_at < not_before:
                self._report_time = self._report_time or report_time
                self._bulk = self._fetch(now)
            if first and not forget_before and _same_report(self._bulk.report, report_time):
                users = [_bulk_facts(user, self._bulk) for user in self._bulk.users if user.name in published]
                self._memory = restored(self._memory, users, published, now)
            doubts = frozenset(
                user.user_id
                for user in self._bulk.users
                if user.name in doubted and not looked_at_since(self._memory, user, not_before)
            )
            return self._judge_suspects(self._bulk, needs, now, deadlines, doubts, count_error)

    def _fetch(self, now: datetime) -> _Bulk:
        taken_at = utc_moment()
        identity = self.session.open()
        notes: list[str] = []
        report: CredentialReport | None = None
        partial: AccountReason | None = None
        try:
            report = credential_reports.fetch(self.session, now, last_known=self._report_time, note=notes.append)
            self._report_time = report.generated
        except (Denied, ReportFailed) as error:
            partial = AccountReason.REPORT_UNAVAILABLE
            notes.append(f"no credential report ({error}); every user was read live instead")
        users = lookups.list_users(self.session)
        owners: frozenset[str] | None = None
        root_virtual: bool | None = None
        try:
            owners, root_virtual = lookups.list_virtual_devices(self.session)
        except Denied as error:
            notes.append(f"the list of virtual devices is not to be had ({error}); devices were read user by user")
        return _Bulk(taken_at, identity, report, users, owners, root_virtual, tuple(notes), partial)

    def _judge_suspects(
        self,
        bulk: _Bulk,
        needs: Needs,
        now: datetime,
        deadlines: Mapping[str, datetime],
        doubts: frozenset[str],
        count_error: Callable[[AwsFailure], None],
    ) -> Snapshot:
        report_time = bulk.report.generated if bulk.report else None
        known = [
            recall(
                _bulk_facts(user, bulk),
                self._memory,
                accepted=needs.accepted,
                report_time=report_time,
                deadline=deadlines.get(user.name),
                now=now,
            )
            for user in bulk.users
        ]
        swept = sweep(known, needs, now) | doubts

        def settle(facts: UserFacts) -> UserFacts | None:
            return self._settle(facts, needs, now, facts.user.user_id in swept, count_error)

        suspects = [facts for facts in known if facts.user.user_id in swept or next_question(facts, needs, now)]
        settled_ones = side_by_side(settle, suspects, self._width)
        answers = dict(zip((facts.user.user_id for facts in suspects), settled_ones, strict=True))
        users = tuple(settled for facts in known if (settled := answers.get(facts.user.user_id, facts)))
        self._memory = remember(users, virtual_devices_known=bulk.virtual is not None, before=self._memory)
        return Snapshot(
            account_id=self.session.account.id,
            partition=bulk.identity.partition,
            taken_at=bulk.taken_at,
            report_time=report_time,
            users=users,
            root=self._root(bulk, count_error) if needs.root else None,
            notes=bulk.notes,
            own_user=bulk.identity.user_name,
            partial=bulk.partial,
        )

    def _settle(
        self, facts: UserFacts, needs: Needs, now: datetime, swept: bool, count_error: Callable[[AwsFailure], None]
    ) -> UserFacts | None:
        """Ask live until the verdict is settled; None where the user turns out to be gone."""
        row = facts.row
        if swept:
            facts = replace(facts, row=None, profile=None, devices=None, tags=None)
        # Each once: were the clock set back, an answer would look too old for ever.
        unasked = set(Question)
        try:
            while (question := next_question(facts, needs, now)) in unasked:
                unasked.remove(question)
                if question is Question.PROFILE:
                    facts = replace(facts, profile=lookups.login_profile(self.session, facts.user.name))
                else:
                    facts = replace(facts, devices=lookups.mfa_devices(self.session, facts.user.name))
        except NotFound:
            return _not_found(replace(facts, row=row), now)
        except AwsFailure as error:
            count_error(error)
            facts = replace(facts, failure=failure_reason(error))
        return replace(facts, row=row)

    def add_tags(self, snapshot: Snapshot, names: Iterable[str], count_error: Callable[[AwsFailure], None]) -> Snapshot:
        """The snapshot with the tags of the named users; where they cannot be read, those users have a failure."""
        wanted = frozenset(names)
        if not wanted:
            return snapshot

        def tagged(facts: UserFacts) -> UserFacts | None:
            try:
                return replace(facts, tags=lookups.user_tags(self.session, facts.user.name))
            except NotFound:
                return _not_found(facts, utc_now())
            except AwsFailure as error:
                count_error(error)
                return replace(facts, failure=failure_reason(error))

        with self._lock:
            asked = [facts for facts in snapshot.users if facts.user.name in wanted]
            answers = dict(
                zip((facts.user.name for facts in asked), side_by_side(tagged, asked, self._width), strict=True)
            )
            users = tuple(found for facts in snapshot.users if (found := answers.get(facts.user.name, facts)))
            self._memory = remember(users, virtual_devices_known=False, before=self._memory)
        return replace(snapshot, users=users)

    def forget_user(self, user_id: str) -> None:
        """Drop what is remembered of one user, who was just acted on: the next pass reads them live."""
        with self._lock:
            kept = {key: facts for key, facts in self._memory.looked_at.items() if key != user_id}
            self._memory = replace(self._memory, looked_at=kept)

    def _root(self, bulk: _Bulk, count_error: Callable[[AwsFailure], None]) -> RootFacts:
        row = bulk.report.root if bulk.report else None
        password = row.password_enabled if row else None
        keys = row.access_keys if row else None
        try:
            summary = lookups.account_summary(self.session)
        except AwsFailure as error:
            count_error(error)
            return RootFacts(password, keys, None, bulk.root_virtual, utc_now(), failure_reason(error))
        present = summary.get("AccountPasswordPresent")
        return RootFacts(
            password=password if present is None else bool(present),
            access_keys=bool(summary["AccountAccessKeysPresent"]) if "AccountAccessKeysPresent" in summary else keys,
            mfa=bool(summary.get("AccountMFAEnabled")) or bool(bulk.root_virtual),
            virtual_device=bulk.root_virtual,
            at=utc_now(),
        )


def _not_found(facts: UserFacts, now: datetime) -> UserFacts | None:
    """A user that is listed and not found: None where they were deleted since, a failure where they are new."""
    if now - facts.user.created > VISIBILITY_DELAY:
        return None
    return replace(facts, failure=FindingReason.NOT_VISIBLE_YET)


def failure_reason(error: AwsFailure) -> FindingReason:
    return FindingReason.LOOKUP_DENIED if isinstance(error, Denied) else FindingReason.LOOKUP_FAILED


def _same_report(report: CredentialReport | None, time: datetime | None) -> bool:
    """Whether this is the report of that GeneratedTime, as an MfaReport holds it: in whole seconds."""
    return report is not None and report.generated.replace(microsecond=0) == time


def _bulk_facts(user: User, bulk: _Bulk) -> UserFacts:
    row = bulk.report.rows.get(user.name) if bulk.report else None
    # A row of the same name but another creation time speaks of a user deleted since.
    same = row is not None and row.created is not None and abs(row.created - user.created) < timedelta(seconds=1)
    return UserFacts(
        user=user,
        row=Fact(row, bulk.report.generated) if bulk.report and row and same else None,
        has_virtual_device=None if bulk.virtual is None else Fact(user.user_id in bulk.virtual, bulk.taken_at),
    )
