"""What the API server itself writes into `metadata`, and what it holds a request's metadata to."""

import re
import secrets
import uuid
from datetime import datetime
from typing import Any

from mfa_sandbox.kubernetes.errors import ApiError, bad_request, conflict, invalid
from mfa_sandbox.kubernetes.resources import ResourceType

Object = dict[str, Any]

# Set by the API server alone; what a client sends in them is ignored.
SYSTEM_FIELDS = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")
IGNORED_FIELDS = ("managedFields", "selfLink")
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/, DNS subdomain names.
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def timestamp(moment: datetime) -> str:
    """RFC 3339 in whole seconds, as `creationTimestamp` has it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def check_type(resource: ResourceType, body: Object) -> None:
    """Hold apiVersion and kind to the URL's; fill them in for built-in resources. Raises ApiError 400 and 422."""
    if not resource.custom:
        body.setdefault("apiVersion", resource.api_version)
        body.setdefault("kind", resource.kind)
    kind, version = body.get("kind") or "", body.get("apiVersion") or ""
    if not kind:
        raise bad_request(
            f"the object provided is unrecognized (must be of type {resource.kind}): Object 'Kind' is missing"
        )
    if version != resource.api_version:
        raise bad_request(
            f"the API version in the data ({version}) does not match the expected API version ({resource.api_version})"
        )
    if kind != resource.kind:
        name = (body.get("metadata") or {}).get("name", "")
        message = f'Invalid value: "{kind}": must be {resource.kind}'
        raise invalid(resource.group, kind, name, field="kind", reason="FieldValueInvalid", message=message)
    if not isinstance(body.setdefault("metadata", {}), dict):
        raise bad_request("metadata is not an object")


def of_new(resource: ResourceType, namespace: str, body: Object, *, now: datetime) -> Object:
    """The metadata of an object to be created. Raises ApiError 400, 422 and 500."""
    given = body["metadata"]
    if given.get("resourceVersion"):
        raise ApiError(500, "resourceVersion should not be set on objects to be created", reason="")
    _check_namespace(namespace, given)
    name = given.get("name") or _generated_name(given)
    if not name:
        raise invalid(
            resource.group,
            resource.kind,
            "",
            field="metadata.name",
            reason="FieldValueRequired",
            message="Required value: name or generateName is required",
        )
    if len(name) > 253 or not NAME.fullmatch(name):
        message = (
            f'Invalid value: "{name}": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric '
            "characters, '-' or '.', and must start and end with an alphanumeric character"
        )
        raise invalid(
            resource.group, resource.kind, name, field="metadata.name", reason="FieldValueInvalid", message=message
        )
    # What is empty is as good as absent, here and below.
    ignored = (*SYSTEM_FIELDS, *IGNORED_FIELDS, "resourceVersion")
    kept = {key: value for key, value in given.items() if value and key not in ignored}
    return {
        **kept,
        "name": name,
        **({"namespace": namespace} if resource.namespaced else {}),
        "uid": str(uuid.uuid4()),
        "creationTimestamp": timestamp(now),
        **({"generation": 1} if resource.custom else {}),
    }


def _generated_name(given: Object) -> str:
    prefix = given.get("generateName")
    # The API server's alphabet: no vowels, so that no words come out.
    return prefix + "".join(secrets.choice("bcdfghjklmnpqrstvwxz2456789") for _ in range(5)) if prefix else ""


def _check_namespace(namespace: str, given: Object) -> None:
    if given.get("namespace") not in (None, "", namespace):
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")


def check_identity(resource: ResourceType, old: Object, wanted: Object, *, replace: bool) -> None:
    """Hold an update to the object and the state that it means.

    `replace` says that the client sent all of it, and has to name the state. Raises ApiError 400, 409 and 422.
    """
    meta, given = old["metadata"], wanted["metadata"]
    name = meta["name"]
    if given.get("name") not in (None, name):
        raise bad_request(f"the name of the object ({given['name']}) does not match the name on the URL ({name})")
    _check_namespace(meta.get("namespace", ""), given)
    version = given.get("resourceVersion")
    if version and version != meta["resourceVersion"]:
        raise conflict(resource, name)
    if not version and replace and not resource.unconditional_update:
        raise invalid(
            resource.group,
            resource.plural,
            name,
            field="metadata.resourceVersion",
            reason="FieldValueInvalid",
            message="Invalid value: 0: must be specified for an update",
        )
    if given.get("uid") not in (None, "", meta["uid"]):
        if not replace:
            message = f'Invalid value: "{given["uid"]}": field is immutable'
            raise invalid(
                resource.group, resource.kind, name, field="metadata.uid", reason="FieldValueInvalid", message=message
            )
        why = f"Precondition failed: UID in precondition: {given['uid']}, UID in object meta: {meta['uid']}"
        raise conflict(resource, name, why)


def of_updated(old: Object, wanted: Object) -> Object:
    """The metadata after a write to the main resource: the client's, but for what is the API server's own."""
    own = (*SYSTEM_FIELDS, "name", "namespace", "resourceVersion")
    ignored = (*own, *IGNORED_FIELDS)
    given = {key: value for key, value in wanted["metadata"].items() if value and key not in ignored}
    return given | {key: old["metadata"][key] for key in own if key in old["metadata"]}


def of_deleted(old: Object, *, now: datetime) -> Object:
    """The metadata of an object that its finalizers still hold."""
    meta: Object = old["metadata"] | {"deletionTimestamp": timestamp(now), "deletionGracePeriodSeconds": 0}
    if "generation" in meta:
        meta["generation"] += 1
    return meta


def is_new_generation(old: Object, new: Object) -> bool:
    """Whether anything but metadata and status changed."""
    return {key: value for key, value in old.items() if key not in ("metadata", "status")} != {
        key: value for key, value in new.items() if key not in ("metadata", "status")
    }
