"""Lifting quarantines by hand, one user after the other, each with an outcome of its own."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from mfa_operator.api.conversion import prepare
from mfa_operator.aws.errors import AwsFailure
from mfa_operator.aws.quarantine_document import Variant
from mfa_operator.aws.quarantine_policies import QuarantinePolicies
from mfa_operator.aws.sessions import AccountSession

RELEASED, NOT_QUARANTINED, FAILED = "released", "was not under quarantine", "failed"


class Released(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one user; `user` is empty where the account itself could not be looked at."""

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
    released = [_release(quarantines, user) for user in (sorted(members) if users is None else users)]
    return [*released, *(Released(error=error) for error in foreign)]


def _release(quarantines: QuarantinePolicies, user: str) -> Released:
    try:
        return Released(user, RELEASED if quarantines.release(user) else NOT_QUARANTINED)
    except AwsFailure as error:
        return Released(user, FAILED, str(error))


prepare(Released)
