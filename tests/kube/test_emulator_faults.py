"""Failures on demand, the record of requests, outages."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import urllib3
from kubernetes import client, config

from mfa_sandbox.kubernetes import EmbeddedKubernetes
from tests.kube.objects import NAMED, POLICIES, Http, Object

PATH = "/apis/mfa-operator.io/v1alpha1/namespaces/default/mfapolicies"


@pytest.fixture(autouse=True)
def policy(kube: EmbeddedKubernetes, new_policy: Callable[..., Object]) -> Object:
    return kube.apply(new_policy())


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
def test_a_status_write_fails_as_often_as_asked(
    kube: EmbeddedKubernetes, objects: Any, status: int, reason: str
) -> None:
    kube.faults.add(verb="patch", resource="mfapolicies", subresource="status", status=status, times=2)
    write = {"status": {"findingsTotal": 1}}

    for _ in range(2):
        with pytest.raises(client.ApiException) as refused:
            objects.patch_namespaced_custom_object_status(*NAMED, write)
        body = json.loads(str(refused.value.body))
        assert (refused.value.status, body["code"], body["reason"]) == (status, status, reason)
        assert (refused.value.headers or {}).get("Retry-After") == ("1" if status == 429 else None)
    assert "status" not in objects.get_namespaced_custom_object(*NAMED)

    assert objects.patch_namespaced_custom_object_status(*NAMED, write)["status"] == {"findingsTotal": 1}
    assert kube.faults.left == 0


@pytest.mark.parametrize(
    "aim",
    [
        {"verb": "list"},
        {"resource": "mfareports"},
        {"subresource": "status"},
        {"namespace": "security"},
        {"name": "other"},
    ],
)
def test_a_fault_meets_only_what_it_is_aimed_at(kube: EmbeddedKubernetes, http: Http, aim: dict[str, str]) -> None:
    kube.faults.add(status=500, **aim)  # type: ignore[arg-type]  # all are strings

    assert http("GET", f"{PATH}/console-mfa").status == 200
    assert kube.faults.left == 1
    kube.faults.clear()
    kube.faults.add(status=500, times=None)
    assert [http("GET", f"{PATH}/console-mfa").status for _ in range(3)] == [500, 500, 500]


def test_further_pages_can_fail_alone(kube: EmbeddedKubernetes, http: Http, new_policy: Callable[..., Object]) -> None:
    kube.apply(new_policy("second"))
    kube.faults.add(verb="list", continued=True, status=410, times=None)

    first = http("GET", PATH, fields={"limit": "1"})
    token = first.json()["metadata"]["continue"]
    second = http("GET", PATH, fields={"limit": "1", "continue": token})

    assert (first.status, second.status) == (200, 410)


def test_faults_are_met_in_their_order_with_their_messages(kube: EmbeddedKubernetes, http: Http) -> None:
    kube.faults.add(verb="get", status=503, message="etcd is on holiday")
    kube.faults.add(verb="get", status=500)

    answers = [http("GET", f"{PATH}/console-mfa") for _ in range(3)]

    assert [answer.status for answer in answers] == [503, 500, 200]
    assert answers[0].json()["message"] == "etcd is on holiday"


def test_no_fault_has_a_status_of_success(kube: EmbeddedKubernetes) -> None:
    with pytest.raises(ValueError, match="200"):
        kube.faults.add(status=200)


@pytest.mark.parametrize("applied", [False, True])
def test_a_connection_is_cut_before_or_after_the_write(kube: EmbeddedKubernetes, http: Http, applied: bool) -> None:
    kube.faults.add(verb="patch", resource="mfapolicies", status="reset", applied=applied)

    with pytest.raises(urllib3.exceptions.ProtocolError):
        http(
            "PATCH",
            f"{PATH}/console-mfa",
            body='{"spec": {"interval": "5m"}}',
            headers={"Content-Type": "application/merge-patch+json"},
        )

    policy = kube.get("mfapolicies", "default", "console-mfa")
    assert policy is not None
    assert policy["spec"]["interval"] == ("5m" if applied else "15m")
    assert [request.status for request in kube.requests if request.verb == "patch"] == [None]


def test_a_watch_is_answered_with_410(kube: EmbeddedKubernetes, http: Http) -> None:
    kube.faults.add(verb="watch", resource="mfapolicies", status=410)

    answer = http("GET", PATH, fields={"watch": "true", "resourceVersion": "2"})

    assert (answer.status, answer.json()["reason"]) == (410, "Expired")


def test_single_answers_can_be_scripted_with_kmock(kube: EmbeddedKubernetes, http: Http) -> None:
    _ = kube.emulator["get /version"] << 503 << {"made": "up"}

    assert (http("GET", "/version").status, http("GET", "/version").json()) == (503, {"made": "up"})
    assert http("GET", "/readyz").status == 200
    assert http("GET", PATH).status == 200


def test_every_request_is_on_record(kube: EmbeddedKubernetes, api: client.ApiClient, http: Http) -> None:
    api.user_agent = "mfa-operator/1"
    objects: Any = client.CustomObjectsApi(api)
    objects.list_cluster_custom_object("mfa-operator.io", "v1alpha1", "mfapolicies")
    objects.patch_namespaced_custom_object_status(*NAMED, {"status": {}})
    with pytest.raises(client.ApiException):
        objects.get_namespaced_custom_object(*POLICIES, "absent")
    http("GET", "/version")
    http("GET", PATH, fields={"watch": "true", "timeoutSeconds": "1"})
    kube.get("mfapolicies", "default", "console-mfa")

    assert [
        (each.method, each.verb, each.resource, each.subresource, each.namespace, each.name, each.status)
        for each in kube.requests
    ] == [
        ("GET", "list", "mfapolicies", "", "", "", 200),
        ("PATCH", "patch", "mfapolicies", "status", "default", "console-mfa", 200),
        ("GET", "get", "mfapolicies", "", "default", "absent", 404),
        ("GET", "", "", "", "", "", 200),
        ("GET", "watch", "mfapolicies", "", "default", "", 200),
    ]
    assert next(iter(kube.requests)).user_agent == "mfa-operator/1"
    assert (kube.requests.count(), kube.requests.count(verb="patch")) == (5, 1)
    assert kube.requests.count(resource="mfapolicies", subresource="") == 3
    kube.requests.clear()
    assert len(kube.requests) == 0


def test_an_outage_keeps_objects_and_address(kube: EmbeddedKubernetes, http: Http, policy: Object) -> None:
    url = kube.url
    kube.stop()
    with pytest.raises(urllib3.exceptions.NewConnectionError):
        http("GET", PATH)
    kube.patch("mfapolicies", "default", "console-mfa", {"spec": {"interval": "5m"}})

    kube.start()

    assert kube.url == url
    assert http("GET", f"{PATH}/console-mfa").json()["spec"]["interval"] == "5m"
    with pytest.raises(RuntimeError, match="runs already"):
        kube.start()


def test_stopping_twice_and_before_starting() -> None:
    kube = EmbeddedKubernetes()
    kube.stop()
    with pytest.raises(RuntimeError, match="not been started"):
        _ = kube.url
    with kube:
        assert kube.url
    kube.stop()


def test_an_open_watch_does_not_hold_up_the_end(kube: EmbeddedKubernetes) -> None:
    pool = urllib3.PoolManager(retries=False, timeout=30)
    response = pool.request("GET", f"{kube.url}{PATH}", fields={"watch": "true"}, preload_content=False)
    chunks = response.stream()
    assert b"ADDED" in next(chunks)

    kube.stop()

    with pytest.raises(urllib3.exceptions.ProtocolError):
        list(chunks)
    response.close()
    pool.clear()


def test_many_threads_lose_no_write(kube: EmbeddedKubernetes, http: Http) -> None:
    def add(number: int) -> None:
        label = {"metadata": {"labels": {f"n{number}": "x"}}}
        if number % 2:
            kube.patch("mfapolicies", "default", "console-mfa", label)
        else:
            http(
                "PATCH",
                f"{PATH}/console-mfa",
                body=json.dumps(label),
                headers={"Content-Type": "application/merge-patch+json"},
            )

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(64)))

    policy = kube.get("mfapolicies", "default", "console-mfa")
    assert policy is not None
    assert set(policy["metadata"]["labels"]) == {f"n{number}" for number in range(64)}


def test_the_kubeconfig_leads_the_official_client_here(kube: EmbeddedKubernetes, tmp_path: Path) -> None:
    path = kube.write_kubeconfig(tmp_path / "kubeconfig", namespace="kube-system")

    loader: Any = config
    contexts, active = loader.list_kube_config_contexts(str(path))
    with loader.new_client_from_config(str(path)) as connected:
        listed: Any = client.CustomObjectsApi(connected).list_namespaced_custom_object(*POLICIES)

    assert (len(contexts), active["context"]["namespace"]) == (1, "kube-system")
    assert [item["metadata"]["name"] for item in listed["items"]] == ["console-mfa"]
    assert path.stat().st_mode & 0o077 == 0
