"""`mfa-operator release`: lifts quarantines by hand, for people on call."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from mfa_operator.api.conversion import InvalidObject, from_dict
from mfa_operator.api.policy import Account
from mfa_operator.api.text import error_text, one_line
from mfa_operator.cli import options
from mfa_operator.config.settings import SettingsError
from mfa_operator.offline.policy_files import load_policy

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
@click.option("--account", "account_id", required=True, metavar="ID", help="The AWS account, 12 digits.")
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
@options.output_form()
def command(
    *,
    account_id: str,
    users: Sequence[str],
    everybody: bool,
    role_arn: str | None,
    external_id: str | None,
    policy_file: Path | None,
    output: str,
) -> int:
    """Lift the quarantine of users in one account: detach the operator's policies from them, and nothing else."""
    if bool(users) is everybody:
        raise click.UsageError("say who to release: --user NAME, or --all.")
    account = _account(account_id, role_arn, external_id, policy_file)

    from mfa_operator.aws.sessions import Sessions
    from mfa_operator.offline.release import release

    released = release(Sessions(retry_writes=True).account(account), None if everybody else users)
    for user in released:
        if user.error:
            click.echo(error_text(f"mfa-operator: {user.user or account_id}: {user.error}"), err=True)
    if output == "json":
        content = {"account": account_id, "users": [msgspec.to_builtins(user) for user in released if user.user]}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n")
    else:
        for user in released:
            if user.user:
                click.echo(one_line(f"{user.user}: {user.result}"))
        if not released:
            click.echo(f"nobody is under quarantine in account {account_id}")
    return 2 if any(user.error for user in released) else 0


_OPTIONS = {"roleArn": "--role-arn", "externalId": "--external-id"}


def _account(account_id: str, role_arn: str | None, external_id: str | None, policy_file: Path | None) -> Account:
    if policy_file:
        if role_arn or external_id:
            raise click.UsageError("-f names role and external id already; leave --role-arn and --external-id out.")
        found = next((each for each in load_policy(policy_file).spec.accounts if each.id == account_id), None)
        if found is None:
            raise SettingsError(f"{policy_file} does not name account {account_id}")
        return found
    try:
        return from_dict(Account, {"id": account_id, "roleArn": role_arn, "externalId": external_id}, at="--account")
    except InvalidObject as error:
        option = _OPTIONS.get(error.path.removeprefix("--account."), "--account")
        problem = error.problem.replace("roleArn", "--role-arn").replace("but id is", "but --account is")
        raise SettingsError(f"{option}: {problem}") from error
