"""Whole objects: a policy as read from the cluster or a file, and the names that its reports have."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from mfa_operator.api.conversion import InvalidObject, from_dict, prepare, shown
from mfa_operator.api.enums import API_VERSION, REQUESTED_AT_ANNOTATION
from mfa_operator.api.policy import PolicySpec
from mfa_operator.api.status import PolicyStatus, ServedBy

logger = logging.getLogger(__name__)

Body = Mapping[str, Any]
"""A Kubernetes object as the API server sends it."""

MAX_POLICY_NAME = 63
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL.pattern}(\.{_LABEL.pattern})*")


class PolicyRef(msgspec.Struct, frozen=True, order=True):
    """Namespace and name of an MfaPolicy."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """An MfaPolicy whose spec was understood."""

    ref: PolicyRef
    uid: str = ""
    resource_version: str = ""
    """Of the object as it was read: what was concluded from it may be written only over this version."""
    generation: int = 0
    requested_at: str = ""
    """Value of the annotation mfa-operator.io/requestedAt; any new value asks for a pass now."""
    spec: PolicySpec
    status: PolicyStatus = PolicyStatus()


def policy_ref(body: Body) -> PolicyRef:
    """Namespace and name of an object; namespace `default` where a file gives none, as kubectl has it."""
    metadata = body.get("metadata") or {}
    return PolicyRef(str(metadata.get("namespace") or "default"), str(metadata.get("name") or ""))


def read_policy(body: Body) -> Policy:
    """An MfaPolicy from its object. Raises InvalidObject naming the field."""
    for field, wanted in (("apiVersion", API_VERSION), ("kind", "MfaPolicy")):
        if body.get(field) != wanted:
            raise InvalidObject(field, f"is {shown(body.get(field))}; expected {wanted!r}")
    metadata = body.get("metadata")
    if not isinstance(metadata, Mapping) or metadata.get("name") in (None, ""):
        raise InvalidObject("metadata.name", "the policy needs a name")
    _check_name("metadata.name", metadata["name"], _SUBDOMAIN, "letters, digits, '-' and '.'")
    if metadata.get("namespace") not in (None, ""):
        _check_name("metadata.namespace", metadata["namespace"], _LABEL, "letters, digits and '-'")
    if "spec" not in body:
        raise InvalidObject("spec", "is missing")
    spec = from_dict(PolicySpec, body["spec"], at="spec")
    return Policy(
        ref=policy_ref(body),
        uid=str(metadata.get("uid", "")),
        resource_version=str(metadata.get("resourceVersion", "")),
        generation=_generation(metadata),
        requested_at=requested_at(body),
        spec=spec,
        status=known_status(body),
    )


def _check_name(field: str, name: object, pattern: re.Pattern[str], characters: str) -> None:
    """The API server's rules for names (RFC 1123). Raises InvalidObject."""
    if not isinstance(name, str):
        raise InvalidObject(field, f"{shown(name)} is not text; write it in quotes")
    if len(name) > MAX_POLICY_NAME:
        raise InvalidObject(field, f"has more than {MAX_POLICY_NAME} characters")
    if not pattern.fullmatch(name):
        raise InvalidObject(
            field,
            f"Kubernetes refuses the name {name!r}: it must have lower-case {characters} only, a letter or digit at"
            " both ends",
        )


def known_status(body: Body) -> PolicyStatus:
    """The status of an MfaPolicy; an empty one where it is invalid, which the next pass replaces.

    firstSeen is not lost with it: that stands in the MfaReports. Nor is who serves the policy: it may be a newer
    version that wrote the status.
    """
    status = body.get("status") or {}
    try:
        return from_dict(PolicyStatus, status, at="status")
    except InvalidObject as error:
        logger.warning("the status of %s is invalid and will be replaced: %s", policy_ref(body), error)
    try:
        return PolicyStatus(served_by=from_dict(ServedBy, status["servedBy"], at="status.servedBy"))
    except (InvalidObject, TypeError, KeyError):
        return PolicyStatus()


def requested_at(body: Body) -> str:
    """Value of the annotation mfa-operator.io/requestedAt; "" where there is none."""
    annotations = (body.get("metadata") or {}).get("annotations")
    return str(annotations.get(REQUESTED_AT_ANNOTATION, "")) if isinstance(annotations, Mapping) else ""


def _generation(metadata: Mapping[str, Any]) -> int:
    generation = metadata.get("generation")
    return generation if isinstance(generation, int) else 0


def report_name(policy: PolicyRef, account_id: str) -> str:
    """Name of the MfaReport of one policy and account."""
    return f"{policy.name}-{account_id}"


prepare(Policy)
