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
from mfa_operator.cli.policies import chosen_policies
from mfa_operator.config.access_file import AccessFile

if TYPE_CHECKING:
    from mfa_operator.offline.covered import CoveredAccount

Shown: TypeAlias = "Sequence[tuple[Policy, Sequence[CoveredAccount]]]"

NOT_LISTED = 2
WITHOUT_RULES = (
    "no access rules were applied, so every account counts as allowed; give the operator's with --config FILE"
)
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
@options.output_form("yaml")
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

    It lists the organization, where the policy has one, and asks the accounts themselves nothing. AWS credentials and
    region are taken as by any AWS SDK. A large organization takes a while: AWS answers about one call a second.
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
    problems = [(policy.ref, each.problem) for policy, each in zip(policies, listed, strict=True) if each.problem]
    for ref, problem in problems:
        click.echo(error_text(f"mfa-operator: MfaPolicy {ref}: {problem}"), err=True)
    if output == "table":
        _print_tables(shown)
    else:
        _print(_content(shown), output)
    refused = any(account.skipped == NOT_ALLOWED for _, accounts in shown for account in accounts)
    return NOT_LISTED if refused or problems else 0


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


def _print(content: dict[str, Any], output: str) -> None:
    if output == "json":
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n")
        return
    import yaml

    yaml.safe_dump(content, sys.stdout, sort_keys=False, allow_unicode=True)


def _print_tables(shown: Shown) -> None:
    from mfa_operator.offline.covered_table import covered_table
    from mfa_operator.offline.layout import console

    out = console(sys.stdout)
    for policy, accounts in shown:
        out.rule(f"MfaPolicy {policy.ref}", align="left")
        out.print(covered_table(accounts))
