"""Reading the credential report's CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfa_operator.api.enums import ROOT_USER
from mfa_operator.evaluation.credential_report import CredentialReport, UnreadableReport, parse
from tests.unit.facts import NOW

# The columns as the IAM User Guide lists them.
COLUMNS = [
    "user",
    "arn",
    "user_creation_time",
    "password_enabled",
    "password_last_used",
    "password_last_changed",
    "password_next_rotation",
    "mfa_active",
    "access_key_1_active",
    "access_key_1_last_rotated",
    "access_key_1_last_used_date",
    "access_key_1_last_used_region",
    "access_key_1_last_used_service",
    "access_key_2_active",
    "access_key_2_last_rotated",
    "access_key_2_last_used_date",
    "access_key_2_last_used_region",
    "access_key_2_last_used_service",
    "cert_1_active",
    "cert_1_last_rotated",
    "cert_2_active",
    "cert_2_last_rotated",
]
ROOT = {
    "user": ROOT_USER,
    "arn": "arn:aws:iam::111122223333:root",
    "user_creation_time": "2020-01-01T00:00:00+00:00",
    "password_enabled": "not_supported",
    "mfa_active": "false",
    "access_key_1_active": "false",
    "access_key_2_active": "false",
}
USER = {
    "user": "alice",
    "arn": "arn:aws:iam::111122223333:user/eng/alice",
    "user_creation_time": "2024-05-06T07:08:09+00:00",
    "password_enabled": "true",
    "password_last_used": "no_information",
    "password_last_changed": "2024-05-06T07:08:09+00:00",
    "mfa_active": "false",
}


def text(rows: Iterable[Mapping[str, str]], columns: Iterable[str] = COLUMNS) -> bytes:
    """As AWS sends it: no newline at the end."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(columns), restval="N/A", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().removesuffix("\n").encode()


def read(*users: Mapping[str, str], root: Mapping[str, str] = ROOT) -> CredentialReport:
    return parse(text([root, *users]), NOW)


@pytest.mark.parametrize(
    ("token", "meaning"),
    [
        ("true", True),
        ("TRUE", True),
        ("True", True),
        ("false", False),
        ("FALSE", False),
        *((token, None) for token in ("", "N/A", "not_supported", "no_information", "yes", "1", "truely", "null")),
    ],
)
@pytest.mark.parametrize("column", ["password_enabled", "mfa_active"])
def test_booleans_ignore_case_and_other_values_are_unknown(column: str, token: str, meaning: bool | None) -> None:
    """Whatever else stands there is not known, never a pass."""
    row = read(USER | {column: token}).rows["alice"]
    assert {"password_enabled": row.password_enabled, "mfa_active": row.mfa_active}[column] is meaning


@pytest.mark.parametrize(
    "token", ["no_information", "N/A", "not_supported", "", "2025-13-01T00:00:00+00:00", "0001-01-01T00:00:00+14:00"]
)
def test_what_is_no_date_is_no_date(token: str) -> None:
    """Who never signed in is in scope all the same, and a word is not a time."""
    row = read(USER | {"password_last_used": token, "user_creation_time": token}).rows["alice"]
    assert row.password_enabled is True
    assert row.created is None


@pytest.mark.parametrize("token", ["not_supported", "TRUE", "FALSE", "true", "false", "no_information"])
def test_root_is_told_by_its_name_and_never_by_a_value(token: str) -> None:
    """`password_enabled` of root has several values now; users may have any of them."""
    report = read(USER | {"password_enabled": token}, root=ROOT | {"password_enabled": token})
    assert set(report.rows) == {"alice"}
    assert report.root is not None
    assert report.root.password_enabled is {"true": True, "false": False}.get(token.lower())


@pytest.mark.parametrize(
    ("first", "second", "keys"),
    [("true", "false", True), ("false", "TRUE", True), ("false", "false", False), ("N/A", "false", None)],
)
def test_root_has_no_keys_only_if_both_are_known_inactive(first: str, second: str, keys: bool | None) -> None:
    """It has keys if one is active, and nothing is known otherwise."""

    report = read(root=ROOT | {"access_key_1_active": first, "access_key_2_active": second, "mfa_active": "TRUE"})
    assert report.root is not None
    assert report.root.access_keys is keys
    assert report.root.mfa_active is True


def test_a_report_without_root_says_nothing_of_root() -> None:
    assert parse(text([USER]), NOW).root is None


@pytest.mark.parametrize("missing", ["user", "user_creation_time", "password_enabled", "mfa_active"])
def test_a_needed_column_that_is_missing_is_named(missing: str) -> None:
    with pytest.raises(UnreadableReport, match=f"no column {missing}$"):
        parse(text([ROOT, USER], [column for column in COLUMNS if column != missing]), NOW)


