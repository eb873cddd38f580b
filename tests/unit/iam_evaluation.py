"""A small evaluator of IAM identity policies: tests ask what a policy document does, not how it is written.

It follows AWS's "Policy evaluation logic" for identity policies within one account: an explicit Deny wins, then an
Allow, else everything is denied. Whatever it does not know (an operator, an element) is an error, never a guess. No
resource policies, boundaries, session policies or SCPs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any

Document = Mapping[str, Any]


class Decision(StrEnum):
    ALLOW = "allow"
    IMPLICIT_DENY = "implicit deny"
    EXPLICIT_DENY = "explicit deny"


class UnsupportedPolicy(Exception):
    """The document uses something this evaluator does not know."""


class _Unresolved(Exception):
    """A policy variable has no value in this request."""


@dataclass(frozen=True)
class Request:
    """One API call as IAM sees it. Context keys are compared without case; an absent key is not in the mapping."""

    action: str
    resource: str = "*"
    context: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)

    def values(self, key: str) -> tuple[str, ...] | None:
        """Values of a context key, or None where the request does not have it."""
        for name, value in self.context.items():
            if name.lower() == key.lower():
                return (value,) if isinstance(value, str) else value
        return None


def evaluate(documents: Iterable[Document], request: Request) -> Decision:
    """What a principal who carries these policies is told.

    Raises UnsupportedPolicy where a document holds something unknown here.
    """
    effects = {effect for document in documents for effect in _effects(document, request)}
    if "Deny" in effects:
        return Decision.EXPLICIT_DENY
    return Decision.ALLOW if "Allow" in effects else Decision.IMPLICIT_DENY


def _effects(document: Document, request: Request) -> Iterable[str]:
    _only(document, {"Version", "Id", "Statement"})
    with_variables = document.get("Version") == "2012-10-17"
    for statement in _listed(document["Statement"]):
        _only(statement, {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"})
        if statement["Effect"] not in ("Allow", "Deny"):
            raise UnsupportedPolicy(f"Effect {statement['Effect']}")
        # Every part is judged, so that what is unknown is an error even where another part does not match.
        parts = (
            _names(statement, "Action", lambda pattern: _action_matches(pattern, request.action)),
            _names(statement, "Resource", lambda pattern: _resource_matches(pattern, request, with_variables)),
            _conditions_hold(statement.get("Condition", {}), request, with_variables),
        )
        if all(parts):
            yield statement["Effect"]


def _names(statement: Mapping[str, Any], element: str, matches: Callable[[str], bool]) -> bool:
    if (element in statement) == (f"Not{element}" in statement):
        raise UnsupportedPolicy(f"a statement needs exactly one of {element} and Not{element}")
    negated = element not in statement
    verdicts = []
    for pattern in _listed(statement[f"Not{element}" if negated else element]):
        try:
            verdicts.append(matches(pattern))
        except _Unresolved as absent:
            if negated:
                raise UnsupportedPolicy(f"Not{element} with a variable that has no value: {absent}") from None
            verdicts.append(False)
    return any(verdicts) != negated


def _action_matches(pattern: str, action: str) -> bool:
    return re.fullmatch(_glob(pattern), action, re.IGNORECASE | re.DOTALL) is not None


_PIECE = re.compile(
    r"(?P<variable>\$\{[^}]*\})|(?P<last>\*(?=:|\Z))|(?P<inner>\*)|(?P<one>\?)|(?P<literal>.)", re.DOTALL
)
_PIECE_2008 = re.compile(_PIECE.pattern.partition("|")[2], re.DOTALL)


def _resource_matches(pattern: str, request: Request, with_variables: bool) -> bool:
    """Matches an ARN: `*` stays within its segment, but as a segment's last character it may cross colons.

    A variable's value is literal: wildcards in it match only themselves.
    """
    expression = ""
    for piece in (_PIECE if with_variables else _PIECE_2008).finditer(pattern):
        match piece.lastgroup:
            case "variable":
                expression += re.escape(_variable(piece[0][2:-1], request))
            case "last":
                expression += ".*"
            case "inner":
                expression += "[^:]*"
            case "one":
                expression += "[^:]"
            case _:
                expression += re.escape(piece[0])
    return re.fullmatch(expression, request.resource, re.DOTALL) is not None


def _variable(body: str, request: Request) -> str:
    if body in ("*", "?", "$"):
        return body
    name, comma, default = body.partition(",")
    values = request.values(name.strip())
    if values is not None and len(values) == 1:
        return values[0]
    if comma:
        return default.strip().strip("'")
    raise _Unresolved(name)


@cache
def _glob(pattern: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)


def _conditions_hold(conditions: Mapping[str, Any], request: Request, with_variables: bool) -> bool:
    """All operators and all their keys must hold; of a key's values one suffices, or none may match if negated."""
    verdicts = [
        _condition_holds(operator, key, [str(value) for value in _listed(values)], request, with_variables)
        for operator, keys in conditions.items()
        for key, values in keys.items()
    ]
    return all(verdicts)


