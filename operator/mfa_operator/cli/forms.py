"""Output for programs: JSON, YAML and CSV, on stdout."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from mfa_operator.api.text import cell, one_line

MAX_CELL = 1_024
"""Characters of a CSV cell: as many as a message in status has."""


def print_document(content: dict[str, Any], form: str) -> None:
    """`form`: json or yaml."""
    if form == "json":
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n")
        return
    import yaml

    yaml.safe_dump(msgspec.to_builtins(content), sys.stdout, sort_keys=False, allow_unicode=True)


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Cells are text, to spreadsheets too: user names may begin with an equals sign."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([cell(one_line(value, MAX_CELL)) for value in row])
