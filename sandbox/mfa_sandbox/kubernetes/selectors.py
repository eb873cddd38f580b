"""Label and field selectors, as LIST and WATCH take them."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from mfa_sandbox.kubernetes.errors import bad_request

Object = Mapping[str, Any]
Selector = Callable[[Object], bool]

_KEY = r"[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?"
_VALUE = r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
_EQUALITY = re.compile(rf"(?P<key>{_KEY})\s*(?P<operator>==|=|!=)\s*(?P<value>{_VALUE})")
_SET = re.compile(rf"(?P<key>{_KEY})\s+(?P<operator>in|notin)\s+\((?P<values>[^()]*)\)")
_EXISTS = re.compile(rf"(?P<not>!?)\s*(?P<key>{_KEY})")
_COMMA = re.compile(r",(?![^(]*\))")  # one outside of parentheses


def label_selector(text: str) -> Selector:
    """Read a label selector: `a=b`, `a!=b`, `a in (b,c)`, `a notin (b)`, `a`, `!a`, joined by commas.

    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/. Raises ApiError 400.
    """
    requirements = [_requirement(part.strip()) for part in _COMMA.split(text)] if text.strip() else []

    def matches(body: Object) -> bool:
        labels = body["metadata"].get("labels") or {}
        return all(requirement(labels) for requirement in requirements)

    return matches


def _requirement(part: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _EQUALITY.fullmatch(part):
        key, value = found["key"], found["value"]
        if found["operator"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _SET.fullmatch(part):
        key, values = found["key"], {value.strip() for value in found["values"].split(",")}
        if found["operator"] == "notin":
            return lambda labels: labels.get(key) not in values
        return lambda labels: labels.get(key) in values
    if found := _EXISTS.fullmatch(part):
        key, wanted = found["key"], not found["not"]
        return lambda labels: (key in labels) is wanted
    raise bad_request(f"unable to parse requirement: {part!r}")


def field_selector(text: str, *, any_field: bool) -> Selector:
    """Read a field selector: `path=value`, `path==value`, `path!=value`, joined by commas.

    Only metadata.name and metadata.namespace may be asked for, as of custom resources on a real API server; `any_field`
    allows every path (Events have many). Raises ApiError 400.
    """
    requirements = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = re.fullmatch(r"(?P<path>[A-Za-z.]+)(?P<operator>==|=|!=)(?P<value>.*)", part)
        if found is None:
            raise bad_request(f"invalid selector: {text!r}; can't understand {part!r}")
        if not any_field and found["path"] not in {"metadata.name", "metadata.namespace"}:
            raise bad_request(f"field label not supported: {found['path']}")
        requirements.append((found["path"].split("."), found["operator"] != "!=", found["value"]))

    def matches(body: Object) -> bool:
        return all((_at(body, path) == value) is equal for path, equal, value in requirements)

    return matches


def _at(body: Object, path: list[str]) -> str:
    value: object = body
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return "" if value is None else str(value)
