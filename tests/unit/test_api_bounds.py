"""The bounds of api/policy.py are those of deploy/crds/mfapolicies.yaml: what one takes, the other takes.

Every bound in the CRD's schema is probed from both sides; what CEL rules say is compared on words of all kinds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from mfa_operator.api.conversion import InvalidObject, to_dict
from mfa_operator.api.policy import PolicySpec
from tests.unit.facts import ID, spec

CRDS = Path(__file__).parents[2] / "deploy" / "crds"
CRD = yaml.safe_load((CRDS / "mfapolicies.yaml").read_text(encoding="utf-8"))
SPEC: Mapping[str, Any] = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
ROLE = f"arn:aws:iam::{ID}:role/mfa-operator"
UNIT = "ou-ab12-cdef3456"

# A good value of every field, from which one thing is changed at a time.
GOOD: dict[str, Any] = {
    "accounts": [{"id": ID, "name": "payments", "roleArn": ROLE, "externalId": "acme"}],
    "requirement": {"users": "All", "root": "Mfa", "deviceTypes": ["Virtual"]},
    "exemptions": [
        {"users": ["a"], "accounts": [ID], "tags": {"a": "b"}, "reason": "x", "expires": "2027-06-30T00:00:00Z"}
    ],
    "remediation": {"action": "QuarantineUntilMfa", "maxPerPass": 5, "maxPercent": 10},
    "organization": {
        "roleArn": ROLE,
        "externalId": "acme",
        "accountRole": {"name": "audit", "path": "/security/", "externalId": "acme"},
        "include": {"organizationalUnits": [UNIT], "tags": {"a": "b"}},
        "exclude": {"organizationalUnits": [UNIT], "accounts": [ID], "tags": {"a": "b"}},
        "refreshInterval": "1h",
    },
}
Path_ = tuple[str | int, ...]


def schemas(schema: Mapping[str, Any] = SPEC, path: Path_ = ()) -> Iterator[tuple[Path_, Mapping[str, Any]]]:
    """Every field below spec with its schema; items of lists are their first, values of maps those of key `a`."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from schemas(inner, (*path, name))
    if "items" in schema:
        yield from schemas(schema["items"], (*path, 0))
    if "additionalProperties" in schema:
        yield from schemas(schema["additionalProperties"], (*path, "a"))


FIELDS = dict(schemas())


def changed(path: Path_, value: Any) -> dict[str, Any]:
    """A good spec with another value at `path`."""

    def put(here: Any, rest: Path_) -> Any:
        if not rest:
            return value
        key, *more = rest
        if isinstance(key, int):
            return [put(here[key], tuple(more)), *here[key + 1 :]]
        inner = here.get(key, {}) if isinstance(here, dict) else {}
        return {**here, key: put(inner, tuple(more))}

    result: dict[str, Any] = put(GOOD, path)
    return result


def taken(fields: dict[str, Any]) -> bool:
    try:
        spec(**fields)
    except InvalidObject:
        return False
    return True


def several(path: Path_, count: int) -> list[Any]:
    """So many different good items of a list."""
    match path[-1]:
        case "accounts" if len(path) == 1:
            return [{"id": f"{number:012}"} for number in range(count)]
        case "accounts":
            return [f"{number:012}" for number in range(count)]
        case "deviceTypes":
            return ["Virtual", "SecurityKey", "HardwareToken", "Sms", "Other"][:count]
        case "organizationalUnits":
            return [f"ou-ab12-{number:08}" for number in range(count)]
        case "exemptions":
            return [{"users": ["a"], "reason": "x"}] * count
        case _:
            return [f"user-{number}" for number in range(count)]


Probe = tuple[str, Path_, Any, bool]
"""What is probed, the field, a value, and whether the schema takes it."""


def probes() -> Iterator[Probe]:
    for path, schema in FIELDS.items():
        by_rule = "x-kubernetes-validations" in schema and path[-1] != "externalId" if path else True
        if schema["type"] == "string" and not by_rule and "format" not in schema:
            yield from _sizes(path, schema, "Length", "e".__mul__)
        if schema["type"] == "array":
            yield from _sizes(path, schema, "Items", partial(several, path))
        if "additionalProperties" in schema:
            yield from _sizes(path, schema, "Properties", lambda count: {str(key): "x" for key in range(count)})
        yield from _values(path, schema)


