"""Writes what is made from CRDs and code in docs/: `make docs`. A test checks that it is up to date."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from mfa_operator.api.enums import AccountState, ErrorReason, EventReason, RemediationAction
from mfa_operator.api.objects import PolicyRef
from mfa_operator.api.status import Counts
from mfa_operator.metrics.exporter import Metrics
from mfa_operator.reporting.figures import AccountFigures, PolicyFigures, Serving
from tools import architecture

ROOT = Path(__file__).parents[1]
CRDS = ROOT / "deploy" / "crds"
BOUNDS = {
    "default": "default",
    "enum": "one of",
    "pattern": "pattern",
    "format": "format",
    "minimum": "at least",
    "maximum": "at most",
    "minLength": "characters, at least",
    "maxLength": "characters, at most",
    "minItems": "entries, at least",
    "maxItems": "entries, at most",
    "maxProperties": "entries, at most",
}


def api() -> str:
    """The API reference: each field with its type, bounds and description, rules between fields, and the Events."""
    parts = ["# API reference\n\nMade by `make docs` from `deploy/crds` and the code; do not edit."]
    for path in sorted(CRDS.glob("*.yaml")):
        crd = yaml.safe_load(path.read_text(encoding="utf-8"))
        names, version = crd["spec"]["names"], crd["spec"]["versions"][0]
        short = ", ".join(f"`{name}`" for name in names.get("shortNames", ()))
        schema = version["schema"]["openAPIV3Schema"]
        parts.append(f"## {names['kind']}\n\n`{crd['spec']['group']}/{version['name']}`, short name {short}.")
        parts.append(schema.get("description", "").strip())
        rows = ["| field | type | description |", "|---|---|---|"]
        for section in ("spec", "status"):
            if section in schema["properties"]:
                rows += _rows(section, schema["properties"][section])
        parts.append("\n".join(rows))
        rules = list(_rules("", schema))
        if rules:
            parts.append("Rules between fields:\n\n" + "\n".join(f"- `{where}`: {message}" for where, message in rules))
    parts.append("## Events\n\nWritten on the MfaPolicy, in its namespace, when something changes.")
    rows = ["| reason | type | when |", "|---|---|---|"]
    meanings = _meanings(EventReason)
    for reason in EventReason:
        rows.append(f"| `{reason}` | {'Warning' if reason.is_warning else 'Normal'} | {meanings[reason.name]} |")
    parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"


_MANY_ACCOUNTS = """\
What has never happened has no series. A state without users has none (except `compliant`), so
`sum(mfa_policy_users{state="overdue"})` has no result while nobody is overdue. The same is true for quarantined users, errors and
remediations. To see whether accounts are audited, use `mfa_policy_account_up`.

A counter starts with its first event, which `increase()` does not count. To count all errors of a day, add the series that are
new since yesterday with their full value:

```promql
(mfa_policy_errors_total unless mfa_policy_errors_total offset 1d) or increase(mfa_policy_errors_total[1d])
```

`mfa_policy_account_info` gives every series its account's name:

```promql
mfa_policy_users{state="overdue"}
  * on (policy_namespace, policy, account_id) group_left (account_name) mfa_policy_account_info
```

## Many accounts

Each account of a policy has six to eight series, 700 to 950 bytes of a scrape before compression: 7 to 10 MB for ten thousand
accounts. If that is too much, set `--metrics-per-account-limit N` (chart value `metrics.perAccountLimit`). A policy of more
than N accounts then only exports totals, as if it had one account:

- `account_id` is `<policy_namespace>/<policy>`, `account_name` is `all accounts of <policy_namespace>/<policy>`;
- users, quarantined users and counters are sums; `mfa_policy_account_up` is 1 where no account fails;
- times are the oldest: those of the last success and of the credential report among accounts that are audited;
- `mfa_policy_user_violation_info` has no series.

`mfa_policy_accounts` says how many accounts fail, and the policy's status which. The alerts work on totals, too: they name
the policy in place of the account. `MfaCredentialReportMissing` sees an account only where it is shown by itself.

## All metrics

