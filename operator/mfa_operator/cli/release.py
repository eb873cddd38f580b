"""`mfa-operator release`: lifts quarantines by hand, for people on call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from mfa_operator.api.conversion import InvalidObject, from_dict
from mfa_operator.api.policy import Account
from mfa_operator.api.text import error_text, one_line
from mfa_operator.cli import options
from mfa_operator.cli.auditing import MAX_CONCURRENT_ACCOUNTS, progress
from mfa_operator.cli.forms import print_document
from mfa_operator.config.settings import SettingsError
from mfa_operator.offline.policy_files import load_policy
from mfa_operator.reporting.wording import account_label

if TYPE_CHECKING:
    from mfa_operator.aws.sessions import AccountSession
    from mfa_operator.offline.release import Released

NOT_RELEASED = 2

EPILOG = """\b
Exit status:
  0  the quarantines named are lifted, or there was none
  2  something could not be lifted or read, or the account has no user of that name
  3  the input is bad

\b
An operator whose MfaPolicy still asks for quarantine puts an Overdue user back
under it at its next pass. To keep a user out: enable MFA, add an exemption, or
set the policy's remediation.action to None.
"""


@click.command("release", epilog=EPILOG)
@click.option("--account", "account_id", metavar="ID", help="The AWS account, 12 digits.")
@click.option("--user", "users", multiple=True, metavar="NAME", help="A user to release; may be given several times.")
@click.option("--all", "everybody", is_flag=True, help="Release every user of the account.")
@click.option("--role-arn", metavar="ARN", help="Role to assume in the account.  [default: your own credentials]")
@click.option("--external-id", help="External id that the role asks for.")
@click.option(
    "-f",
    "--file",
    "policy_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Take role and external id from this MfaPolicy instead.",
)
@options.policies_of_cluster(
    "Release everybody whom this MfaPolicy in the cluster put under quarantine, in all of its accounts; may be given"
    " several times."
)
@options.cluster("--policy")
@options.output_form()
def command(
    *,
    account_id: str | None,
    users: Sequence[str],
    everybody: bool,
    role_arn: str | None,
    external_id: str | None,
    policy_file: Path | None,
    names: Sequence[str],
    kubeconfig: Path | None,
    context: str | None,
    output: str,
) -> int:
    """Lift quarantines by hand, in one account or of one policy: detach the quarantine policies from the users, and
    nothing else.
    """
    if names:
        if account_id or users or everybody or role_arn or external_id or policy_file:
            raise click.UsageError(
                "--policy cannot be combined with other options: it has the accounts, users and roles."
            )
        return _release_policies(names, kubeconfig, context, output)
    if account_id is None:
        raise click.UsageError("missing --account ID, or --policy NAMESPACE/NAME for all accounts of a policy.")
    if bool(users) is everybody:
        raise click.UsageError("missing --user NAME or --all.")

    from mfa_operator.aws.sessions import Sessions

    sessions = Sessions(retry_writes=True)
    account = (
        _account_of_file(account_id, role_arn, external_id, policy_file, sessions.own_partition())
        if policy_file
        else _account(account_id, role_arn, external_id)
    )
    return _release_users(sessions.account(account), None if everybody else users, output)


def _release_users(session: AccountSession, users: Sequence[str] | None, output: str) -> int:
    """Release these users of one account; None: everybody. Returns the exit status."""
    from mfa_operator.offline.release import release

    released = release(session, users)
    _print_errors(session.account.id, released)
    if output == "json":
        print_document({"account": session.account.id, "users": _users(released)}, "json")
    else:
        _print_results("", released)
        if not released:
            click.echo(f"nobody is under quarantine in account {session.account.id}")
    return NOT_RELEASED if any(user.error for user in released) else 0


def _release_policies(names: Sequence[str], kubeconfig: Path | None, context: str | None, output: str) -> int:
    """Release everybody whom these policies put under quarantine. Returns the exit status."""
    from mfa_operator.aws.sessions import Sessions
    from mfa_operator.offline.cluster_input import policies_in_cluster, published_in_cluster
    from mfa_operator.offline.release import quarantined_by, release_each

    policies = policies_in_cluster(names, kubeconfig, context)
    published = published_in_cluster([policy.ref for policy in policies], kubeconfig, context)
    sessions = Sessions(retry_writes=True)
    content: list[dict[str, object]] = []
    failed = False
    for policy in policies:
        reports = [report for (ref, _), report in published.items() if ref == policy.ref]
        quarantined = quarantined_by(policy, reports, sessions.own_partition())
        with progress("Releasing users", len(quarantined)) as done:
            accounts = release_each(quarantined, sessions, width=MAX_CONCURRENT_ACCOUNTS, done=done)
        for account in accounts:
            label = account_label(account.account_id, account.account_name)
            _print_errors(label, account.users)
            failed = failed or any(user.error for user in account.users)
            if output != "json":
                _print_results(f"{label}: ", account.users)
        if output != "json" and not accounts:
            click.echo(f"MfaPolicy {policy.ref} has nobody under quarantine")
        listed = [{"account": account.account_id, "users": _users(account.users)} for account in accounts]
        content.append({"namespace": policy.ref.namespace, "name": policy.ref.name, "accounts": listed})
    if output == "json":
        print_document({"policies": content}, "json")
    return NOT_RELEASED if failed else 0


def _print_errors(where: str, released: Iterable[Released]) -> None:
    for user in released:
        if user.error:
            click.echo(error_text(f"mfa-operator: {user.user or where}: {user.error}"), err=True)


def _print_results(prefix: str, released: Iterable[Released]) -> None:
    for user in released:
        if user.user:
            click.echo(one_line(f"{prefix}{user.user}: {user.result}"))


def _users(released: Iterable[Released]) -> list[object]:
    return [msgspec.to_builtins(user) for user in released if user.user]


_OPTIONS = {"roleArn": "--role-arn", "externalId": "--external-id"}


def _account_of_file(
    account_id: str, role_arn: str | None, external_id: str | None, policy_file: Path, partition: str
) -> Account:
    from mfa_operator.offline.release import account_of

    if role_arn or external_id:
        raise click.UsageError("--role-arn and --external-id cannot be used with -f, which has them.")
    found = account_of(load_policy(policy_file).spec, account_id, partition)
    if found is None:
        raise SettingsError(f"{policy_file} does not name account {account_id}")
    return found


def _account(account_id: str, role_arn: str | None, external_id: str | None) -> Account:
    try:
        return from_dict(Account, {"id": account_id, "roleArn": role_arn, "externalId": external_id}, at="--account")
    except InvalidObject as error:
        option = _OPTIONS.get(error.path.removeprefix("--account."), "--account")
        # Quotes are for YAML, which takes a bare account id for a number.
        problem = error.problem.removesuffix(", in quotes")
        problem = problem.replace("roleArn", "--role-arn").replace("but id is", "but --account is")
        raise SettingsError(f"{option}: {problem}") from error
