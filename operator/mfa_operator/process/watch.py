"""What kopf does for us: it watches. No timers, no finalizers, nothing of ours on anybody's object."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import aiohttp
import kopf
from kubernetes.client import ApiClient

from mfa_operator.api.enums import GROUP, VERSION
from mfa_operator.config.settings import ClusterSettings
from mfa_operator.kube.requests import answer_message
from mfa_operator.scheduling.scheduler import Scheduler

logger = logging.getLogger(__name__)

PLURAL = "mfapolicies"
UNAUTHORIZED = 401
CONTACT_SECONDS = 30.0
"""A request of the watch that has not been answered for this long: edits may go unseen, /readyz says so."""


class WatchContact:
    """Whether the API server answers the watch. To be used in kopf's loop.

    A stream that is open counts as an answer: kopf opens another where nothing came for 70 s.
    """

    def __init__(self, what: str = PLURAL, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._monotonic = monotonic
        self._watching = False
        self._unanswered: dict[tuple[str, bool], float] = {}
        """When what is asked for without an answer was first asked for, by path and whether it is a stream."""
        self._reported = False

    @property
    def holds(self) -> bool:
        """Whether a watch was opened and nothing has been without an answer for long."""
        now = self._monotonic()
        return self._watching and all(now - since < CONTACT_SECONDS for since in self._unanswered.values())

    def asked(self, path: str, *, stream: bool) -> None:
        """A request goes out."""
        self._unanswered.setdefault((path, stream), self._monotonic())

    def answered(self, path: str, *, stream: bool, status: int, message: str = "") -> None:
        """The head of an answer is here; `message` is what an error says, such as which right is missing."""
        if status == UNAUTHORIZED:
            # A token that has run out, most often: kopf asks for the new one, and ends where that is no better.
            return
        if status >= 400:
            self.failed(": ".join(filter(None, (f"HTTP status {status}", message))))
            return
        self._unanswered.pop((path, stream), None)
        self._watching |= stream
        if self._reported and not self._unanswered:
            logger.info("the watch of %s is connected again", self._what)
            self._reported = False

    def failed(self, why: str) -> None:
        """A request got no answer, or none of use: said once, until all goes well again."""
        if not self._reported:
            logger.error("the watch of %s cannot connect: %s", self._what, why)
            self._reported = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class WatchSession(kopf.AiohttpSession):
    """Equal to another with the same credentials: by this kopf knows that a login after a 401 brought nothing new."""

    credentials: kopf.ConnectionInfo
    aiohttp_session: aiohttp.ClientSession = dataclasses.field(compare=False, repr=False)


def register(registry: kopf.OperatorRegistry, scheduler: Scheduler, api: ApiClient, contact: WatchContact) -> None:
    """Tell kopf what to watch, whom to tell, and how to sign in to the cluster: as the rest of the process does."""

    # Coroutines, or kopf would call them in its small pool of threads.
    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def policy_event(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401 - kopf passes whatever it has
        scheduler.notice(event["type"], event["object"])

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> WatchSession:  # noqa: ANN401 - as above
        return connection(api, contact)


def connection(api: ApiClient, contact: WatchContact) -> WatchSession:
    """The official client's address, credentials and proxy, in kopf's terms. To be called in kopf's loop.

    Without an expiration, though a pod's token has one: kopf asks again on a 401, but on an expiration it closes the
    watches in use.
    """
    client = api.configuration
    # Reading the key lets the client renew it first: a pod's token, or what a plugin such as `aws eks get-token` gives.
    header = client.get_api_key_with_prefix("BearerToken") or client.get_api_key_with_prefix("authorization") or ""
    scheme, _, token = header.rpartition(" ")
    credentials = kopf.ConnectionInfo(
        server=client.host,
        ca_path=client.ssl_ca_cert,
        insecure=not client.verify_ssl,
        username=client.username or None,
        password=client.password or None,
        scheme=scheme or None,
        token=token or None,
        certificate_path=client.cert_file,
        private_key_path=client.key_file,
    )
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=credentials.as_ssl_context()),
        headers=credentials.as_http_headers(),
        # The configuration names a proxy only where the API server is behind it: kube/proxies.py. aiohttp's own reading
        # of the environment would decide again, and otherwise: it knows no CIDR in NO_PROXY.
        proxy=client.proxy,
        trust_env=False,
        trace_configs=[_trace(contact)],
    )
    return WatchSession(server=client.host, credentials=credentials, aiohttp_session=session)


def explain(error: Exception) -> str:
    """Why the watch ended, in one line: kopf's errors of the API server have the whole answer as their text."""
    code, message = getattr(error, "code", None), getattr(error, "message", None)
    return f"{message} ({code})" if code and message else str(error) or type(error).__name__


def _trace(contact: WatchContact) -> aiohttp.TraceConfig:
    async def start(_: aiohttp.ClientSession, __: SimpleNamespace, request: aiohttp.TraceRequestStartParams) -> None:
        contact.asked(request.url.path, stream="watch" in request.url.query)

    async def end(_: aiohttp.ClientSession, __: SimpleNamespace, answer: aiohttp.TraceRequestEndParams) -> None:
        url, status = answer.url, answer.response.status
        # kopf reads the whole body of an error, too: aiohttp keeps it for both.
        message = answer_message(await answer.response.read()) if status >= 400 else ""
        contact.answered(url.path, stream="watch" in url.query, status=status, message=message)

    async def fail(
        session: aiohttp.ClientSession, _: SimpleNamespace, failure: aiohttp.TraceRequestExceptionParams
    ) -> None:
        # Cancelled, or its session closed under it: the end of the watch cuts requests off, and that is no error.
        if isinstance(failure.exception, Exception) and not session.closed:
            contact.failed(str(failure.exception) or type(failure.exception).__name__)

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(start)
    trace.on_request_end.append(end)
    trace.on_request_exception.append(fail)
    return trace


def watcher_settings(cluster: ClusterSettings) -> kopf.OperatorSettings:
    """kopf's settings for a process that only watches."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    # What there is to watch is known, and watching CRDs and namespaces would take rights on them.
    settings.scanning.disabled = True
    settings.networking.request_timeout = cluster.request_timeout.total_seconds()
    return settings
