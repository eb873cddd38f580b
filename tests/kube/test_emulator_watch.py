"""What watches of the embedded Kubernetes show, and how they end."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import urllib3
from kubernetes import client, watch

from mfa_sandbox.kubernetes import EmbeddedKubernetes
from tests.kube.objects import Object

Eventually = Callable[..., None]

GROUP = ("mfa-operator.io", "v1alpha1")
PATH = "/apis/mfa-operator.io/v1alpha1/mfapolicies"


class Stream:
    """An open watch, read event by event."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self.response = response
        self._lines = (line for chunk in response.stream() for line in chunk.splitlines())

    def next(self) -> Object:
        event: Object = json.loads(next(self._lines))
        return event

    def brief(self) -> tuple[str, str]:
        event = self.next()
        return event["type"], event["object"]["metadata"]["name"]

    def rest(self) -> list[Object]:
        return [json.loads(line) for line in self._lines]


@pytest.fixture
def watched(kube: EmbeddedKubernetes) -> Iterator[Callable[..., Stream]]:
    """Opens a watch of all policies; keyword arguments are query parameters."""
    pool = urllib3.PoolManager(retries=False, timeout=30)
    streams: list[Stream] = []

    def opened(path: str = PATH, headers: dict[str, str] | None = None, **query: object) -> Stream:
        fields = {"watch": "true", **{key: str(value) for key, value in query.items()}}
        response = pool.request("GET", kube.url + path, fields=fields, headers=headers, preload_content=False)
        assert response.status == 200
        streams.append(Stream(response))
        return streams[-1]

    yield opened
    for stream in streams:
        stream.response.close()
    pool.clear()


def now(kube: EmbeddedKubernetes, http: Callable[..., Any]) -> str:
    version: str = http("GET", PATH).json()["metadata"]["resourceVersion"]
    return version


def test_without_a_version_what_there_is_comes_first(
    kube: EmbeddedKubernetes, watched: Callable[..., Stream], new_policy: Callable[..., Object]
) -> None:
    kube.apply(new_policy("a"))
    kube.apply(new_policy("b"))
    stream = watched()
    assert stream.response.headers["Content-Type"] == "application/json"
    assert [stream.brief(), stream.brief()] == [("ADDED", "a"), ("ADDED", "b")]

    kube.patch("mfapolicies", "default", "a", {"spec": {"interval": "5m"}})
    kube.delete("mfapolicies", "default", "b")
    assert [stream.brief(), stream.brief()] == [("MODIFIED", "a"), ("DELETED", "b")]


def test_from_a_version_on_nothing_is_missed_and_nothing_repeated(
    kube: EmbeddedKubernetes, http: Any, watched: Callable[..., Stream], new_policy: Callable[..., Object]
) -> None:
    kube.apply(new_policy("a"))
    version = now(kube, http)
    kube.apply(new_policy("b"))
    kube.delete("mfapolicies", "default", "a")

    stream = watched(resourceVersion=version)
    kube.apply(new_policy("c"))

    events = [stream.next() for _ in range(3)]
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in events] == [
        ("ADDED", "b"),
        ("DELETED", "a"),
        ("ADDED", "c"),
    ]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert int(version) < versions[0] < versions[1] < versions[2]


def test_a_status_write_is_seen_and_one_that_changes_nothing_is_not(
    kube: EmbeddedKubernetes, http: Any, watched: Callable[..., Stream], new_policy: Callable[..., Object]
) -> None:
    kube.apply(new_policy("a"))
    stream = watched(resourceVersion=now(kube, http))

    kube.patch("mfapolicies", "default", "a", {"spec": {"interval": "15m"}})
    kube.patch("mfapolicies", "default", "a", {"status": {"findingsTotal": 1}}, subresource="status")

    event = stream.next()
    assert (event["type"], event["object"]["status"]) == ("MODIFIED", {"findingsTotal": 1})


def test_only_the_namespace_and_resource_asked_for_are_seen(
    kube: EmbeddedKubernetes, http: Any, watched: Callable[..., Stream], new_policy: Callable[..., Object]
) -> None:
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "security"}})
    path = PATH.replace("mfapolicies", "namespaces/security/mfapolicies")
    stream = watched(path, resourceVersion=now(kube, http))

    kube.apply(new_policy("elsewhere"))
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"}}
    kube.apply(lease, namespace="security")
    kube.apply(new_policy("here"), namespace="security")

    assert stream.brief() == ("ADDED", "here")


def test_objects_enter_and_leave_a_selection(
    kube: EmbeddedKubernetes, watched: Callable[..., Stream], new_policy: Callable[..., Object]
) -> None:
    kube.apply(new_policy("a"))
    kube.apply(new_policy("b"))
    stream = watched(labelSelector="team=red", fieldSelector="metadata.name=a")

    for name in ("b", "a"):
        for team in ("blue", "red", "red", "blue", None):
            kube.patch("mfapolicies", "default", name, {"metadata": {"labels": {"team": team}}})
            kube.patch("mfapolicies", "default", name, {"metadata": {"annotations": {"t": str(team)}}})
    kube.delete("mfapolicies", "default", "a")
    kube.drop_watches()

    events = stream.rest()
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in events] == [
        ("ADDED", "a"),
        ("MODIFIED", "a"),
        ("DELETED", "a"),
    ]
    assert events[-1]["object"]["metadata"]["labels"] == {"team": "red"}


