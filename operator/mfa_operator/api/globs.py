"""Globs: the one matcher behind exemptions and access rules. docs/concepts.md describes the language.

Made once, used for many values, safe to share between threads. A match takes time in proportion to the value's length
times the glob's at worst, as it never goes back to an earlier `*`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import translate
from functools import lru_cache
from typing import Protocol

# One element of a glob, read as fnmatch reads it: `*`, `?`, a set, or any other character. Possessive, so that `[]`
# and `[!]` are no sets.
_ELEMENT = re.compile(r"\*|\?|\[!?+\]?+[^\]]*+\]|.", re.DOTALL)
_SPECIAL = re.compile(r"[*?\[]")
REGEXES = 16_384
"""Kept at most: some 20 MB where somebody makes as many as they can."""


class Glob(Protocol):
    """One glob, ready to be used."""

    def matches(self, value: str) -> bool:
        """Whether the glob matches the whole value."""


class _Literal:
    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def matches(self, value: str) -> bool:
        return value == self._text


class _Run:
    """Elements without a star, as many as the characters that they match."""

    __slots__ = ("_literal", "_text", "length")

    def __init__(self, elements: Sequence[str]) -> None:
        self._text = "".join(elements)
        self._literal = not any(element == "?" or len(element) > 1 for element in elements)
        self.length = len(elements)

    def stands_at(self, value: str, at: int) -> bool:
        if self._literal:
            return value.startswith(self._text, at)
        return _compiled(self._text).match(value, at) is not None

    def find(self, value: str, start: int, end: int) -> int:
        """The first place between `start` and `end`; -1 where there is none."""
        if self._literal:
            return value.find(self._text, start, end)
        found = _compiled(self._text).search(value, start, end)
        return found.start() if found else -1


class _Pattern:
    """Runs between stars, found one after the other: each at its first place, never searched for again."""

    __slots__ = ("_first", "_last", "_middle", "_min_length", "_starred")

    def __init__(self, pattern: str) -> None:
        elements: list[list[str]] = [[]]
        for element in _ELEMENT.findall(pattern):
            if element == "*":
                elements.append([])
            else:
                elements[-1].append(element)
        runs = [_Run(each) for each in elements]
        self._starred = len(runs) > 1
        self._first, self._last = runs[0], runs[-1]
        self._middle = tuple(run for run in runs[1:-1] if run.length)
        self._min_length = sum(map(len, elements))

    def matches(self, value: str) -> bool:
        length, at = len(value), self._first.length
        if length < self._min_length or not self._first.stands_at(value, 0):
            return False
        if not self._starred:
            return length == at
        end = length - self._last.length
        if not self._last.stands_at(value, end):
            return False
        for run in self._middle:
            found = run.find(value, at, end)
            if found < 0:
                return False
            at = found + run.length
        return True


@lru_cache(maxsize=REGEXES)
def _compiled(run: str) -> re.Pattern[str]:
    """The regular expression of a run; it costs up to a millisecond, so only a run that is reached gets one."""
    # Without the end of the value that Python's translation of a glob adds.
    return re.compile(translate(run).rpartition("\\")[0])


class _Parts:
    """A glob whose wildcards stay between separators, as in the names of files."""

    __slots__ = ("_parts", "_separator")

    def __init__(self, pattern: str, separator: str) -> None:
        self._separator = separator
        self._parts = tuple(compile_glob(part) for part in pattern.split(separator))

    def matches(self, value: str) -> bool:
        parts = value.split(self._separator)
        return len(parts) == len(self._parts) and all(
            glob.matches(part) for glob, part in zip(self._parts, parts, strict=True)
        )


class AnyGlob:
    """Several globs of which one is enough. Names without a wildcard cost one look-up, however many they are."""

    def __init__(self, patterns: Iterable[str], *, separator: str = "") -> None:
        patterns = tuple(patterns)
        self._literals = frozenset(pattern for pattern in patterns if not _SPECIAL.search(pattern))
        self._globs = tuple(
            compile_glob(pattern, separator=separator) for pattern in patterns if pattern not in self._literals
        )

    def matches(self, value: str) -> bool:
        return value in self._literals or any(glob.matches(value) for glob in self._globs)


def compile_glob(pattern: str, *, separator: str = "") -> Glob:
    """A glob that covers the whole value, with case: `*`, `?`, `[abc]`, `[a-z]`, `[!abc]`; there is no escape.

    `separator`: one character that only itself matches; no wildcard and no set does. "": there is none.
    """
    if not _SPECIAL.search(pattern):
        return _Literal(pattern)
    return _Parts(pattern, separator) if separator else _Pattern(pattern)
