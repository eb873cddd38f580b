"""Accounts and findings as tables people can read in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mfa_operator.api.enums import OPEN_STATES, AccountState, FindingState
from mfa_operator.api.status import AccountStatus, Finding, PolicyStatus, ReportStatus
from mfa_operator.api.text import one_line
from mfa_operator.offline.layout import MAX_TEXT, Fitting, cell_text, indented, new_table, relative
from mfa_operator.reporting.alike import EXAMPLES, failed_alike
from mfa_operator.reporting.guidance import problem, ways_out
from mfa_operator.reporting.wording import account_label, name_and_id

if TYPE_CHECKING:
    from mfa_operator.offline.plan import PlannedUser

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
    AccountState.PENDING: "yellow",
}


@dataclass(frozen=True, slots=True)
class _Row:
    """One user of one account."""

    account_id: str
    account_name: str
    user: str
    cells: Sequence[Text]
    details: str


def accounts_table(accounts: Iterable[AccountStatus]) -> RenderableType:
    """One row an account: state and counts, the message where it was not audited."""
    accounts = tuple(accounts)
    return Fitting(partial(_accounts, accounts), partial(_account_lines, accounts))


def _said_once(accounts: Sequence[AccountStatus]) -> dict[str, str]:
    """Messages by account: where more than a few failed alike, those after the first one point to it."""
    messages = {account.id: account.message for account in accounts}
    for group in failed_alike(account for account in accounts if account.message):
        first, *others = group.accounts
        if len(others) >= EXAMPLES:
            messages.update((account.id, f"as account {first.id}") for account in others)
    return messages


def _account_lines(accounts: Sequence[AccountStatus]) -> RenderableType:
    lines: list[RenderableType] = [Text("Accounts", "italic")]
    messages = _said_once(accounts)
    for account in accounts:
        lines += [
            cell_text(account_label(account.id, account.name), "bold"),
            indented(cell_text(account.state, _STYLES[account.state])),
        ]
        lines += [
            indented(Text(f"{name.lower():<10}{'-' if count is None else count:>6}"))
            for name, count in zip(_COUNTS, _counts(account), strict=True)
        ]
        if account.message:
            lines.append(indented(cell_text(messages[account.id])))
    return Group(*lines, "")


_COUNTS = ("Users", "Console", "Violating", "Overdue", "Exempt", "Unknown")


def _counts(account: AccountStatus) -> tuple[int | None, ...]:
    return (
        account.users,
        account.console_users,
        account.violating,
        account.overdue,
        account.exempt,
        account.unknown,
    )


def _accounts(accounts: Sequence[AccountStatus], wide: bool) -> RenderableType:
    table = new_table("Accounts", wide=wide)
    for column in ("Name", "Account", "State") if wide else ("Account", "State"):
        table.add_column(column, overflow="fold")
    for column in _COUNTS:
        table.add_column(column, justify="right", no_wrap=True)
    if wide:
        table.add_column("Message", overflow="fold")
    messages = _said_once(accounts)
    for account in accounts:
        state = cell_text(account.state, _STYLES[account.state])
        cells = [state, *(cell_text("-" if count is None else str(count)) for count in _counts(account))]
        if wide:
            table.add_row(cell_text(account.name), account.id, *cells, cell_text(messages[account.id]))
        else:
            table.add_row(Text(f"{one_line(account.name)}\n{account.id}".lstrip()), *cells)
    if wide:
        return table
    alike = failed_alike(account for account in accounts if account.message)
    return Group(table, *(cell_text(group.in_words(MAX_TEXT)) for group in alike), "")


def findings_table(reports: Iterable[ReportStatus], now: datetime) -> RenderableType:
    """One row a finding."""
    reports = tuple(reports)
    rows = partial(_finding_rows, reports, now)
    narrow = _FINDING_COLUMNS[False]
    return Fitting(
        lambda wide: _users("Findings", _FINDING_COLUMNS[wide], "Details", rows(wide), wide),
        lambda: _user_lines("Findings", narrow, rows(False)),
    )


_FINDING_COLUMNS = {True: ("State", "Reason", "Since", "Deadline"), False: ("State", "Since", "Deadline")}
"""By whether the details have a column of their own."""


def _finding_rows(reports: Sequence[ReportStatus], now: datetime, wide: bool) -> list[_Row]:
    rows = []
    for report in reports:
        for finding in report.findings:
            state, reason = cell_text(finding.state, _STYLES[finding.state]), cell_text(finding.reason)
            times = [cell_text(relative(moment, now)) for moment in (finding.first_seen, finding.deadline)]
            rows.append(
                _Row(
                    report.account_id,
                    report.account_name,
                    finding.path + finding.user if finding.path != "/" else finding.user,
                    [state, reason, *times] if wide else [state, *times],
                    _details(finding) if wide else f"{finding.reason}: {_details(finding)}",
                )
            )
    return rows


def plan_table(users: Iterable[PlannedUser], now: datetime) -> RenderableType:
    """One row a finding: what would be done, or why not."""
    rows = [
        _Row(
            user.account_id,
            user.account_name,
            user.user,
            (
                cell_text(user.state, _STYLES[user.state]),
                cell_text(relative(user.deadline, now)),
                cell_text(str(user.action), "bold red") if user.acts else cell_text("nothing"),
            ),
            f"{user.reason}: {user.message}" if user.reason else "",
        )
        for user in users
    ]
    columns = ("State", "Deadline", "Would")
    return Fitting(partial(_users, "Plan", columns, "Why not", rows), partial(_user_lines, "Plan", columns, rows))


def _user_lines(title: str, columns: Sequence[str], rows: Sequence[_Row]) -> RenderableType:
    """The account, below it each user, below that a line for each fact."""
    lines: list[RenderableType] = [Text(title, "italic")]
    for account, users in groupby(rows, lambda row: account_label(row.account_id, row.account_name)):
        lines.append(cell_text(account, "bold"))
        for row in users:
            lines.append(indented(cell_text(row.user)))
            lines += [
                indented(Text.assemble(f"{column.lower()}: ", cell), 4)
                for column, cell in zip(columns, row.cells, strict=True)
                if cell.plain
            ]
            if row.details:
                lines.append(indented(cell_text(row.details, "dim"), 4))
    return Group(*lines, "")


def _users(title: str, columns: Sequence[str], details: str, rows: Sequence[_Row], wide: bool) -> Table:
    """Account and details in columns of their own, or else the account above its users and the details below each."""
    table = new_table(title, wide=wide)
    for column in ("Account", "User") if wide else ("User",):
        table.add_column(column, overflow="fold")
    for column in columns:
        table.add_column(column, no_wrap=True)
    if wide:
        table.add_column(details, overflow="fold")
        for row in rows:
            of_account = cell_text(name_and_id(row.account_id, row.account_name))
            table.add_row(of_account, cell_text(row.user), *row.cells, cell_text(row.details))
        return table
    for account, users in groupby(rows, lambda row: account_label(row.account_id, row.account_name)):
        table.add_row(cell_text(account, "bold"))
        for row in users:
            table.add_row(indented(cell_text(row.user)), *row.cells)
            if row.details:
                table.add_row(indented(cell_text(row.details, "dim"), 4))
    return table


def advice(reports: Iterable[ReportStatus], partitions: Mapping[str, str]) -> Iterable[RenderableType]:
    """What to do about each open violation, spelled out for the first ones. `partitions`: by account id, if not aws."""
    found = [(report, finding) for report in reports for finding in report.findings if finding.state in OPEN_STATES]
    for report, finding in found[:MAX_ADVICE]:
        of_account = account_label(report.account_id, report.account_name)
        yield cell_text(f"{finding.user} in {of_account} {problem(finding)}:", "bold")
        for line in ways_out(finding, report.account_id, partitions.get(report.account_id, "aws")):
            yield indented(cell_text(line))
    if len(found) > MAX_ADVICE:
        yield cell_text(f"The same two steps apply to the other {len(found) - MAX_ADVICE}.")


def conditions_line(status: PolicyStatus) -> Iterable[Text]:
    """A line for each condition of the policy."""
    for condition in status.conditions:
        style = {"True": "green", "False": "red", "Unknown": "magenta"}[condition.status]
        yield Text.assemble(
            (f"{condition.type}={condition.status}", style), " ", cell_text(f"{condition.reason}: {condition.message}")
        )


def _details(finding: Finding) -> str:
    parts = []
    if finding.exemption:
        parts.append(f"exempt: {finding.exemption}")
    if finding.state is not FindingState.EXEMPT:
        parts.append(problem(finding))
    if finding.remediation:
        remediation = finding.remediation
        message = f": {remediation.message}" if remediation.message else ""
        parts.append(f"{remediation.action} {remediation.state}{message}")
    return "; ".join(parts)