def _sizes(path: Path_, schema: Mapping[str, Any], what: str, sized: Callable[[int], Any]) -> Iterator[Probe]:
    if least := schema.get(f"min{what}"):
        yield f"min{what}", path, sized(least), True
        yield f"min{what}", path, sized(least - 1), False
    if most := schema.get(f"max{what}"):
        yield f"max{what}", path, sized(most), True
        yield f"max{what}", path, sized(most + 1), False
    if schema.get("x-kubernetes-list-type") == "set":
        yield "set", path, sized(1) * 2, False


def _values(path: Path_, schema: Mapping[str, Any]) -> Iterator[Probe]:
    if "minimum" in schema:
        yield "minimum", path, schema["minimum"], True
        yield "minimum", path, schema["minimum"] - 1, False
        yield "maximum", path, schema["maximum"], True
        yield "maximum", path, schema["maximum"] + 1, False
    if words := schema.get("enum"):
        yield from (("enum", path, word, True) for word in words)
        yield "enum", path, words[0].lower(), False
    if "properties" in schema:
        yield "unknown field", (*path, "other"), "x", False
    wrong = {"string": 5, "boolean": "true", "integer": "5", "array": {}, "object": []}[schema["type"]]
    yield "type", path, wrong, False


PROBES = [probe for probe in probes() if probe[1]]


def test_the_good_spec_is_good_and_every_kind_of_bound_is_probed() -> None:
    assert taken(GOOD)
    kinds = {what for what, *_ in PROBES}
    assert len(kinds) == 12
    assert len(PROBES) > 90


@pytest.mark.parametrize(
    ("what", "path", "value", "allowed"),
    PROBES,
    ids=[f"{'.'.join(map(str, path))}-{what}-{'at' if allowed else 'past'}" for what, path, _, allowed in PROBES],
)
def test_a_bound_of_the_schema_is_a_bound_of_the_model(what: str, path: Path_, value: Any, allowed: bool) -> None:
    fields = changed(path, value)
    if path == ("remediation", "action"):
        fields["remediation"].pop("quarantineAccessKeys", None)
    assert taken(fields) is allowed


def test_model_fields_and_required_fields_match_the_schemas() -> None:
    def compare(model: Any, schema: Mapping[str, Any]) -> None:
        known = {field.encode_name: field for field in msgspec.structs.fields(model)}
        assert set(known) == set(schema["properties"])
        assert {name for name, field in known.items() if field.required} == set(schema.get("required", []))

    compare(PolicySpec, SPEC)
    good = spec(**GOOD)
    assert good.organization
    for inner, path in (
        (good.accounts[0], ("accounts", 0)),
        (good.exemptions[0], ("exemptions", 0)),
        (good.requirement, ("requirement",)),
        (good.remediation, ("remediation",)),
        (good.organization, ("organization",)),
        (good.organization.account_role, ("organization", "accountRole")),
        (good.organization.include, ("organization", "include")),
        (good.organization.exclude, ("organization", "exclude")),
    ):
        compare(type(inner), FIELDS[path])


def test_the_defaults_are_the_schemas() -> None:
    written = to_dict(spec(organization={}))
    defaults = {path: schema["default"] for path, schema in FIELDS.items() if schema.get("default", {}) != {}}
    assert len(defaults) == 15
    for path, default in defaults.items():
        value = written
        for key in path:
            value = value[key]
        assert (list(value) if isinstance(value, tuple) else value) == default, path


def rules(*path: str | int) -> list[re.Pattern[str]]:
    """The regular expressions of the CEL rules of a field. RE2's `$` is the end of the text, Python's `\\Z`."""
    found = [
        match
        for rule in FIELDS[path]["x-kubernetes-validations"]
        if not rule["rule"].startswith("!")
        for match in re.findall(r"self\.matches\('(.+?)'\)", rule["rule"])
    ]
    assert found
    return [re.compile(pattern.removesuffix("$") + r"\Z", re.ASCII) for pattern in found]


def like(*path: str | int) -> st.SearchStrategy[str]:
    """What the rule takes, the same with something wrong about it, and anything at all."""
    good = st.from_regex(rules(*path)[0], fullmatch=True).filter(lambda text: len(text) <= FIELDS[path]["maxLength"])
    spoilt = st.builds(
        lambda text, at, more: text[:at] + more + text[at:], good, st.integers(0, 8), st.text(max_size=2)
    )
    return good | spoilt | st.text(max_size=20)


