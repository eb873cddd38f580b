"""One session per account: AssumeRole with external id, refreshed in time, over one shared boto3 Session.

A boto3.Session per account costs 150 ms and 10 MB each; clients made from one Session share its loader and endpoint
data and cost 6 ms. The clients are kept in a bounded cache, so that a thousand accounts do not hold a thousand pools.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
import botocore.session
import stamina
from botocore.config import Config
from botocore.exceptions import BotoCoreError, UnknownRegionError
from botocore.parsers import ResponseParserError
from botocore.utils import parse_timestamp

from mfa_operator import __version__
from mfa_operator.api.policy import Account
from mfa_operator.aws.errors import (
    CALL_ERRORS,
    AwsFailure,
    Denied,
    RoleDenied,
    WrongAccount,
    expired,
    failure,
)
from mfa_operator.schedule import PassAbandoned
from mfa_operator.settings import SettingsError

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_sts import STSClient

T = TypeVar("T")

DEFAULT_REGIONS = {
    "aws": "us-east-1",
    "aws-cn": "cn-north-1",
    "aws-us-gov": "us-gov-west-1",
    "aws-eusc": "eusc-de-east-1",
    "aws-iso": "us-iso-east-1",
    "aws-iso-b": "us-isob-east-1",
    "aws-iso-e": "eu-isoe-west-1",
    "aws-iso-f": "us-isof-south-1",
}
"""Region to use in a partition where the configured region belongs to another one."""
ROLE_SESSION_NAME = "mfa-operator"
REFRESH_BEFORE = timedelta(minutes=5)
"""Credentials are renewed this long before they expire, so that a call under way does not outlive them."""
CLIENT_CACHE_SIZE = 32

CLIENT_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 5},
    connect_timeout=5,
    read_timeout=20,
    max_pool_connections=8,
    user_agent_extra=f"mfa-operator/{__version__}",
)

RequestCounter = Callable[[str, str, str], None]
"""Called with service, operation and code (HTTP status, or AWS's error code) for every answer that arrives."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a session is at AWS."""

    account_id: str
    arn: str

    @property
    def partition(self) -> str:
        return self.arn.split(":")[1]

    @property
    def user_name(self) -> str | None:
        """Name of the IAM user, None for a role or root."""
        resource = self.arn.split(":", 5)[5]
        return resource.rsplit("/", 1)[1] if resource.startswith("user/") else None


@dataclass(frozen=True, slots=True)
class _Credentials:
    access_key: str
    secret_key: str
    token: str
    expires: datetime


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
        config: Config = CLIENT_CONFIG,
    ) -> None:
        self.stopping = stopping or threading.Event()
        self._count_request = count_request
        self._session = session or _session_of_the_environment()
        self._config = config
        self._lock = threading.RLock()
        self._clients: OrderedDict[tuple[str, str, str], Any] = OrderedDict()
        self._own: dict[str, Identity] = {}

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

    def client(self, service: str, partition: str, credentials: _Credentials | None) -> Any:  # noqa: ANN401 - boto3's own
        """A client from the bounded cache; evicted ones are closed. `credentials` None: the operator's own."""
        key = (service, partition, credentials.access_key if credentials else "")
        with self._lock:
            if key in self._clients:
                self._clients.move_to_end(key)
                return self._clients[key]
            make: Callable[..., Any] = self._session.client
            client = make(
                service,
                region_name=self.region(partition),
                config=self._config,
                aws_access_key_id=credentials.access_key if credentials else None,
                aws_secret_access_key=credentials.secret_key if credentials else None,
                aws_session_token=credentials.token if credentials else None,
            )
            client.meta.events.register(f"response-received.{service}", self._count)
            self._clients[key] = client
            while len(self._clients) > CLIENT_CACHE_SIZE:
                # The client may be in use by another thread: closing drops its idle connections only.
                self._clients.popitem(last=False)[1].close()
            return client

    def close(self) -> None:
        """Close every connection. Clients are made anew where they are wanted again."""
        with self._lock:
            while self._clients:
                self._clients.popitem()[1].close()

    def own_identity(self, partition: str) -> Identity:
        """Who the operator itself is, before it assumes any role; asked once. Raises AwsFailure."""
        with self._lock:
            if partition not in self._own:
                sts: STSClient = self.client("sts", partition, None)
                caller = call("GetCallerIdentity", sts.get_caller_identity, self.stopping)
                self._own[partition] = Identity(caller["Account"], caller["Arn"])
            return self._own[partition]

    def _count(self, event_name: str, response_dict: Any, parsed_response: Any, **rest: object) -> None:  # noqa: ANN401, ARG002 - botocore's hook
        if self._count_request:
            _, service, operation = event_name.split(".")
            error = (parsed_response or {}).get("Error", {})
            self._count_request(service, operation, error.get("Code") or str((response_dict or {}).get("status_code")))


