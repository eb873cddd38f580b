"""One session per account: AssumeRole with external id, refreshed in time, over clients that all accounts share."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import UnknownRegionError
from botocore.parsers import ResponseParserError

from mfa_operator.api.objects import PolicyRef
from mfa_operator.api.policy import Account
from mfa_operator.aws.clients import (
    CLIENT_CONFIG,
    CONNECTIONS,
    Clients,
    RequestCounter,
    signed_with,
)
from mfa_operator.aws.environment import session_of_the_environment
from mfa_operator.aws.errors import (
    CALL_ERRORS,
    AwsFailure,
    Denied,
    RoleDenied,
    Throttled,
    WrongAccount,
    expired,
    failure,
)
from mfa_operator.aws.identity import Identity
from mfa_operator.aws.operations import changes_something
from mfa_operator.aws.pacing import Pacing, asking
from mfa_operator.aws.regions import DEFAULT_REGIONS
from mfa_operator.aws.retry import retrying
from mfa_operator.aws.role_sessions import (
    OPERATOR,
    READING_POLICY,
    WRITING_SECONDS,
    RoleCredentials,
    RoleSession,
    session_name,
    writing_policy,
)
from mfa_operator.clock import seconds_since_boot
from mfa_operator.scheduling.due import PassAbandoned
from mfa_operator.scheduling.lease_guard import LeaseGuard

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_sts import STSClient
    from mypy_boto3_sts.type_defs import GetCallerIdentityResponseTypeDef

T = TypeVar("T")

REFRESH_BEFORE = timedelta(minutes=5)
"""Credentials are renewed this long before they expire, so that a call under way does not outlive them."""
ENOUGH_TO_WRITE = timedelta(minutes=1)
"""The same for a write that `prepare_to_write` came before: nothing is to come between the last check and the write."""


class Sessions:
    """Makes the account sessions and holds what they share.

    Raises SettingsError where the AWS settings of the environment make no sense, such as a profile that is not there.
    """

    def __init__(
        self,
        *,
        stopping: threading.Event | None = None,
        count_request: RequestCounter | None = None,
        session: boto3.Session | None = None,
        fast_reads: bool | None = None,
        config: Config = CLIENT_CONFIG,
        connections: int = CONNECTIONS,
        guard: LeaseGuard | None = None,
        retry_writes: bool = False,
        limit_sessions: bool = True,
    ) -> None:
        """`fast_reads`: as fast_reads.py has them. Left out: over a session of our own only. Whoever hands one in may
        have registered hooks with it, and hooks see only what botocore does itself.

        `connections`: how many are kept open to each service, best as many as calls are under way at once.

        `guard` is asked before every request that changes something. `retry_writes`: for commands that a person runs
        and waits for. The operator itself never repeats a write blindly: it reads again first. `limit_sessions`: ask
        for sessions that can only read, and for others to write, as role_sessions.py has it.
        """
        self.limit_sessions = limit_sessions
        self.stopping = stopping or threading.Event()
        self.retry_writes = retry_writes
        self.pacing = Pacing(self.stopping)
        self._session = session or session_of_the_environment()
        self.clients = Clients(
            self._session,
            config.merge(Config(max_pool_connections=connections)),
            count_request,
            check_before_write=(guard or LeaseGuard()).check_still_leading,
            retry_writes=retry_writes,
            pacing=self.pacing,
            fast_reads=session is None if fast_reads is None else fast_reads,
        )
        self._lock = threading.Lock()
        self._own: dict[str, tuple[str, Identity]] = {}
        """By partition: who the operator is, with the credentials of this access key id."""

    def account(self, account: Account) -> AccountSession:
        return AccountSession(self, account)

    def region(self, partition: str) -> str:
        """The configured region where it lies in `partition`, else the partition's default. Raises AwsFailure."""
        configured = self._session.region_name
        return configured if configured and self.own_partition() == partition else DEFAULT_REGIONS[partition]

    def own_partition(self) -> str:
        """The partition of the configured region; `aws` where there is none. Raises AwsFailure."""
        configured = self._session.region_name
        try:
            return self._session.get_partition_for_region(configured) if configured else "aws"
        except UnknownRegionError as error:
            raise AwsFailure("Configuration", "UnknownRegion", f"AWS has no region {configured!r}") from error

    def close(self) -> None:
        """Close every connection. Clients that are needed again are made again."""
        self.clients.close()

    def own_identity(self, partition: str) -> Identity:
        """Who the operator itself is, before it assumes any role; asked once for each set of credentials.

        Raises AwsFailure.
        """
        with self._lock:
            key, known = self._own_key(), self._own.get(partition)
            if known and known[0] == key:
                return known[1]
            sts: STSClient = self.clients.own("sts", self.region(partition))
            caller = call("GetCallerIdentity", sts.get_caller_identity, self.stopping)
            identity = Identity(caller["Account"], caller["Arn"])
            # Where they were exchanged in between, the answer may be about either.
            if self._own_key() == key:
                self._own[partition] = key, identity
            return identity

    def _own_key(self) -> str:
        """The access key id of the credentials in hand, which botocore exchanges when they are about to expire."""
        try:
            credentials = self._session.get_credentials()
            return (credentials and credentials.get_frozen_credentials().access_key) or ""
        except CALL_ERRORS as error:
            raise failure("GetCallerIdentity", error) from error


