"""The API server refuses a bad MfaPolicy in words that help, and accepts a good one to its bounds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import urllib3

from tests.cluster.bad_specs import ACCEPTED, BASE, LEFT_OUT, REFUSED, policy
from tests.controlplane import ControlPlane, Kubectl

Complaints = Callable[[dict[str, Any]], list[str]]
REFUSALS = [(field, *case) for field, cases in REFUSED.items() for case in cases]
ACCEPTANCES = [(field, value) for field, values in ACCEPTED.items() for value in values]
RIDDLES = ("failed rule", "evaluation", "no such key", "should match")


def label(field: str, value: Any) -> str:
    text = "left out" if value is LEFT_OUT else repr(value)
    return f"{field}={text if len(text) <= 40 else text[:40] + '...'}"


@pytest.fixture(scope="module")
def complaints(control_plane: ControlPlane) -> Iterator[Complaints]:
    """What the API server has against a manifest, a line a mistake as kubectl prints them; kubectl itself is slower."""
    path = "/apis/mfa-operator.io/v1alpha1/namespaces/default/mfapolicies?dryRun=All&fieldValidation=Strict"
    headers = {"Authorization": f"Bearer {control_plane.admin_token}"}
    with urllib3.PoolManager(ca_certs=str(control_plane.ca_path), headers=headers) as http:

        def send(manifest: dict[str, Any]) -> list[str]:
            answer = http.request("POST", control_plane.url + path, json=manifest).json()
            if answer["kind"] == "MfaPolicy":
                return []
            causes = answer.get("details", {}).get("causes", [])
            return [f"{cause['field']}: {cause['message']}" for cause in causes] or [answer["message"]]

        yield send


@pytest.mark.parametrize(("field", "value", "words"), REFUSALS, ids=[label(*case[:2]) for case in REFUSALS])
def test_bad_is_refused_in_words_that_help(complaints: Complaints, field: str, value: Any, words: str) -> None:
    lines = complaints(policy(field, value))
    assert [line for line in lines if field in line and words in line], lines
    assert not [line for line in lines for riddle in RIDDLES if riddle in line]


@pytest.mark.parametrize(("field", "value"), ACCEPTANCES, ids=[label(*case) for case in ACCEPTANCES])
def test_good_is_accepted_to_its_bounds(complaints: Complaints, field: str, value: Any) -> None:
    assert complaints(policy(field, value)) == []


def test_what_the_tables_start_from_is_good(complaints: Complaints) -> None:
    assert complaints(dict(BASE)) == []


def test_kubectl_shows_the_words(kubectl: Kubectl) -> None:
    manifest = json.dumps(policy("spec.interval", "15 minutes"))
    refused = kubectl("apply", "-f", "-", input=manifest, check=False)
    assert refused.returncode == 1
    assert "spec.interval: Invalid value: \"15 minutes\": invalid duration '15 minutes': write " in refused.stderr
