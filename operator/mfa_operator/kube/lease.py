"""The Lease that replicas stand for, as the official client's election wants it: bounded requests, and a release."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import urllib3
from kubernetes.client import ApiClient, ApiException, CoordinationV1Api
from kubernetes.client.models import V1Lease, V1LeaseSpec
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock

from mfa_operator.clock import seconds_since_boot

logger = logging.getLogger(__name__)

REQUEST_TIMEOUT = (2.0, 3.0)
"""Seconds to connect and to wait for an answer: a try must end well before the renewal is due."""


class LeaseLost(Exception):
    """The Lease is not ours any more."""


class Lease:
    """The lock of kubernetes.leaderelection: get, create and update are called by the election's thread."""

    def __init__(self, api: ApiClient, namespace: str, name: str, identity: str) -> None:
        self.namespace, self.name, self.identity = namespace, name, identity
        self.renewed: float | None = None
        """When, by `seconds_since_boot`, the last successful renewal was begun; None: the Lease is not ours."""
        self._requests = _BoundedRequests(api)
        lock: Any = LeaseLock(name, namespace, identity)  # type: ignore[no-untyped-call]  # it has no types
        self._lock: Any = lock
        self._lock.api_instance = self._requests
        self._mutex = threading.Lock()
        self._released = False
        self._said = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    def get(self, name: str, namespace: str) -> tuple[bool, Any]:
        """Whether it can be read, and the record in it or what went wrong. Raises LeaseLost."""
        with self._mutex:
            self._check_released()
            found, record = self._lock.get(name, namespace)
        if not found:
            if record.status != 404:
                self._say(f"cannot be read: {_reason(record)}", logging.WARNING)
        elif record.holder_identity != self.identity:
            if self.renewed is not None:
                # The client would go on for the whole renewal time, though another replica acts already.
                self.renewed = None
                raise LeaseLost(f"the Lease {self} is held by {record.holder_identity or 'nobody'} now")
            if record.holder_identity:
                self._say(f"held by {record.holder_identity}; waiting")
        return found, record

    def create(self, name: str, namespace: str, election_record: object) -> bool:
        """Whether the Lease was made, and ours. Raises LeaseLost."""
        return self._renew(lambda: self._lock.create(name, namespace, election_record))

    def update(self, name: str, namespace: str, updated_record: object) -> bool:
        """Whether the Lease was taken or renewed. Raises LeaseLost."""
        return self._renew(lambda: self._lock.update(name, namespace, updated_record))

    def release(self) -> None:
        """Give the Lease back if it is ours; from then on get, create and update raise LeaseLost."""
        with self._mutex:
            self._released = True
            if self.renewed is None:
                return
            # Before the request: from here on nothing of ours may be written any more.
            self.renewed = None
            try:
                lease = self._requests.read_namespaced_lease(self.name, self.namespace)
                if lease.spec and lease.spec.holder_identity == self.identity:
                    # client-go's way of saying that nobody holds it.
                    lease.spec = V1LeaseSpec(lease_duration_seconds=1, lease_transitions=lease.spec.lease_transitions)
                    self._requests.replace_namespaced_lease(self.name, self.namespace, lease)
            except ApiException as error:
                logger.info("the Lease %s is left to run out: %s", self, _reason(error))

    def _renew(self, call: Callable[[], bool]) -> bool:
        with self._mutex:
            self._check_released()
            begun = seconds_since_boot()
            done = call()
            if done:
                self.renewed = begun
                self._said = ""
            else:
                self._say(f"cannot be written: {_reason(self._requests.failure)}", logging.WARNING)
            return done

    def _check_released(self) -> None:
        if self._released:
            raise LeaseLost(f"the Lease {self} was given back")

    def _say(self, state: str, level: int = logging.INFO) -> None:
        """Log what holds the election up, once, not every 2 s."""
        if state != self._said:
            self._said = state
            logger.log(level, "Lease %s: %s", self, state)


class _BoundedRequests:
    """The three calls of LeaseLock with a time limit each; no answer at all is a failed try like any other."""

    def __init__(self, api: ApiClient) -> None:
        self._api = CoordinationV1Api(api)
        self.failure = ApiException(status=0, reason="no request yet")

    def read_namespaced_lease(self, name: str, namespace: str) -> V1Lease:
        return self._call(self._api.read_namespaced_lease, name, namespace)

    def create_namespaced_lease(self, namespace: str, body: V1Lease) -> V1Lease:
        return self._call(self._api.create_namespaced_lease, namespace, body)

    def replace_namespaced_lease(self, name: str, namespace: str, body: V1Lease) -> V1Lease:
        return self._call(self._api.replace_namespaced_lease, name, namespace, body)

    def _call(self, call: Callable[..., V1Lease], *arguments: object) -> V1Lease:
        try:
            return call(*arguments, _request_timeout=REQUEST_TIMEOUT)
        except ApiException as error:
            self.failure = error
            raise
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self.failure = ApiException(status=0, reason=f"no answer: {error}")
            raise self.failure from error


def _reason(error: ApiException) -> str:
    try:
        return str(json.loads(error.body or "")["message"])
    except (ValueError, TypeError, KeyError):
        return str(error.reason)
