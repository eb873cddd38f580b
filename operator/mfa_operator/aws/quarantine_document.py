"""The customer managed policies that put a user under quarantine until MFA is there. Pure: nothing here talks to AWS.

There are two, and each user gets one of them, because a managed policy has one document for all who carry it, and two
MfaPolicies that cover one account may differ in `quarantineAccessKeys`: a single policy whose document changed with the
last writer would stop services that another policy promised to spare.

They share one list of actions and differ in one word. IAM gives `aws:MultiFactorAuthPresent` only to temporary
credentials: a console session without MFA says false, a long-term access key says nothing. `Bool` matches false alone
and so spares the keys; `BoolIfExists` matches the missing key as well.

Who holds the user's password or access key can enrol MFA and so leave the quarantine. That is its purpose; it is no
answer to stolen credentials.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final
from urllib.parse import unquote

PATH: Final = "/mfa-operator/"
"""IAM path of both policies: an SCP or a role can name all that is ours by it."""
TAGS: Final[Mapping[str, str]] = {"managed-by": "mfa-operator"}
"""Marks a policy as ours. One of our name without it was made by somebody else and is left alone."""
MAX_CHARACTERS: Final = 6144
"""IAM's limit for a managed policy, white space not counted (IAM and AWS STS quotas)."""
VERSION: Final = "2012-10-17"
"""The version of the policy language from which on `${aws:username}` is replaced."""

_ANYWHERE: Final = ("iam:GetAccountPasswordPolicy", "iam:GetAccountSummary", "iam:ListVirtualMFADevices")
"""What IAM grants on `*` alone: the console's Security credentials page and its change of password read these."""
_OWN_USER: Final = (
    "iam:ChangePassword",
    "iam:EnableMFADevice",  # registers passkeys and security keys too: both have this one action
    "iam:GetMFADevice",
    "iam:GetUser",
    "iam:ListMFADevices",
    "iam:ResyncMFADevice",
)
_CREATE_DEVICE: Final = "iam:CreateVirtualMFADevice"
_DELETE_DEVICE: Final = "iam:DeleteVirtualMFADevice"
_NO_RIGHT_NEEDED: Final = ("sts:GetCallerIdentity", "sts:GetSessionToken")
"""Everyone may call these and no policy can forbid it, says AWS; named so that readers and other tools see it."""


class Variant(StrEnum):
    """Which quarantine; the value is the policy's name."""

    CONSOLE = "mfa-operator-quarantine"
    """Console sessions and temporary credentials without MFA; long-term access keys go on working."""
    CONSOLE_AND_KEYS = "mfa-operator-quarantine-keys"
    """Long-term access keys too (`quarantineAccessKeys: true`): what runs with them stops."""

    @classmethod
    def of(cls, *, access_keys: bool) -> Variant:
        """The variant that `spec.remediation.quarantineAccessKeys` asks for."""
        return cls.CONSOLE_AND_KEYS if access_keys else cls.CONSOLE

    @property
    def other(self) -> Variant:
        """The variant to detach when a user moves to this one; attach first, so that no gap opens."""
        return Variant.of(access_keys=self is Variant.CONSOLE)

    @property
    def description(self) -> str:
        """What people read in the IAM console; cannot be changed after creation, so it names no setting of a policy."""
        keys = (
            "long-term access keys included"
            if self is Variant.CONSOLE_AND_KEYS
            else "long-term access keys not affected"
        )
        return (
            f"Until MFA is enrolled, only enrolling it and changing the password are allowed; {keys}. By mfa-operator."
        )


def policy_arn(partition: str, account_id: str, variant: Variant) -> str:
    """ARN of the policy in an account: known without asking, so nothing needs to be listed."""
    return f"arn:{partition}:iam::{account_id}:policy{PATH}{variant}"


def tag_list() -> list[dict[str, str]]:
    """The tags as CreatePolicy takes them."""
    return [{"Key": key, "Value": value} for key, value in TAGS.items()]


def is_ours(tags: Iterable[Mapping[str, str]] | None) -> bool:
    """Whether a policy's tags, as GetPolicy gives them, mark it as made by this operator."""
    found = {tag["Key"]: tag["Value"] for tag in tags or ()}
    return all(found.get(key) == value for key, value in TAGS.items())


