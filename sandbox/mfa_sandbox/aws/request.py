"""One request to the embedded AWS, on its way to the operation that answers it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from mfa_sandbox.aws.account import Account
from mfa_sandbox.aws.permissions import ALWAYS_ALLOWED
from mfa_sandbox.aws.principals import Principal
from mfa_sandbox.aws.wire import AwsError, Result
from mfa_sandbox.aws.world import World


@dataclass(frozen=True, slots=True)
class Call:
    """One request whose caller is known. `account` is the caller's."""

    service: str
    operation: str
    parameters: Mapping[str, str]
    principal: Principal
    account: Account
    world: World
    now: datetime
    region: str = "us-east-1"
    raw: bytes = field(default=b"", repr=False)
    document: Mapping[str, object] = field(default_factory=dict, repr=False)
    """The parameters of a service that speaks JSON, with their types."""

    @property
    def action(self) -> str:
        """The name that policies know it by, such as `iam:ListUsers`."""
        return f"{self.service}:{self.operation}"

    @property
    def subject_account(self) -> str:
        """The account that the call is about: for AssumeRole the role's, else the caller's."""
        if self.operation == "AssumeRole":
            parts = self.parameters.get("RoleArn", "").split(":")
            if len(parts) > 4:
                return parts[4]
        return self.account.id

    @property
    def policy_arn(self) -> str:
        """Of the managed policy that the call is about; empty where it is about none."""
        if "PolicyName" in self.parameters:
            path, name = self.parameters.get("Path", "/"), self.parameters["PolicyName"]
            return f"arn:{self.account.partition}:iam::{self.account.id}:policy{path}{name}"
        return self.parameters.get("PolicyArn", "")

    def why_not(self) -> str | None:
        """Why the caller may not do this, as AWS's messages say it; None where they may."""
        limit = self.principal.session_policy
        if limit is not None and self.action not in ALWAYS_ALLOWED and not limit.allows(self.action, self.policy_arn):
            return f"because no session policy allows the {self.action} action"
        return self.account.permissions.why_not(self)

    def require(self, name: str) -> str:
        """A parameter that AWS demands. Raises ValidationError without it."""
        value = self.parameters.get(name, "")
        if not value:
            member = name[0].lower() + name[1:]
            raise AwsError(
                "ValidationError",
                f"1 validation error detected: Value null at '{member}' failed to satisfy constraint: "
                "Member must not be null",
            )
        return value

    def flag(self, name: str) -> bool:
        return self.parameters.get(name, "false").lower() == "true"

    def members(self, name: str) -> list[dict[str, str]]:
        """A list of structures (`Tags.member.1.Key=…`) in order."""
        found: dict[int, dict[str, str]] = {}
        for key, value in self.parameters.items():
            parts = key.split(".")
            if len(parts) == 4 and parts[0] == name and parts[1] == "member":
                found.setdefault(int(parts[2]), {})[parts[3]] = value
        return [found[index] for index in sorted(found)]


Handler: TypeAlias = Callable[[Call], Result | None]
"""One operation: raises `AwsError`, or answers its result (None: an empty one)."""


def access_denied(call: Call, because: str = "") -> AwsError:
    """AWS's AccessDenied for this call."""
    message = f"User: {call.principal.arn} is not authorized to perform: {call.action} on resource: {_resource(call)}"
    return AwsError("AccessDenied", f"{message} {because}".rstrip())


def _resource(call: Call) -> str:
    """How IAM names the resource in such a message: a user by name alone, a collection by its path."""
    parameters = call.parameters
    prefix = f"arn:{call.account.partition}:iam::{call.account.id}"
    for name in ("RoleArn", "PolicyArn"):
        if name in parameters:
            return parameters[name]
    if "UserName" in parameters:
        return f"user {parameters['UserName']}"
    collections = {
        "ListUsers": f"{prefix}:user/",
        "ListVirtualMFADevices": f"{prefix}:mfa/",
        "CreatePolicy": f"policy {parameters.get('PolicyName', '')}",
        "CreateVirtualMFADevice": f"{prefix}:mfa/{parameters.get('VirtualMFADeviceName', '')}",
        "DeleteVirtualMFADevice": parameters.get("SerialNumber", "*"),
        "ListPolicies": "policy path /",
    }
    return collections.get(call.operation, "*")
