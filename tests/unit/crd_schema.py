"""What the API server would say of a status: the CRDs' own schemas, with nothing allowed that they do not name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import yaml

from mfa_operator.api.conversion import to_dict

CRDS = Path(__file__).parents[2] / "deploy" / "crds"
FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("date-time")
def _is_rfc3339(value: object) -> bool:
    return (
        isinstance(value, str)
        and bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value))
        and bool(datetime.fromisoformat(value))
    )


@cache
def schema_of(plural: str, part: str = "status") -> Mapping[str, Any]:
    crd = yaml.safe_load((CRDS / f"{plural}.yaml").read_text(encoding="utf-8"))
    root = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    found: Mapping[str, Any] = root["properties"][part]
    return found


@cache
def _validator(plural: str) -> jsonschema.Validator:
    return jsonschema.Draft202012Validator(_strict(schema_of(plural)), format_checker=FORMATS)


def _strict(schema: Any) -> Any:
    """The API server drops fields without a word that the schema does not name; here they are errors."""
    if isinstance(schema, list):
        return [_strict(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: _strict(inner) for key, inner in schema.items()}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        result["additionalProperties"] = False
    return result


def problems(status: msgspec.Struct, plural: str) -> list[str]:
    """What is wrong with a status as it goes to the API server; lists that are maps must not have a key twice."""
    written = msgspec.json.decode(msgspec.json.encode(to_dict(status)))
    found = [f"{error.json_path}: {error.message}" for error in _validator(plural).iter_errors(written)]
    return found + _twice(written, schema_of(plural), "status")


def _twice(value: Any, schema: Mapping[str, Any], path: str) -> list[str]:
    if isinstance(value, list):
        keys = schema.get("x-kubernetes-list-map-keys", [])
        seen = [tuple(entry.get(key) for key in keys) for entry in value] if keys else []
        twice = [f"{path}: {key} twice" for key in set(seen) if seen.count(key) > 1]
        return twice + [one for entry in value for one in _twice(entry, schema["items"], path)]
    if isinstance(value, dict):
        inner = schema.get("properties", {})
        return [one for key in value if key in inner for one in _twice(value[key], inner[key], f"{path}.{key}")]
    return []
