"""The Lease, by which of several replicas only one acts: stood for, renewed and given back by bounded requests."""

from __future__ import annotations

import logging
import os
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import urllib3
from kubernetes.client import ApiClient, ApiException, AuthenticationV1Api, CoordinationV1Api
from kubernetes.client.models import V1Lease, V1LeaseSpec, V1ObjectMeta, V1SelfSubjectReview
from kubernetes.config import ConfigException, list_kube_config_contexts

from mfa_operator.clock import seconds_since_boot, utc_moment
from mfa_operator.config.settings import ClusterSettings, LeaderSettings
from mfa_operator.kube.busy_threads import before_busy_threads
from mfa_operator.kube.connection import DEFAULT_KUBECONFIG, own_connections
from mfa_operator.kube.requests import CONFLICT, NO_ANSWER, NOT_FOUND, CallFailed, call_failed

logger = logging.getLogger(__name__)

REQUEST_TIMEOUT = (2.0, 3.0)
"""Seconds to connect and to wait for an answer: a try must end well before the renewal is due."""
GIVEN_BACK_SECONDS = 1
"""Duration that stands in a Lease without a holder that its holder has given back, as client-go has it."""
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"


class LeaseLost(Exception):
    """The Lease is not ours any more."""


class Lease:
    """One replica's claim to the Lease, for one term: once lost or given back, it is not taken again.

    Not kubernetes.leaderelection: that goes by the time of day, so that a clock which is set forward on a waiting
    replica makes a second leader, and one which is set back keeps it from ever taking over. Here, as in client-go, the
    times in the Lease are for people. A Lease has run out once it has not changed for its duration, by the clock of the
    replica that watches it; and ours is ours for less than that, by our own.

    Two bounds keep two replicas from acting at once: the election's thread ends when the Lease was not renewed in
    time, and `holds` goes by the time at which the last successful renewal was begun, whatever that thread hangs on.

    It is renewed in time whatever the process does: in a thread and over connections of its own, without the event
    loop, by one request, and before threads that compute.
    """

    def __init__(
        self,
        api: ApiClient,
        namespace: str,
        identity: str,
        settings: LeaderSettings,
        clock: Callable[[], float] = seconds_since_boot,
    ) -> None:
        self.namespace, self.name, self.identity = namespace, settings.name, identity
        self._api = CoordinationV1Api(own_connections(api))
        self._duration = settings.lease.total_seconds()
        self._renew_seconds = settings.renew.total_seconds()
        self._retry_seconds = settings.retry.total_seconds()
        self._clock = clock
        self._mutex = threading.Lock()
        self._renewed: float | None = None
        """When, by the clock, the last successful renewal was begun; None: the Lease is not ours."""
        self._held: V1Lease | None = None
        """The Lease as it stood after our last write, where no later try failed; None: it must be read first."""
        self._released = False
        self._seen: tuple[str | None, str | None] = (None, None)
        """uid and resourceVersion of the Lease as it was read last."""
        self._unchanged_since = 0.0
        self._holder, self._free_at = "", 0.0
        """Who was seen to hold it last, and when, by the clock, they no longer can."""
        self._logged = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def holds(self) -> bool:
        """Whether the Lease is ours for certain: nobody else can have taken it yet."""
        renewed = self._renewed
        return renewed is not None and self._clock() - renewed < self._renew_seconds

    def stand_for_election(
        self, *, acquired: Callable[[], None], ended: Callable[[BaseException | None], None]
    ) -> None:
        """Wait for the Lease and keep it renewed, in a thread of its own that runs until the Lease is lost.

        `acquired` and `ended` are called in that thread: once the Lease is ours, and once it is not, or cannot be, with
        the exception if there was one. It is a daemon: nothing of it need be finished when the process ends.
        """

        def run() -> None:
            error: BaseException | None = None
            try:
                self._wait_and_renew(acquired)
            # Every end, whatever the exception, is the end of leadership.
            except BaseException as caught:  # noqa: BLE001 - handed on below
                error = caught
            ended(error)

        threading.Thread(target=run, name="mfa-leader", daemon=True).start()

    def try_to_hold(self) -> bool:
        """Take or renew the Lease by one try; whether that worked. Raises LeaseLost where it was ours and is not."""
        with self._mutex:
            if self._released:
                raise LeaseLost(f"the Lease {self} was released")
            begun = self._clock()
            try:
                with before_busy_threads():
                    self._take_or_renew()
            except CallFailed as error:
                # On a conflict another replica was quicker, or somebody edits it: the next try reads who holds it.
                if error.status != CONFLICT:
                    self._log_once(f"cannot be read or written: {error.message}", logging.WARNING)
                return False
            except _HeldByAnother as holder:
                self._log_once(f"held by {holder}; waiting")
                return False
            self._renewed, self._logged = begun, ""
            return True

    def release(self) -> None:
        """Give the Lease back if it is ours; from then on it is not taken again."""
        with self._mutex:
            self._released = True
            if self._renewed is None:
                return
            # Before the request: from here on nothing of ours may be written any more.
            self._renewed = None
            try:
                lease = self._read()
                if lease.spec and lease.spec.holder_identity == self.identity:
                    # client-go's way of saying that nobody holds it.
                    lease.spec = V1LeaseSpec(
                        lease_duration_seconds=GIVEN_BACK_SECONDS, lease_transitions=lease.spec.lease_transitions
                    )
                    self._replace(lease)
            except CallFailed as error:
                logger.info("the Lease %s was not released and will expire: %s", self, error.message)

    def _wait_and_renew(self, acquired: Callable[[], None]) -> None:
        """Return, or raise LeaseLost, when the Lease could not be renewed in time or is not ours any more."""
        while not self.try_to_hold():
            self._pause()
        acquired()
        while self.holds:
            self._pause()
            # Where it was not renewed in time, another replica may have taken it and given it back: no second term.
            if self.holds:
                self.try_to_hold()

    def _pause(self) -> None:
        # Jitter, as client-go has it: replicas that started together must not ask together for ever.
        time.sleep(self._retry_seconds * random.uniform(1.0, 1.2))  # noqa: S311 - no secret

    def _take_or_renew(self) -> None:
        if self._renew_unread():
            return
        try:
            lease = self._read()
        except CallFailed as error:
            if error.status != NOT_FOUND:
                raise
            # Whoever held it when somebody deleted it may not know yet that it is gone.
            if self._renewed is None and self._clock() < self._free_at:
                raise _HeldByAnother(f"{self._holder}, and deleted by somebody") from None
            lease = V1Lease(metadata=V1ObjectMeta(name=self.name), spec=self._spec(V1LeaseSpec()))
            self._held = call_lease_api(self._api.create_namespaced_lease, self.namespace, lease)
            return
        known = lease.spec or V1LeaseSpec()
        if known.holder_identity != self.identity:
            self._check_free(lease, known)
        lease.spec = self._spec(known)
        # Fails with a conflict where somebody has written it since it was read.
        self._replace(lease)

    def _renew_unread(self) -> bool:
        """Renew what nobody has written since we did, by one request; False: it is to be read first."""
        held, self._held = self._held, None
        if self._renewed is None or held is None or held.spec is None:
            return False
        held.spec = self._spec(held.spec)
        try:
            self._replace(held)
        except CallFailed as error:
            if error.status not in (CONFLICT, NOT_FOUND):
                raise
            return False
        return True

    def _check_free(self, lease: V1Lease, known: V1LeaseSpec) -> None:
        """Raise unless nobody holds it, or whoever did has not renewed it in time."""
        if self._renewed is not None:
            self._renewed = None
            raise LeaseLost(f"the Lease {self} is held by {known.holder_identity or 'nobody'} now")
        metadata = lease.metadata or V1ObjectMeta()
        seen = (metadata.uid, metadata.resource_version)
        if seen != self._seen:
            self._seen, self._unchanged_since = seen, self._clock()
        lives_for = max(self._duration, float(known.lease_duration_seconds or 0))
        if known.holder_identity:
            self._holder, self._free_at = known.holder_identity, self._unchanged_since + lives_for
        elif known.lease_duration_seconds == GIVEN_BACK_SECONDS:
            self._free_at = 0.0
        # Else somebody has edited it: whoever held it may not know yet.
        if self._clock() < self._free_at:
            raise _HeldByAnother(self._holder)

    def _spec(self, known: V1LeaseSpec) -> V1LeaseSpec:
        """What the Lease says once it is ours."""
        now, same = utc_moment(), known.holder_identity == self.identity
        return V1LeaseSpec(
            holder_identity=self.identity,
            lease_duration_seconds=max(1, round(self._duration)),
            acquire_time=known.acquire_time if same else now,
            renew_time=now,
            lease_transitions=(known.lease_transitions or 0) + (0 if same else 1),
        )

    def _read(self) -> V1Lease:
        lease: V1Lease = call_lease_api(self._api.read_namespaced_lease, self.name, self.namespace)
        return lease

    def _replace(self, lease: V1Lease) -> None:
        self._held = call_lease_api(self._api.replace_namespaced_lease, self.name, self.namespace, lease)

    def _log_once(self, state: str, level: int = logging.INFO) -> None:
        """Log what holds the election up when it changes, not every 2 s."""
        if state != self._logged:
            self._logged = state
            logger.log(level, "Lease %s: %s", self, state)


