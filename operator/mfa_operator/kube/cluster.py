"""The only writer to Kubernetes: status of policies, reports, Events. Safe to call from many threads at once."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from kubernetes.client import ApiClient

from mfa_operator.api.objects import report_name
from mfa_operator.api.status import PolicyStatus, ReportStatus
from mfa_operator.clock import utc_moment
from mfa_operator.kube.errors import ClusterError, ClusterUnavailable, ObjectGone, ReadRefused, WriteRefused
from mfa_operator.kube.objects import (
    ObjectMeta,
    PolicyIdentity,
    PolicyObject,
    StoredReport,
    event_body,
    read_report,
    report_body,
    status_body,
)
from mfa_operator.kube.reader import ClusterReader
from mfa_operator.kube.requests import (
    CONFLICT,
    EVENTS,
    INVALID,
    NOT_FOUND,
    POLICIES,
    REPORTS,
    TOO_LARGE,
    CallFailed,
    checked,
)
from mfa_operator.kube.retry import Backoff
from mfa_operator.reporting.events import EventNote

__all__ = [
    "Backoff",
    "Cluster",
    "ClusterError",
    "ClusterUnavailable",
    "ObjectGone",
    "PolicyIdentity",
    "PolicyObject",
    "ReadRefused",
    "StoredReport",
    "WriteRefused",
]

logger = logging.getLogger(__name__)

EVENT_TRIES = 2


class Cluster(ClusterReader):
    """Reads and writes. Every method raises ClusterError, save emit."""

    def __init__(
        self,
        api: ApiClient,
        *,
        reporting_instance: str,
        stopping: threading.Event | None = None,
        backoff: Backoff | None = None,
        clock: Callable[[], datetime] = utc_moment,
        check_before_write: Callable[[], None] = lambda: None,
    ) -> None:
        """`reporting_instance` says in Events which replica speaks; `stopping`, once set, ends all trying again.

        `clock` gives the time that an Event bears. `check_before_write` is called before every request that changes
        something, each retry included; what it raises comes out of the method that writes.
        """
        super().__init__(
            checked(api, check_before_write), stopping=stopping or threading.Event(), backoff=backoff or Backoff()
        )
        self._reporting_instance = reporting_instance
        self._clock = clock

    def write_report(self, policy: PolicyObject, status: ReportStatus, stored: StoredReport | None) -> StoredReport:
        """Replace the whole status of the account's report, and create the report where the policy has none.

        `stored` is the report as last read or written; it spares a read. A report of an earlier policy of that name is
        deleted first. Returns what the server has stored. Raises ObjectGone where the policy is gone.
        """
        name = report_name(policy.ref, status.account_id)
        label = f"MfaReport {policy.ref.namespace}/{name}"
        current: ObjectMeta | None = stored
        fresh = stored is None

        def attempt() -> dict[str, Any]:
            nonlocal current, fresh
            if fresh:
                body = self._get_once(REPORTS, policy.ref.namespace, name)
                current = None if body is None else ObjectMeta.of(body)
            fresh = True
            if current is None or current.owner_uid != policy.uid:
                # Or a late pass of a deleted policy would take the report of its successor away.
                self._policy_now(policy)
                if current is not None:
                    self._delete_once(current)
                current = ObjectMeta.of(self._calls.create(REPORTS, report_body(policy, status.account_id)))
            return self._calls.replace_status(REPORTS, status_body(current, status))

        try:
            # A report that is deleted between two calls is created again.
            answer = self._persistence.run(
                attempt, name=label, write=True, also=frozenset({CONFLICT, INVALID, NOT_FOUND})
            )
        except WriteRefused as error:
            if error.status != TOO_LARGE:
                raise
            size = f"the status has {len(msgspec.json.encode(status)):,} bytes and {len(status.findings):,} findings"
            raise WriteRefused(error.name, TOO_LARGE, f"{error.message}; {size}") from error
        return read_report(answer)

    def delete_report(self, stored: StoredReport) -> None:
        """Delete this very report. It is no error that it is gone, or that its name has gone to another."""
        label = f"MfaReport {stored.namespace}/{stored.name}"
        self._persistence.run(lambda: self._delete_once(stored), name=label, write=True)

    def write_policy_status(self, policy: PolicyObject, status: PolicyStatus) -> None:
        """Replace the whole status of the policy, and nothing else of it. Raises ObjectGone where it is gone."""

        def attempt() -> None:
            self._calls.replace_status(POLICIES, status_body(self._policy_now(policy), status))

        also = frozenset({CONFLICT, INVALID})
        self._persistence.run(attempt, name=f"MfaPolicy {policy.ref}", write=True, also=also)

    def emit(self, regarding: PolicyObject, event: EventNote) -> None:
        """Write an Event about the policy. A failure is logged and nothing more: it must not stop a pass."""
        # A name of our own, so that a second try after a lost answer makes no second Event.
        name = f"{regarding.ref.name}.{secrets.token_hex(8)}"
        body = event_body(regarding, event, self._clock(), name=name, instance=self._reporting_instance)

        def attempt() -> None:
            try:
                self._calls.create(EVENTS, body)
            except CallFailed as error:
                if error.status != CONFLICT:
                    raise

        try:
            label = f"Event {regarding.ref.namespace}/{name}"
            self._persistence.run(attempt, name=label, write=True, tries=EVENT_TRIES)
        except ClusterError as error:
            logger.warning("an Event about MfaPolicy %s is lost (%s): %s", regarding.ref, event.reason.value, error)

    def _policy_now(self, policy: PolicyObject) -> ObjectMeta:
        body = self._get_once(POLICIES, policy.ref.namespace, policy.ref.name)
        if body is None:
            raise ObjectGone(f"MfaPolicy {policy.ref} is gone")
        meta = ObjectMeta.of(body)
        if meta.uid != policy.uid:
            raise ObjectGone(f"MfaPolicy {policy.ref} is gone: another one has its name now")
        return meta

    def _delete_once(self, meta: ObjectMeta) -> None:
        try:
            self._calls.delete(REPORTS, meta.namespace, meta.name, meta.uid)
        except CallFailed as error:
            if error.status not in {NOT_FOUND, CONFLICT}:
                raise
