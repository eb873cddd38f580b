"""How tables and lists are laid out in a terminal: by the width that there is, with nothing but text interpreted."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mfa_operator.api.text import one_line

WIDE = 140
"""Columns of a terminal from which on every fact has a column of its own; below, some stand under others."""

NARROW = 72
"""Columns below which no table fits: each fact stands in a line."""

PIPED, UNKNOWN, MIN_COLUMNS, MAX_COLUMNS = 160, 80, 20, 1_000
"""Columns without a terminal, of a terminal that says 0, and what $COLUMNS may ask for."""

MAX_TEXT = 1_500
"""Characters of one value; the longest of ours are the commands of `advice`."""


@dataclass(frozen=True, slots=True)
class Fitting:
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


def cell_text(value: str, style: str = "") -> Text:
    """A value that others may have written: in one line, and never read as rich's markup."""
    return Text(one_line(value, MAX_TEXT), style)


def new_table(title: str, *, wide: bool) -> Table:
    padding = (0, 1) if wide else (0, 1, 0, 0)
    return Table(box=SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, padding=padding)


def indented(text: Text, columns: int = 2) -> Padding:
    return Padding(text, (0, 0, 0, columns))


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
