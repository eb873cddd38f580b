"""What the callers of one account may do, and AWS's words for what they may not."""

from collections.abc import Collection
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from mfa_sandbox.aws.wire import AwsError, Call

# Granted to everybody, whatever policies say (STS API reference, GetCallerIdentity).
ALWAYS_ALLOWED = frozenset({"sts:GetCallerIdentity"})

IDENTITY_BASED = "identity-based policy"
SERVICE_CONTROL = "service control policy"


@dataclass(slots=True)
class Permissions:
    """Actions with `*` and `?` as in policies. `allowed` None: everything; `denied` maps an action to the
    kind of policy that denies it."""

    allowed: frozenset[str] | None = None
    denied: dict[str, str] = field(default_factory=dict)

    def allow_only(self, actions: Collection[str] | None) -> None:
        self.allowed = None if actions is None else frozenset(actions)

    def deny(self, actions: Collection[str], *, by: str = IDENTITY_BASED) -> None:
        self.denied.update(dict.fromkeys(actions, by))

    def allow_again(self, actions: Collection[str] | None = None) -> None:
        """Take denials back; None: all of them."""
        for action in list(self.denied) if actions is None else actions:
            self.denied.pop(action, None)

    def check(self, call: Call) -> None:
        """Raises AccessDenied where the caller may not do this."""
        if call.principal.unrestricted or call.action in ALWAYS_ALLOWED:
            return
        for pattern, policy in self.denied.items():
            if fnmatchcase(call.action, pattern):
                raise access_denied(call, f"with an explicit deny in {_article(policy)} {policy}")
        if self.allowed is not None and not any(fnmatchcase(call.action, one) for one in self.allowed):
            raise access_denied(call, f"because no identity-based policy allows the {call.action} action")


def access_denied(call: Call, because: str = "") -> AwsError:
    """AWS's AccessDenied for this call."""
    message = f"User: {call.principal.arn} is not authorized to perform: {call.action} on resource: {_resource(call)}"
    return AwsError("AccessDenied", f"{message} {because}".rstrip())


def _article(policy: str) -> str:
    return "an" if policy[0] in "aeiou" else "a"


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
