"""What the API server must refuse in an MfaPolicy, what it must tell whoever wrote it, and what it must accept."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

ACCOUNT = "111122223333"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/mfa-operator"
EXEMPTION = {"users": ["break-glass-*"], "reason": "Sealed, checked monthly"}
PARTITIONS = ("aws", "aws-cn", "aws-us-gov", "aws-eusc", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f")
LEFT_OUT = object()

BASE: Mapping[str, Any] = {
    "apiVersion": "mfa-operator.io/v1alpha1",
    "kind": "MfaPolicy",
    "metadata": {"name": "a-policy"},
    "spec": {
        "accounts": [{"id": ACCOUNT, "roleArn": ROLE}],
        "requirement": {},
        "organization": {"include": {}, "exclude": {}, "accountRole": {}},
        "exemptions": [EXEMPTION],
        "remediation": {},
    },
}

NO_ID = "is no AWS account id: it has 12 digits and nothing else"
NO_ARN = f"is no ARN of an IAM role, such as {ROLE}"
FEW_ITEMS = "should have at least 1 items"
EMPTY = "should be at least 1 chars long"
NO_TEXT = "must be of type string"
NO_DATE = "must be of type date-time"
TWICE = "Duplicate value"
UNIT = "ou-ab12-cdef3456"
NO_UNIT = f"a unit's is written like {UNIT}, the root's like r-ab12"
NO_ROLE_NAME = "give the role's name alone, such as mfa-operator, without ARN"
NO_PATH = "it begins and ends with a slash, like / or /security/"
ONLY_QUARANTINE = "can be true only with the action QuarantineUntilMfa"


def policy(field: str, value: Any) -> dict[str, Any]:
    """A good policy but for the value of one field, given by its path; LEFT_OUT takes the field away."""
    manifest: Any = copy.deepcopy(dict(BASE))
    *parents, last = (int(key) if key.isdigit() else key for key in re.findall(r"\w+", field))
    target = manifest
    for key in parents:
        target = target[key]
    if value is LEFT_OUT:
        target.pop(last)
    else:
        target[last] = value
    return dict(manifest)


# By the field that the refusal must name: a bad value, and words that must stand in the line that names the field.
REFUSED: Mapping[str, Sequence[tuple[Any, str]]] = {
    "metadata.name": [("p" * 64, "at most 63 characters, because its reports carry it as a label")],
    "spec": [
        (LEFT_OUT, "Required value"),
        ({}, "nothing to audit: give accounts, organization, or both"),
        ({"interval": "15m"}, "nothing to audit: give accounts, organization, or both"),
        ({"accounts": None}, "nothing to audit: give accounts, organization, or both"),
    ],
    "spec.acounts": [([], "unknown field")],
    "spec.suspend": [("yes", "must be of type boolean")],
    "spec.accounts": [
        ([], FEW_ITEMS),
        ([{"id": f"{n:012}"} for n in range(1001)], "must have at most 1000 items"),
        ([{"id": ACCOUNT}, {"id": ACCOUNT, "name": "again"}], f"spec.accounts[1]: {TWICE}"),
    ],
    "spec.accounts[0]": [
        ({"id": ACCOUNT, "externalId": "acme-7f3a"}, "externalId needs a roleArn"),
    ],
    "spec.accounts[0].id": [
        (LEFT_OUT, "Required value"),
        ("11112222333", f"'11112222333' {NO_ID}"),
        ("1111222233334", f"'1111222233334' {NO_ID}"),
        ("1111-2222-3333", f"'1111-2222-3333' {NO_ID}"),
        (111122223333, NO_TEXT),
    ],
    "spec.accounts[0].name": [("", EMPTY), ("n" * 65, "may not be more than 64")],
    "spec.accounts[0].roleArn": [
        (
            "arn:aws:iam::444455556666:role/mfa-operator",
            f"the role belongs to account '444455556666', but the id of this entry is '{ACCOUNT}'",
        ),
        ("mfa-operator", f"'mfa-operator' {NO_ARN}"),
        (f"arn:aws:iam::{ACCOUNT}:user/alice", f"'arn:aws:iam::{ACCOUNT}:user/alice' {NO_ARN}"),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/mfa-operator/me", NO_ARN),
        (f"arn:aws-moon:iam::{ACCOUNT}:role/mfa-operator", NO_ARN),
        (f"arn:aws:iam::{ACCOUNT}:role/{'r' * 65}", NO_ARN),
        ("", f"'' {NO_ARN}"),
    ],
    "spec.accounts[0].externalId": [
        ("acme 7f3a", "holds letters, digits and the characters _ + = , . @ : / - only"),
        ("a", "should be at least 2 chars long"),
        ("x" * 1225, "may not be more than 1224"),
    ],
    "spec.organization": [
        (True, "must be of type object"),
        ({"externalId": "acme-7f3a"}, "externalId needs a roleArn"),
    ],
    "spec.organization.accounts": [([ACCOUNT], "unknown field")],
    "spec.organization.roleArn": [
        ("mfa-operator", "invalid ARN 'mfa-operator': a role's is written like arn:aws:iam::999988887777:role/"),
        (f"arn:aws:iam::{ACCOUNT}:user/alice", f"invalid ARN 'arn:aws:iam::{ACCOUNT}:user/alice': a role's"),
    ],
    "spec.organization.accountRole.name": [
        ("security/mfa-operator", f"invalid name 'security/mfa-operator': {NO_ROLE_NAME}"),
        (ROLE, f"invalid name '{ROLE}': {NO_ROLE_NAME}"),
        ("r" * 65, NO_ROLE_NAME),
        ("", f"invalid name '': {NO_ROLE_NAME}"),
    ],
    "spec.organization.accountRole.path": [
        ("security", f"invalid path 'security': {NO_PATH}"),
        ("/security", f"invalid path '/security': {NO_PATH}"),
        ("", f"invalid path '': {NO_PATH}"),
        (f"/{'p' * 511}/", "may not be more than 512"),
    ],
    "spec.organization.accountRole.externalId": [
        ("acme 7f3a", "holds letters, digits and the characters _ + = , . @ : / - only"),
    ],
    "spec.organization.include.organizationalUnits": [
        ([], FEW_ITEMS),
        ([UNIT, UNIT], f"spec.organization.include.organizationalUnits[1]: {TWICE}"),
        ([f"ou-ab12-{n:08}" for n in range(201)], "must have at most 200 items"),
        (["/Production"], f"invalid id '/Production': {NO_UNIT}"),
    ],
    "spec.organization.include.tags": [
        ({}, "should have at least 1 properties"),
        ({"k" * 129: "v"}, "the key of a tag has 1 to 128 characters"),
    ],
    "spec.organization.exclude.organizationalUnits": [(["ou-AB12-cdef3456"], f"'ou-AB12-cdef3456': {NO_UNIT}")],
    "spec.organization.exclude.accounts": [
        ([], FEW_ITEMS),
        (["payments"], f"'payments' {NO_ID}"),
        ([ACCOUNT, ACCOUNT], f"spec.organization.exclude.accounts[1]: {TWICE}"),
    ],
    "spec.organization.exclude.tags": [({"k": "v" * 257}, "may not be more than 256")],
    "spec.organization.refreshInterval": [
        ("hourly", "invalid duration 'hourly': write numbers with the units h, m or s, such as 1h or 30m"),
        ("4m59s", "'4m59s' is out of range: refreshInterval must be between 5m and 24h"),
        ("25h", "'25h' is out of range: refreshInterval must be between 5m and 24h"),
    ],
    "spec.interval": [
        ("15 minutes", "invalid duration '15 minutes': write numbers with the units h, m or s, such as 15m"),
        ("1d", "invalid duration '1d': write numbers with the units h, m or s"),
        ("15", "invalid duration '15': write numbers with the units h, m or s"),
        ("15m\n15m", "invalid duration: write numbers with the units h, m or s"),
        ("10s", "'10s' is out of range: interval must be between 1m and 24h"),
        ("24h1s", "'24h1s' is out of range: interval must be between 1m and 24h"),
        ("1m" * 11, "may not be more than 20"),
        (15, NO_TEXT),
        ("", "invalid duration ''"),
    ],
    "spec.maxStaleness": [
        ("four hours", "invalid duration 'four hours': write numbers with the units h, m or s, such as 4h"),
        ("1m" * 11, "may not be more than 20"),
        ("25h", "'25h' is out of range: maxStaleness must be between 0s and 24h"),
    ],
    "spec.gracePeriod": [
        ("7d", "invalid duration '7d': write numbers with the units h, m or s, such as 72h; a week is 168h"),
        ("-1h", "invalid duration '-1h': write numbers with the units h, m or s"),
        ("1m" * 11, "may not be more than 20"),
        ("8761h", "'8761h' is out of range: gracePeriod must be between 0s and 8760h (a year)"),
        # The longest that can be written: it must not overflow into an error of the rule itself.
        ("999999h999999h99999m", "'999999h999999h99999m' is out of range"),
    ],
    "spec.requirement.users": [("Everyone", 'supported values: "Console", "All"')],
    "spec.requirement.root": [("Hardware", 'supported values: "Ignore", "Mfa", "HardwareMfa"')],
    "spec.requirement.deviceTypes": [
        ([], FEW_ITEMS),
        (["Sms", "Sms"], f"spec.requirement.deviceTypes[1]: {TWICE}"),
        (["Yubikey"], 'supported values: "Virtual", "SecurityKey", "HardwareToken", "Sms"'),
    ],
    "spec.exemptions": [([EXEMPTION] * 101, "must have at most 100 items")],
    "spec.exemptions[0].reason": [
        (LEFT_OUT, "Required value"),
        ("", EMPTY),
        ("r" * 257, "may not be more than 256"),
    ],
    "spec.exemptions[0].users": [
        (LEFT_OUT, "Required value"),
        ([], FEW_ITEMS),
        ([""], f"spec.exemptions[0].users[0] in body {EMPTY}"),
        (["alice", "alice"], f"spec.exemptions[0].users[1]: {TWICE}"),
        (["u" * 513], "may not be more than 512"),
        ([f"u{n}" for n in range(51)], "must have at most 50 items"),
    ],
    "spec.exemptions[0].accounts": [
        ([], FEW_ITEMS),
        ([ACCOUNT, ACCOUNT], f"spec.exemptions[0].accounts[1]: {TWICE}"),
        (
            ["payments-prod"],
            f"spec.exemptions[0].accounts[0]: Invalid value: \"payments-prod\": 'payments-prod' {NO_ID}",
        ),
    ],
    "spec.exemptions[0].tags": [
        ({}, "should have at least 1 properties"),
        ({"mfa-exempt": True}, f"spec.exemptions[0].tags.mfa-exempt in body {NO_TEXT}"),
        ({"k" * 129: "v"}, "the key of a tag has 1 to 128 characters"),
        ({"k": "v" * 257}, "may not be more than 256"),
    ],
    "spec.exemptions[0].expires": [("next summer", NO_DATE), ("2027-06-30", NO_DATE)],
    "spec.remediation.action": [
        ("Delete", 'supported values: "None", "QuarantineUntilMfa", "RemoveConsoleAccess"'),
    ],
    "spec.remediation.dryRun": [("false", "must be of type boolean")],
    "spec.remediation.maxPerPass": [
        (0, "should be greater than or equal to 1"),
        (5001, "should be less than or equal to 5000"),
    ],
    "spec.remediation.maxPercent": [
        (0, "should be greater than or equal to 1"),
        (101, "should be less than or equal to 100"),
        ("10%", "must be of type integer"),
    ],
    "spec.remediation.quarantineAccessKeys": [(True, ONLY_QUARANTINE)],
    "spec.remediation": [
        ({"action": "RemoveConsoleAccess", "quarantineAccessKeys": True}, ONLY_QUARANTINE),
    ],
}

# The outermost values that are still good.
ACCEPTED: Mapping[str, Sequence[Any]] = {
    "metadata.name": ["p" * 63],
    "spec": [{"organization": {}}, {"organization": {}, "accounts": [{"id": ACCOUNT}]}],
    "spec.accounts": [
        [{"id": f"{n:012}", "roleArn": f"arn:aws:iam::{n:012}:role/mfa-operator"} for n in range(1000)],
    ],
    "spec.accounts[0].roleArn": [f"arn:{partition}:iam::{ACCOUNT}:role/mfa-operator" for partition in PARTITIONS]
    + [f"arn:aws:iam::{ACCOUNT}:role/security/{'p' * 490}/Audit+=,.@-_{'r' * 52}"],
    "spec.accounts[0].externalId": ["a1", "Az09_+=,.@:/-", "x" * 1224],
    "spec.organization": [
        {},
        {
            "roleArn": ROLE,
            "externalId": "acme-7f3a",
            "accountRole": {"name": "r" * 64, "path": f"/{'p' * 510}/", "externalId": "acme-7f3a"},
            "include": {"organizationalUnits": [f"ou-ab12-{n:08}" for n in range(199)] + ["r-ab12"]},
            "exclude": {"accounts": [f"{n:012}" for n in range(1000)], "tags": {"k" * 128: "v" * 256}},
        },
    ],
    "spec.organization.accountRole.path": ["/", "/security/", "/a/b/"],
    "spec.organization.refreshInterval": ["5m", "24h", "90m"],
    "spec.interval": ["1m", "60s", "24h", "1h30m", "1.5h", "15m0s"],
    "spec.maxStaleness": ["0s", "0m", "24h"],
    "spec.gracePeriod": ["0s", "8760h", "604800s"],
    "spec.requirement.deviceTypes": [["Sms"], ["HardwareToken", "SecurityKey", "Virtual", "Sms"]],
    "spec.exemptions": [[], [EXEMPTION | {"accounts": [f"{n:012}" for n in range(1000)]}] * 100],
    "spec.exemptions[0].users": [["u" * 512], [f"u{n}" for n in range(50)], ["/eng/*/al[ia]ce?"]],
    "spec.exemptions[0].tags": [{"k" * 128: "v" * 256}, {"empty": ""}],
    "spec.exemptions[0].expires": ["2027-06-30T00:00:00Z", "2020-06-30T02:00:00.123456789+02:00"],
    "spec.remediation": [
        {"action": "QuarantineUntilMfa", "quarantineAccessKeys": True, "dryRun": False},
        {"maxPerPass": 5000, "maxPercent": 100},
    ],
}
