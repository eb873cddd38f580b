"""The embedded Kubernetes and a real API server, led through the same conversation, give the same answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import urllib3
import yaml

from mfa_sandbox.kubernetes import EmbeddedKubernetes
from tests.controlplane import ControlPlane

Object = dict[str, Any]

CRDS = Path(__file__).parents[2] / "deploy" / "crds"
JSON = "application/json"
MERGE = "application/merge-patch+json"
READY = {
    "type": "Ready",
    "status": "True",
    "reason": "PassSucceeded",
    "message": "m",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}
# What differs from one cluster, moment and version to the next, or is not promised: an error's wording, descriptions.
LEFT_OUT = {
    "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "managedFields", "continue", "message",
    "description", "details",
    "deprecatedSource", "deprecatedFirstTimestamp", "deprecatedLastTimestamp",
    "source", "firstTimestamp", "lastTimestamp",
}  # fmt: skip
# Where the embedded one is known to be simpler.
KNOWN = {
    "subresource that is not there": "the real one names the object",
    "event table": "the real one has more columns for -o wide",
    "events by object": "the real one leaves the kind to the list",
}


class Turn(NamedTuple):
    """One request; path and body may be made from what was answered before."""

    label: str
    method: str
    path: str
    body: object = None
    type: str = JSON
    accept: str = JSON
    keep: str = ""


class Speaker:
    """Leads the conversation with one server, and keeps the objects that later turns refer to."""

    def __init__(self, url: str, *, token: str = "", ca: Path | None = None) -> None:
        self.url = url
        # The real one hangs up after a body that is too long, which the next request may only then find out.
        retries = urllib3.Retry(connect=0, read=1, other=1, allowed_methods=None)
        self.http = urllib3.PoolManager(ca_certs=ca and str(ca), retries=retries)
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.kept: dict[str, Object] = {}

    def say(self, turn: Turn) -> tuple[int, object]:
        body = turn.body(self.kept) if callable(turn.body) else turn.body
        sent = body if body is None or isinstance(body, str | bytes) else json.dumps(body)
        headers = {**self.headers, "Accept": turn.accept, **({"Content-Type": turn.type} if sent is not None else {})}
        answer = self.http.request(turn.method, self.url + turn.path, body=sent, headers=headers, timeout=30)
        try:
            heard: Any = answer.json()
        except ValueError:
            lines = answer.data.decode().splitlines()
            heard = without_late_bookmarks(map(json.loads, lines)) if lines[0].startswith("{") else lines
        if turn.keep:
            self.kept[turn.keep] = heard
        return answer.status, plain(heard)


def without_late_bookmarks(events: Iterable[Object]) -> list[Object]:
    """The real one may send a bookmark just before a watch times out, as its clock ticks."""
    return [event for event in events if event["type"] != "BOOKMARK" or "annotations" in event["object"]["metadata"]]


def plain(value: Any) -> object:
    """The answer without what may differ."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if key not in LEFT_OUT}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, str):
        return re.sub(r"^\d+[smhd](\d+[smhd])?$", "<age>", value)
    return value


def defaults(schema: Object) -> Object:
    """What the real one fills in, and the embedded one does not: what is sent to both has it already."""
    named = ((name, field) for name, field in schema.get("properties", {}).items() if "default" in field)
    return {
        name: {**defaults(field), **value} if isinstance(value := field["default"], dict) else value
        for name, field in named
    }


SPEC = yaml.safe_load((CRDS / "mfapolicies.yaml").read_text(encoding="utf-8"))["spec"]["versions"][0]["schema"][
    "openAPIV3Schema"
]["properties"]["spec"]


def policy(name: str, meta: Object | None = None, **spec: object) -> Object:
    return {
        "apiVersion": "mfa-operator.io/v1alpha1",
        "kind": "MfaPolicy",
        "metadata": {"name": name, **(meta or {})},
        "spec": {**defaults(SPEC), "accounts": [{"id": "111122223333"}], **spec},
    }


