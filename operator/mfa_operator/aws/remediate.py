"""The live look right before an action, and the removal of a login profile."""

from __future__ import annotations

from datetime import UTC
from enum import StrEnum

from mfa_operator.aws import lookups
from mfa_operator.aws.errors import AwsFailure, NotFound
from mfa_operator.aws.sessions import AccountSession
from mfa_operator.evaluation.facts import User, UserFacts

UNMODIFIABLE = "EntityTemporarilyUnmodifiable"
"""IAM's answer about an entity that was changed a moment ago: to be tried again later."""


class Removal(StrEnum):
    """How a removal ended, as the label `result` of mfa_policy_remediations_total says it."""

    DONE = "done"
    ALREADY_ABSENT = "already_absent"


def look(session: AccountSession, name: str, *, with_tags: bool) -> UserFacts | None:
    """Everything about one user, asked now and from nobody's memory; None where there is no such user.

    Raises AwsFailure: what cannot be read is not acted on.
    """
    try:
        found = session.ask("GetUser", lambda iam: iam.get_user(UserName=name))["User"]
        user = User(
            name=found["UserName"],
            path=found["Path"],
            user_id=found["UserId"],
            created=found["CreateDate"].astimezone(UTC),
            password_last_used=found["PasswordLastUsed"].astimezone(UTC) if "PasswordLastUsed" in found else None,
        )
        # The devices last: a device enrolled while this look goes on must be seen.
        tags = lookups.user_tags(session, name) if with_tags else None
        profile = lookups.login_profile(session, name)
        return UserFacts(user=user, profile=profile, tags=tags, devices=lookups.mfa_devices(session, name))
    except NotFound:
        return None


def remove_login_profile(session: AccountSession, name: str) -> Removal:
    """Take console access away for good; access keys are not touched. Raises AwsFailure.

    The profile was there a moment ago: where an earlier try got no answer, it was that try that took it away.
    """
    try:
        session.ask("DeleteLoginProfile", lambda iam: iam.delete_login_profile(UserName=name))
    except NotFound as error:
        return Removal.DONE if error.retries else Removal.ALREADY_ABSENT
    return Removal.DONE


def outcome_unknown(error: AwsFailure) -> bool:
    """Whether the call may have been carried out although no answer says so."""
    lost = ("ReadTimeoutError", "ConnectionClosedError", "HTTPClientError", "ResponseParserError")
    return error.code in lost or error.status >= 500
