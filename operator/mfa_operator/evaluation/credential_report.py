"""Reading the CSV of the credential report: by header name, every token checked.

Source: IAM User Guide, "Generate credential reports for your AWS account", the table of columns.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from mfa_operator.api.enums import ROOT_USER
from mfa_operator.evaluation.facts import ReportRow

NEEDED_COLUMNS = ("user", "user_creation_time", "password_enabled", "mfa_active")
_BOOLEANS = {"true": True, "false": False}


class UnreadableReport(ValueError):
    """The report is no CSV of the kind AWS documents; says what is missing."""


@dataclass(frozen=True, slots=True)
class CredentialReport:
    """The report of one account at `generated`."""

    generated: datetime
    rows: Mapping[str, ReportRow]
    """By user name, root not among them."""
    root: RootRow | None


@dataclass(frozen=True, slots=True)
class RootRow:
    """What the report says of the root user. None: not in the report, or invalid."""

    password_enabled: bool | None
    access_keys: bool | None
    mfa_active: bool | None


def parse(content: bytes, generated: datetime) -> CredentialReport:
    """Parse the report's CSV. Raises UnreadableReport."""
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8")), strict=True)
        columns = reader.fieldnames or ()
        missing = [column for column in NEEDED_COLUMNS if column not in columns]
        if missing:
            raise UnreadableReport(f"the credential report has no column {', '.join(missing)}")
        rows: dict[str, ReportRow] = {}
        root: RootRow | None = None
        for line in reader:
            if line["user"] == ROOT_USER:
                root = _root(line)
                continue
            row = _row(line)
            known = rows.get(row.user)
            rows[row.user] = msgspec.structs.replace(max(known, row, key=_danger), twice=True) if known else row
    except (UnicodeDecodeError, csv.Error) as error:
        raise UnreadableReport(f"the credential report is not CSV in UTF-8: {error}") from error
    return CredentialReport(generated, rows, root)


def _row(line: Mapping[str, str]) -> ReportRow:
    return ReportRow(
        user=line["user"],
        created=_moment(line["user_creation_time"]),
        password_enabled=_boolean(line["password_enabled"]),
        mfa_active=_boolean(line["mfa_active"]),
    )


def _root(line: Mapping[str, str]) -> RootRow:
    keys = [_boolean(line.get(f"access_key_{number}_active")) for number in (1, 2)]
    return RootRow(
        password_enabled=_boolean(line["password_enabled"]),
        access_keys=True if True in keys else (False if keys == [False, False] else None),
        mfa_active=_boolean(line["mfa_active"]),
    )


def _danger(row: ReportRow) -> tuple[bool, bool]:
    """Orders rows of one name: access not ruled out first, then MFA not assured."""
    return (row.password_enabled is not False, row.mfa_active is not True)


def _boolean(token: str | None) -> bool | None:
    """AWS sends true and false and documents TRUE and FALSE; any other token is invalid: None."""
    return _BOOLEANS.get(token.strip().lower()) if token else None


def _moment(token: str | None) -> datetime | None:
    """A time in ISO 8601, ending in +00:00 or Z; None for N/A, no_information and the like."""
    try:
        moment = datetime.fromisoformat(token or "")
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None
