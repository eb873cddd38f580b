"""Globs: the one matcher behind exemptions and access rules. docs/concepts.md describes the language.

Compiled once, used for many values, safe to share between threads. A match takes time in proportion to the value's
length times the glob's at worst: Python's translation of a glob never goes back to an earlier `*`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate
from typing import Protocol

# One element of a glob, read as fnmatch reads it: `*`, `?`, a set, or any other character. Possessive, so that `[]`
# and `[!]` are no sets.
_ELEMENT = re.compile(r"\*|\?|\[!?+\]?+[^\]]*+\]|.", re.DOTALL)
_SPECIAL = re.compile(r"[*?\[]")


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


class _Pattern:
    """The regular expression is made when a value gets that far: it costs milliseconds, most values need none."""

    __slots__ = ("_min_length", "_pattern", "_prefix", "_regex")

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._prefix = _SPECIAL.split(pattern, maxsplit=1)[0]
        self._min_length = sum(element != "*" for element in _ELEMENT.findall(pattern))
        self._regex: re.Pattern[str] | None = None

    def matches(self, value: str) -> bool:
        if len(value) < self._min_length or not value.startswith(self._prefix):
            return False
        if len(self._prefix) + 1 == len(self._pattern) and self._pattern.endswith("*"):
            return True
        # Two threads may both compile it here; either result does.
        if self._regex is None:
            self._regex = re.compile(translate(self._pattern))
        return self._regex.match(value) is not None


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
