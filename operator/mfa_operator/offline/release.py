"""Lifting quarantines by hand, one user after the other, each with an outcome of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import msgspec

from mfa_operator.api.conversion import prepare
from mfa_operator.aws.errors import AwsFailure, NotFound
from mfa_operator.aws.quarantine_document import Variant
from mfa_operator.aws.quarantine_policies import QuarantinePolicies
from mfa_operator.aws.sessions import AccountSession
from mfa_operator.aws.writes import Ending, carry_out

RELEASED, NOT_QUARANTINED, FAILED = "released", "was not under quarantine", "failed"


class Released(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one user; `user` is empty where the account itself could not be read."""

    user: str = ""
    result: str = FAILED
    error: str = ""


def release(session: AccountSession, users: Iterable[str] | None) -> list[Released]:
    """Release these users, or with None everybody who is under quarantine in the account."""
    quarantines = QuarantinePolicies(session)
    try:
        session.open()
        members = quarantines.all_members()
        foreign = [str(error) for variant in Variant if (error := quarantines.foreign(variant))]
    except AwsFailure as error:
        return [Released(error=str(error))]
    stopping = session.sessions.stopping
    released = [_release(quarantines, user, stopping) for user in (sorted(members) if users is None else users)]
    released = [_no_such_user(session, each) if each.result == NOT_QUARANTINED else each for each in released]
    return [*released, *(Released(error=error) for error in foreign)]


def _release(quarantines: QuarantinePolicies, user: str, stopping: threading.Event) -> Released:
    # A person asked for it by name: there is nothing to check before each request.
    ending: Ending[None] = carry_out(lambda: quarantines.next_write_to_release(user), lambda: None, stopping)
    if ending.error:
        return Released(user, FAILED, str(ending.error))
    return Released(user, RELEASED if ending.sent or ending.unanswered else NOT_QUARANTINED)


def _no_such_user(session: AccountSession, released: Released) -> Released:
    """The same, or a failure where the account has no user of this name: most likely a typo."""
    try:
        session.ask("GetUser", lambda iam: iam.get_user(UserName=released.user))
    except NotFound:
        return Released(released.user, FAILED, "the account has no such user")
    except AwsFailure:
        # Who is under quarantine was read before; only the check for a typo is lost.
        return released
    return released


prepare(Released)
