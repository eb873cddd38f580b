"""What the operator asks for when it assumes a role: a session that can do no more than it is for.

A session policy takes away and never gives: a session can do what both the role and its session policy allow. An audit
gets one that only reads, so that nothing an audit does can change anything, even where the role could act; a change
gets another, with the actions of remediation alone.

CloudTrail knows a session by its name. Only the name is used: source identity and session tags need rights of their
own in the role's trust policy, and a role that lacks them would refuse the operator altogether.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from botocore.credentials import Credentials

from mfa_operator.api.objects import PolicyRef
from mfa_operator.api.policy import Account
from mfa_operator.aws.quarantine_document import Variant, policy_arn
from mfa_operator.clock import utc_moment

OPERATOR = "mfa-operator"
"""Name of the sessions that read. What is read of an account serves every policy that names it, whichever asked first,
so a name that said one of them would mislead."""
MAX_NAME = 64
WRITING_SECONDS = 900
"""How long a session for changes lives: the least that STS gives."""

READING_POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["iam:Generate*", "iam:Get*", "iam:List*", "iam:Simulate*"],
                "Resource": "*",
            }
        ],
    },
    separators=(",", ":"),
)
"""Wide in what may be read: the role's own policy says it exactly."""

LISTING_POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["organizations:Describe*", "organizations:List*"], "Resource": "*"}
        ],
    },
    separators=(",", ":"),
)
"""Of the sessions that list an organization."""


def writing_policy(partition: str, account_id: str) -> str:
    """The actions of remediation in one account, as JSON; well below the 2,048 characters that STS takes."""
    ours = [policy_arn(partition, account_id, variant) for variant in Variant]
    users = f"arn:{partition}:iam::{account_id}:user/*"
    keep = ["iam:CreatePolicy", "iam:TagPolicy", "iam:CreatePolicyVersion", "iam:DeletePolicyVersion"]
    statements: list[dict[str, Any]] = [
        {"Effect": "Allow", "Action": keep, "Resource": ours},
        {
            "Effect": "Allow",
            "Action": ["iam:AttachUserPolicy", "iam:DetachUserPolicy"],
            "Resource": users,
            "Condition": {"ArnEquals": {"iam:PolicyARN": ours}},
        },
        {"Effect": "Allow", "Action": "iam:DeleteLoginProfile", "Resource": users},
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))


def session_name(ref: PolicyRef) -> str:
    """The name of a session that changes something for a policy: `mfa-operator+<namespace>+<policy>`.

    Where that is longer than the 64 characters of an STS name, its end is a hash of it. The characters are those that
    names of Kubernetes and STS both have, and the plus sign, which names of Kubernetes do not have.
    """
    name = f"{OPERATOR}+{ref.namespace}+{ref.name}"
    name = re.sub(r"[^\w+=,.@-]", "_", name, flags=re.ASCII)
    if len(name) <= MAX_NAME:
        return name
    digest = hashlib.sha256(f"{ref.namespace}/{ref.name}".encode()).hexdigest()[:8]
    return f"{name[: MAX_NAME - 9]}={digest}"


@dataclass(frozen=True, slots=True)
class RoleCredentials:
    """Temporary credentials of a role."""

    signing: Credentials
    expires: datetime
    arn: str | None
    """Of the assumed role, as AssumeRole's answer names it."""


class RoleSession:
    """A role assumed in one way, again whenever its credentials are about to expire.

    Safe to use from several threads. They wait for each other, and for no thread that uses the role in another way.
    """

    def __init__(
        self,
        account: Account,
        name: str,
        assume: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        *,
        policy: str | None = None,
        seconds: int | None = None,
    ) -> None:
        """`assume` calls AssumeRole with these parameters; `seconds`: how long a session lives; None: STS's default."""
        self._assume = assume
        self._wanted: dict[str, Any] = {"RoleArn": account.role_arn, "RoleSessionName": name}
        if account.external_id:
            self._wanted["ExternalId"] = account.external_id
        if policy:
            self._wanted["Policy"] = policy
        if seconds:
            self._wanted["DurationSeconds"] = seconds
        self._credentials: RoleCredentials | None = None
        self._lock = threading.Lock()

    def credentials(self, lasting: timedelta) -> RoleCredentials:
        """Credentials that do not expire for so long. Raises AwsFailure."""
        with self._lock:
            if self._credentials is None or utc_moment() >= self._credentials.expires - lasting:
                answer = self._assume(self._wanted)
                given = answer["Credentials"]
                signing = Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
                arn = answer.get("AssumedRoleUser", {}).get("Arn")
                self._credentials = RoleCredentials(signing, given["Expiration"], arn)
            return self._credentials

    def discard(self, used: RoleCredentials | None) -> None:
        """AWS says that these have expired; another thread may have renewed them already."""
        with self._lock:
            if self._credentials is used:
                self._credentials = None
