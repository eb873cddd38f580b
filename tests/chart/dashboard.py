"""The dashboard, and its queries as Grafana puts them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DASHBOARD: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "deploy" / "grafana" / "mfa-operator.json").read_text(encoding="utf-8")
)
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    f"{panel['title']}-{each['refId']}": (panel, each) for panel in PANELS for each in panel["targets"]
}
ANNOTATIONS: list[dict[str, Any]] = DASHBOARD["annotations"]["list"]
VARIABLES: dict[str, dict[str, Any]] = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}


def filled(text: str, *, interval: str, rate_interval: str, range_: str) -> str:
    """A query with what Grafana puts in, everything being chosen."""
    values = {"$__interval": interval, "$__rate_interval": rate_interval, "$__range": range_}
    values |= {f"${name}": variable["allValue"] for name, variable in VARIABLES.items() if "allValue" in variable}
    # The longer names first: $policy begins $policy_namespace.
    for name in sorted(values, key=len, reverse=True):
        text = text.replace(name, values[name])
    if "$" in text:
        raise ValueError(f"a variable is left in {text}")
    return text
