"""The tables that `kubectl get` asks for: `Accept: application/json;as=Table`."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from mfa_sandbox.kubernetes.resources import CORE_EVENTS, EVENTS, ResourceType

Object = Mapping[str, Any]

# The part of JSONPath that printer columns use.
_STEP = re.compile(
    r"""
    \.(?P<field>[\w-]+)                                     # .field
    | \['(?P<quoted>[^']+)'\]                               # ['field\.with\.dots']
    | \[\?\(@\.(?P<key>\w+)==["'](?P<value>[^"']*)["']\)\] # [?(@.field=="value")]
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Column:
    """One column; `cell` gives its value, of which columns of a `time` show how long ago it is."""

    name: str
    cell: Callable[[Object], object]
    type: str = "string"
    priority: int = 0
    time: bool = False


def wanted(accept: str) -> bool:
    """Whether the client would rather have a table than objects."""
    return "as=Table" in accept.partition(",")[0]


def table(
    columns: Sequence[Column], objects: Sequence[Object], *, now: datetime, include: str, meta: Object | None = None
) -> dict[str, Any]:
    """A meta.k8s.io/v1 Table of the objects.

    `include` is the request's includeObject: Metadata or Object.
    """
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": dict(meta or {}),
        "columnDefinitions": [
            {
                "name": column.name,
                "type": column.type,
                "format": "name" if column.name == "Name" else "",
                "description": "",
                "priority": column.priority,
            }
            for column in columns
        ],
        "rows": [
            {"cells": [_shown(column, item, now) for column in columns], "object": _included(item, include)}
            for item in objects
        ],
    }


def _included(item: Object, include: str) -> Object:
    if include == "Object":
        return item
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}


def _shown(column: Column, item: Object, now: datetime) -> object:
    value = column.cell(item)
    if not column.time or value is None:
        return value
    try:
        return age(now - datetime.fromisoformat(str(value)).astimezone(UTC))
    except ValueError:
        return "<invalid>"


def columns_of(resource: ResourceType) -> Sequence[Column]:
    """The columns of a resource's table. Raises ValueError for a JSONPath of a kind that no column has had so far."""
    if resource in (CORE_EVENTS, EVENTS):
        return _EVENT
    own = [
        Column(
            column["name"], _path(column["jsonPath"]), column["type"], column.get("priority", 0),
            column["type"] == "date",
        )
        for column in resource.columns
    ]  # fmt: skip
    return [_NAME, *(own or [_AGE])]


def _path(text: str) -> Callable[[Object], object]:
    """The first value at a JSONPath, None where there is none. Raises ValueError for what is beyond `_STEP`."""
    steps = list(_STEP.finditer(text))
    if "".join(step[0] for step in steps) != text:
        raise ValueError(f"unsupported JSONPath: {text}")

    def value_at(item: Object) -> object:
        found: Any = item
        for step in steps:
            if field := step["field"] or (step["quoted"] or "").replace("\\", ""):
                found = found.get(field) if isinstance(found, Mapping) else None
            elif isinstance(found, list):
                found = next((entry for entry in found if entry.get(step["key"]) == step["value"]), None)
        return found

    return value_at


def age(since: timedelta) -> str:
    """A time span much as kubectl shows it: 45s, 47m, 30h, 200d."""
    seconds = max(int(since.total_seconds()), 0)
    for unit, length, most in (("s", 1, 120), ("m", 60, 180), ("h", 3600, 48)):
        if seconds // length < most:
            return f"{seconds // length}{unit}"
    return f"{seconds // 86400}d"


def _event_object(event: Object) -> str:
    about = event.get("involvedObject", event.get("regarding")) or {}
    return f"{about.get('kind', '').lower()}/{about.get('name', '')}"


_NAME = Column("Name", _path(".metadata.name"))
_AGE = Column("Age", _path(".metadata.creationTimestamp"), time=True)
_EVENT = [
    Column("Last Seen", _path(".eventTime"), time=True),
    Column("Type", _path(".type")),
    Column("Reason", _path(".reason")),
    Column("Object", _event_object),
    Column("Message", lambda event: event.get("message", event.get("note"))),
    Column("Name", _path(".metadata.name"), priority=1),
]