Match = Callable[[str, str], bool]


def _arn_like(pattern: str, value: str) -> bool:
    """Each of the six parts is compared by itself."""
    patterns, values = pattern.split(":", 5), value.split(":", 5)
    return len(patterns) == len(values) == 6 and all(
        re.fullmatch(_glob(one), other, re.DOTALL) for one, other in zip(patterns, values, strict=True)
    )


def _string_like(pattern: str, value: str) -> bool:
    return re.fullmatch(_glob(pattern), value, re.DOTALL) is not None


_OPERATORS: Mapping[str, tuple[Match, bool]] = {
    "StringEquals": (str.__eq__, False),
    "StringNotEquals": (str.__eq__, True),
    "StringEqualsIgnoreCase": (lambda pattern, value: pattern.lower() == value.lower(), False),
    "StringLike": (_string_like, False),
    "StringNotLike": (_string_like, True),
    "ArnEquals": (_arn_like, False),
    "ArnLike": (_arn_like, False),
    "ArnNotEquals": (_arn_like, True),
    "ArnNotLike": (_arn_like, True),
    "Bool": (lambda pattern, value: pattern.lower() == value.lower(), False),
}
"""Comparison, and whether the operator is negated."""


def _condition_holds(operator: str, key: str, wanted: list[str], request: Request, with_variables: bool) -> bool:
    quantifier, _, name = operator.rpartition(":")
    if quantifier not in ("", "ForAllValues", "ForAnyValue"):
        raise UnsupportedPolicy(f"condition operator {operator}")
    values = request.values(key)
    if name == "Null":
        return (values is None) == (wanted == ["true"])
    if_exists = name.endswith("IfExists")
    matches, negated = _operator(name.removesuffix("IfExists"))
    if with_variables and any("${" in each for each in wanted):
        raise UnsupportedPolicy("a variable in a condition")
    if values is None:
        # A missing key matches nothing, so a negated operator holds, and ForAllValues has no value to object to.
        return if_exists or quantifier == "ForAllValues" or (negated and not quantifier)
    verdicts = [any(matches(each, value) for each in wanted) != negated for value in values]
    if quantifier == "ForAnyValue":
        return any(verdicts)
    if not quantifier and len(values) != 1:
        raise UnsupportedPolicy(f"{key} has several values and the operator has no quantifier")
    return all(verdicts)


def _operator(name: str) -> tuple[Match, bool]:
    try:
        return _OPERATORS[name]
    except KeyError:
        raise UnsupportedPolicy(f"condition operator {name}") from None


def _only(found: Mapping[str, Any], known: set[str]) -> None:
    if unknown := set(found) - known:
        raise UnsupportedPolicy(f"elements {sorted(unknown)}")


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]