def test_a_watch_ends_by_itself_when_its_time_is_up(
    kube: EmbeddedKubernetes, watched: Callable[..., Stream], new_policy: Callable[..., Object]
) -> None:
    kube.apply(new_policy("a"))

    assert [event["type"] for event in watched(timeoutSeconds=1).rest()] == ["ADDED"]


def test_a_client_that_asks_for_initial_events_is_told_where_they_end(
    kube: EmbeddedKubernetes, http: Any, watched: Callable[..., Stream], new_policy: Callable[..., Object]
) -> None:
    kube.apply(new_policy("a"))

    stream = watched(sendInitialEvents="true", allowWatchBookmarks="true", resourceVersionMatch="NotOlderThan")

    assert stream.brief() == ("ADDED", "a")
    bookmark = stream.next()
    assert (bookmark["type"], bookmark["object"]["metadata"]["annotations"]) == (
        "BOOKMARK",
        {"k8s.io/initial-events-end": "true"},
    )
    assert bookmark["object"]["metadata"]["resourceVersion"] == now(kube, http)


def test_a_watch_of_tables(
    kube: EmbeddedKubernetes, watched: Callable[..., Stream], new_policy: Callable[..., Object]
) -> None:
    kube.apply(new_policy("a"))

    event = watched(headers={"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}).next()

    assert (event["type"], event["object"]["kind"]) == ("ADDED", "Table")
    assert event["object"]["rows"][0]["cells"][0] == "a"


def test_dropped_watches_end_orderly_and_can_be_taken_up_again(
    kube: EmbeddedKubernetes, watched: Callable[..., Stream], new_policy: Callable[..., Object]
) -> None:
    streams = [watched(), watched()]
    assert kube.drop_watches() == 2
    assert [stream.rest() for stream in streams] == [[], []]

    again = watched()
    kube.apply(new_policy("a"))
    assert again.brief() == ("ADDED", "a")


def test_watches_can_be_cut_off(kube: EmbeddedKubernetes, watched: Callable[..., Stream]) -> None:
    stream = watched()

    assert kube.drop_watches(abrupt=True) == 1

    with pytest.raises(urllib3.exceptions.ProtocolError):
        stream.rest()


def test_expired_watches_get_410_and_so_does_who_goes_on_from_then(
    kube: EmbeddedKubernetes, http: Any, watched: Callable[..., Stream], new_policy: Callable[..., Object]
) -> None:
    kube.apply(new_policy("a"))
    before = now(kube, http)
    stream = watched(resourceVersion=before)

    assert kube.expire_watches() == 1

    for events in (stream.rest(), watched(resourceVersion=before).rest()):
        (event,) = events
        assert event["type"] == "ERROR"
        assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
        assert "too old resource version" in event["object"]["message"]
    fresh = watched(resourceVersion=now(kube, http))
    kube.apply(new_policy("b"))
    assert fresh.brief() == ("ADDED", "b")


def test_the_official_client_learns_of_410_and_goes_on(
    kube: EmbeddedKubernetes, objects: Any, new_policy: Callable[..., Object]
) -> None:
    kube.apply(new_policy("a"))
    before = objects.list_cluster_custom_object(*GROUP, "mfapolicies")["metadata"]["resourceVersion"]
    kube.expire_watches()

    with pytest.raises(client.ApiException) as refused:
        list(
            watch.Watch().stream(  # type: ignore[no-untyped-call]  # the client has no types here
                objects.list_cluster_custom_object,
                *GROUP,
                "mfapolicies",
                resource_version=before,
                timeout_seconds=1,
            )
        )
    assert refused.value.status == 410


def test_a_version_beyond_what_is_remembered_is_too_old(
    kube: EmbeddedKubernetes, http: Any, watched: Callable[..., Stream], new_policy: Callable[..., Object]
) -> None:
    kube.apply(new_policy("a"))
    version = now(kube, http)
    for number in range(1000):
        kube.patch("mfapolicies", "default", "a", {"metadata": {"annotations": {"n": str(number)}}})
    assert len(watched(resourceVersion=version, timeoutSeconds=1).rest()) == 1000

    kube.patch("mfapolicies", "default", "a", {"metadata": {"annotations": {"n": "last"}}})

    (event,) = watched(resourceVersion=version, timeoutSeconds=1).rest()
    assert event["object"]["code"] == 410


def test_a_client_that_leaves_leaves_nothing_behind(
    kube: EmbeddedKubernetes, watched: Callable[..., Stream], eventually: Eventually
) -> None:
    stream = watched()
    assert kube.open_watches == 1
    stream.response.close()

    eventually(lambda: kube.open_watches == 0, "the watch is gone without an event")


def test_waiting_for_a_state(kube: EmbeddedKubernetes, new_policy: Callable[..., Object]) -> None:
    kube.apply(new_policy("a"))
    with ThreadPoolExecutor(1) as other:
        gone = other.submit(kube.wait, "mfap", "default", "a", lambda body: body is None)
        kube.delete("mfap", "default", "a")
        assert gone.result() is None
        there = other.submit(kube.wait, "mfap", "default", "b", lambda body: body is not None)
        created = kube.apply(new_policy("b"))
        assert there.result() == created

    with pytest.raises(TimeoutError, match=r"^mfap default/b after 0\.05 s: \{.*'name': 'b'"):
        kube.wait("mfap", "default", "b", lambda body: body is None, timeout=0.05)
