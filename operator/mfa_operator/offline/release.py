"""Lifting quarantines by hand, one user after the other, each with an outcome of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec

from mfa_operator.api.conversion import prepare
from mfa_operator.api.objects import Policy
from mfa_operator.api.policy import Account, PolicySpec
from mfa_operator.api.status import ReportStatus
from mfa_operator.aws.errors import AwsFailure, NotFound
from mfa_operator.aws.quarantine_document import Variant
from mfa_operator.aws.quarantine_policies import QuarantinePolicies
from mfa_operator.aws.sessions import AccountSession, Sessions
from mfa_operator.aws.writes import Ending, carry_out
from mfa_operator.remediation.inputs import quarantined_users

RELEASED, NOT_QUARANTINED, FAILED = "released", "was not under quarantine", "failed"


class Released(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one user; `user` is empty where the account itself could not be read."""

    user: str = ""
    result: str = FAILED
    error: str = ""


@dataclass(frozen=True, slots=True)
class AccountReleases:
    """What became of the users of one account."""

    account_id: str
    account_name: str
    users: tuple[Released, ...]


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Users of one account whom a policy put under quarantine, as its report says."""

    account_id: str
    account_name: str
    users: frozenset[str]
    account: Account | None
    """How to enter the account; None where the policy does not say so any more."""


def account_of(spec: PolicySpec, account_id: str, own_partition: str) -> Account | None:
    """How a policy enters an account: by its own entry, else by the role of its organization's accounts.

    None where the spec says nothing of the account. `own_partition` is the partition of the AWS settings in use.
    """
    typed = next((account for account in spec.accounts if account.id == account_id), None)
    if typed or not spec.organization:
        return typed
    lister, role = spec.organization.role_arn, spec.organization.account_role
    partition = lister.split(":")[1] if lister else own_partition
    return Account(id=account_id, role_arn=role.arn(partition, account_id), external_id=role.external_id)


def quarantined_by(policy: Policy, reports: Iterable[ReportStatus], own_partition: str) -> list[Quarantined]:
    """Whom the policy put under quarantine, or may have, by account."""
    users = [(report, quarantined_users(report.findings)) for report in reports]
    return [
        Quarantined(
            report.account_id,
            report.account_name,
            names,
            account_of(policy.spec, report.account_id, own_partition),
        )
        for report, names in users
        if names
    ]


def release_each(
    quarantined: Sequence[Quarantined], sessions: Sessions, *, width: int, done: Callable[[], None]
) -> list[AccountReleases]:
    """Release all of them, `width` accounts at a time; `done` is called after each account, from any thread."""

    def release_one(each: Quarantined) -> AccountReleases:
        try:
            if each.account is None:
                error = "the policy no longer names the account; use --account and --role-arn"
                users: Sequence[Released] = [Released(user, FAILED, error) for user in sorted(each.users)]
            else:
                users = release(sessions.account(each.account), sorted(each.users))
            return AccountReleases(each.account_id, each.account_name, tuple(users))
        finally:
            done()

    pool = ThreadPoolExecutor(width, thread_name_prefix="mfa-release")
    try:
        return list(pool.map(release_one, quarantined))
    finally:
        # After Ctrl-C nobody waits for the accounts that are left.
        pool.shutdown(wait=False, cancel_futures=True)


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
