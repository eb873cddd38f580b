"""SimulatePrincipalPolicy, as far as permissions boundaries, service control policies and denials by the user's own
policies go: whatever policies the call brings along are taken to allow what is asked about.
"""

from fnmatch import fnmatchcase

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.iam.models import User

from mfa_sandbox.aws.permissions import SERVICE_CONTROL
from mfa_sandbox.aws.request import Call, Handler
from mfa_sandbox.aws.wire import AwsError, Result


def _simulate_principal_policy(call: Call) -> Result:
    source = call.require("PolicySourceArn")
    user = next((user for user in call.account.backend.users.values() if user.arn == source), None)
    if user is None:
        raise AwsError("NoSuchEntity", f"The user with ARN {source} cannot be found.")
    resource = call.parameters.get("ResourceArns.member.1", "*")
    count = sum(name.startswith("ActionNames.member.") for name in call.parameters)
    actions = [call.parameters[f"ActionNames.member.{number}"] for number in range(1, count + 1)]
    return {"EvaluationResults": [_evaluate(call, user, action, resource) for action in actions], "IsTruncated": False}


def _evaluate(call: Call, user: User, action: str, resource: str) -> dict[str, object]:
    backend = call.account.backend
    boundary = call.account.boundaries.get(user.id)
    within = boundary is None or _says(IAMPolicy(backend.managed_policies[boundary]), action, resource) == "PERMITTED"
    by_organization = not any(
        kind == SERVICE_CONTROL and fnmatchcase(action, pattern)
        for pattern, kind in call.account.permissions.denied.items()
    )
    denied = any(_says(IAMPolicy(policy), action, resource) == "DENIED" for policy in user.managed_policies.values())
    refused = "explicitDeny" if denied else "implicitDeny"
    decision = "allowed" if within and by_organization and not denied else refused
    result: dict[str, object] = {"EvalActionName": action, "EvalResourceName": resource, "EvalDecision": decision}
    if boundary:
        result["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": within}
    return result | {"OrganizationsDecisionDetail": {"AllowedByOrganizations": by_organization}}


def _says(policy: IAMPolicy, action: str, resource: str) -> str:
    result: PermissionResult = policy.is_action_permitted(action, resource)
    return result.name


OPERATIONS: dict[str, Handler] = {"SimulatePrincipalPolicy": _simulate_principal_policy}
