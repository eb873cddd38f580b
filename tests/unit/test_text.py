"""Text that others wrote: one visible line, bounded, without secrets, and unchanged where it was that already."""

from __future__ import annotations

import csv
import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfa_operator.api.conversion import InvalidObject, from_dict
from mfa_operator.api.policy import PolicySpec
from mfa_operator.api.text import MAX_ERROR, MAX_READ, cell, error_text, one_line, without_secrets

ANYTHING = st.text(st.characters() | st.sampled_from("\x1b\x9b\x07\n\r\t\u202e\u200b\u2028\ud800[]m;:@/ "), max_size=80)
IAM_NAME = st.text("abcXYZ019+=,.@_-", min_size=1, max_size=64)


@given(ANYTHING, st.integers(1, 60))
def test_whatever_comes_one_visible_line_goes_on(text: str, limit: int) -> None:
    found = one_line(text, limit)
    assert found.isprintable()
    assert len(found) <= limit
    assert found == found.strip()
    assert one_line(found, limit) == found
    found.encode()
    assert not {unicodedata.category(each) for each in found} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(ANYTHING)
def test_whatever_comes_an_error_is_one_visible_line(text: str) -> None:
    found = error_text(text)
    assert found.isprintable()
    assert len(found) <= MAX_ERROR


@given(IAM_NAME)
def test_a_name_of_iam_is_never_changed(name: str) -> None:
    """It is the key of a finding, from report to report."""
    assert one_line(name) == name


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Zahlungen, Köln 🙂 支払い", "Zahlungen, Köln 🙂 支払い"),
        ("two\nlines\r\n\tand\u2028more\x85end", "two lines and more end"),
        ("\x1b[31mred\x1b[0m \x9b1mbold\x1b]0;title\x07.\x1b(B", "red bold."),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]0;without an end: and the rest", "0;without an end: and the rest"),
        ("safe\u202egnp.exe\u2066\u200b\ufeff", "safegnp.exe"),
        ("lone \ud800", "lone \ufffd"),
        ("a\x00b\x7fc", "abc"),
        ("  \n ", ""),
    ],
)
def test_what_is_invisible_goes_and_words_stay(text: str, line: str) -> None:
    assert one_line(text) == line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("proxy http://user:pass@proxy:3128/ refused", "proxy http://…@proxy:3128/ refused"),
        ("'https://u:p@ss@h/x'", "'https://…@h/x'"),
        ("http://u:p/w@h:1", "http://…@h:1"),
        ("https://iam.amazonaws.com/?UserName=a@b.c", "https://iam.amazonaws.com/?UserName=a@b.c"),
        ("https://h:443/a@b", "https://h:443/a@b"),
        ("https://[::1]:6443/a@b", "https://[::1]:6443/a@b"),
        ("key AKIAIOSFODNN7EXAMPLE!", "key AKIA…!"),
        ("Authorization: Bearer abcdefghijklmnop.qrs", "Authorization: Bearer …"),
        ("token eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOlsic3RzIl19.c2ln in file", "token … in file"),
        ("?X-Amz-Security-Token=IQoJb3Jp&x=1", "?X-Amz-Security-Token=…&x=1"),
        ('{"SecretAccessKey": "abc/def+ghi", "x": 1}', '{"SecretAccessKey": "…", "x": 1}'),
        (
            "The security token included in the request is invalid",
            "The security token included in the request is invalid",
        ),
        ("Signature expired: 20261124T000000Z", "Signature expired: 20261124T000000Z"),
        ("arn:aws:sts::111122223333:assumed-role/a/b@c", "arn:aws:sts::111122223333:assumed-role/a/b@c"),
    ],
)
def test_secrets_go_and_what_helps_to_find_the_fault_stays(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


@pytest.mark.parametrize("before", [MAX_READ - 30, MAX_READ - 12, MAX_READ - 5, 10])
def test_a_secret_at_the_end_of_what_is_read_is_not_half_shown(before: int) -> None:
    text = "w" * before + " http://user:" + "pass" * 9000 + "@proxy"
    assert "pass" not in without_secrets(text)
    assert "pass" not in without_secrets("http://user:" + "pass" * 9000 + "@proxy")


@pytest.mark.parametrize(
    "word",
    [
        "://",
        "://a:",
        "\x1b[",
        "eyJ",
        "bearer ",
        "secret ",
        "secret" + " " * 99,
        "AKIA",
        "\x1b]",
        " \n",
        "password=",
        "a-",
    ],
)
def test_no_text_costs_more_than_its_length(word: str) -> None:
    """Against patterns that would go over the text again from each of its characters: this would take minutes."""
    for _ in range(20):
        assert len(error_text(word * 50_000)) <= MAX_ERROR


@given(ANYTHING | IAM_NAME)
def test_no_spreadsheet_takes_a_cell_for_a_formula(text: str) -> None:
    out = io.StringIO()
    csv.writer(out).writerow([cell(text)])
    assert not out.getvalue().removeprefix('"').startswith(("=", "+", "-", "@", "\t", "\r", "\n" if text else "\0"))
    assert cell(text) in (text, f"'{text}")


@pytest.mark.parametrize(
    "spec",
    [
        {"accounts": [{"id": "1" * 1_400_000}]},
        {"accounts": [{"id": "111122223333", "x" * 1_400_000: 1}]},
        {"accounts": [{"id": "111122223333"}], "interval": "9" * 1_400_000},
        {"accounts": [{"id": "111122223333"}], "interval": "1\n\x1b[31m"},
        {"accounts": [{"id": "111122223333"}], "exemptions": [{"users": ["x" * 1_400_000], "reason": "y"}]},
        {"accounts": [{"id": "111122223333"}], "exemptions": [{"users": ["x" * 500] * 2, "reason": "y"}]},
        {"accounts": [{"id": "111122223333"}], "remediation": {"action": "x" * 1_400_000}},
        {"accounts": [{"id": "111122223333"}], "x" * 1_400_000: 1},
    ],
)
def test_an_error_quotes_no_more_of_an_object_than_helps(spec: dict[str, object]) -> None:
    with pytest.raises(InvalidObject) as refused:
        from_dict(PolicySpec, spec, at="spec")
    assert len(str(refused.value)) < 900
    assert str(refused.value).isprintable()
