"""Spec and status are written apart; server-side apply."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.kube.objects import POLICIES_PATH, READY, Http, Object, Patch, version


def as_put(http: Http, patch: Patch, change: Object, path: str) -> Any:
    current = http("GET", f"{POLICIES_PATH}/console-mfa").json()
    body = current | {key: value for key, value in change.items() if key != "metadata"}
    body["metadata"] = current["metadata"] | change["metadata"]
    return http(
        "PUT",
        f"{POLICIES_PATH}/console-mfa{path}",
        body=json.dumps(body),
        headers={"Content-Type": "application/json"},
    )


def as_merge_patch(http: Http, patch: Patch, change: Object, path: str) -> Any:
    return patch(change, path=path)


def as_json_patch(http: Http, patch: Patch, change: Object, path: str) -> Any:
    operations = [
        {"op": "add", "path": "/status", "value": change["status"]},
        {"op": "add", "path": "/metadata/labels", "value": change["metadata"]["labels"]},
        {"op": "replace", "path": "/spec/interval", "value": change["spec"]["interval"]},
    ]
    return patch(operations, kind="json-patch+json", path=path)


def as_apply(http: Http, patch: Patch, change: Object, path: str) -> Any:
    return patch(
        {"apiVersion": "mfa-operator.io/v1alpha1", "kind": "MfaPolicy", **change},
        kind="apply-patch+yaml",
        path=path + "?fieldManager=test",
    )


@pytest.mark.parametrize("write", [as_put, as_merge_patch, as_json_patch, as_apply])
def test_spec_and_status_are_written_apart(
    policy: Object, http: Http, patch: Patch, write: Callable[[Http, Patch, Object, str], Any]
) -> None:
    first = {"metadata": {"labels": {"a": "1"}}, "spec": {"accounts": policy["spec"]["accounts"], "interval": "5m"}}
    second = {"metadata": {"labels": {"a": "2"}}, "spec": {"accounts": policy["spec"]["accounts"], "interval": "6m"}}

    main = write(http, patch, {**first, "status": READY}, "").json()
    assert (main["spec"]["interval"], main["metadata"]["labels"]) == ("5m", {"a": "1"})
    assert "status" not in main

    status = write(http, patch, {**second, "status": READY}, "/status").json()
    assert status["status"] == READY
    assert (status["spec"]["interval"], status["metadata"]["labels"]) == ("5m", {"a": "1"})
    assert version(status) > version(main)

    after = write(http, patch, {**second, "status": {"conditions": []}}, "").json()
    assert (after["status"], after["spec"]["interval"], after["metadata"]["labels"]) == (READY, "6m", {"a": "2"})


def test_status_is_read_and_taken_away_at_its_own_path(policy: Object, http: Http, patch: Patch) -> None:
    patch({"status": READY}, path="/status")
    assert http("GET", f"{POLICIES_PATH}/console-mfa/status").json()["status"] == READY

    assert "status" not in patch({"status": None}, path="/status").json()


def applied(http: Http, spec: Object, *, manager: str = "me", name: str = "console-mfa") -> Any:
    return http(
        "PATCH",
        f"{POLICIES_PATH}/{name}?fieldManager={manager}",
        body=json.dumps(
            {
                "apiVersion": "mfa-operator.io/v1alpha1",
                "kind": "MfaPolicy",
                "metadata": {"name": name},
                "spec": spec,
            }
        ),
        headers={"Content-Type": "application/apply-patch+yaml"},
    )


def test_server_side_apply_creates_changes_and_takes_away_what_it_applied(http: Http) -> None:
    accounts = [{"id": "111122223333"}]
    created = applied(http, {"accounts": accounts, "interval": "5m", "requirement": {"root": "Mfa"}})
    other = applied(http, {"suspend": True}, manager="other")
    changed = applied(http, {"accounts": accounts, "requirement": {"users": "All"}})

    assert (created.status, other.status, changed.status) == (201, 200, 200)
    spec = changed.json()["spec"]
    assert (spec["interval"], spec["suspend"]) == ("15m", True)
    assert (spec["requirement"]["root"], spec["requirement"]["users"]) == ("Ignore", "All")


def test_server_side_apply_needs_a_manager(http: Http) -> None:
    answer = applied(http, {}, manager="")

    assert (answer.status, answer.json()["details"]["causes"][0]["field"]) == (422, "fieldManager")