class _HeldByAnother(Exception):
    """Another replica holds the Lease; the message is its identity."""


def call_lease_api(call: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - the client's types end here
    """One request with a time limit. Raises CallFailed."""
    try:
        return call(*arguments, _request_timeout=REQUEST_TIMEOUT)
    except ApiException as error:
        raise call_failed(error) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise CallFailed(NO_ANSWER, f"no answer: {error}") from error


def new_identity() -> str:
    """A name for this process that no other ever has: a pod that restarts is another candidate."""
    return f"{os.environ.get('POD_NAME') or socket.gethostname()}_{uuid.uuid4()}"


def lease_namespace(api: ApiClient, cluster: ClusterSettings) -> str:
    """Where the Lease is: the pod's namespace, else the service account's, else the context's, else `default`.

    $POD_NAMESPACE names the pod's, then the file that every pod has; the API server tells the service account's.
    """
    if pod := os.environ.get("POD_NAMESPACE"):
        return pod
    try:
        return NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    except OSError as error:
        logger.debug("not in a pod: %s", error)
    return _service_account_namespace(api) or _context_namespace(cluster) or "default"


def _service_account_namespace(api: ApiClient) -> str:
    review = V1SelfSubjectReview(api_version="authentication.k8s.io/v1", kind="SelfSubjectReview")
    try:
        answer = call_lease_api(AuthenticationV1Api(api).create_self_subject_review, review)
    except CallFailed as error:
        logger.debug("the API server does not say who we are: %s", error)
        return ""
    user = str(answer.status.user_info.username) if answer.status and answer.status.user_info else ""
    if not user.startswith(SERVICE_ACCOUNT_PREFIX):
        return ""
    return user.removeprefix(SERVICE_ACCOUNT_PREFIX).partition(":")[0]


def _context_namespace(cluster: ClusterSettings) -> str:
    files = str(cluster.kubeconfig or os.environ.get("KUBECONFIG") or DEFAULT_KUBECONFIG)
    try:
        contexts, current = list_kube_config_contexts(files)  # type: ignore[no-untyped-call]  # it has no types
    except ConfigException:
        return ""
    chosen = next((context for context in contexts if context["name"] == cluster.context), current)
    return str(chosen["context"].get("namespace") or "")