"""  # noqa: E501 - Markdown has lines of 130 characters


def metrics() -> str:
    """The metrics reference: what is exported with every label filled in."""
    exported = Metrics(version="", user_violation_info=True)
    ref, now = PolicyRef("ns", "p"), datetime(2026, 1, 1, tzinfo=UTC)
    account = AccountFigures("name", AccountState.AUDITED, Counts(), now, now, now, (("user", "NoMfa"),))
    figures = PolicyFigures(timedelta(minutes=15), now, now, {"111122223333": account})
    exported.set_policy(ref, replace(figures, discovery_up=True, discovery_last_success=now))
    exported.set_serving(ref, Serving(ready=True, suspended=False))
    exported.observe_pass(ref, 1.0)
    exported.count_error(ref, "111122223333", ErrorReason.OTHER)
    exported.count_remediation(ref, "111122223333", RemediationAction.QUARANTINE, "done")
    exported.count_aws_request("iam", "ListUsers", "200")
    exported.events.set_up(True)
    exported.events.count_received("CreateUser", "hinted")
    rows = ["| name | type | labels | meaning |", "|---|---|---|---|"]
    for family in sorted(exported.registry.collect(), key=lambda family: family.name):
        samples = [sample for sample in family.samples if not sample.name.endswith(("_created", "_sum", "_count"))]
        if not family.name.startswith("mfa_"):
            # Of prometheus-client itself; which there are depends on the machine.
            continue
        labels = sorted({label for sample in samples for label in sample.labels} - {"le"})
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append(f"| `{name}` | {family.type} | {', '.join(labels)} | {family.documentation} |")
    text = "# Metrics\n\nMade by `make docs` from the code; do not edit. Served on `:9090/metrics`.\n\n"
    text += "Series disappear with their policy or account. A failed account keeps its last user counts and gets\n"
    text += "`mfa_policy_account_up 0`: a failed audit never makes counts fall to 0.\n"
    text += "`mfa_policy_user_violation_info` names users and is off by default (`--user-violation-info`).\n\n"
    text += _MANY_ACCOUNTS
    process = (
        "\nIn addition, the operator exports the process metrics of the Prometheus client for Python:\n"
        "`process_*` (CPU, memory, file descriptors, start time), `python_gc_*` and `python_info`.\n"
    )
    return text + "\n".join(rows) + "\n" + process


def _meanings(enum: type[StrEnum]) -> dict[str, str]:
    """The docstring below each member, by the member's name."""
    meanings = {}
    for member, below in pairwise(ast.walk(ast.parse(inspect.getsource(enum)))):
        match member, below:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(text))):
                meanings[name] = inspect.cleandoc(text)
    return meanings


def _rows(path: str, schema: Mapping[str, Any]) -> Iterator[str]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        inner = field.get("items", field) if field["type"] == "array" else field
        where = f"{path}.{name}" + ("[]" if field["type"] == "array" else "")
        yield f"| `{where}` | {_type(field)}{', required' if name in required else ''} | {_description(field)} |"
        if inner.get("properties"):
            yield from _rows(where, inner)


def _type(field: Mapping[str, Any]) -> str:
    if field["type"] == "array":
        return f"list of {_type(field['items'])}"
    if isinstance(field.get("additionalProperties"), Mapping):
        return f"map of {_type(field['additionalProperties'])}"
    return str(field["type"])


def _description(field: Mapping[str, Any]) -> str:
    text = " ".join(str(field.get("description", "")).split())
    bounds = [f"{words} {_value(field[key])}" for key, words in BOUNDS.items() if key in field]
    return (text + (f" ({'; '.join(bounds)})" if bounds else "")).replace("|", "\\|")


def _value(bound: object) -> str:
    if isinstance(bound, list):
        return ", ".join(f"`{each}`" for each in bound)
    text = yaml.safe_dump(bound, default_flow_style=True, width=1000)
    # PyYAML ends a lone scalar with a document end mark.
    return f"`{text.removesuffix('...' + chr(10)).strip()}`"


def _rules(path: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for rule in schema.get("x-kubernetes-validations", ()):
        yield path.lstrip(".") or "(the object)", str(rule.get("message") or rule["rule"])
    for name, field in schema.get("properties", {}).items():
        yield from _rules(f"{path}.{name}", field)
    if "items" in schema:
        yield from _rules(f"{path}[]", schema["items"])


DOCUMENTS = {ROOT / "docs" / "api.md": api, ROOT / "docs" / "metrics.md": metrics, architecture.PAGE: architecture.page}


def main() -> None:
    """Write the documents."""
    for path, make in DOCUMENTS.items():
        path.write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
