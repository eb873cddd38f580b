"""What `audit` and `plan` have in common: auditing the accounts of some policies, with a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import click

from mfa_operator.api.objects import Policy
from mfa_operator.api.text import error_text
from mfa_operator.config.access_rules import AccessRules
from mfa_operator.offline.policy_files import Previous
from mfa_operator.organization.account_list import AccountList
from mfa_operator.reporting.alike import failed_alike

if TYPE_CHECKING:
    from mfa_operator.offline.audit import PolicyResult
    from mfa_operator.passes.auditor import Auditor

MAX_CONCURRENT_ACCOUNTS = 16


def make_auditor(max_concurrent_accounts: int = MAX_CONCURRENT_ACCOUNTS) -> Auditor:
    """What audits accounts, with the AWS settings of the environment. Raises SettingsError."""
    from mfa_operator.aws.collect import MAX_CONCURRENT_USERS
    from mfa_operator.aws.sessions import Sessions
    from mfa_operator.passes.auditor import Auditor

    return Auditor(Sessions(connections=max_concurrent_accounts * MAX_CONCURRENT_USERS), restores=False)


def audit_all(
    policies: Sequence[Policy],
    auditor: Auditor,
    earlier: Previous,
    now: datetime,
    *,
    access: AccessRules | None = None,
    max_concurrent_accounts: int = MAX_CONCURRENT_ACCOUNTS,
) -> list[PolicyResult]:
    """List the organizations of all policies, then audit their accounts; a bar on stderr while it lasts.

    `access` says who may discover; None: everybody.
    """
    from mfa_operator.offline.audit import audit_policies

    listed = _accounts_of(policies, auditor, access or AccessRules())
    with progress("Auditing accounts", sum(len(accounts.accounts) for _, accounts in listed)) as done:
        return audit_policies(listed, auditor, earlier, now, width=max_concurrent_accounts, done=done)


def _accounts_of(policies: Sequence[Policy], auditor: Auditor, access: AccessRules) -> list[tuple[Policy, AccountList]]:
    """The accounts to audit: none of a suspended policy."""
    audited = [policy for policy in policies if not policy.spec.suspend]
    if any(policy.spec.organization for policy in audited):
        from mfa_operator.offline.organizations import list_accounts

        with steps("Listing the organization") as say:
            found = iter([each.accounts for each in list_accounts(audited, auditor.sessions, access, say)])
    else:
        found = iter([AccountList.of(policy.spec) for policy in audited])
    return [(policy, AccountList() if policy.spec.suspend else next(found)) for policy in policies]


def print_failures(results: Iterable[PolicyResult]) -> None:
    """Print to stderr what could not be audited, for output that does not show it."""
    for result in results:
        if result.listed.discovery and not result.listed.discovery.succeeded:
            click.echo(error_text(f"{result.policy.ref}: {result.listed.discovery.message}"), err=True)
        for group in failed_alike(account for account in result.accounts if account.message):
            click.echo(error_text(f"{result.policy.ref}: {group.in_words()}"), err=True)


@contextmanager
def progress(title: str, total: int | None) -> Iterator[Callable[[], None]]:
    """A bar on stderr: gives what to call after each of `total` units, from any thread; None: nobody knows how many.

    Nothing is shown, and rich not loaded, without a terminal.
    """
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda: bar.advance(task)


@contextmanager
def steps(title: str) -> Iterator[Callable[[str], None]]:
    """What is under way, on stderr: gives what to call with how far it is. Nothing is shown without a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn(title), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("")
        yield lambda text: bar.update(task, description=text)