def test_the_columns_that_are_not_needed_may_be_missing() -> None:
    row = parse(text([USER], ["mfa_active", "password_enabled", "user_creation_time", "user"]), NOW).rows["alice"]
    assert (row.password_enabled, row.mfa_active) == (True, False)


@pytest.mark.parametrize("form", ["2024-05-06T07:08:09+00:00", "2024-05-06T07:08:09Z", "2024-05-06T09:08:09+02:00"])
def test_times_end_in_an_offset_or_in_z(form: str) -> None:
    row = read(USER | {"user_creation_time": form}).rows["alice"]
    assert row.created == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


def test_a_time_without_an_offset_is_not_understood() -> None:
    assert read(USER | {"user_creation_time": "2024-05-06T07:08:09"}).rows["alice"].created is None


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_final_newline_is_optional_and_root_may_be_alone(end: bytes) -> None:
    report = parse(text([ROOT]) + end, NOW)
    assert report.root is not None
    assert not report.rows
    assert set(parse(text([ROOT, USER]) + end, NOW).rows) == {"alice"}


@pytest.mark.parametrize(
    ("first", "second", "worse"),
    [
        (("true", "true"), ("true", "false"), (True, False)),
        (("true", "false"), ("false", "false"), (True, False)),
        (("false", "false"), ("true", "true"), (True, True)),
        (("true", "true"), ("true", "?"), (True, None)),
        (("false", "true"), ("?", "true"), (None, True)),
    ],
)
def test_of_two_rows_of_one_name_the_riskier_is_kept_and_marked(
    first: tuple[str, str], second: tuple[str, str], worse: tuple[bool | None, bool | None]
) -> None:
    """The mark has the user looked at live, and a third row changes nothing."""
    lines = [USER | {"password_enabled": password, "mfa_active": mfa} for password, mfa in (first, second)]
    for order in (lines, lines[::-1], [*lines, lines[0]]):
        row = read(*order).rows["alice"]
        assert (row.password_enabled, row.mfa_active) == worse
        assert row.twice
    assert not read(lines[0]).rows["alice"].twice


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no column user, user_creation_time"),
        (b"<!DOCTYPE html><html></html>", "no column user"),
        (b"\xff\xfe\x00", "not CSV in UTF-8"),
        (text([USER]) + b'\n"alice', "not CSV in UTF-8"),
    ],
)
def test_what_is_no_report_is_said_to_be_none(content: bytes, problem: str) -> None:
    with pytest.raises(UnreadableReport, match=problem):
        parse(content, NOW)


@pytest.mark.parametrize("width", [1, 3, 5])
def test_a_row_cut_short_is_not_understood_where_it_is_cut(width: int) -> None:
    """A row that ends early must neither end the pass nor pass for a good one."""
    cut = ",".join(["bob", "arn:x", "2024-05-06T07:08:09Z", "true", "true", "x"][:width]).encode()
    row = parse(text([USER], COLUMNS) + b"\n" + cut, NOW).rows["bob"]
    assert row.mfa_active is None
    assert row.password_enabled is (True if width > 3 else None)
    assert (row.created is None) is (width < 3)


NAMES = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+=,.@_-", min_size=1, max_size=64)
FLAGS = st.sampled_from(["true", "false", "TRUE", "FALSE", "N/A", ""])


@given(
    st.dictionaries(NAMES, st.tuples(FLAGS, FLAGS), max_size=8),
    st.permutations(COLUMNS),
    st.lists(st.sampled_from(["additional_credentials_info", "mfa_active_2", "quotes, and commas"]), unique=True),
    st.booleans(),
)
def test_column_order_and_unknown_columns_do_not_matter(
    users: Mapping[str, tuple[str, str]], order: list[str], extra: list[str], quoted: bool
) -> None:
    """User names may hold `+ = , . @ - _`, and columns come and go."""
    rows = [
        USER | {"user": name, "arn": f"arn:aws:iam::1:user/a/b/{name}", "password_enabled": password, "mfa_active": mfa}
        for name, (password, mfa) in users.items()
    ]
    out = io.StringIO()
    writer = csv.DictWriter(
        out, [*extra, *order], restval='a "quoted", value', quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    )
    writer.writeheader()
    writer.writerows([*rows, ROOT])
    report = parse(out.getvalue().encode(), NOW)
    meaning = {"true": True, "false": False}
    assert {name: (row.password_enabled, row.mfa_active) for name, row in report.rows.items()} == {
        name: (meaning.get(password.lower()), meaning.get(mfa.lower())) for name, (password, mfa) in users.items()
    }
    assert report.root is not None
    assert report.generated == NOW
