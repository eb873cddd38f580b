"""From the dicts of YAML and the Kubernetes API to typed models and back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from mfa_operator.api.allowed import field_meant, words_of
from mfa_operator.api.duration import Duration
from mfa_operator.api.text import one_line

T = TypeVar("T")

# What the CRDs allow of Go's notation: no days, no fractions of a millisecond, nothing negative.
_DURATION = re.compile(r"([0-9]{1,6}([.][0-9]{1,3})?[smh])+")
MAX_PROBLEM, MAX_SHOWN = 600, 120
"""Characters of what is wrong, and of a value that is quoted there."""
MAX_DURATION = 20
"""Characters of a duration."""


class InvalidObject(ValueError):
    """An object's content is not what the API asks for.

    `path` is the field as people write it (`spec.accounts[0].id`), "" for the whole object;
    `problem` says what is wrong.
    """

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.problem = one_line(problem, MAX_PROBLEM)
        super().__init__(f"{one_line(path)}: {self.problem}" if path else self.problem)


class WrongField(ValueError):
    """A model's own check found a field wrong; `field` as YAML calls it."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


_WRONG_KIND = re.compile(r"expected '(?P<wanted>\w+)(?: \| null)?', got '(?P<got>\w+)'")
_COLLECTIONS = {"array": "a list", "object": "a mapping", "null": "nothing"}
_WANTED = {"str": "text", "int": "a whole number", "float": "a number", "bool": "true or false"} | _COLLECTIONS
_FOUND = {"str": "text", "int": "a number", "float": "a number", "bool": "true or false"} | _COLLECTIONS
"""The validator's words for the kinds of YAML, as people call them."""

_prepared: dict[type[msgspec.Struct], msgspec.json.Decoder[Any]] = {}


def prepare(*kinds: type[msgspec.Struct]) -> None:
    """Make models safe for threads: to be called at the end of the module that defines them.

    msgspec builds its description of a Struct at the first conversion, and stores it on the class before it is
    complete. A second thread that converts at that moment follows a null pointer: the process dies of SIGSEGV (msgspec
    0.22.0, StructInfo_Convert in _core.c). A complete description never changes, and imports hold a lock: here one
    thread alone builds it. Models that a field refers to are prepared with their owner.
    """
    for kind in kinds:
        _prepared[kind] = msgspec.json.Decoder(kind, dec_hook=_decode)


def shown(value: object) -> str:
    """A value as errors quote it: in one line, and not more of it than helps to find it."""
    return one_line(repr(value), MAX_SHOWN)


def from_dict(kind: type[T], value: object, *, at: str = "") -> T:
    """Build a prepared model from builtins; `at` is the field the value stands in. Raises InvalidObject."""
    if kind not in _prepared:
        raise TypeError(f"{kind.__name__} is not prepared: its first use by two threads would end the process")
    try:
        return msgspec.convert(value, kind, dec_hook=_decode, strict=True)
    except msgspec.ValidationError as error:
        problem, inner = _split(str(error))
        if isinstance(error.__cause__, WrongField):
            problem, inner = error.__cause__.problem, f"{inner}.{error.__cause__.field}"
        elif field := _FIELD_ITSELF.fullmatch(problem):
            problem = "is missing" if field["missing"] else _unknown(kind, inner, field["name"])
            inner = f"{inner}.{field['name']}"
        else:
            problem = _explain(problem, inner, value, words_of(kind, inner))
        raise InvalidObject((at + inner).lstrip("."), problem) from error


def from_json(kind: type[T], text: bytes, *, at: str = "") -> T:
    """The same from JSON, without a detour through builtins. Raises InvalidObject."""
    try:
        found: T = _prepared[kind].decode(text)  # type: ignore[index]  # a KeyError says that it is not prepared
    except msgspec.ValidationError:
        # Once more, for an error that quotes what stands there.
        return from_dict(kind, msgspec.json.decode(text), at=at)
    return found


def to_dict(value: object) -> Any:  # noqa: ANN401 - the builtins of any model
    """Builtins for the Kubernetes API: camelCase, RFC 3339 times in UTC with `Z`, defaults left out."""
    return msgspec.to_builtins(value, enc_hook=_encode)


def rfc3339(moment: datetime) -> str:
    """As Kubernetes writes times: UTC with `Z`, in whole seconds."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


_FIELD_ITSELF = re.compile(r"Object (?:(?P<missing>missing required)|contains unknown) field `(?P<name>.*)`")
_PLACE = re.compile(r" - at (?:`key` in )?`\$(?P<path>.*)`$")
_HINTS = {
    "id": "an account id is 12 digits, in quotes",
    "accounts": "an account id is 12 digits, in quotes",
    "roleArn": "a role is written like arn:aws:iam::111122223333:role/mfa-operator",
    "expires": "a time is written like 2027-06-30T00:00:00Z",
    "organizationalUnits": "a unit's id is written like ou-ab12-cdef3456, the root's like r-ab12",
    "externalId": "an external id has 2 to 1224 letters, digits or _+=,.@:/-",
}


def _split(message: str) -> tuple[str, str]:
    """The validator's problem, and the path of the field that it stands in."""
    place = _PLACE.search(message)
    return (message[: place.start()], place["path"].replace("[...]", "")) if place else (message, "")


def _unknown(kind: object, inner: str, name: str) -> str:
    meant = field_meant(kind, inner, name)
    return f"unknown field '{name}'" + (f"; did you mean '{meant}'?" if meant else "")


def _explain(problem: str, inner: str, value: object, words: Sequence[str]) -> str:
    """The validator's words, with the value that was found and what would have been right."""
    problem = problem.replace("`", "'").replace(
        "'datetime' with a timezone component", "a time with a timezone, such as Z"
    )
    problem = problem[0].lower() + problem[1:]
    wrong_kind = _WRONG_KIND.fullmatch(problem)
    if wrong_kind:
        wanted, got = wrong_kind["wanted"], wrong_kind["got"]
        problem = f"expected {_WANTED.get(wanted, wanted)}, found {_FOUND.get(got, got)}"
    field = ""
    for key, index in re.findall(r"\.(\w+)|\[(\d+)\]", inner):
        field = key or field
        try:
            value = value[int(index)] if index else value[key]  # type: ignore[index]  # builtins, followed by the error's own path
        except (KeyError, IndexError, TypeError):
            return problem
    if not isinstance(value, str | int | float | bool):
        return problem
    if words:
        return (
            f"invalid value {shown(value)}; it must be {' or '.join(filter(None, (', '.join(words[:-1]), words[-1])))}"
        )
    hint = f"; {_HINTS[field]}" if field in _HINTS else ""
    if wrong_kind:
        quotes = ": put it in quotes" if wrong_kind["wanted"] == "str" else ""
        return f"{problem} ({shown(value)}){hint or quotes}"
    if hint and "matching regex" in problem:
        return f"invalid value {shown(value)}{hint}"
    found = "" if repr(value) in problem else f"; found {shown(value)}"
    return f"{problem}{found}{hint}"


def _decode(kind: type, value: object) -> object:
    if kind is Duration:
        if not isinstance(value, str):
            raise ValueError(f"invalid duration {shown(value)}; write it in quotes, like '15m'")
        if len(value) > MAX_DURATION or not _DURATION.fullmatch(value):
            raise ValueError(f"invalid duration {shown(value)}; write it like 90s, 15m, 4h or 1h30m")
        return Duration.parse(value)
    raise NotImplementedError(f"no conversion to {kind}")


def _encode(value: object) -> object:
    if isinstance(value, Duration):
        return str(value)
    raise NotImplementedError(f"no conversion from {type(value)}")
