"""`mfa-operator accounts`: which accounts a policy covers, before it is applied."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click
import msgspec

from mfa_operator.api.objects import Policy
from mfa_operator.api.text import error_text
from mfa_operator.cli import options
from mfa_operator.cli.auditing import steps
from mfa_operator.cli.forms import print_csv, print_document
from mfa_operator.cli.policies import chosen_policies
from mfa_operator.config.access_file import AccessFile

if TYPE_CHECKING:
    from mfa_operator.offline.covered import CoveredAccount

Shown: TypeAlias = "Sequence[tuple[Policy, Sequence[CoveredAccount]]]"

NOT_LISTED = 2
WITHOUT_RULES = "no access rules were given (--config FILE), so every account counts as allowed"
EPILOG = """\b
Exit status:
  0  the accounts are listed
  2  an organization could not be listed, or the access rules refuse an account
  3  the input is bad, such as a unit that the organization does not have
"""


@click.command("accounts", epilog=EPILOG)
@options.policy_files(required=False)
@options.policies_of_cluster("Take this MfaPolicy from the cluster; may be given several times.")
@options.cluster("--policy")
@options.access_rules("none, and every account is allowed")
@options.output_form("yaml", "csv")
def command(
    *,
    files: Sequence[Path],
    names: Sequence[str],
    kubeconfig: Path | None,
    context: str | None,
    config: Path | None,
    output: str,
) -> int:
    """Show which accounts a policy covers: from where, by which role, and which are skipped and why.

    If the policy has an organization, it is listed. The accounts themselves are not read. AWS credentials and region
    are found as by any AWS SDK. A large organization takes a while, because AWS allows about one call a second.
    """
    policies = chosen_policies(files, names, kubeconfig, context)
    access = AccessFile(config).current()
    if config is None:
        click.echo(f"mfa-operator: {WITHOUT_RULES}", err=True)

    from mfa_operator.aws.sessions import Sessions
    from mfa_operator.offline.covered import NOT_ALLOWED
    from mfa_operator.offline.organizations import covered, list_accounts

    with steps("Listing the organization") as say:
        listed = list_accounts(policies, Sessions(), access, say)
        shown = [(policy, covered(policy, each, access, say)) for policy, each in zip(policies, listed, strict=True)]
    for policy, each in zip(policies, listed, strict=True):
        if each.problem:
            click.echo(error_text(f"mfa-operator: MfaPolicy {policy.ref}: {each.problem}"), err=True)
            click.echo(f"  {each.advice}", err=True)
    missing = [bool(each.problem) for each in listed]
    if output == "table":
        _print_tables(shown, missing)
    elif output == "csv":
        _print_csv(shown)
    else:
        print_document(_content(shown), output)
    refused = any(account.skipped == NOT_ALLOWED for _, accounts in shown for account in accounts)
    return NOT_LISTED if refused or any(missing) else 0


def _content(shown: Shown) -> dict[str, Any]:
    return {
        "policies": [
            {
                "namespace": policy.ref.namespace,
                "name": policy.ref.name,
                "accounts": [msgspec.to_builtins(account) for account in accounts],
            }
            for policy, accounts in shown
        ]
    }


_COLUMNS = ("namespace", "policy", "account_id", "account_name", "path", "role_arn", "source", "skipped")


def _print_csv(shown: Shown) -> None:
    """One row an account; `skipped` is empty where it is audited."""
    rows = (
        (
            policy.ref.namespace,
            policy.ref.name,
            account.id,
            account.name,
            account.path,
            account.role_arn or "",
            str(account.source),
            account.skipped or "",
        )
        for policy, accounts in shown
        for account in accounts
    )
    print_csv(_COLUMNS, rows)


def _print_tables(shown: Shown, missing: Sequence[bool]) -> None:
    """`missing`: whether the accounts of the policy's organization are, as it could not be listed."""
    from mfa_operator.offline.covered_table import covered_table
    from mfa_operator.offline.layout import console

    out = console(sys.stdout)
    for (policy, accounts), unlisted in zip(shown, missing, strict=True):
        out.rule(f"MfaPolicy {policy.ref}", align="left")
        if accounts:
            out.print(covered_table(accounts))
        if unlisted:
            out.print("The organization could not be listed: its accounts are missing here.")