class AccountSession:
    """Asks questions of one account. Safe to use from several threads."""

    def __init__(self, sessions: Sessions, account: Account, *, reading_policy: str = READING_POLICY) -> None:
        """`reading_policy`: session policy of the sessions that read."""
        self.sessions = sessions
        self.account = account
        self.partition = account.partition or sessions.own_partition()
        self._lock = threading.Lock()
        self._writing_as = OPERATOR
        self._reading: RoleSession | None = None
        self._writing: dict[str, RoleSession] = {}
        """By the session's name. Apart from the reads, so that no write waits for their credentials."""
        if account.role_arn:
            policy = reading_policy if sessions.limit_sessions else None
            self._reading = RoleSession(account, OPERATOR, self._assume, policy=policy)
        self._identity: tuple[RoleCredentials | None, Identity] | None = None

    def on_behalf_of(self, ref: PolicyRef) -> AccountSession:
        """The same, but what it changes it changes in the name of this policy: so CloudTrail has it."""
        named = copy.copy(self)
        named._writing_as = session_name(ref)
        return named

    def prepare_to_write(self) -> None:
        """Have credentials for the next write, so that none need be fetched between the last check and it.

        Raises AwsFailure.
        """
        self._current(writes=True, lasting=REFRESH_BEFORE)

    def open(self) -> Identity:
        """Make sure the session works and belongs to the account; to be called at the start of a pass.

        Asks AWS only where it is not known already: AssumeRole's answer names the account that it leads to. The
        operator's own credentials are asked about every time, for they may have been exchanged. Raises AwsFailure,
        WrongAccount among others.
        """
        used, known = self._current(writes=False, lasting=REFRESH_BEFORE), self._identity
        if used is None or known is None or known[0] is not used:
            known = self._identity = used, self._identify(used)
        identity = known[1]
        if identity.account_id != self.account.id:
            raise WrongAccount(
                "AssumeRole" if used else "GetCallerIdentity",
                "AccountMismatch",
                f"the credentials ({identity.arn}) belong to account {identity.account_id}, "
                f"not to {self.account.id}; set roleArn to a role of that account, or use its credentials",
            )
        return identity

    def ask(self, operation: str, question: Callable[[IAMClient], T]) -> T:
        """One IAM call. Raises AwsFailure, and PassAbandoned where the operator stops or no longer leads.

        A read is repeated where that may help: in its turn where AWS throttles, and once with new credentials where
        these have expired. A write goes out once, whatever comes of it: who wants it repeated has to make sure first
        that it is still right.
        """
        begun = seconds_since_boot()
        while True:
            try:
                return self.ask_once(operation, question)
            except Throttled as error:
                # Whoever waits at a terminal is told soon. AssumeRole and others may be throttled on the way:
                # by another limit than the account's.
                read = error.operation == operation and not changes_something(operation)
                patient = read and not self.sessions.retry_writes
                if not (patient and self.sessions.pacing.worth_another_try(self.account.id, operation, begun)):
                    raise

    def ask_once(self, operation: str, question: Callable[[Any], T], *, service: str = "iam", region: str = "") -> T:
        """One call, of another service too, without waiting for its turn where AWS throttles; otherwise as `ask`.

        `region`: "" for the session's own.
        """
        used: RoleCredentials | None = None
        writes = changes_something(operation)
        once = writes and not self.sessions.retry_writes

        def attempt() -> T:
            nonlocal used
            used = self._current(writes=writes, lasting=ENOUGH_TO_WRITE if writes else REFRESH_BEFORE)
            with self._client(service, used, writes=writes, region=region) as client:
                return question(client)

        try:
            return call(operation, attempt, self.sessions.stopping, wrap=False, once=once)
        except CALL_ERRORS as error:
            role = self._role(writes=writes) if expired(error) else None
            if role:
                role.discard(used)
            if once or role is None:
                raise failure(operation, error) from error
        return call(operation, attempt, self.sessions.stopping)

    def _identify(self, used: RoleCredentials | None) -> Identity:
        if used and (known := Identity.of_assumed_role(used.arn)):
            return known
        answer = call("GetCallerIdentity", partial(self._who_am_i, used), self.sessions.stopping)
        return Identity(answer["Account"], answer["Arn"])

    def _who_am_i(self, credentials: RoleCredentials | None) -> GetCallerIdentityResponseTypeDef:
        sts: STSClient
        with self._client("sts", credentials) as sts:
            return sts.get_caller_identity()

    @contextmanager
    def _client(
        self, service: str, credentials: RoleCredentials | None, *, writes: bool = False, region: str = ""
    ) -> Iterator[Any]:
        region = region or self.sessions.region(self.partition)
        if credentials is None:
            with asking(self.account.id):
                yield self.sessions.clients.own(service, region, writes=writes)
            return
        with asking(self.account.id), signed_with(credentials.signing):
            yield self.sessions.clients.of_accounts(service, region, writes=writes)

    def _role(self, *, writes: bool) -> RoleSession | None:
        """The way the role is assumed for reading or writing; None without a role."""
        if not writes or self._reading is None or not self.sessions.limit_sessions:
            return self._reading
        with self._lock:
            if self._writing_as not in self._writing:
                policy = writing_policy(self.partition, self.account.id)
                self._writing[self._writing_as] = RoleSession(
                    self.account, self._writing_as, self._assume, policy=policy, seconds=WRITING_SECONDS
                )
            return self._writing[self._writing_as]

    def _current(self, *, writes: bool, lasting: timedelta) -> RoleCredentials | None:
        role = self._role(writes=writes)
        return role.credentials(lasting) if role else None

    def _assume(self, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        sts: STSClient = self.sessions.clients.own("sts", self.sessions.region(self.partition))
        try:
            answer: Mapping[str, Any] = call("AssumeRole", lambda: sts.assume_role(**wanted), self.sessions.stopping)
        except Denied as error:
            tried = "with an external id" if self.account.external_id else "without an external id"
            raise RoleDenied(
                "AssumeRole",
                error.code,
                f"tried {self.account.role_arn} {tried}: {error.message} "
                "(the role's trust policy, its external id, or a suspended account)",
            ) from error
        return answer


def call(
    operation: str, question: Callable[[], T], stopping: threading.Event, *, wrap: bool = True, once: bool = False
) -> T:
    """Ask once more, after a jittered pause, where the answer could not be parsed: a proxy's page, most often.

    Everything else botocore retries by itself. `once`: not a second time, whatever the answer. Raises AwsFailure (or,
    with `wrap` false, what boto3 raised) and PassAbandoned.
    """
    if stopping.is_set():
        raise PassAbandoned(operation)
    try:
        if once:
            return question()
        again = retrying(_unparsable, stopping, tries=3, first=0.2, longest=2.0)
        return again(question)
    except CALL_ERRORS as error:
        if wrap:
            raise failure(operation, error) from error
        raise


def _unparsable(error: BaseException) -> bool:
    return isinstance(error, ResponseParserError)
