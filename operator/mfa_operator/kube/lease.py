"""The Lease that replicas stand for: taken, renewed and given back by bounded requests."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import urllib3
from kubernetes.client import ApiClient, ApiException, CoordinationV1Api
from kubernetes.client.models import V1Lease, V1LeaseSpec, V1ObjectMeta

from mfa_operator.clock import seconds_since_boot, utc_moment
from mfa_operator.config.settings import LeaderSettings
from mfa_operator.kube.requests import CONFLICT, NO_ANSWER, NOT_FOUND

logger = logging.getLogger(__name__)

REQUEST_TIMEOUT = (2.0, 3.0)
"""Seconds to connect and to wait for an answer: a try must end well before the renewal is due."""


class LeaseLost(Exception):
    """The Lease is not ours any more."""


class Lease:
    """One replica's claim to the Lease.

    Not kubernetes.leaderelection: that goes by the time of day, so that a clock which is set forward on a waiting
    replica makes a second leader, and one which is set back keeps it from ever taking over. Here, as in client-go, the
    times in the Lease are for people. A Lease has run out once it has not changed for its duration, by the clock of the
    replica that watches it; and ours is ours for less than that, by our own.
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
        self.renewed: float | None = None
        """When, by the clock, the last successful renewal was begun; None: the Lease is not ours."""
        self._api = CoordinationV1Api(api)
        self._duration = settings.lease.total_seconds()
        self._clock = clock
        self._mutex = threading.Lock()
        self._released = False
        self._seen: tuple[str | None, str | None] = (None, None)
        """uid and resourceVersion of the Lease as it was seen last."""
        self._unchanged_since = 0.0
        self._said = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    def try_to_hold(self) -> bool:
        """Take or renew the Lease by one try; whether that worked. Raises LeaseLost where it was ours and is not."""
        with self._mutex:
            if self._released:
                raise LeaseLost(f"the Lease {self} was given back")
            begun = self._clock()
            try:
                self._take_or_renew()
            except ApiException as error:
                if error.status == CONFLICT:
                    # Another replica was quicker, or somebody edits it: the next try sees who holds it.
                    return False
                self._say(f"cannot be read or written: {_reason(error)}", logging.WARNING)
                return False
            except _Waiting as held:
                self._say(f"held by {held}; waiting")
                return False
            self.renewed, self._said = begun, ""
            return True

    def release(self) -> None:
        """Give the Lease back if it is ours; from then on it is not taken again."""
        with self._mutex:
            self._released = True
            if self.renewed is None:
                return
            # Before the request: from here on nothing of ours may be written any more.
            self.renewed = None
            try:
                lease = self._call(self._api.read_namespaced_lease, self.name, self.namespace)
                if lease.spec and lease.spec.holder_identity == self.identity:
                    # client-go's way of saying that nobody holds it.
                    lease.spec = V1LeaseSpec(lease_duration_seconds=1, lease_transitions=lease.spec.lease_transitions)
                    self._call(self._api.replace_namespaced_lease, self.name, self.namespace, lease)
            except ApiException as error:
                logger.info("the Lease %s is left to run out: %s", self, _reason(error))

    def _take_or_renew(self) -> None:
        try:
            lease = self._call(self._api.read_namespaced_lease, self.name, self.namespace)
        except ApiException as error:
            if error.status != NOT_FOUND:
                raise
            lease = V1Lease(metadata=V1ObjectMeta(name=self.name), spec=self._spec(V1LeaseSpec()))
            self._call(self._api.create_namespaced_lease, self.namespace, lease)
            return
        known = lease.spec or V1LeaseSpec()
        if known.holder_identity != self.identity:
            self._check_free(lease, known)
        lease.spec = self._spec(known)
        # Fails with a conflict where somebody has written it since it was read.
        self._call(self._api.replace_namespaced_lease, self.name, self.namespace, lease)

    def _check_free(self, lease: V1Lease, known: V1LeaseSpec) -> None:
        """Raise unless nobody holds it, or whoever did has not renewed it in time."""
        if self.renewed is not None:
            self.renewed = None
            raise LeaseLost(f"the Lease {self} is held by {known.holder_identity or 'nobody'} now")
        metadata = lease.metadata or V1ObjectMeta()
        seen = (metadata.uid, metadata.resource_version)
        if seen != self._seen:
            self._seen, self._unchanged_since = seen, self._clock()
        lives_for = max(self._duration, float(known.lease_duration_seconds or 0))
        if known.holder_identity and self._clock() - self._unchanged_since < lives_for:
            raise _Waiting(known.holder_identity)

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

    def _call(self, call: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - V1Lease, but for the client
        """One request with a time limit; no answer at all is a failed try like any other."""
        try:
            return call(*arguments, _request_timeout=REQUEST_TIMEOUT)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiException(status=NO_ANSWER, reason=f"no answer: {error}") from error

    def _say(self, state: str, level: int = logging.INFO) -> None:
        """Log what holds the election up, once, not every 2 s."""
        if state != self._said:
            self._said = state
            logger.log(level, "Lease %s: %s", self, state)


class _Waiting(Exception):
    """Another replica holds the Lease."""


def _reason(error: ApiException) -> str:
    try:
        return str(json.loads(error.body or "")["message"])
    except (ValueError, TypeError, KeyError):
        return str(error.reason)
