"""Accounts and findings as tables people can read in a terminal."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mfa_operator.api.enums import OPEN_STATES, AccountState, FindingState
from mfa_operator.api.status import AccountStatus, Finding, PolicyStatus, ReportStatus
from mfa_operator.api.text import one_line
from mfa_operator.reporting.guidance import problem, ways_out
from mfa_operator.reporting.wording import account_label

if TYPE_CHECKING:
    from mfa_operator.offline.plan import PlannedUser

MAX_ADVICE = 20
"""Violations whose ways out are spelled out; the table lists all."""

WIDE = 140
"""Columns of a terminal from which on every fact has a column of its own; below, some stand under others."""

NARROW = 72
"""Columns below which no table fits: each fact stands in a line."""

PIPED, UNKNOWN, MIN_COLUMNS, MAX_COLUMNS = 160, 80, 20, 1_000
"""Columns without a terminal, of a terminal that says 0, and what $COLUMNS may ask for."""

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
    lines: Callable[[], RenderableType]
    """For terminals that hold no table."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.lines() if options.max_width < NARROW else self.layout(options.max_width >= WIDE)


def console(out: TextIO) -> Console:
    """As wide as $COLUMNS says, else as the terminal is; nothing but text is interpreted."""
    columns = os.environ.get("COLUMNS", "")
    width = None if out.isatty() else PIPED
    if columns.isdecimal():
        # 0 is what terminals say that do not know.
        width = min(max(int(columns[:9]), MIN_COLUMNS), MAX_COLUMNS) if columns.strip("0") else width or UNKNOWN
    return Console(file=out, width=width, highlight=False, markup=False, emoji=False)


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
    return _Fitting(partial(_accounts, accounts), partial(_account_lines, accounts))


def _account_lines(accounts: Sequence[AccountStatus]) -> RenderableType:
    lines: list[RenderableType] = [Text("Accounts", "italic")]
    for account in accounts:
        lines += [
            _text(account_label(account.id, account.name), "bold"),
            _indented(_text(account.state, _STYLES[account.state])),
        ]
        lines += [
            _indented(Text(f"{name.lower():<10}{'-' if count is None else count:>6}"))
            for name, count in zip(_COUNTS, _counts(account), strict=True)
        ]
        if account.message:
            lines.append(_indented(_text(account.message)))
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
    table = _table("Accounts", wide=wide)
    for column in ("Account", "Name", "State") if wide else ("Account", "State"):
        table.add_column(column, overflow="fold")
    for column in _COUNTS:
        table.add_column(column, justify="right", no_wrap=True)
    if wide:
        table.add_column("Message", overflow="fold")
    for account in accounts:
        state = _text(account.state, _STYLES[account.state])
        cells = [state, *(_text("-" if count is None else str(count)) for count in _counts(account))]
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
    return Group(table, *messages, "")


def findings_table(reports: Iterable[ReportStatus], now: datetime) -> RenderableType:
    """One row a finding."""
    reports = tuple(reports)
    rows = partial(_finding_rows, reports, now)
    narrow = _FINDING_COLUMNS[False]
    return _Fitting(
        lambda wide: _users("Findings", _FINDING_COLUMNS[wide], "Details", rows(wide), wide),
        lambda: _user_lines("Findings", narrow, rows(False)),
    )


_FINDING_COLUMNS = {True: ("State", "Reason", "Since", "Deadline"), False: ("State", "Since", "Deadline")}
"""By whether the details have a column of their own."""


def _finding_rows(reports: Sequence[ReportStatus], now: datetime, wide: bool) -> list[_Row]:
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
    return rows


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
    columns = ("State", "Deadline", "Would")
    return _Fitting(partial(_users, "Plan", columns, "Why not", rows), partial(_user_lines, "Plan", columns, rows))


def _user_lines(title: str, columns: Sequence[str], rows: Sequence[_Row]) -> RenderableType:
    """The account, below it each user, below that a line for each fact."""
    lines: list[RenderableType] = [Text(title, "italic")]
    for account, users in groupby(rows, lambda row: account_label(row.account_id, row.account_name)):
        lines.append(_text(account, "bold"))
        for row in users:
            lines.append(_indented(_text(row.user)))
            lines += [
                _indented(Text.assemble(f"{column.lower()}: ", cell), 4)
                for column, cell in zip(columns, row.cells, strict=True)
                if cell.plain
            ]
            if row.details:
                lines.append(_indented(_text(row.details, "dim"), 4))
    return Group(*lines, "")


def _indented(text: Text, columns: int = 2) -> Padding:
    return Padding(text, (0, 0, 0, columns))


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
            table.add_row(_indented(_text(row.user)), *row.cells)
            if row.details:
                table.add_row(_indented(_text(row.details, "dim"), 4))
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
            yield _indented(_text(line))
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
        remediation = finding.remediation
        message = f": {remediation.message}" if remediation.message else ""
        parts.append(f"{remediation.action} {remediation.state}{message}")
    return "; ".join(parts)
