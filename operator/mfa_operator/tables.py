"""Accounts and findings as tables people can read in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mfa_operator.api.enums import AccountState, FindingState
from mfa_operator.api.status import AccountStatus, Finding, PolicyStatus, ReportStatus
from mfa_operator.guidance import problem, ways_out
from mfa_operator.report import OPEN_STATES

if TYPE_CHECKING:
    from mfa_operator.offline_plan import PlannedUser

MAX_ADVICE = 20
"""Violations whose ways out are spelled out; the table lists all."""

_STYLES: dict[str, str] = {
    FindingState.OVERDUE: "bold red",
    FindingState.VIOLATING: "yellow",
    FindingState.UNKNOWN: "magenta",
    FindingState.EXEMPT: "cyan",
    FindingState.REMEDIATED: "blue",
    AccountState.AUDITED: "green",
    AccountState.FAILED: "bold red",
    AccountState.DENIED: "bold red",
}


def accounts_table(accounts: Iterable[AccountStatus]) -> Table:
    """One row an account: state and counts, the message where it was not audited."""
    table = Table(box=SIMPLE_HEAD, title="Accounts", title_justify="left", pad_edge=False)
    for column in ("Account", "Name", "State"):
        table.add_column(column, no_wrap=True)
    for column in ("Users", "Console", "Violating", "Overdue", "Exempt", "Unknown"):
        table.add_column(column, justify="right")
    table.add_column("Message", overflow="fold")
    for account in accounts:
        counts = (
            account.users,
            account.console_users,
            account.violating,
            account.overdue,
            account.exempt,
            account.unknown,
        )
        table.add_row(
            account.id,
            Text(account.name),
            Text(account.state, _STYLES[account.state]),
            *("-" if count is None else str(count) for count in counts),
            Text(account.message),
        )
    return table


def findings_table(reports: Iterable[ReportStatus], now: datetime) -> Table:
    """One row a finding."""
    table = Table(box=SIMPLE_HEAD, title="Findings", title_justify="left", pad_edge=False)
    for column in ("Account", "User", "State", "Reason", "Since", "Deadline"):
        table.add_column(column, overflow="fold")
    table.add_column("Details", overflow="fold")
    for report in reports:
        for finding in report.findings:
            table.add_row(
                Text(report.account_name or report.account_id),
                Text(finding.path + finding.user if finding.path != "/" else finding.user),
                Text(finding.state, _STYLES[finding.state]),
                Text(finding.reason),
                relative(finding.first_seen, now),
                relative(finding.deadline, now),
                Text(_details(finding)),
            )
    return table


def plan_table(users: Iterable[PlannedUser], now: datetime) -> Table:
    """One row a finding: what would be done, or why not."""
    table = Table(box=SIMPLE_HEAD, title="Plan", title_justify="left", pad_edge=False)
    for column in ("Account", "User", "State", "Deadline", "Would", "Why not"):
        table.add_column(column, overflow="fold")
    for user in users:
        table.add_row(
            user.account_name or user.account_id,
            Text(user.user),
            Text(user.state, _STYLES[user.state]),
            relative(user.deadline, now),
            Text(str(user.action), "bold red") if user.acts else Text("nothing"),
            Text(f"{user.reason}: {user.message}" if user.reason else ""),
        )
    return table


def advice(reports: Iterable[ReportStatus], partitions: Mapping[str, str]) -> Iterable[RenderableType]:
    """What to do about each open violation, spelled out for the first ones. `partitions`: by account id, if not aws."""
    found = [(report, finding) for report in reports for finding in report.findings if finding.state in OPEN_STATES]
    for report, finding in found[:MAX_ADVICE]:
        yield Text(f"{finding.user} ({report.account_name or report.account_id}) {problem(finding)}:", "bold")
        for line in ways_out(finding, report.account_id, partitions.get(report.account_id, "aws")):
            yield Padding(Text(line), (0, 0, 0, 2))
    if len(found) > MAX_ADVICE:
        yield Text(f"The same two ways out go for the other {len(found) - MAX_ADVICE}.")


def conditions_line(status: PolicyStatus) -> Iterable[Text]:
    for condition in status.conditions:
        style = {"True": "green", "False": "red", "Unknown": "magenta"}[condition.status]
        yield Text.assemble(
            (f"{condition.type}={condition.status}", style), f" {condition.reason}: {condition.message}"
        )


def relative(moment: datetime | None, now: datetime) -> str:
    """A time as people say it: `in 6d`, `3h ago`."""
    if moment is None:
        return ""
    distance = abs(moment - now)
    if distance < timedelta(minutes=1):
        return "now"
    units = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1)))
    unit, length = next((unit, length) for unit, length in units if distance >= length)
    # 7 days less a second are 7d to people, not 6d.
    amount = f"{int(distance / length + 0.01)}{unit}"
    return f"in {amount}" if moment > now else f"{amount} ago"


def _details(finding: Finding) -> str:
    parts = []
    if finding.exemption:
        parts.append(f"exempt: {finding.exemption}")
    if finding.state is not FindingState.EXEMPT:
        parts.append(problem(finding))
    if finding.remediation:
        parts.append(f"{finding.remediation.action} {finding.remediation.state} {finding.remediation.message}".strip())
    return "; ".join(parts)
