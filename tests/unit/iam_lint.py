"""What a person would look for in an IAM identity policy: misspelt actions, resources that an action does not have, …

No linter from the package index fits: parliament 1.6.4 (2025) does not know global keys such as aws:ViaAWSService and
takes the spared access keys for a mistake; iam-policy-validator 1.31 asks AWS's service reference over the network.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import boto3

RESOURCE_TYPES: Mapping[str, str | None] = {
    "iam:AttachUserPolicy": "user",
    "iam:ChangePassword": "user",
    "iam:CreatePolicy": "policy",
    "iam:CreatePolicyVersion": "policy",
    "iam:CreateVirtualMFADevice": "mfa",
    "iam:DeleteLoginProfile": "user",
    "iam:DeletePolicyVersion": "policy",
    "iam:DeleteVirtualMFADevice": "mfa",
    "iam:DetachUserPolicy": "user",
    "iam:EnableMFADevice": "user",
    "iam:GenerateCredentialReport": None,
    "iam:GetAccountPasswordPolicy": None,
    "iam:GetAccountSummary": None,
    "iam:GetCredentialReport": None,
    "iam:GetLoginProfile": "user",
    "iam:GetMFADevice": "user",
    "iam:GetPolicy": "policy",
    "iam:GetPolicyVersion": "policy",
    "iam:GetUser": "user",
    "iam:ListEntitiesForPolicy": "policy",
    "iam:ListMFADevices": "user",
    "iam:ListPolicies": None,
    "iam:ListPolicyVersions": "policy",
    "iam:ListUserTags": "user",
    "iam:ListUsers": None,
    "iam:ListVirtualMFADevices": None,
    "iam:ResyncMFADevice": "user",
    "iam:SimulatePrincipalPolicy": "user",
    "iam:TagPolicy": "policy",
    # Those that know a resource are allowed on all of them: nothing here is worth a list of OUs that must be kept true.
    "organizations:DescribeOrganization": None,
    "organizations:ListAccounts": None,
    "organizations:ListChildren": None,
    "organizations:ListOrganizationalUnitsForParent": None,
    "organizations:ListTagsForResource": None,
    "sqs:DeleteMessage": "queue",
    "sqs:GetQueueAttributes": "queue",
    "sqs:ReceiveMessage": "queue",
    "sqs:SendMessage": "queue",
    "sts:AssumeRole": "role",
    "sts:GetCallerIdentity": None,
    "sts:GetSessionToken": None,
    "sts:TagSession": "role",
}
"""Resource type of each action we use, None where IAM knows only `*` (Service Authorization Reference).

An action that is allowed on a resource it does not have is never allowed: ListUsers on user/* is refused.
"""
NO_OPERATION = frozenset({"sts:TagSession"})
"""Permissions without an API operation of their own."""
CONDITION_KEYS = frozenset(
    {
        "aws:MultiFactorAuthPresent",
        "aws:RequestTag",
        "aws:ResourceTag",
        "aws:TagKeys",
        "aws:ViaAWSService",
        "iam:PolicyARN",
    }
)


def listed(value: Any) -> list[Any]:
    """A policy element's value as a list: IAM takes one value for a list of one."""
    return value if isinstance(value, list) else [value]


@functools.cache
def operations() -> frozenset[str]:
    """Every operation of the services we call, as botocore's service models name them."""
    session = boto3.Session()
    return frozenset(
        f"{service}:{operation}"
        for service in ("iam", "organizations", "sqs", "sts")
        for operation in session.client(service, region_name="us-east-1").meta.service_model.operation_names
    )


def problems(document: Mapping[str, Any]) -> list[str]:
    """What is wrong with an identity policy's document, in words; empty where nothing is."""
    found = []
    if document.get("Version") != "2012-10-17":
        found.append(f"Version is {document.get('Version')}: policy variables are not replaced")
    if not str(document).isascii():
        found.append("IAM takes ASCII and some of Latin-1; keep to ASCII")
    sids = Counter(statement.get("Sid") for statement in document["Statement"])
    found += [f"Sid {sid} is there {count} times" for sid, count in sids.items() if count > 1]
    found += [f"Sid {sid} is not letters and digits" for sid in sids if not re.fullmatch("[A-Za-z0-9]+", str(sid))]
    for statement in document["Statement"]:
        found += [f"{statement.get('Sid')}: {problem}" for problem in _statement_problems(statement)]
    return found


def _statement_problems(statement: Mapping[str, Any]) -> Iterator[str]:
    actions = listed(statement.get("Action", statement.get("NotAction")))
    yield from (
        f"{action} is no operation of IAM, Organizations, SQS or STS"
        for action in actions
        if action not in operations() | NO_OPERATION
    )
    yield from (f"{action} is there twice" for action, count in Counter(actions).items() if count > 1)
    resources = listed(statement.get("Resource", statement.get("NotResource")))
    if statement["Effect"] == "Allow":
        if "NotAction" in statement or "NotResource" in statement:
            yield "allows whatever is not named"
        types = {_resource_type(each) for each in resources}
        for action in actions:
            if RESOURCE_TYPES.get(action, "unknown") not in types:
                yield f"{action} has no resource among {resources}"
            if types - {RESOURCE_TYPES.get(action, "unknown")}:
                yield f"{action} gets a resource it does not have, or more than it needs: {resources}"
    yield from (f"{each} is no ARN" for each in resources if each != "*" and not _is_arn(each))
    for keys in statement.get("Condition", {}).values():
        yield from (f"condition key {key}" for key in keys if key.partition("/")[0] not in CONDITION_KEYS)


def _resource_type(resource: str) -> str | None:
    if resource == "*":
        return None
    service, last = resource.split(":", 5)[2::3]
    return "queue" if service == "sqs" else last.partition("/")[0]


_ACCOUNT = r"(\*|[0-9]{12})"
_ARN = rf"arn:(\*|aws|aws-[a-z-]+):(iam::{_ACCOUNT}:(user|policy|mfa|role)/\S+|sqs:(\*|[a-z0-9-]+):{_ACCOUNT}:[\w-]+)"


def _is_arn(resource: str) -> bool:
    return re.fullmatch(_ARN, resource) is not None
