"""`mfa-operator plan`: what remediation would do in a pass now, and why not; nothing is written anywhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from mfa_operator.api.conversion import rfc3339, to_dict
from mfa_operator.api.objects import Policy
from mfa_operator.cli import options
from mfa_operator.cli.auditing import audit_all, make_auditor, print_failures
from mfa_operator.cli.forms import print_csv, print_document
from mfa_operator.cli.policies import chosen_policies
from mfa_operator.clock import utc_now
from mfa_operator.config.access_file import AccessFile
from mfa_operator.offline.policy_files import Previous, load_previous

if TYPE_CHECKING:
    from mfa_operator.offline.plan import PlannedUser

EPILOG = """\b
Exit status:
  0  nobody violates
  1  there are violations, whether or not they would be acted on
  2  something could not be audited (2 wins over 1)
  3  the input is bad

\b
An action needs a violation that was published before: take the reports from
the cluster (--from-cluster) or from an earlier `audit -o json` (--previous);
without either, everything is NotPublishedYet. Users under quarantine already
are not listed: a pass does nothing more about them.
"""


Planned: TypeAlias = "Sequence[tuple[Policy, Sequence[PlannedUser]]]"

WITHOUT_RULES = "no access rules were given (--config FILE), and without rules nothing is remediated"


@click.command("plan", epilog=EPILOG)
@options.policy_files(required=False)
@options.policies_of_cluster("Take this MfaPolicy and its reports from the cluster; may be given several times.")
@options.access_rules("none, and nothing is ever remediated")
@options.previous("what was published, with firstSeen and deadlines")
@click.option("--from-cluster", is_flag=True, help="Take what was published from the MfaReports in the cluster.")
@options.cluster("--policy and --from-cluster")
@options.output_form("yaml", "csv")
def command(
    *,
    files: Sequence[Path],
    names: Sequence[str],
    config: Path | None,
    previous: Path | None,
    from_cluster: bool,
    kubeconfig: Path | None,
    context: str | None,
    output: str,
) -> int:
    """Show what a pass would do now about each user, or why it would do nothing.

    It audits as the operator does and plans with the same code and rules. It changes nothing in AWS or in the cluster.
    """
    if previous and from_cluster:
        raise click.UsageError("--previous and --from-cluster exclude each other.")
    if previous and names:
        raise click.UsageError("--previous cannot be used with --policy, which reads the reports in the cluster.")
    policies = chosen_policies(files, names, kubeconfig, context)
    access = AccessFile(config).current()
    if config is None:
        click.echo(f"mfa-operator: {WITHOUT_RULES}", err=True)
    earlier: Previous = load_previous(previous) if previous else {}

    from mfa_operator.offline.audit import exit_status
    from mfa_operator.offline.plan import plan_policy

    if from_cluster or names:
        from mfa_operator.offline.cluster_input import published_in_cluster

        earlier = published_in_cluster([policy.ref for policy in policies], kubeconfig, context)
    auditor = make_auditor()
    now = utc_now()
    results = audit_all(policies, auditor, earlier, now, access=access)
    print_failures(results)
    planned = [(result.policy, plan_policy(result, auditor, access, earlier, now)) for result in results]
    if output == "table":
        _print_tables(planned)
    elif output == "csv":
        _print_csv(planned)
    else:
        print_document(_content(planned), output)
    return exit_status(results)


def _content(planned: Planned) -> dict[str, Any]:
    return {
        "policies": [
            {
                "namespace": policy.ref.namespace,
                "name": policy.ref.name,
                "plan": [to_dict(user) for user in users],
            }
            for policy, users in planned
        ]
    }


_COLUMNS = (
    *("namespace", "policy", "account_id", "account_name", "user"),
    *("state", "deadline", "action", "acts", "reason", "message"),
)


def _print_csv(planned: Planned) -> None:
    """One row a finding."""
    rows = (
        (
            policy.ref.namespace,
            policy.ref.name,
            user.account_id,
            user.account_name,
            user.user,
            str(user.state),
            rfc3339(user.deadline) if user.deadline else "",
            str(user.action),
            "true" if user.acts else "false",
            user.reason,
            user.message,
        )
        for policy, users in planned
        for user in users
    )
    print_csv(_COLUMNS, rows)


def _print_tables(planned: Planned) -> None:
    from mfa_operator.offline import layout, tables

    console = layout.console(sys.stdout)
    now = utc_now()
    for policy, users in planned:
        console.rule(f"MfaPolicy {policy.ref}", align="left")
        acting = sum(user.acts for user in users)
        console.print(
            f"action {policy.spec.remediation.action}: {acting} of {len(users)} findings would be acted on now"
        )
        if users:
            console.print(tables.plan_table(users, now))
