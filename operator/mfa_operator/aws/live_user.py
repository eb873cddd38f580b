"""One user as AWS has them this moment, and the removal of the login profile."""

from __future__ import annotations

from mfa_operator.aws import lookups
from mfa_operator.aws.errors import NotFound
from mfa_operator.aws.sessions import AccountSession
from mfa_operator.evaluation.facts import UserFacts

UNMODIFIABLE = "EntityTemporarilyUnmodifiable"
"""IAM's answer about an entity that was changed a moment ago: to be tried again later."""


def read_user(session: AccountSession, name: str, *, with_tags: bool) -> UserFacts | None:
    """Everything about one user, read now, nothing remembered; None where there is no such user.

    Raises AwsFailure: who cannot be read is not acted on.
    """
    try:
        found = session.ask("GetUser", lambda iam: iam.get_user(UserName=name))["User"]
        # The devices last: one that is enrolled while this goes on must be seen.
        tags = lookups.user_tags(session, name) if with_tags else None
        profile = lookups.login_profile(session, name)
        devices = lookups.mfa_devices(session, name)
        return UserFacts(user=lookups.iam_user(found), profile=profile, tags=tags, devices=devices)
    except NotFound:
        return None


def delete_login_profile(session: AccountSession, name: str) -> None:
    """Take console access away for good; access keys are not touched.

    IAM takes no condition with this request: it deletes whichever profile the user has when it arrives. Raises
    AwsFailure, NotFound where there is none.
    """
    session.ask("DeleteLoginProfile", lambda iam: iam.delete_login_profile(UserName=name))
