"""What a field of a model may hold: the words of an enum, the names of an object's fields. For error messages."""

from __future__ import annotations

import difflib
import re
from typing import Any

from msgspec import inspect


def words_of(kind: Any, path: str) -> tuple[str, ...]:  # noqa: ANN401 - whatever msgspec converts to
    """The words of the enum at `path` (`.requirement.deviceTypes[0]`) in `kind`; empty where there is none."""
    found = _at(kind, path)
    return tuple(str(word.value) for word in found.cls) if isinstance(found, inspect.EnumType) else ()


def field_meant(kind: Any, path: str, name: str) -> str:  # noqa: ANN401 - whatever msgspec converts to
    """The field of the object at `path` that `name` most resembles; empty where none does."""
    found = _at(kind, path)
    names = [field.encode_name for field in found.fields] if isinstance(found, inspect.StructType) else []
    return next(iter(difflib.get_close_matches(name, names, 1)), "")


def _at(kind: Any, path: str) -> inspect.Type | None:  # noqa: ANN401 - whatever msgspec converts to
    found: inspect.Type | None = inspect.type_info(kind)
    for key, _ in re.findall(r"\.(\w+)|(\[\d*\])", path):
        found = _field(found, key) if key else getattr(_sole(found), "item_type", None)
    return _sole(found)


def _field(found: inspect.Type | None, key: str) -> inspect.Type | None:
    fields = getattr(_sole(found), "fields", ())
    return next((field.type for field in fields if field.encode_name == key), None)


def _sole(found: inspect.Type | None) -> inspect.Type | None:
    """Without Annotated, and of `X | None` the X."""
    if isinstance(found, inspect.Metadata):
        return _sole(found.type)
    if isinstance(found, inspect.UnionType):
        return next((_sole(each) for each in found.types if not isinstance(each, inspect.NoneType)), None)
    return found
