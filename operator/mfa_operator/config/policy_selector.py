"""Which policies this operator serves, by their labels: a Kubernetes label selector. Pure.

The syntax is kubectl's (`kubectl get -l`): requirements joined by commas, all of which must match.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

MAX_LENGTH = 2000
"""Characters of a selector."""
LEASE_NAME = "mfa-operator"
"""Of the Lease of an operator that serves every policy; others add a hash of their selector."""

# The API server's rules for the keys and values of labels.
_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_PREFIX = r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?"
_KEY = rf"(?P<key>(?:{_PREFIX}/)?{_NAME})"
_VALUE = rf"(?:{_NAME})?"
_SET = re.compile(rf"{_KEY}\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)")
_EQUALS = re.compile(rf"{_KEY}\s*(?P<operator>==?|!=)\s*(?P<values>{_VALUE})")
_EXISTS = re.compile(rf"(?P<not>!?)\s*{_KEY}")
_BETWEEN = re.compile(r",(?![^()]*\))")
"""A comma that is not inside brackets."""


class Operator(StrEnum):
    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    MISSING = "!"


@dataclass(frozen=True, slots=True, order=True)
class Requirement:
    """One requirement on one label, in its normal form: `a=b` is `a in (b)`."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()
    """Sorted, each once."""

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case Operator.IN:
                return value is not None and value in self.values
            case Operator.NOT_IN:
                # Also where there is no such label, as the API server has it.
                return value is None or value not in self.values
            case Operator.EXISTS:
                return value is not None
            case Operator.MISSING:
                return value is None

    def __str__(self) -> str:
        match self.operator:
            case Operator.EXISTS:
                return self.key
            case Operator.MISSING:
                return f"!{self.key}"
        if len(self.values) == 1:
            return f"{self.key}{'=' if self.operator is Operator.IN else '!='}{self.values[0]}"
        return f"{self.key} {self.operator} ({','.join(self.values)})"


@dataclass(frozen=True, slots=True)
class PolicySelector:
    """Requirements, all of which must match; without any, every policy does."""

    requirements: tuple[Requirement, ...] = ()
    """Sorted, each once: selectors that say the same in another order are equal."""

    @classmethod
    def parse(cls, text: str) -> PolicySelector:
        """Raises ValueError with one sentence that names what is wrong."""
        if len(text) > MAX_LENGTH:
            raise ValueError(f"a selector has at most {MAX_LENGTH} characters")
        if not text.strip():
            raise ValueError("the selector is empty; leave it out to serve every policy")
        return cls(tuple(sorted({_requirement(part.strip()) for part in _BETWEEN.split(text)})))

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.matches(labels) for requirement in self.requirements)

    @property
    def lease_name(self) -> str:
        """The Lease of the operators with this selector, however it is written."""
        if not self.requirements:
            return LEASE_NAME
        return f"{LEASE_NAME}-{hashlib.sha256(str(self).encode()).hexdigest()[:10]}"

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


def _requirement(text: str) -> Requirement:
    if found := _EQUALS.fullmatch(text):
        operator = Operator.NOT_IN if found["operator"] == "!=" else Operator.IN
        return Requirement(found["key"], operator, (found["values"],))
    if found := _SET.fullmatch(text):
        values = sorted({value.strip() for value in found["values"].split(",")})
        if wrong := [value for value in values if not re.fullmatch(_VALUE, value)]:
            raise ValueError(f"invalid value {wrong[0]!r} of label {found['key']}")
        return Requirement(found["key"], Operator(found["operator"]), tuple(values))
    if found := _EXISTS.fullmatch(text):
        return Requirement(found["key"], Operator.MISSING if found["not"] else Operator.EXISTS)
    raise ValueError(
        f"invalid requirement {text!r}; write team=a, team!=a, 'team in (a,b)', 'team notin (a,b)', team, !team"
    )
