"""Leader election: of several replicas only the one that holds the Lease acts."""

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

import urllib3
from kubernetes.client import ApiClient, ApiException, AuthenticationV1Api
from kubernetes.client.models import V1SelfSubjectReview
from kubernetes.config import ConfigException, list_kube_config_contexts

from mfa_operator.clock import seconds_since_boot
from mfa_operator.config.settings import ClusterSettings, LeaderSettings
from mfa_operator.kube.connection import DEFAULT_KUBECONFIG
from mfa_operator.kube.lease import REQUEST_TIMEOUT, Lease

logger = logging.getLogger(__name__)

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"


class Leadership:
    """One candidacy: it waits for the Lease, holds it, and ends when it is lost; there is no second try.

    Two bounds keep two replicas from acting at once: the election's thread ends when the Lease was not renewed in
    time, and `holds` goes by the time at which the last successful renewal was begun, whatever that thread hangs on.
    """

    def __init__(
        self,
        lease: Lease,
        settings: LeaderSettings,
        *,
        acquired: Callable[[], None],
        ended: Callable[[BaseException | None], None],
        clock: Callable[[], float] = seconds_since_boot,
    ) -> None:
        """`acquired` and `ended` are called in threads: once it leads, and once it does not or could not any more."""
        self.lease = lease
        self._renew_seconds = settings.renew.total_seconds()
        self._retry_seconds = settings.retry.total_seconds()
        self._clock = clock
        self._acquired, self._ended = acquired, ended

    def start(self) -> None:
        """Stand for election. The thread is a daemon: nothing of it need be finished when the process ends."""
        threading.Thread(target=self._run, name="mfa-leader", daemon=True).start()

    @property
    def holds(self) -> bool:
        """Whether the Lease is ours for certain: nobody else can have taken it yet."""
        renewed = self.lease.renewed
        return renewed is not None and self._clock() - renewed < self._renew_seconds

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            self._hold()
        # Every end, whatever the exception, is the end of leadership.
        except BaseException as caught:  # noqa: BLE001 - handed on below
            error = caught
        self._ended(error)

    def _hold(self) -> None:
        """Wait for the Lease, and renew it until that fails for too long."""
        while not self.lease.try_to_hold():
            self._pause()
        self._acquired()
        while self.holds:
            self._pause()
            # Where it was not renewed in time, another replica may have taken it and given it back: no second term.
            if self.holds:
                self.lease.try_to_hold()

    def _pause(self) -> None:
        # Jitter, as client-go has it: replicas that started together must not ask together for ever.
        time.sleep(self._retry_seconds * random.uniform(1.0, 1.2))  # noqa: S311 - no secret


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
        answer = AuthenticationV1Api(api).create_self_subject_review(review, _request_timeout=REQUEST_TIMEOUT)
    except (ApiException, urllib3.exceptions.HTTPError, OSError) as error:
        logger.debug("the API server does not tell who we are: %s", error)
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
