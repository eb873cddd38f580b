"""`mfa-operator audit`: the operator's pass without a cluster, once."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mfa_operator.api.conversion import rfc3339, to_dict
from mfa_operator.cli import options
from mfa_operator.cli.auditing import MAX_CONCURRENT_ACCOUNTS, audit_all, make_auditor, print_failures
from mfa_operator.cli.forms import print_csv, print_document
from mfa_operator.clock import utc_now
from mfa_operator.offline.policy_files import load_policy, load_previous

if TYPE_CHECKING:
    from mfa_operator.offline.audit import PolicyResult

EXIT_STATUSES = """\b
Exit status:
  0  every user of every account is compliant
  1  there are violations
  2  something could not be audited, or the output not be written (2 wins over 1)
  3  the input is bad
"""


@click.command("audit", epilog=EXIT_STATUSES)
@options.policy_files()
@options.output_form("csv")
@options.previous("violations keep the firstSeen they have there")
@click.option(
    "--max-concurrent-accounts",
    type=click.IntRange(1, 64),
    default=MAX_CONCURRENT_ACCOUNTS,
    show_default=True,
    help="Accounts audited at the same time.",
)
def command(files: Sequence[Path], output: str, previous: Path | None, max_concurrent_accounts: int) -> int:
    """Audit AWS accounts once, without a cluster, and never change anything.

    AWS credentials and region are found as by any AWS SDK: AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL and so on.
    """
    from mfa_operator.offline.audit import exit_status

    policies = [load_policy(path) for path in files]
    earlier = load_previous(previous) if previous else {}
    auditor = make_auditor(max_concurrent_accounts)
    results = audit_all(policies, auditor, earlier, utc_now(), max_concurrent_accounts=max_concurrent_accounts)
    if output != "table":
        print_failures(results)
    {"table": _print_tables, "json": _print_json, "csv": _print_csv}[output](results)
    return exit_status(results)


def _print_json(results: Iterable[PolicyResult]) -> None:
    content = {
        "policies": [
            {
                "namespace": result.policy.ref.namespace,
                "name": result.policy.ref.name,
                "status": to_dict(result.status),
                "reports": [to_dict(report) for report in result.all_reports],
            }
            for result in results
        ]
    }
    print_document(content, "json")


_COLUMNS = (
    *("namespace", "policy", "account_id", "account_name", "user", "path"),
    *("state", "reason", "first_seen", "deadline", "exemption", "message"),
)


def _print_csv(results: Iterable[PolicyResult]) -> None:
    """One row a finding, and one without a user for each account that was not audited."""
    print_csv(_COLUMNS, chain.from_iterable(map(_rows, results)))


def _rows(result: PolicyResult) -> Iterator[Sequence[str]]:
    from mfa_operator.offline.audit import failed_accounts

    ref = result.policy.ref
    for report in result.reports:
        for finding in report.findings:
            yield (
                ref.namespace,
                ref.name,
                report.account_id,
                report.account_name,
                finding.user,
                finding.path,
                finding.state,
                finding.reason,
                rfc3339(finding.first_seen) if finding.first_seen else "",
                rfc3339(finding.deadline) if finding.deadline else "",
                finding.exemption,
                "",
            )
    for account in failed_accounts(result):
        row = (ref.namespace, ref.name, account.id, account.name, "", "", account.state, account.reason)
        yield (*row, "", "", "", account.message)


def _print_tables(results: Iterable[PolicyResult]) -> None:
    from mfa_operator.offline import layout, tables

    console = layout.console(sys.stdout)
    now = utc_now()
    for result in results:
        console.rule(f"MfaPolicy {result.policy.ref}", align="left")
        console.print(tables.accounts_table(result.accounts))
        if any(report.findings for report in result.reports):
            console.print(tables.findings_table(result.reports, now))
            partitions = {account_id: audit.snapshot.partition for account_id, audit in result.audits.items()}
            console.print(*tables.advice(result.reports, partitions), sep="\n")
        console.print(*tables.conditions_line(result.status), sep="\n")
