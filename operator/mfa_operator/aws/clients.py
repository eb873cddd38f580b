"""The boto3 clients: for each service and partition one that reads and one that writes, which all accounts share.

A client of its own for each account would cost 5 ms of CPU to make, and as much again to warm up, 100 kB and a
connection, at every pass over more accounts than fit in a cache. So a call carries the credentials that it is signed
with, and clients are made with keys that AWS knows nothing of: a call that carries none is refused.

What changes something goes out on clients of its own. These ask before every request whether it may still go out, and
send it once: botocore would repeat it on its own, seconds later, when another replica may have acted already.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import boto3
from botocore.awsrequest import AWSHTTPConnection, AWSHTTPSConnection
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.parsers import ResponseParserError

from mfa_operator import __version__
from mfa_operator.aws.fast_reads import FastReads
from mfa_operator.aws.json_answers import check_json_answer
from mfa_operator.aws.operations import changes_something
from mfa_operator.aws.pacing import Pacing
from mfa_operator.http_deadline import BoundedResponse

if TYPE_CHECKING:
    from botocore.awsrequest import AWSRequest

CONNECTIONS = 32
"""As many as calls are under way at once by default: 8 accounts, 4 users each."""
CLIENT_CONFIG = Config(
    # Not `standard`, whose quota of retries is the client's: an account that throttles would use up everybody's.
    retries={"mode": "legacy", "total_max_attempts": 5},
    connect_timeout=5,
    read_timeout=20,
    user_agent_extra=f"mfa-operator/{__version__}",
)

JSON_SERVICES = frozenset({"organizations", "sqs"})
"""Services that answer in JSON; the others do in XML."""

RequestCounter = Callable[[str, str, str], None]
"""Called with service, operation and code (HTTP status, or AWS's error code) for every answer that arrives."""

_signed_with: ContextVar[Credentials | None] = ContextVar("signed_with", default=None)


@contextmanager
def signed_with(credentials: Credentials) -> Iterator[None]:
    """Within it, the calls of this thread on account clients are signed with these credentials."""
    token = _signed_with.set(credentials)
    try:
        yield
    finally:
        _signed_with.reset(token)


def bound_answers() -> None:
    """Have every answer to botocore be there as a whole after some time, whatever client asks."""
    # Of the classes: the clients that botocore makes itself, to fetch credentials, are bounded, too.
    for connection in (AWSHTTPConnection, AWSHTTPSConnection):
        connection.response_class = BoundedResponse  # type: ignore[assignment]  # the stubs know one kind only


class Clients:
    """Makes each client once. Safe to use from several threads."""

    def __init__(
        self,
        session: boto3.Session,
        config: Config,
        count_request: RequestCounter | None,
        *,
        check_before_write: Callable[[], None],
        retry_writes: bool,
        pacing: Pacing,
        fast_reads: bool,
    ) -> None:
        """`check_before_write` is called before each write request goes out, and raises where it must not."""
        bound_answers()
        self._session = session
        self._config = config
        self._write_config = config if retry_writes else config.merge(_once(config))
        self._count_request = count_request
        self._check_before_write = check_before_write
        self._pacing = pacing
        self._fast_reads = fast_reads
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str, bool, bool], Any] = {}

    def own(self, service: str, region: str, *, writes: bool = False) -> Any:  # noqa: ANN401 - boto3's own
        """A client that signs with the operator's own credentials."""
        return self._client(service, region, own=True, writes=writes)

    def of_accounts(self, service: str, region: str, *, writes: bool = False) -> Any:  # noqa: ANN401 - boto3's own
        """A client that signs with whatever `signed_with` says."""
        return self._client(service, region, own=False, writes=writes)

    def close(self) -> None:
        """Close every connection. Clients that are needed again are made again."""
        with self._lock:
            while self._made:
                self._made.popitem()[1].close()

    def _client(self, service: str, region: str, *, own: bool, writes: bool) -> Any:  # noqa: ANN401 - boto3's own
        with self._lock:
            key = (service, region, own, writes)
            if key not in self._made:
                make: Callable[..., Any] = self._session.client
                keys = {} if own else {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
                config = self._write_config if writes else self._config
                client = make(service, region_name=region, config=config, **keys)
                before_send = self._check if writes else _refuse_writes
                client.meta.events.register(f"before-send.{service}", before_send)
                client.meta.events.register(f"before-parse.{service}", refuse_other_answers)
                client.meta.events.register(f"response-received.{service}", self._count)
                if service == "iam":
                    self._pacing.attach(client)
                if not own:
                    client.meta.events.register(f"before-sign.{service}", _sign)
                if self._fast_reads and service == "iam" and not own and not writes:
                    client = FastReads(client, self._sign_fast_with, self._count_answer)
                self._made[key] = client
            return self._made[key]

    def _check(self, event_name: str, **rest: object) -> None:  # noqa: ARG002 - botocore's hook
        """The last thing that happens before a request is handed to the connection."""
        if changes_something(_operation(event_name)):
            self._check_before_write()

    def _sign_fast_with(self) -> Credentials | None:
        # What has to wait for its turn gains nothing by being fast: botocore's hooks hold it back.
        return None if self._pacing.held_back() else _signed_with.get()

    def _count_answer(self, operation: str) -> None:
        if self._count_request:
            self._count_request("iam", operation, "200")

    def _count(self, event_name: str, response_dict: Any, parsed_response: Any, **rest: object) -> None:  # noqa: ANN401, ARG002 - botocore's hook
        if self._count_request:
            _, service, operation = event_name.split(".")
            error = (parsed_response or {}).get("Error", {})
            self._count_request(service, operation, error.get("Code") or str((response_dict or {}).get("status_code")))


def _once(config: Config) -> Config:
    retries = getattr(config, "retries", None) or {}
    return Config(retries={"mode": retries.get("mode", "legacy"), "total_max_attempts": 1})


def _operation(event_name: str) -> str:
    return event_name.rsplit(".", 1)[1]


def _refuse_writes(event_name: str, **rest: object) -> None:  # noqa: ARG001 - botocore's hook
    """Without this, a new kind of call could go out unchecked, and again and again."""
    if changes_something(_operation(event_name)):
        raise RuntimeError(f"{_operation(event_name)} changes something: it must go out on a client for writes")


def refuse_other_answers(event_name: str, response_dict: Mapping[str, Any], **rest: object) -> None:  # noqa: ARG001 - botocore's hook
    """A page of a proxy may be XML, too: botocore takes any for AWS's word that a change was made.

    Raises ResponseParserError, as for a page that is not XML.
    """
    operation = _operation(event_name)
    if event_name.split(".")[1] in JSON_SERVICES:
        check_json_answer(operation, response_dict)
        return
    if response_dict["status_code"] < 300 and f"<{operation}Response".encode() not in response_dict["body"][:1024]:
        raise ResponseParserError(f"invalid answer to {operation}: {bytes(response_dict['body'][:100])!r}")


def _sign(request: AWSRequest, **rest: object) -> None:  # noqa: ARG001 - botocore's hook
    signing = request.context.get("signing", {})
    request.context["signing"] = {**signing, "request_credentials": _signed_with.get()}
