"""The way into the account of whoever is to be enrolled, and AWS's refusals in words for the person."""

from __future__ import annotations

from dataclasses import dataclass

from botocore.config import Config
from botocore.exceptions import BotoCoreError

from mfa_operator.api.policy import Account
from mfa_operator.aws.clients import CLIENT_CONFIG
from mfa_operator.aws.errors import (
    EXPIRED_CODES,
    AwsFailure,
    CredentialsMissing,
    Denied,
    RoleDenied,
    TimedOut,
    failure,
)
from mfa_operator.aws.identity import Identity
from mfa_operator.aws.sessions import AccountSession, Sessions
from mfa_operator.config.settings import SettingsError
from mfa_operator.enroll.terms import NotEnrolled

# A person waits for each answer and cannot interrupt the calls that change something, so they end sooner than a pass's.
_CONFIG = CLIENT_CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 3}, read_timeout=10))
# Of the codes that mean Denied, those that speak of rights and not of credentials.
_NO_PERMISSION_CODES = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
# What sessions.py calls the operation where it is the settings that are wrong, and AWS was not asked.
_SETTINGS = "Configuration"


@dataclass(frozen=True, slots=True)
class Access:
    """A way into one account, and who we are there."""

    session: AccountSession
    identity: Identity


def open_access(role_arn: str | None = None, external_id: str | None = None) -> Access:
    """Credentials as boto3 finds them, through a role where one is named. Raises NotEnrolled."""
    try:
        # What the person or the role may do is for their own policies to say: enrolling is no remediation.
        sessions = Sessions(config=_CONFIG, retry_writes=True, limit_sessions=False)
        if role_arn is None:
            identity = sessions.own_identity(sessions.own_partition())
            return Access(sessions.account(Account(id=identity.account_id)), identity)
        account_id = role_arn.split(":")[4]
        session = sessions.account(Account(id=account_id, role_arn=role_arn, external_id=external_id))
        return Access(session, session.open())
    except SettingsError as error:
        raise NotEnrolled(str(error), bad_input=True) from error
    except AwsFailure as error:
        raise NotEnrolled(describe(error)) from error
    except BotoCoreError as error:
        raise NotEnrolled(describe(failure(_SETTINGS, error))) from error


def own_user_name(identity: Identity) -> str:
    """The name of the IAM user that the credentials belong to. Raises NotEnrolled where they are not a user's."""
    if identity.user_name:
        return identity.user_name
    if identity.arn.endswith(":root"):
        problem = (
            f"the credentials in use are the root user's of account {identity.account_id}: root's own MFA device is "
            "added in the console (Security credentials); to enroll an IAM user, name them with --user"
        )
    else:
        problem = (
            f"the credentials in use are those of {identity.arn}, which is not an IAM user; name the user with --user"
        )
    raise NotEnrolled(problem, bad_input=True)


def no_permission(problem: AwsFailure) -> bool:
    """Whether AWS knows who asks, and they may not."""
    return problem.code in _NO_PERMISSION_CODES


def describe(problem: AwsFailure) -> str:
    """What AWS answered, in words that tell the person what to change."""
    if isinstance(problem, RoleDenied):
        # Its own words are for who runs the operator; AWS's are those of the failure behind it.
        answer = problem.__cause__ if isinstance(problem.__cause__, AwsFailure) else problem
        return (
            f"the role could not be assumed: {answer.message} (its trust policy, its external id, "
            "or these credentials' right to sts:AssumeRole)"
        )
    if no_permission(problem):
        service = "sts" if problem.operation == "GetCallerIdentity" else "iam"
        return f"no permission for {service}:{problem.operation}: {problem.message}"
    if isinstance(problem, Denied) or problem.code in EXPIRED_CODES:
        return f"AWS does not accept the credentials: {problem.message} ({problem.code})"
    if isinstance(problem, CredentialsMissing) or problem.operation == _SETTINGS:
        return problem.message
    if isinstance(problem, TimedOut):
        return f"no answer to {problem.operation} from AWS: {problem.message}"
    return f"AWS answered {problem.operation} with {problem.code}: {problem.message}"
