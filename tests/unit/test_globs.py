"""The language of globs: as docs/concepts.md describes it, against a reference, and without a slow case."""

from __future__ import annotations

import random
import re
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfa_operator.api.globs import AnyGlob, compile_glob

CONCEPTS = Path(__file__).parents[2] / "docs" / "concepts.md"
ALPHABET = "ab*?[]!-:/^\\"


def elements(glob: str) -> list[str]:
    """A glob cut into `*`, `?`, sets and characters, by the words of the documentation and no library."""
    found = []
    at = 0
    while at < len(glob):
        end = -1
        if glob[at] == "[":
            first = at + 2 if glob[at + 1 : at + 2] == "!" else at + 1
            end = glob.find("]", first + 1)  # a `]` that comes first belongs to the set
        element = glob[at : end + 1] if end > 0 else glob[at]
        found.append(element)
        at += len(element)
    return found


def in_set(inner: str, character: str) -> bool:
    wanted = not inner.startswith("!")
    inner = inner.removeprefix("!")
    at = 0
    while at < len(inner):
        if at + 2 < len(inner) and inner[at + 1] == "-":
            if inner[at] <= character <= inner[at + 2]:
                return wanted
            at += 3
        else:
            if inner[at] == character:
                return wanted
            at += 1
    return not wanted


def reference(glob: str, value: str, separator: str = "") -> bool:
    """Whether the glob matches, by trying everything; slow, and plain to see."""
    if separator:
        globs, values = glob.split(separator), value.split(separator)
        return len(globs) == len(values) and all(map(reference, globs, values))
    reached = {0}
    for element in elements(glob):
        if element == "*":
            reached = set(range(min(reached, default=len(value) + 1), len(value) + 1))
        elif element == "?":
            reached = {at + 1 for at in reached if at < len(value)}
        elif len(element) > 1:
            reached = {at + 1 for at in reached if at < len(value) and in_set(element[1:-1], value[at])}
        else:
            reached = {at + 1 for at in reached if value[at : at + 1] == element}
    return len(value) in reached


def test_random_globs_match_as_the_reference_does() -> None:
    """A glob that opened more than it says would let a namespace into accounts of others, or exempt users."""
    dice = random.Random(20_000)
    for _ in range(20_000):
        glob = "".join(dice.choices(ALPHABET, k=dice.randint(0, 8)))
        value = "".join(dice.choices("ab:/[]!-", k=dice.randint(0, 6)))
        for separator in ("", ":"):
            matches = compile_glob(glob, separator=separator).matches(value)
            assert matches is reference(glob, value, separator), (glob, value, separator)


@given(st.text(ALPHABET, max_size=10), st.text("ab:/[]!-é\n", max_size=8))
def test_without_a_separator_globs_are_those_of_python(glob: str, value: str) -> None:
    assert compile_glob(glob).matches(value) is fnmatchcase(value, glob)


@given(st.lists(st.text(ALPHABET, max_size=5), max_size=4), st.text("ab:/", max_size=5), st.sampled_from(["", ":"]))
def test_any_glob_matches_where_one_of_them_does(globs: list[str], value: str, separator: str) -> None:
    expected = any(compile_glob(glob, separator=separator).matches(value) for glob in globs)
    assert AnyGlob(globs, separator=separator).matches(value) is expected


@given(st.text(ALPHABET, max_size=10), st.text("ab:/", max_size=8))
def test_no_wildcard_and_no_set_matches_a_separator(glob: str, value: str) -> None:
    if compile_glob(glob, separator=":").matches(value):
        assert glob.count(":") == value.count(":")


def documented() -> list[tuple[str, str, str, bool]]:
    """The examples of docs/concepts.md: where the glob stands, the glob, a value, whether it matches."""
    section = CONCEPTS.read_text(encoding="utf-8").split("\n## Globs\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\S+)` \| `(\S+)` \| `(\S+)` \| (yes|no) \|$", section, re.MULTILINE)
    return [(field, glob, value, answer == "yes") for field, glob, value, answer in rows]


def test_the_documentation_has_examples_for_each_rule() -> None:
    examples = documented()
    assert len(examples) > 15
    assert {matches for *_, matches in examples} == {True, False}
    assert {field for field, *_ in examples} == {"users", "namespaces", "accounts", "roles"}


@pytest.mark.parametrize(("field", "glob", "value", "matches"), documented())
def test_examples_of_the_documentation_hold(field: str, glob: str, value: str, matches: bool) -> None:
    if field == "users" and not glob.startswith("/"):
        value = value.rpartition("/")[2]
    assert compile_glob(glob, separator=":" if field == "roles" else "").matches(value) is matches


@pytest.mark.parametrize("glob", ["*a" * 300 + "b", ("*" + "a" * 99 + "b") * 6, "*[ab]" * 120 + "c", "*?" * 300 + "c"])
def test_a_hostile_glob_takes_at_most_length_times_length_steps(glob: str) -> None:
    """Against globs that take exponential time where a matcher goes back to earlier stars: this would not end."""
    assert not compile_glob(glob).matches("a" * 700)


def test_a_long_glob_is_refused_or_matched_without_recursion() -> None:
    depth = sys.getrecursionlimit() * 5
    assert compile_glob("*a" * depth).matches("a" * depth)
