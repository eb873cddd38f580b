"""Accounts and findings as tables people can read in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mfa_operator.api.enums import AccountState, FindingState
from mfa_operator.api.status import AccountStatus, Finding, PolicyStatus, ReportStatus
from mfa_operator.api.text import one_line
from mfa_operator.reporting.account_report import OPEN_STATES
from mfa_operator.reporting.guidance import problem, ways_out
from mfa_operator.reporting.wording import account_label

if TYPE_CHECKING:
    from mfa_operator.offline.plan import PlannedUser

MAX_ADVICE = 20
"""Violations whose ways out are spelled out; the table lists all."""

WIDE = 140
"""Columns of a terminal from which on every fact has a column of its own; below, some stand under others."""

MAX_TEXT = 1_500
"""Characters of one value; the longest of ours are the commands of `advice`."""

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


@dataclass(frozen=True, slots=True)
class _Fitting:
    """Lays itself out by the width that there is."""

    layout: Callable[[bool], RenderableType]
    """Called with whether every fact can have a column of its own."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.layout(options.max_width >= WIDE)


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
    return _Fitting(partial(_accounts, tuple(accounts)))


def _accounts(accounts: Sequence[AccountStatus], wide: bool) -> RenderableType:
    table = _table("Accounts", wide=wide)
    for column in ("Account", "Name", "State") if wide else ("Account", "State"):
        table.add_column(column, overflow="fold")
    for column in ("Users", "Console", "Violating", "Overdue", "Exempt", "Unknown"):
        table.add_column(column, justify="right", no_wrap=True)
    if wide:
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
        state = _text(account.state, _STYLES[account.state])
        cells = [state, *(_text("-" if count is None else str(count)) for count in counts)]
        if wide:
            table.add_row(account.id, _text(account.name), *cells, _text(account.message))
        else:
            table.add_row(Text(f"{one_line(account.name)}\n{account.id}".lstrip()), *cells)
    if wide:
        return table
    messages = [
        Text.assemble(_text(f"{account.name or account.id}: ", "bold"), " ", _text(account.message))
        for account in accounts
        if account.message
    ]
    return Group(table, *messages)


def findings_table(reports: Iterable[ReportStatus], now: datetime) -> RenderableType:
    """One row a finding."""
    return _Fitting(partial(_findings, tuple(reports), now))


def _findings(reports: Sequence[ReportStatus], now: datetime, wide: bool) -> Table:
    rows = []
    for report in reports:
        for finding in report.findings:
            state, reason = _text(finding.state, _STYLES[finding.state]), _text(finding.reason)
            times = [_text(relative(moment, now)) for moment in (finding.first_seen, finding.deadline)]
            rows.append(
                _Row(
                    report.account_id,
                    report.account_name,
                    finding.path + finding.user if finding.path != "/" else finding.user,
                    [state, reason, *times] if wide else [state, *times],
                    _details(finding) if wide else f"{finding.reason}: {_details(finding)}",
                )
            )
    columns = ("State", "Reason", "Since", "Deadline") if wide else ("State", "Since", "Deadline")
    return _users("Findings", columns, "Details", rows, wide)


def plan_table(users: Iterable[PlannedUser], now: datetime) -> RenderableType:
    """One row a finding: what would be done, or why not."""
    rows = [
        _Row(
            user.account_id,
            user.account_name,
            user.user,
            (
                _text(user.state, _STYLES[user.state]),
                _text(relative(user.deadline, now)),
                _text(str(user.action), "bold red") if user.acts else _text("nothing"),
            ),
            f"{user.reason}: {user.message}" if user.reason else "",
        )
        for user in users
    ]
    return _Fitting(partial(_users, "Plan", ("State", "Deadline", "Would"), "Why not", rows))


def _users(title: str, columns: Sequence[str], details: str, rows: Sequence[_Row], wide: bool) -> Table:
    """Account and details in columns of their own, or else the account above its users and the details below each."""
    table = _table(title, wide=wide)
    for column in ("Account", "User") if wide else ("User",):
        table.add_column(column, overflow="fold")
    for column in columns:
        table.add_column(column, no_wrap=True)
    if wide:
        table.add_column(details, overflow="fold")
        for row in rows:
            table.add_row(_text(row.account_name or row.account_id), _text(row.user), *row.cells, _text(row.details))
        return table
    for account, users in groupby(rows, lambda row: account_label(row.account_id, row.account_name)):
        table.add_row(_text(account, "bold"))
        for row in users:
            table.add_row(Padding(_text(row.user), (0, 0, 0, 2)), *row.cells)
            if row.details:
                table.add_row(Padding(_text(row.details, "dim"), (0, 0, 0, 4)))
    return table


def _text(value: str, style: str = "") -> Text:
    """A value that others may have written: in one line, and never read as rich's markup."""
    return Text(one_line(value, MAX_TEXT), style)


def _table(title: str, *, wide: bool) -> Table:
    padding = (0, 1) if wide else (0, 1, 0, 0)
    return Table(box=SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, padding=padding)


def advice(reports: Iterable[ReportStatus], partitions: Mapping[str, str]) -> Iterable[RenderableType]:
    """What to do about each open violation, spelled out for the first ones. `partitions`: by account id, if not aws."""
    found = [(report, finding) for report in reports for finding in report.findings if finding.state in OPEN_STATES]
    for report, finding in found[:MAX_ADVICE]:
        yield _text(f"{finding.user} ({report.account_name or report.account_id}) {problem(finding)}:", "bold")
        for line in ways_out(finding, report.account_id, partitions.get(report.account_id, "aws")):
            yield Padding(_text(line), (0, 0, 0, 2))
    if len(found) > MAX_ADVICE:
        yield _text(f"The same two ways out go for the other {len(found) - MAX_ADVICE}.")


def conditions_line(status: PolicyStatus) -> Iterable[Text]:
    for condition in status.conditions:
        style = {"True": "green", "False": "red", "Unknown": "magenta"}[condition.status]
        yield Text.assemble(
            (f"{condition.type}={condition.status}", style), " ", _text(f"{condition.reason}: {condition.message}")
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
