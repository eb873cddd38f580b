"""Objects as the API server gives and takes them. Pure: no client is needed to build or read one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from mfa_operator.api.conversion import from_dict, to_dict
from mfa_operator.api.enums import ACCOUNT_LABEL, API_VERSION, GROUP, ORGANIZATION_ANNOTATION, POLICY_LABEL
from mfa_operator.api.objects import Body, PolicyRef, known_status, policy_ref, report_name
from mfa_operator.api.status import PolicyStatus, ReportStatus
from mfa_operator.api.text import error_text
from mfa_operator.reporting.events import EventNote

REPORTING_CONTROLLER = "mfa-operator"
MAX_NOTE = 1024
"""Bytes of an Event's note that the API server takes."""
MAX_REPORTING_INSTANCE = 128


class PolicyObject(Protocol):
    """A policy as an object of the cluster, its spec understood or not."""

    @property
    def ref(self) -> PolicyRef: ...

    @property
    def uid(self) -> str: ...


class PolicyAsRead(PolicyObject, Protocol):
    """A policy as it stood when it was read: what is concluded from it must not replace what is newer."""

    @property
    def resource_version(self) -> str: ...

    @property
    def status(self) -> PolicyStatus: ...


@dataclass(frozen=True, slots=True)
class PolicyIdentity:
    """A policy of which no more is known than which one it is, and its status: its spec may be invalid."""

    ref: PolicyRef
    uid: str
    resource_version: str = ""
    status: PolicyStatus = PolicyStatus()

    @classmethod
    def of(cls, body: Body) -> PolicyIdentity:
        metadata = body.get("metadata") or {}
        uid, version = (str(metadata.get(field, "")) for field in ("uid", "resourceVersion"))
        return cls(policy_ref(body), uid, version, known_status(body))


@dataclass(frozen=True, slots=True)
class ObjectMeta:
    """Which object it is, which version of it, and whose."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    owner_uid: str
    """uid of the MfaPolicy it belongs to; "" where it belongs to none."""

    @classmethod
    def of(cls, body: Body) -> ObjectMeta:
        metadata = body["metadata"]
        owners = metadata.get("ownerReferences") or ()
        return cls(
            name=metadata["name"],
            namespace=metadata["namespace"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            owner_uid=owner_of((owner["kind"], owner["apiVersion"], owner["uid"]) for owner in owners),
        )


def owner_of(references: Iterable[tuple[str, str, str]]) -> str:
    """The uid of the MfaPolicy among owners, each its kind, apiVersion and uid; "" where there is none."""
    found = (uid for kind, version, uid in references if kind == "MfaPolicy" and version.startswith(f"{GROUP}/"))
    return next(found, "")


@dataclass(frozen=True, slots=True)
class StoredReport(ObjectMeta):
    """An MfaReport as it stands in the cluster. Another owner_uid than the policy's own: it is not that policy's."""

    status: ReportStatus
    """Without times and findings where none was written yet."""


def read_report(body: Body) -> StoredReport:
    """An MfaReport from its object. Raises InvalidObject where the status is invalid."""
    account_id = (body["metadata"].get("labels") or {}).get(ACCOUNT_LABEL, "")
    status = from_dict(ReportStatus, body.get("status") or {"accountId": account_id}, at="status")
    meta = ObjectMeta.of(body)
    return StoredReport(meta.name, meta.namespace, meta.uid, meta.resource_version, meta.owner_uid, status=status)


def report_body(policy: PolicyObject, account_id: str, organization_id: str = "") -> dict[str, Any]:
    """A report to be created. The status subresource takes its content: what a create says of it is dropped.

    `organization_id`: of the organization that the account was discovered in; "" where it was not.
    """
    annotations = {"annotations": {ORGANIZATION_ANNOTATION: organization_id}} if organization_id else {}
    return {
        "apiVersion": API_VERSION,
        "kind": "MfaReport",
        "metadata": {
            "name": report_name(policy.ref, account_id),
            "namespace": policy.ref.namespace,
            "labels": {POLICY_LABEL: policy.ref.name, ACCOUNT_LABEL: account_id},
            **annotations,
            # Without blockOwnerDeletion, which would ask for the right to set finalizers on policies.
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": "MfaPolicy",
                    "name": policy.ref.name,
                    "uid": policy.uid,
                    "controller": True,
                }
            ],
        },
    }


def status_body(meta: ObjectMeta, status: PolicyStatus | ReportStatus) -> dict[str, Any]:
    """What a PUT on /status needs: whose status it is, the version it is based on, and all of the new status.

    Spec and other metadata may be left out: the API server keeps those it has.
    """
    return {
        "apiVersion": API_VERSION,
        "kind": "MfaPolicy" if isinstance(status, PolicyStatus) else "MfaReport",
        "metadata": {
            "name": meta.name,
            "namespace": meta.namespace,
            "uid": meta.uid,
            "resourceVersion": meta.resource_version,
        },
        "status": to_dict(status),
    }


def event_body(regarding: PolicyObject, event: EventNote, now: datetime, *, name: str, instance: str) -> dict[str, Any]:
    """An events.k8s.io/v1 Event about a policy, in the policy's namespace."""
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": regarding.ref.namespace},
        # A MicroTime: the API server wants all six digits.
        "eventTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": REPORTING_CONTROLLER,
        "reportingInstance": instance[:MAX_REPORTING_INSTANCE],
        "action": event.action,
        "reason": event.reason.value,
        "type": "Warning" if event.reason.is_warning else "Normal",
        "note": cut(error_text(event.note, MAX_NOTE), MAX_NOTE),
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": "MfaPolicy",
            "name": regarding.ref.name,
            "namespace": regarding.ref.namespace,
            "uid": regarding.uid,
        },
    }


def cut(text: str, size: int) -> str:
    """The text in at most `size` bytes of UTF-8, whole characters only, an ellipsis where something is missing."""
    encoded = text.encode()
    if len(encoded) <= size:
        return text
    return encoded[: size - len("…".encode())].decode(errors="ignore") + "…"
