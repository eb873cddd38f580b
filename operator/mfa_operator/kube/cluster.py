"""The only writer to Kubernetes: status of policies, reports, Events. Safe to call from many threads at once."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from kubernetes.client import ApiClient

from mfa_operator.api.conversion import InvalidObject, from_dict, to_dict
from mfa_operator.api.objects import report_name
from mfa_operator.api.status import PolicyStatus, ReportStatus, ServedBy
from mfa_operator.clock import utc_moment
from mfa_operator.kube.errors import ClusterError, ClusterUnavailable, ObjectGone, ReadRefused, StaleData, WriteRefused
from mfa_operator.kube.objects import (
    ObjectMeta,
    PolicyAsRead,
    PolicyIdentity,
    PolicyObject,
    StoredReport,
    event_body,
    read_report,
    report_body,
    status_body,
)
from mfa_operator.kube.overwrite import DoneBefore, check_unwritten, overwrite, stale
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
from mfa_operator.kube.retry import RetryPolicy
from mfa_operator.reporting.events import EventNote

__all__ = [
    "Cluster",
    "ClusterError",
    "ClusterUnavailable",
    "ObjectGone",
    "PolicyAsRead",
    "PolicyIdentity",
    "PolicyObject",
    "ReadRefused",
    "RetryPolicy",
    "StaleData",
    "StoredReport",
    "WriteRefused",
]

logger = logging.getLogger(__name__)

EVENT_TRIES = 2
CHECKED_FOR = 10.0
"""Seconds for which a policy that was found counts as there, where a report is created."""


class Cluster(ClusterReader):
    """Reads and writes. Every method raises ClusterError, save emit."""

    def __init__(
        self,
        api: ApiClient,
        *,
        reporting_instance: str,
        stopping: threading.Event | None = None,
        retry: RetryPolicy | None = None,
        clock: Callable[[], datetime] = utc_moment,
        check_before_write: Callable[[], None] = lambda: None,
        served_by: ServedBy | None = None,
    ) -> None:
        """`reporting_instance` says in Events which replica speaks; `stopping`, once set, ends all trying again.

        `clock` gives the time that an Event bears. `check_before_write` is called before every request that changes
        something, each retry included; what it raises comes out of the method that writes. `served_by`: who we are;
        every status of a policy that is written says so.
        """
        super().__init__(
            checked(api, check_before_write), stopping=stopping or threading.Event(), retry=retry or RetryPolicy()
        )
        self._reporting_instance = reporting_instance
        self._clock = clock
        self._checked: dict[str, float] = {}
        """When policies were last found, by uid; monotonic seconds. An entry lost between threads costs a request."""
        self._served_by = served_by

    def write_report(
        self, policy: PolicyObject, status: ReportStatus, stored: StoredReport | None, *, organization_id: str = ""
    ) -> StoredReport:
        """Replace the whole status of the account's report, and create the report where the policy has none.

        `stored` is the report as last read or written; None: there was none of this policy. A report of an earlier
        policy of that name is deleted first. `organization_id` is noted where the report is created. Returns what the
        server has stored. Raises ObjectGone where the policy is found to be gone, and StaleData where somebody else has
        written the report's status since.
        """
        name = report_name(policy.ref, status.account_id)
        label = f"MfaReport {policy.ref.namespace}/{name}"
        # One without content is made before its status is written.
        known = [ReportStatus(account_id=status.account_id), *([stored.status] if stored else [])]
        base: ObjectMeta | None = stored
        wanted = from_dict(ReportStatus, to_dict(status))

        def read_again() -> ObjectMeta | None:
            body = self._get_once(REPORTS, policy.ref.namespace, name)
            if body is None:
                return None
            meta = ObjectMeta.of(body)
            if meta.owner_uid == policy.uid:
                check_unwritten(_report_status(body), wanted=wanted, known=known, answer=body, name=label)
            return meta

        def send(current: ObjectMeta | None) -> dict[str, Any]:
            if current is not None and current.owner_uid != policy.uid:
                # Or a late pass of a deleted policy would take the report of its successor away.
                self._policy_now(policy)
                self._delete_once(current)
                current = None
            if current is None:
                self._check_policy_lately(policy)
                current = ObjectMeta.of(
                    self._calls.create(REPORTS, report_body(policy, status.account_id, organization_id))
                )
            return self._calls.replace_status(REPORTS, status_body(current, status))

        try:
            answer = overwrite(
                self._retrier,
                label,
                base=base,
                send=send,
                read_again=read_again,
                # A report that is deleted between two calls is created again.
                again_after=(CONFLICT, INVALID, NOT_FOUND),
            )
        except WriteRefused as error:
            if error.status != TOO_LARGE:
                raise
            size = f"the status has {len(msgspec.json.encode(status)):,} bytes and {len(status.findings):,} findings"
            raise WriteRefused(error.name, TOO_LARGE, f"{error.message}; {size}") from error
        return read_report(answer)

    def delete_report(self, stored: StoredReport) -> None:
        """Delete this very report. It is no error that it is gone, or that its name has gone to another.

        Raises StaleData where somebody else has written its status since.
        """
        label = f"MfaReport {stored.namespace}/{stored.name}"

        def read_again() -> str:
            body = self._get_once(REPORTS, stored.namespace, stored.name)
            if body is None or body["metadata"]["uid"] != stored.uid:
                raise DoneBefore(None)
            if _report_status(body) != stored.status:
                raise stale(label)
            return str(body["metadata"]["resourceVersion"])

        def send(version: str) -> None:
            try:
                self._calls.delete(REPORTS, stored.namespace, stored.name, stored.uid, version)
            except CallFailed as error:
                if error.status != NOT_FOUND:
                    raise

        overwrite(
            self._retrier,
            label,
            base=stored.resource_version,
            send=send,
            read_again=read_again,
            again_after=(CONFLICT,),
        )

    def write_policy_status(
        self, policy: PolicyAsRead, status: PolicyStatus, *, claimed: bool = True
    ) -> PolicyIdentity:
        """Replace the whole status of the policy as it was read, and nothing else of it.

        An edit of its spec or metadata since is no obstacle. Raises ObjectGone where the policy is gone, and StaleData
        where somebody else has written its status since: only another leader does. Returns the policy as the server has
        stored it, for the next write. `claimed`: whether it says that we serve the policy; else nobody does.
        """
        status = msgspec.structs.replace(status, served_by=self._served_by if claimed else None)
        label = f"MfaPolicy {policy.ref}"
        wanted = from_dict(PolicyStatus, to_dict(status))

        def read_again() -> str:
            body = self._policy_now(policy)
            answer = PolicyIdentity.of(body)
            check_unwritten(answer.status, wanted=wanted, known=[policy.status], answer=answer, name=label)
            return answer.resource_version

        def send(version: str) -> PolicyIdentity:
            meta = ObjectMeta(policy.ref.name, policy.ref.namespace, policy.uid, version, owner_uid="")
            return PolicyIdentity.of(self._calls.replace_status(POLICIES, status_body(meta, status)))

        written = overwrite(
            self._retrier,
            label,
            base=policy.resource_version,
            send=send,
            read_again=read_again,
            again_after=(CONFLICT, INVALID),
            reads_first=not policy.resource_version,
        )
        self._note_found(policy)
        return written

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
            self._retrier.run(attempt, name=label, write=True, tries=EVENT_TRIES)
        except ClusterError as error:
            logger.warning(
                "an Event about MfaPolicy %s could not be written (%s): %s", regarding.ref, event.reason.value, error
            )

    def _check_policy_lately(self, policy: PolicyObject) -> None:
        """Raise ObjectGone where the policy was not there when it was last asked for, within CHECKED_FOR.

        A pass over a thousand new accounts need not ask a thousand times. A report that is created in between belongs
        to a policy that is gone, by the uid in its ownerReferences, and the garbage collector takes it away; one of a
        successor is not touched, as a report that is there already is a conflict.
        """
        now = time.monotonic()
        if now - self._checked.get(policy.uid, -CHECKED_FOR) >= CHECKED_FOR:
            self._policy_now(policy)

    def _policy_now(self, policy: PolicyObject) -> dict[str, Any]:
        body = self._get_once(POLICIES, policy.ref.namespace, policy.ref.name)
        if body is None:
            raise ObjectGone(f"MfaPolicy {policy.ref} is gone")
        if body["metadata"]["uid"] != policy.uid:
            raise ObjectGone(f"MfaPolicy {policy.ref} was deleted: another one has its name now")
        self._note_found(policy)
        return body

    def _note_found(self, policy: PolicyObject) -> None:
        now = time.monotonic()
        self._checked = {uid: at for uid, at in list(self._checked.items()) if now - at < CHECKED_FOR}
        self._checked[policy.uid] = now

    def _delete_once(self, meta: ObjectMeta) -> None:
        try:
            self._calls.delete(REPORTS, meta.namespace, meta.name, meta.uid, meta.resource_version)
        except CallFailed as error:
            if error.status not in {NOT_FOUND, CONFLICT}:
                raise


def _report_status(body: dict[str, Any]) -> ReportStatus | None:
    """None where it is invalid here: a newer operator's."""
    try:
        return read_report(body).status
    except InvalidObject:
        return None
