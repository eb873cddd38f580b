"""Flux's view of a policy: by kstatus, and by the expressions of docs/gitops.md."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from mfa_operator.api.enums import ConditionReason
from tests.chart.test_gitops import HEALTH, not_audited, policy

GITOPS = (Path(__file__).parents[2] / "docs" / "gitops.md").read_text(encoding="utf-8")
# Like Argo CD's cases, save that waking a policy up is an edit, and raises its generation.
BODIES: dict[str, dict[str, Any]] = {case: body for case, (body, _, _) in HEALTH.items()} | {
    "woken up, not seen yet": policy(not_audited(ConditionReason.SUSPENDED), generation=2)
}
# Case to: what kstatus says, what the expressions say, and what kstatus says why.
FLUX = {
    "before the first pass": ("Current", "Unknown", "Resource is current"),
    "all compliant": ("Current", "Current", "Resource is Ready"),
    "violations": ("Current", "Current", "Resource is Ready"),
    "an edit that no pass has seen": ("InProgress", "InProgress", "latest observed generation is 1"),
    "the first pass is under way": ("InProgress", "InProgress", "a pass is under way"),
    "one account of two fails": ("Current", "Current", "Resource is Ready"),
    "the only account fails": ("InProgress", "Failed", "1 of 1 account not audited"),
    "the only account refuses": ("InProgress", "Failed", "1 of 1 account not audited"),
    "no account is allowed": ("InProgress", "Failed", "1 of 1 account not audited"),
    "an invalid spec": ("Failed", "Failed", "why"),
    "suspended": ("InProgress", "Current", "why"),
    "suspended, not seen yet": ("InProgress", "InProgress", "latest observed generation is 1"),
    "woken up, not seen yet": ("InProgress", "InProgress", "latest observed generation is 1"),
}


def documented() -> dict[str, Any]:
    """The Kustomization of docs/gitops.md."""
    [found] = [
        body
        for block in re.findall(r"```yaml\n(.*?)```", GITOPS, re.DOTALL)
        if (body := yaml.safe_load(block)).get("kind") == "Kustomization"
    ]
    spec: dict[str, Any] = found["spec"]
    return spec


def ask(program: Path, body: dict[str, Any], expressions: dict[str, str] | None = None) -> dict[str, str]:
    kind = {"apiVersion": "mfa-operator.io/v1alpha1", "kind": "MfaPolicy"}
    question = json.dumps({"object": kind | body, "expressions": expressions})
    done = subprocess.run([program], input=question, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("case", BODIES)
def test_flux_waits_for_a_pass_over_the_present_spec(kstatus: Path, case: str) -> None:
    answer = ask(kstatus, BODIES[case])
    status, _, message = FLUX[case]
    assert answer["status"] == status
    assert message in answer["message"]


@pytest.mark.parametrize("case", BODIES)
def test_the_documented_flux_expressions_do_as_documented(kstatus: Path, case: str) -> None:
    """Flux fails at once where no account can be audited, and accepts a suspended policy."""

    [check] = documented()["healthCheckExprs"]
    assert (check.pop("apiVersion"), check.pop("kind")) == ("mfa-operator.io/v1alpha1", "MfaPolicy")
    answer = ask(kstatus, BODIES[case], check)
    assert answer["status"] == FLUX[case][1], answer["message"]
    if answer["status"] == "Unknown":
        # Not a fault of the expression: there is no status that it could look at.
        assert "no such attribute(s): status" in answer["message"]


def test_the_page_says_what_kstatus_says() -> None:
    """Each row of the page's table, by what it says of the cases that it is about."""
    rows = dict(re.findall(r"^\| (.+?) \| (`\w+`.*?) \| `\w+`.*? \|$", GITOPS, re.MULTILINE))
    both = {
        row: re.findall(r"`(\w+)`", line)[-2:] for row in rows for line in GITOPS.splitlines() if f"| {row} |" in line
    }
    about = {
        "no status yet, in the second before the first pass": ["before the first pass"],
        "a pass with the current spec succeeded, with or without violations": ["all compliant", "violations"],
        "no pass with the current spec yet": ["an edit that no pass has seen", "woken up, not seen yet"],
        "suspended": ["suspended"],
        "the first pass is under way": ["the first pass is under way"],
        "some accounts failed, others were audited": ["one account of two fails"],
        "no account audited, none allowed": [
            "the only account fails",
            "the only account refuses",
            "no account is allowed",
        ],
        "invalid spec": ["an invalid spec"],
    }
    assert both == {row: list(FLUX[cases[0]][:2]) for row, cases in about.items()}
    assert all(len({FLUX[case][:2] for case in cases}) == 1 for cases in about.values())
