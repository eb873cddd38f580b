"""Collecting: one account becomes a Snapshot, for a handful of calls and a live lookup of the suspects only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType

import msgspec

from mfa_operator.api.conversion import prepare
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
from mfa_operator.evaluation.lookup_cache import (
    EMPTY,
    Memory,
    forget,
    pack,
    read_live_since,
    recall,
    remember,
    unpack,
    with_tags,
    without,
)
from mfa_operator.evaluation.restored import restored
from mfa_operator.evaluation.sufficiency import Needs, Question, next_question, sweep

MAX_CONCURRENT_USERS = 4
"""Calls under way at once in one account: IAM throttles per account, and others use the account too."""
VISIBILITY_DELAY = timedelta(minutes=5)
"""How long IAM may list a new user that it does not find yet."""


class _Bulk(msgspec.Struct, frozen=True, array_like=True):
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
        """Held while the account is asked: one audit at a time."""
        self._memory_lock = threading.Lock()
        self._memory = pack(EMPTY)
        self._forgotten: set[str] = set()
        """Ids of users who were forgotten since the audit that is under way took up the memory."""
        self._bulk: bytes | None = None
        """The last bulk answers, packed, where another policy may share them; it takes a sixth of the objects' room."""
        self._bulk_at: datetime | None = None
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
        shared: Callable[[], bool] = lambda: True,
        count_error: Callable[[AwsFailure], None] = lambda _: None,
    ) -> Snapshot:
        """A snapshot good enough for `needs`. Raises AwsFailure where the account cannot be audited.

        `deadlines`: by user name, when a violation becomes Overdue. `not_before`: bulk answers older than this are
        fetched again. `forget_before`: live answers older than this are not used. `report_time` and `published`:
        GeneratedTime of the report last seen and the findings that rest on it, where another process saw it. `doubted`:
        names of users whom only live answers from `not_before` on settle, whatever bulk answers and earlier ones say.
        `shared`: whether somebody else may ask for the bulk answers; asked once they are there. Else they are not kept.
        """
        with self._lock:
            memory = self._take_up()
            if forget_before:
                memory = forget(memory, forget_before)
            first = self._bulk_at is None
            if self._bulk and self._bulk_at and self._bulk_at >= not_before:
                bulk = _BULK_DECODER.decode(self._bulk)
            else:
                self._report_time = self._report_time or report_time
                bulk = self._fetch(now)
                self._bulk, self._bulk_at = _BULK_ENCODER.encode(bulk) if shared() else None, bulk.taken_at
            if first and not forget_before and _same_report(bulk.report, report_time):
                users = [_bulk_facts(user, bulk) for user in bulk.users if user.name in published]
                memory = restored(memory, users, published, now)
            doubts = frozenset(
                user.user_id
                for user in bulk.users
                if user.name in doubted and not read_live_since(memory, user, not_before)
            )
            return self._judge_suspects(bulk, memory, needs, now, deadlines, doubts, count_error)

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
            notes.append(f"no list of virtual devices ({error}); devices were read user by user")
        return _Bulk(taken_at, identity, report, users, owners, root_virtual, tuple(notes), partial)

    def _judge_suspects(
        self,
        bulk: _Bulk,
        memory: Memory,
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
                memory,
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
        with self._memory_lock:
            seen = remember(users, virtual_devices_known=bulk.virtual is not None, before=memory)
            self._memory = pack(without(seen, self._forgotten))
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
            facts = msgspec.structs.replace(facts, row=None, profile=None, devices=None, tags=None)
        # Each question once: if the clock is set back, every answer seems too old, and this would never end.
        unasked = set(Question)
        try:
            while (question := next_question(facts, needs, now)) in unasked:
                unasked.remove(question)
                if question is Question.PROFILE:
                    facts = msgspec.structs.replace(facts, profile=lookups.login_profile(self.session, facts.user.name))
                else:
                    facts = msgspec.structs.replace(facts, devices=lookups.mfa_devices(self.session, facts.user.name))
        except NotFound:
            return _not_found(msgspec.structs.replace(facts, row=row), now)
        except AwsFailure as error:
            count_error(error)
            facts = msgspec.structs.replace(facts, failure=failure_reason(error))
        return msgspec.structs.replace(facts, row=row)

    def add_tags(self, snapshot: Snapshot, names: Iterable[str], count_error: Callable[[AwsFailure], None]) -> Snapshot:
        """The snapshot with the tags of the named users; where they cannot be read, those users have a failure."""
        wanted = frozenset(names)
        if not wanted:
            return snapshot

        def tagged(facts: UserFacts) -> UserFacts | None:
            try:
                return msgspec.structs.replace(facts, tags=lookups.user_tags(self.session, facts.user.name))
            except NotFound:
                return _not_found(facts, utc_now())
            except AwsFailure as error:
                count_error(error)
                return msgspec.structs.replace(facts, failure=failure_reason(error))

        with self._lock:
            asked = [facts for facts in snapshot.users if facts.user.name in wanted]
            answers = dict(
                zip((facts.user.name for facts in asked), side_by_side(tagged, asked, self._width), strict=True)
            )
            users = tuple(found for facts in snapshot.users if (found := answers.get(facts.user.name, facts)))
            tags = {found.user.user_id: found.tags for found in answers.values() if found and found.tags}
            with self._memory_lock:
                self._memory = pack(with_tags(unpack(self._memory), tags))
        return replace(snapshot, users=users)

    def forget_user(self, user_id: str) -> None:
        """Drop what is remembered of one user, who was just acted on: the next pass reads them live.

        Does not wait for an audit under way, which remembers nothing of the user then.
        """
        with self._memory_lock:
            self._forgotten.add(user_id)
            self._memory = pack(without(unpack(self._memory), {user_id}))

    def _take_up(self) -> Memory:
        """What earlier audits left."""
        with self._memory_lock:
            self._forgotten.clear()
            return unpack(self._memory)

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
    return msgspec.structs.replace(facts, failure=FindingReason.NOT_VISIBLE_YET)


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


prepare(_Bulk)
_BULK_ENCODER = msgspec.msgpack.Encoder()
_BULK_DECODER = msgspec.msgpack.Decoder(_Bulk)