def again(key: str, **change: Any) -> Callable[[dict[str, Object]], Object]:
    """The kept object, changed; objects in it are merged one level deep."""

    def made(kept: dict[str, Object]) -> Object:
        old = kept[key]
        merged = {k: {**old.get(k, {}), **v} if isinstance(v, dict) else v for k, v in change.items()}
        return {**old, **merged}

    return made


def conversation(ns: str) -> list[Turn]:
    here = f"/apis/mfa-operator.io/v1alpha1/namespaces/{ns}"
    P, R = f"{here}/mfapolicies", f"{here}/mfareports"  # noqa: N806  # they stand in every line
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{ns}/leases"
    lease = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}}
    events, old_events = f"/apis/events.k8s.io/v1/namespaces/{ns}/events", f"/api/v1/namespaces/{ns}/events"
    table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    ready = {"conditions": [READY]}
    stale = {"metadata": {"resourceVersion": "1"}, "spec": {"interval": "7m"}, "status": {}}
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "x"}}
    series = {"count": 2, "lastObservedTime": "2026-11-24T07:50:00.000000Z"}
    initial = "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    event = {
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e", "namespace": ns}, "note": "n",
        "regarding": {"apiVersion": "mfa-operator.io/v1alpha1", "kind": "MfaPolicy", "name": "a", "namespace": ns},
        "reason": "R", "action": "A", "type": "Warning", "reportingController": "x/y", "reportingInstance": "i",
        "eventTime": "2026-11-24T06:50:00.000000Z",
    }  # fmt: skip

    def report(kept: dict[str, Object]) -> Object:
        owner = {"apiVersion": "mfa-operator.io/v1alpha1", "kind": "MfaPolicy", "name": "a"}
        owner["uid"] = kept["a"]["metadata"]["uid"]
        meta = {"name": "r", "ownerReferences": [owner], "labels": {"mfa-operator.io/policy": "a"}}
        return {"apiVersion": "mfa-operator.io/v1alpha1", "kind": "MfaReport", "metadata": meta}

    return [
        Turn("create", "POST", P, policy("a"), keep="a"),
        Turn("create again", "POST", P, policy("a")),
        Turn("create without a name", "POST", P, {**policy(""), "metadata": {}}),
        Turn("create a list", "POST", P, "[]"),
        Turn("create nowhere", "POST", P.replace(ns, "nowhere"), policy("b")),
        Turn("create in no namespace", "POST", "/apis/mfa-operator.io/v1alpha1/mfapolicies", policy("b")),
        Turn("create with a status", "POST", P, {**policy("ap", {"uid": "mine", "generation": 7}), "status": ready}),
        Turn("get", "GET", f"{P}/a"),
        Turn("get what is absent", "GET", f"{P}/absent"),
        Turn("subresource that is not there", "GET", f"{P}/a/scale"),
        Turn("put stale", "PUT", f"{P}/a", again("a", metadata={"resourceVersion": "1"})),
        Turn("put what is absent", "PUT", f"{P}/absent", policy("absent", {"resourceVersion": "5"})),
        Turn("put the same", "PUT", f"{P}/a", again("a")),
        Turn("put", "PUT", f"{P}/a", again("a", spec={"interval": "5m"}), keep="a"),
        Turn("put status", "PUT", f"{P}/a/status", again("a", status=ready, spec={"interval": "9m"}), keep="a"),
        Turn("put status stale", "PUT", f"{P}/a/status", again("a", metadata={"resourceVersion": "1"})),
        Turn("merge", "PATCH", f"{P}/a", {"spec": {"interval": "6m"}, "status": {"conditions": []}}, MERGE, keep="a"),
        Turn("merge the same", "PATCH", f"{P}/a", {"spec": {"interval": "6m"}}, MERGE),
        Turn("merge stale", "PATCH", f"{P}/a", stale, MERGE),
        Turn("merge labels", "PATCH", f"{P}/a", {"metadata": {"labels": {"l": "1"}}}, MERGE),
        Turn("merge status", "PATCH", f"{P}/a/status", {"status": {"findingsTotal": 3}, "spec": None}, MERGE),
        Turn("merge status stale", "PATCH", f"{P}/a/status", stale, MERGE),
        Turn("merge status away", "PATCH", f"{P}/a/status", {"status": None}, MERGE),
        Turn("merge into nothing", "PATCH", f"{P}/absent", {"spec": {}}, MERGE),
        Turn("merge a list", "PATCH", f"{P}/a", "[]", MERGE),
        Turn("merge no JSON", "PATCH", f"{P}/a", "{", MERGE),
        Turn("patch of no kind", "PATCH", f"{P}/a", {"spec": {}}),
        Turn("delete another uid", "DELETE", f"{P}/ap", options),
        Turn("delete", "DELETE", f"{P}/ap"),
        Turn("delete again", "DELETE", f"{P}/ap"),
        Turn("list", "GET", P),
        Turn("list a page", "GET", f"{P}?limit=1"),
        Turn("list by label", "GET", f"{P}?labelSelector=l%3D1"),
        Turn("list by name", "GET", f"{P}?fieldSelector=metadata.name%3Da"),
        Turn("watch", "GET", f"{P}?watch=true&timeoutSeconds=1"),
        Turn("watch by name", "GET", f"{P}?watch=true&timeoutSeconds=1&fieldSelector=metadata.name%3Da"),
        Turn("watch all at first", "GET", f"{P}?watch=true&timeoutSeconds=1&{initial}"),
        Turn("table", "GET", P, accept=table),
        Turn("unknown resource", "GET", f"{here}/mfathings"),
        Turn("unknown group", "GET", "/apis/nope.io/v1"),
        Turn("unknown path", "GET", "/nope"),
        Turn("report", "POST", R, report),
        Turn("report status", "PATCH", f"{R}/r/status", {"status": {"accountId": "111122223333"}}, MERGE),
        Turn("report table", "GET", R, accept=table),
        Turn("lease", "POST", leases, lease, keep="l"),
        Turn("lease put", "PUT", f"{leases}/l", again("l", spec={"holderIdentity": "b"}), keep="l"),
        Turn("lease put stale", "PUT", f"{leases}/l", again("l", metadata={"resourceVersion": "1"})),
        Turn("event", "POST", events, event),
        Turn("event in its older form", "GET", f"{old_events}/e"),
        Turn("events by object", "GET", f"{old_events}?fieldSelector=involvedObject.name%3Da"),
        Turn("event table", "GET", old_events, accept=table),
        Turn("event again", "PATCH", f"{events}/e", {"series": series}, MERGE),
        Turn("too much", "POST", P, b" " * (3 * 1024 * 1024 + 1)),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def answers(control_plane: ControlPlane) -> dict[str, tuple[object, object]]:
    """By label: what the embedded one answered, what the real one did."""
    ns = "conversation"
    crds = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(CRDS.glob("*.yaml"))]
    turns = conversation(ns)
    control_plane.kubectl("create", "namespace", ns)
    with EmbeddedKubernetes(crds, namespaces=["default", ns]) as kube:
        ours = Speaker(kube.url)
        theirs = Speaker(control_plane.url, token=control_plane.admin_token, ca=control_plane.ca_path)
        heard: dict[str, tuple[object, object]] = {turn.label: (ours.say(turn), theirs.say(turn)) for turn in turns}
        ours.http.clear()
        theirs.http.clear()
    return heard


@pytest.mark.parametrize("label", [turn.label for turn in conversation("ns") if turn.label not in KNOWN])
def test_both_give_the_same_answer(answers: dict[str, tuple[object, object]], label: str) -> None:
    ours, theirs = answers[label]
    assert ours == theirs


def test_what_is_known_to_be_simpler_still_is(answers: dict[str, tuple[object, object]]) -> None:
    assert {label for label in KNOWN if answers[label][0] == answers[label][1]} == set()
