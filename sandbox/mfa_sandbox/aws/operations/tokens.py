"""STS: AssumeRole with trust and external id, and GetCallerIdentity."""

import re
from datetime import timedelta

from mfa_sandbox.aws.account import Account
from mfa_sandbox.aws.principals import Principal
from mfa_sandbox.aws.request import Call, Handler, access_denied
from mfa_sandbox.aws.session_policies import SessionPolicy
from mfa_sandbox.aws.wire import AwsError, Result


def _assume_role(call: Call) -> Result:
    """Every refusal reads the same, as with AWS: it does not tell a missing role from a wrong external id."""
    role_arn = call.require("RoleArn")
    session_name = _session_name(call)
    account = _trusting_account(call, role_arn)
    if account is None:
        raise access_denied(call)
    role = account.backend.get_role_by_arn(role_arn)
    arn = f"arn:{account.partition}:sts::{account.id}:assumed-role/{role.name}/{session_name}"
    document = call.parameters.get("Policy")
    limit = SessionPolicy.parse(document) if document else None
    principal = Principal(account.id, arn, f"{role.id}:{session_name}", session_policy=limit)
    credentials, expires = call.world.principals.issue(principal, _lifetime(call))
    return {
        "Credentials": {
            "AccessKeyId": credentials.access_key_id,
            "SecretAccessKey": credentials.secret_access_key,
            "SessionToken": credentials.session_token,
            "Expiration": expires,
        },
        "AssumedRoleUser": {"AssumedRoleId": principal.user_id, "Arn": arn},
    }


def _session_name(call: Call) -> str:
    name = call.require("RoleSessionName")
    if not re.fullmatch(r"[\w+=,.@-]{2,64}", name, re.ASCII):
        raise AwsError(
            "ValidationError",
            f"1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [\\w+=,.@-]*",
        )
    return name


def _trusting_account(call: Call, role_arn: str) -> Account | None:
    """The account of the role, if the role is there and lets this caller in."""
    world = call.world
    account = world.accounts.get(call.subject_account)
    if account is None or account.suspended or call.principal.account_id != world.home_id:
        return None
    if role_arn not in account.trusted or not any(role.arn == role_arn for role in account.backend.get_roles()):
        return None
    demanded = account.trusted[role_arn]
    return account if demanded in {None, call.parameters.get("ExternalId")} else None


def _lifetime(call: Call) -> timedelta:
    seconds = int(call.parameters.get("DurationSeconds", "3600"))
    if not 900 <= seconds <= 43200:
        raise AwsError(
            "ValidationError",
            f"1 validation error detected: Value '{seconds}' at 'durationSeconds' failed to satisfy constraint: "
            "Member must have value between 900 and 43200",
        )
    if seconds > 3600:
        raise AwsError(
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        )
    return timedelta(seconds=seconds)


def _get_caller_identity(call: Call) -> Result:
    return {
        "Arn": call.principal.arn,
        "UserId": call.principal.user_id,
        "Account": call.principal.account_id,
    }


OPERATIONS: dict[str, Handler] = {"AssumeRole": _assume_role, "GetCallerIdentity": _get_caller_identity}