class AccountSession:
    """Asks questions of one account. Safe to use from several threads."""

    def __init__(self, sessions: Sessions, account: Account) -> None:
        self.sessions = sessions
        self.account = account
        self.partition = account.partition or sessions.own_partition()
        self._lock = threading.Lock()
        self._credentials: _Credentials | None = None
        self._identity: Identity | None = None

    def open(self) -> Identity:
        """Make sure the session works and belongs to the account; to be called at the start of a pass.

        Asks AWS only where it is not known already: a role's session once per set of credentials, the operator's own
        credentials every time, for they may have been exchanged. Raises AwsFailure, WrongAccount among others.
        """
        with self._lock:
            if self.account.role_arn is None:
                self._identity = None
            self._renew()
            if self._identity is None:
                sts: STSClient = self.sessions.client("sts", self.partition, self._credentials)
                answer = call("GetCallerIdentity", sts.get_caller_identity, self.sessions.stopping)
                self._identity = Identity(answer["Account"], answer["Arn"])
            identity = self._identity
        if identity.account_id != self.account.id:
            raise WrongAccount(
                "GetCallerIdentity",
                "AccountMismatch",
                f"the credentials in hand ({identity.arn}) belong to account {identity.account_id}, "
                f"not to {self.account.id}; name a roleArn of that account, or fix the credentials",
            )
        return identity

    def ask(self, operation: str, question: Callable[[IAMClient], T]) -> T:
        """One IAM call. Expired credentials are renewed once. Raises AwsFailure or PassAbandoned."""
        used: _Credentials | None = None

        def attempt() -> T:
            nonlocal used
            client, used = self._iam()
            return question(client)

        try:
            return call(operation, attempt, self.sessions.stopping, wrap=False)
        except CALL_ERRORS as error:
            if not (expired(error) and self.account.role_arn):
                raise failure(operation, error) from error
        with self._lock:
            # Another thread may have renewed them already.
            if self._credentials is used:
                self._credentials = None
        return call(operation, attempt, self.sessions.stopping)

    def _iam(self) -> tuple[IAMClient, _Credentials | None]:
        with self._lock:
            self._renew()
            return self.sessions.client("iam", self.partition, self._credentials), self._credentials

    def _renew(self) -> None:
        if self.account.role_arn is None:
            return
        if self._credentials and datetime.now(UTC) < self._credentials.expires - REFRESH_BEFORE:
            return
        sts: STSClient = self.sessions.client("sts", self.partition, None)
        wanted: dict[str, Any] = {"RoleArn": self.account.role_arn, "RoleSessionName": ROLE_SESSION_NAME}
        if self.account.external_id:
            wanted["ExternalId"] = self.account.external_id
        try:
            answer = call("AssumeRole", lambda: sts.assume_role(**wanted), self.sessions.stopping)
        except Denied as error:
            tried = "with an external id" if self.account.external_id else "without an external id"
            raise RoleDenied(
                "AssumeRole",
                error.code,
                f"tried {self.account.role_arn} {tried}: {error.message} "
                "(the role's trust policy, its external id, or a suspended account)",
            ) from error
        given = answer["Credentials"]
        self._credentials = _Credentials(
            given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], given["Expiration"]
        )
        self._identity = None


def _botocore_session() -> botocore.session.Session:
    """A botocore session that knows AWS_REGION, which boto3 alone of AWS's SDKs does not.

    It reads AWS's usual time format itself, too: dateutil takes 40 % of the CPU that a large account costs.
    """
    session = botocore.session.get_session()
    if region := os.environ.get("AWS_REGION"):
        session.set_config_variable("region", region)
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_timestamp)
    return session


def _session_of_the_environment() -> boto3.Session:
    try:
        return boto3.Session(botocore_session=_botocore_session())
    except BotoCoreError as error:
        raise SettingsError(f"the AWS settings are no good: {error}") from error


def _timestamp(value: Any) -> datetime:  # noqa: ANN401 - text or a number, as botocore's own parser takes it
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        parsed: datetime = parse_timestamp(value)
        return parsed


def call(operation: str, question: Callable[[], T], stopping: threading.Event, *, wrap: bool = True) -> T:
    """Ask once more, after a jittered pause, where the answer could not be parsed: a proxy's page, most often.

    Everything else botocore retries by itself. Raises AwsFailure (or, with `wrap` false, what boto3 raised) and
    PassAbandoned.
    """
    if stopping.is_set():
        raise PassAbandoned(operation)
    try:
        for attempt in stamina.retry_context(on=ResponseParserError, attempts=3, wait_initial=0.2, wait_max=2.0):
            with attempt:
                return question()
    except CALL_ERRORS as error:
        if wrap:
            raise failure(operation, error) from error
        raise
    raise AssertionError("unreachable: the last attempt returns or raises")
