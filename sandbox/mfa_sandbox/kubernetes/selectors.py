"""Label and field selectors, as LIST and WATCH take them: equalities alone."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from mfa_sandbox.kubernetes.calls import Call
from mfa_sandbox.kubernetes.errors import bad_request

Object = Mapping[str, Any]
Selector = Callable[[Object], bool]

_EQUALITY = re.compile(r"(?P<key>[\w./-]+?)\s*(?P<operator>==|=|!=)\s*(?P<value>[\w./-]*)", re.ASCII)


def of_call(call: Call) -> Selector:
    """Whether an object is among those that the call asks for by labels and fields. Raises ApiError 400."""
    labels = _equalities(call.query.get("labelSelector", ""))
    fields = _equalities(call.query.get("fieldSelector", ""))

    def matches(body: Object) -> bool:
        own = body["metadata"].get("labels") or {}
        return all((own.get(key) == value) is equal for key, value, equal in labels) and all(
            (_at(body, path) == value) is equal for path, value, equal in fields
        )

    return matches


def _equalities(text: str) -> list[tuple[str, str, bool]]:
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        read = _EQUALITY.fullmatch(part)
        if read is None:
            raise bad_request(f"unable to parse requirement: {part!r}")
        found.append((read["key"], read["value"], read["operator"] != "!="))
    return found


def _at(body: Object, path: str) -> str:
    value: object = body
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return "" if value is None else str(value)
