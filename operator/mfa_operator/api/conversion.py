"""From the dicts of YAML and the Kubernetes API to typed models and back."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from mfa_operator.api.duration import Duration

T = TypeVar("T")


class InvalidObject(ValueError):
    """An object's content is not what the API asks for.

    `path` is the field as people write it (`spec.accounts[0].id`), "" for the whole object;
    `problem` says what is wrong.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem


def from_dict(kind: type[T], value: object, *, at: str = "") -> T:
    """Build `kind` from builtins; `at` is the field the value stands in. Raises InvalidObject."""
    try:
        return msgspec.convert(value, kind, dec_hook=_decode, strict=True)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at `$")
        inner = where.removesuffix("`").replace("[...]", "")
        raise InvalidObject((at + inner).lstrip("."), _explain(problem, inner, value)) from error


def to_dict(value: object) -> Any:  # noqa: ANN401 - the builtins of any model
    """Builtins for the Kubernetes API: camelCase, RFC 3339 times in UTC with `Z`, defaults left out."""
    return msgspec.to_builtins(value, enc_hook=_encode)


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


_HINTS = {
    "id": "an account id is 12 digits, in quotes",
    "accounts": "an account id is 12 digits, in quotes",
    "roleArn": "a role is written like arn:aws:iam::111122223333:role/mfa-operator",
    "expires": "a time is written like 2027-06-30T00:00:00Z",
    "externalId": "an external id has 2 to 1224 letters, digits or _+=,.@:/-",
}


def _explain(problem: str, inner: str, value: object) -> str:
    """The validator's words, with the value that was found and what would have been right."""
    problem = problem.replace("Object missing", "missing").replace("Object contains", "contains").replace("`", "'")
    if problem.startswith(("missing", "contains")):
        return problem
    field = ""
    for key, index in re.findall(r"\.(\w+)|\[(\d+)\]", inner):
        field = key or field
        try:
            value = value[int(index)] if index else value[key]  # type: ignore[index]  # builtins, followed by the error's own path
        except (KeyError, IndexError, TypeError):
            return problem
    found = f"; found {value!r}" if isinstance(value, str | int | float | bool) and repr(value) not in problem else ""
    hint = f"; {_HINTS[field]}" if field in _HINTS else ""
    return problem[0].lower() + problem[1:] + found + hint


def _decode(kind: type, value: object) -> object:
    if kind is Duration:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no duration; write it in quotes, like '15m'")
        return Duration.parse(value)
    raise NotImplementedError(f"no conversion to {kind}")


def _encode(value: object) -> object:
    if isinstance(value, Duration):
        return str(value)
    raise NotImplementedError(f"no conversion from {type(value)}")