@given(like("accounts", 0, "id"))
@example(ID + "\n")
def test_account_ids_are_what_the_rule_says(text: str) -> None:
    allowed = all(rule.match(text) for rule in rules("accounts", 0, "id"))
    assert taken({"accounts": [{"id": text}]}) is allowed
    assert taken(changed(("exemptions", 0, "accounts"), [text])) is allowed


@given(like("accounts", 0, "roleArn"))
@example(ROLE + "\n")
@example(ROLE.replace(":aws:", ":aws-mars:"))
def test_role_arns_are_what_the_rule_says(text: str) -> None:
    allowed = all(rule.match(text) for rule in rules("accounts", 0, "roleArn"))
    account = text.split(":")[4] if text.count(":") >= 5 else ID
    if re.fullmatch("[0-9]{12}", account):
        assert taken({"accounts": [{"id": account, "roleArn": text}]}) is allowed


EXTERNAL_IDS: list[Path_] = [
    ("accounts", 0, "externalId"),
    ("organization", "externalId"),
    ("organization", "accountRole", "externalId"),
]


@pytest.mark.parametrize("path", EXTERNAL_IDS, ids=str)
@given(st.data())
@example("acme\n")
@example("ächme")
def test_external_ids_are_what_the_rule_says(path: Path_, data: st.DataObject | str) -> None:
    text = data if isinstance(data, str) else data.draw(like(*path))
    allowed = 2 <= len(text) <= 1224 and all(rule.match(text) for rule in rules(*path))
    assert taken(changed(path, text)) is allowed


ORGANIZATION: list[Path_] = [
    ("organization", "roleArn"),
    ("organization", "accountRole", "name"),
    ("organization", "accountRole", "path"),
    ("organization", "include", "organizationalUnits", 0),
    ("organization", "exclude", "organizationalUnits", 0),
    ("organization", "exclude", "accounts", 0),
]


@pytest.mark.parametrize("path", ORGANIZATION, ids=str)
@given(st.data())
@example(ID + "\n")
@example(ROLE + "\n")
@example(UNIT + "\n")
@example("/")
@example("//")
@example("/a")
@example("/a/\n")
@example("a" * 65)
@example(f"/{'p' * 511}/")
def test_what_names_an_organization_is_what_the_rule_says(path: Path_, data: st.DataObject | str) -> None:
    text = data if isinstance(data, str) else data.draw(like(*path))
    allowed = len(text) <= FIELDS[path]["maxLength"] and all(rule.match(text) for rule in rules(*path))
    assert taken(changed(path, text)) is allowed


UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
LIMITS: Mapping[str, tuple[int, int]] = {
    "interval": (60, 86400),
    "maxStaleness": (0, 86400),
    "gracePeriod": (0, 8760 * 3600),
    "organization.refreshInterval": (300, 86400),
}


PARTS = st.builds(
    "{}{}{}".format, st.integers(0, 9000), st.sampled_from(["", ".5", ".001", ".0001"]), st.sampled_from("hms")
)
NEAR = (
    "59.999s",
    "1m",
    "24h",
    "24h0.001s",
    "4m59s",
    "5m",
    "8760h",
    "8760h1s",
    "0s",
    "0",
    "1d",
    "1ms",
    "-1h",
    "1m\n",
    "+5m",
    "1h 1m",
    "",
)


@pytest.mark.parametrize("field", LIMITS)
@pytest.mark.parametrize("text", NEAR)
def test_durations_near_a_bound_are_what_the_rule_says(field: str, text: str) -> None:
    assert taken(changed(tuple(field.split(".")), text)) is _by_the_rule(field, text)


@given(st.sampled_from(sorted(LIMITS)), st.lists(PARTS, max_size=4).map("".join) | st.text("0159.hmsd ", max_size=6))
def test_durations_are_what_the_rule_says(field: str, text: str) -> None:
    assert taken(changed(tuple(field.split(".")), text)) is _by_the_rule(field, text)


def _by_the_rule(field: str, text: str) -> bool:
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)([hms])", text)
    length = sum(float(number) * UNITS[unit] for number, unit in parts)
    low, high = LIMITS[field]
    path = tuple(field.split("."))
    shaped = len(text) <= FIELDS[path]["maxLength"] and all(rule.match(text) for rule in rules(*path))
    return shaped and low <= length <= high
