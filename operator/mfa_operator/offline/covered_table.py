"""The accounts that a policy covers, as a table people can read in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from rich.console import Group, RenderableType
from rich.text import Text

from mfa_operator.offline.covered import CoveredAccount, totals
from mfa_operator.offline.layout import Fitting, cell_text, indented, new_table
from mfa_operator.reporting.wording import account_label

OWN_CREDENTIALS = "none: own credentials"
_AUDITED = "yes"


def covered_table(accounts: Iterable[CoveredAccount], title: str = "Accounts") -> RenderableType:
    """One row an account, by name: where it is, how it is entered, where it is from, and why it is skipped."""
    accounts = tuple(accounts)
    return Fitting(partial(_table, title, accounts), partial(_lines, title, accounts))


def _table(title: str, accounts: Sequence[CoveredAccount], wide: bool) -> RenderableType:
    table = new_table(title, wide=wide)
    for column in ("Name", "Account") if wide else ("Account",):
        table.add_column(column, overflow="fold")
    table.add_column("Path", overflow="fold")
    if wide:
        table.add_column("Role", overflow="fold")
    table.add_column("From", no_wrap=True)
    table.add_column("Audit", no_wrap=True)
    for account in accounts:
        name = [cell_text(account.name), Text(account.id)] if wide else [_name_over_id(account)]
        role = [cell_text(_role(account))] if wide else []
        table.add_row(*name, cell_text(account.path or "-"), *role, str(account.source), _audit(account))
    return Group(table, cell_text(totals(accounts)), "")


def _lines(title: str, accounts: Sequence[CoveredAccount]) -> RenderableType:
    lines: list[RenderableType] = [Text(title, "italic")]
    for account in accounts:
        facts = {"path": account.path, "role": _role(account), "from": str(account.source)}
        lines.append(cell_text(account_label(account.id, account.name), "bold"))
        lines.append(indented(_audit(account)))
        lines += [indented(cell_text(f"{name}: {fact}")) for name, fact in facts.items() if fact]
    return Group(*lines, "", cell_text(totals(accounts)), "")


def _name_over_id(account: CoveredAccount) -> Text:
    return cell_text(account.name).append(f"\n{account.id}") if account.name else Text(account.id)


def _role(account: CoveredAccount) -> str:
    """The role without what is the same in every ARN: the account stands beside it."""
    return account.role_arn.split(":", 5)[5] if account.role_arn else OWN_CREDENTIALS


def _audit(account: CoveredAccount) -> Text:
    return cell_text(account.skipped, "yellow") if account.skipped else Text(_AUDITED, "green")