def document(partition: str, account_id: str, variant: Variant) -> dict[str, Any]:
    """The policy document that puts who carries it under quarantine.

    It allows, because a denial alone would lock out whoever had no right to enrol; it denies everything else; and it
    denies the allowed actions on other users, or an administrator under quarantine could give a colleague a device of
    their own. DeactivateMFADevice needs MFA like everything else, and DeleteVirtualMFADevice fails on a device in use
    (DeleteConflict), so no device that protects somebody can be taken away; a half-made one of the user's own name can,
    to start over. Devices may be made under any name: the console asks for one, and AWS's own examples allow it.
    """
    iam = f"arn:{partition}:iam::{account_id}:"
    # A user's ARN holds the path: user/alice, but user/eng/alice. Names hold no slash, so user/*/alice is alice alone.
    own_user = [f"{iam}user/${{aws:username}}", f"{iam}user/*/${{aws:username}}"]
    own_device = f"{iam}mfa/${{aws:username}}"
    return {
        "Version": VERSION,
        "Statement": [
            {
                "Sid": "SeeWhatEnrollingNeeds",
                "Effect": "Allow",
                "Action": list(_ANYWHERE),
                "Resource": "*",
            },
            {
                "Sid": "EnrolMfaAndChangePassword",
                "Effect": "Allow",
                "Action": list(_OWN_USER),
                "Resource": own_user,
            },
            {
                "Sid": "MakeVirtualDevice",
                "Effect": "Allow",
                "Action": _CREATE_DEVICE,
                "Resource": f"{iam}mfa/*",
            },
            {
                "Sid": "StartOver",
                "Effect": "Allow",
                "Action": _DELETE_DEVICE,
                "Resource": own_device,
            },
            {
                "Sid": "DenyTheRestWithoutMfa",
                "Effect": "Deny",
                "NotAction": sorted((*_ANYWHERE, *_OWN_USER, _CREATE_DEVICE, _DELETE_DEVICE, *_NO_RIGHT_NEEDED)),
                "Resource": "*",
                "Condition": _without_mfa(variant),
            },
            {
                "Sid": "DenyOtherUsersWithoutMfa",
                "Effect": "Deny",
                "Action": sorted((*_OWN_USER, _DELETE_DEVICE)),
                "NotResource": [*own_user, own_device],
                "Condition": _without_mfa(variant),
            },
        ],
    }


def _without_mfa(variant: Variant) -> dict[str, dict[str, str]]:
    return {
        "BoolIfExists" if variant is Variant.CONSOLE_AND_KEYS else "Bool": {
            "aws:MultiFactorAuthPresent": "false",
            # A service acting for the user follows a request of theirs that was judged already. Whether such a request
            # has the MFA key where an access key signed is not documented: judging it could stop a service.
            "aws:ViaAWSService": "false",
        }
    }


def document_json(partition: str, account_id: str, variant: Variant) -> str:
    """The document as CreatePolicy and CreatePolicyVersion take it."""
    return json.dumps(document(partition, account_id, variant), separators=(",", ":"))


def is_current(found: Mapping[str, Any] | str, partition: str, account_id: str, variant: Variant) -> bool:
    """Whether a policy version's document says what ours says.

    `found` is PolicyVersion.Document: a mapping as boto3 decodes it, or JSON, URL-encoded (RFC 3986) or not. Order,
    Sids, a single value instead of a list, and the case of actions and condition keys make no difference. Whatever
    cannot be understood is not current.
    """
    try:
        return _normalised(found) == _normalised(document(partition, account_id, variant))
    except (TypeError, ValueError, AttributeError):
        return False


def _normalised(found: Mapping[str, Any] | str) -> tuple[object, frozenset[str]]:
    if isinstance(found, str):
        found = json.loads(found if found.lstrip().startswith("{") else unquote(found))
    if not isinstance(found, Mapping) or set(found) - {"Version", "Id", "Statement"}:
        raise ValueError("this is no policy document")
    statements: Sequence[Any] = _listed(found.get("Statement"))
    return found.get("Version"), frozenset(json.dumps(_statement(each), sort_keys=True) for each in statements)


def _statement(found: Mapping[str, Any]) -> dict[str, Any]:
    normal: dict[str, Any] = {}
    for element, value in found.items():
        if element in ("Action", "NotAction"):
            normal[element] = _values(str(each).lower() for each in _listed(value))
        elif element in ("Resource", "NotResource"):
            normal[element] = _values(str(each) for each in _listed(value))
        elif element == "Condition":
            normal[element] = {operator: _condition(keys) for operator, keys in value.items()}
        elif element != "Sid":
            normal[element] = value
    return normal


def _condition(keys: Mapping[str, Any]) -> dict[str, list[str]]:
    normal = {
        key.lower(): _values(str(each).lower() if isinstance(each, bool) else str(each) for each in _listed(value))
        for key, value in keys.items()
    }
    if len(normal) != len(keys):
        raise ValueError("a condition key is there twice")
    return normal


def _listed(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def _values(values: Iterable[str]) -> list[str]:
    return sorted(set(values))
