"""Failures on demand and outages, which the tests of the operator's requests and watches rest on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import urllib3

from mfa_sandbox.kubernetes import EmbeddedKubernetes
from tests.kube.objects import POLICIES_PATH, Http, Object, Patch


@pytest.fixture(autouse=True)
def policy(kube: EmbeddedKubernetes, new_policy: Callable[..., Object]) -> Object:
    return kube.apply(new_policy(interval="15m"))


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (409, "Conflict"),
        (410, "Expired"),
        (422, "Invalid"),
        (429, "TooManyRequests"),
        (500, "InternalError"),
        (503, "ServiceUnavailable"),
    ],
)
def test_a_write_fails_as_often_as_asked(kube: EmbeddedKubernetes, patch: Patch, status: int, reason: str) -> None:
    kube.faults.add(verb="patch", resource="mfapolicies", subresource="status", status=status, times=2)
    write = {"status": {"findingsTotal": 1}}
    for _ in range(2):
        refused = patch(write, path="/status")
        body = refused.json()
        assert (refused.status, body["kind"], body["code"], body["reason"]) == (status, "Status", status, reason)
        assert refused.headers.get("Retry-After") == ("1" if status == 429 else None)
    assert "status" not in (kube.get("mfap", "default", "console-mfa") or {})
    assert patch(write, path="/status").json()["status"] == {"findingsTotal": 1}
    assert kube.faults.left == 0


@pytest.mark.parametrize("aim", [{"verb": "list"}, {"resource": "mfareports"}, {"subresource": "status"}])
def test_a_fault_meets_only_what_it_is_aimed_at(kube: EmbeddedKubernetes, http: Http, aim: dict[str, str]) -> None:
    kube.faults.add(status=500, **aim)
    assert http("GET", f"{POLICIES_PATH}/console-mfa").status == 200
    assert kube.faults.left == 1


def test_faults_are_met_in_their_order_with_their_messages(kube: EmbeddedKubernetes, http: Http) -> None:
    kube.faults.add(verb="get", status=503, message="etcd is on holiday")
    kube.faults.add(verb="get", status=500)
    answers = [http("GET", f"{POLICIES_PATH}/console-mfa") for _ in range(3)]
    assert [answer.status for answer in answers] == [503, 500, 200]
    assert answers[0].json()["message"] == "etcd is on holiday"
    with pytest.raises(ValueError, match="200"):
        kube.faults.add(status=200)


@pytest.mark.parametrize("applied", [False, True])
def test_a_connection_is_cut_before_or_after_the_write(kube: EmbeddedKubernetes, patch: Patch, applied: bool) -> None:
    kube.faults.add(verb="patch", resource="mfapolicies", status="reset", applied=applied)
    with pytest.raises(urllib3.exceptions.ProtocolError):
        patch({"spec": {"interval": "5m"}})
    policy = kube.get("mfapolicies", "default", "console-mfa")
    assert policy is not None
    assert policy["spec"]["interval"] == ("5m" if applied else "15m")
    assert [request.status for request in kube.requests if request.verb == "patch"] == [None]


def watching(http: Http, **query: str) -> urllib3.BaseHTTPResponse:
    return http("GET", POLICIES_PATH, fields={"watch": "true", **query}, preload_content=False)


def test_a_version_that_expired_ends_open_watches_and_later_ones(kube: EmbeddedKubernetes, http: Http) -> None:
    version = http("GET", POLICIES_PATH).json()["metadata"]["resourceVersion"]
    opened = watching(http, resourceVersion=version)
    kube.expire_watches()
    for stream in (opened, watching(http, resourceVersion=version)):
        (event,) = map(json.loads, stream.data.splitlines())
        assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


def test_a_watch_from_a_version_misses_and_repeats_nothing(kube: EmbeddedKubernetes, http: Http, patch: Patch) -> None:
    version = http("GET", POLICIES_PATH).json()["metadata"]["resourceVersion"]
    patch({"spec": {"interval": "5m"}})
    stream = watching(http, resourceVersion=version, timeoutSeconds="1")
    patch({"spec": {"interval": "6m"}})
    kube.delete("mfap", "default", "console-mfa")
    events = [json.loads(line) for line in stream.data.splitlines()]
    seen = [(event["type"], event["object"]["spec"]["interval"]) for event in events]
    assert seen == [("MODIFIED", "5m"), ("MODIFIED", "6m"), ("DELETED", "6m")]


def test_an_outage_keeps_objects_and_address_and_ends_watches(kube: EmbeddedKubernetes, http: Http) -> None:
    url, stream, before = kube.url, watching(http), time.monotonic()
    kube.stop()
    assert time.monotonic() - before < 10
    stream.release_conn()
    with pytest.raises(urllib3.exceptions.HTTPError):
        http("GET", POLICIES_PATH)
    kube.start()
    assert kube.url == url
    assert http("GET", f"{POLICIES_PATH}/console-mfa").status == 200


def test_many_threads_lose_no_write(kube: EmbeddedKubernetes, patch: Patch) -> None:
    def label(number: int) -> int:
        return patch({"metadata": {"labels": {f"l{number}": "x"}}}).status

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(label, range(40))) == {200}
    policy: Any = kube.get("mfap", "default", "console-mfa")
    assert len(policy["metadata"]["labels"]) == 40
