"""How objects go: with their owners, after their finalizers, only in the state that was meant."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import urllib3
from kubernetes import client, watch

from mfa_sandbox.kubernetes import EmbeddedKubernetes
from tests.kube.objects import Http, Object

GROUP = ("mfa-operator.io", "v1alpha1")
PATH = "/apis/mfa-operator.io/v1alpha1/namespaces/default/mfapolicies/console-mfa"


def report(name: str, *owners: Object) -> Object:
    return {
        "apiVersion": "mfa-operator.io/v1alpha1",
        "kind": "MfaReport",
        "metadata": {
            "name": name,
            "ownerReferences": [
                {
                    "apiVersion": owner["apiVersion"],
                    "kind": owner["kind"],
                    "name": owner["metadata"]["name"],
                    "uid": owner["metadata"]["uid"],
                }
                for owner in owners
            ],
        },
    }


def names(kube: EmbeddedKubernetes, resource: str) -> list[str]:
    return [item["metadata"]["name"] for item in kube.list(resource)]


def test_deleting_answers_with_what_is_gone(objects: Any, policy: Object) -> None:
    answer = objects.delete_namespaced_custom_object(*GROUP, "default", "mfapolicies", "console-mfa")

    assert answer["status"] == "Success"
    assert answer["details"] == {
        "name": "console-mfa",
        "group": "mfa-operator.io",
        "kind": "mfapolicies",
        "uid": policy["metadata"]["uid"],
    }


def test_a_policy_takes_its_reports_with_it_and_watches_see_it(
    kube: EmbeddedKubernetes, api: client.ApiClient, objects: Any, policy: Object
) -> None:
    kube.apply(report("console-mfa-111122223333", policy))
    kube.apply(report("console-mfa-999988887777", policy))
    kube.apply(report("of-nobody"))
    before = objects.list_namespaced_custom_object(*GROUP, "default", "mfareports")["metadata"]["resourceVersion"]

    objects.delete_namespaced_custom_object(*GROUP, "default", "mfapolicies", "console-mfa")

    assert names(kube, "mfareports") == ["of-nobody"]
    events = watch.Watch().stream(  # type: ignore[no-untyped-call]  # the client has no types here
        objects.list_namespaced_custom_object,
        *GROUP,
        "default",
        "mfareports",
        resource_version=before,
        timeout_seconds=1,
    )
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in events] == [
        ("DELETED", "console-mfa-111122223333"),
        ("DELETED", "console-mfa-999988887777"),
    ]


def test_what_has_another_owner_stays_until_the_last_one_goes(
    kube: EmbeddedKubernetes, new_policy: Callable[..., Object], policy: Object
) -> None:
    other = kube.apply(new_policy("other"))
    kube.apply(report("shared", policy, other))

    kube.delete("mfapolicies", "default", "console-mfa")
    left = kube.get("mfareports", "default", "shared")
    assert left is not None
    assert [owner["name"] for owner in left["metadata"]["ownerReferences"]] == ["other"]

    kube.delete("mfapolicies", "default", "other")
    assert names(kube, "mfareports") == []


def test_ownership_is_followed_all_the_way(kube: EmbeddedKubernetes, policy: Object) -> None:
    first = kube.apply(report("first", policy))
    second = kube.apply(report("second", first))
    kube.apply(report("third", policy, first, second))

    kube.delete("mfapolicies", "default", "console-mfa")

    assert names(kube, "mfareports") == []


def test_what_comes_after_its_owner_has_gone_goes_too(kube: EmbeddedKubernetes, policy: Object) -> None:
    kube.delete("mfapolicies", "default", "console-mfa")

    created = kube.apply(report("too-late", policy))

    assert created["metadata"]["name"] == "too-late"
    assert names(kube, "mfareports") == []


def test_a_namespace_takes_everything_in_it(
    kube: EmbeddedKubernetes, new_policy: Callable[..., Object], policy: Object
) -> None:
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "security"}})
    owner = kube.apply(new_policy("theirs"), namespace="security")
    first = kube.apply(report("first", owner), namespace="security")
    kube.apply(report("second", first), namespace="security")
    kube.patch("mfareports", "security", "first", {"metadata": {"finalizers": ["a/b"]}})

    kube.delete("namespaces", None, "security")

    assert names(kube, "mfapolicies") == ["console-mfa"]
    assert names(kube, "mfareports") == []
    assert "security" not in names(kube, "namespaces")


def test_orphaning_leaves_what_was_owned(kube: EmbeddedKubernetes, objects: Any, policy: Object) -> None:
    kube.apply(report("kept", policy))

    objects.delete_namespaced_custom_object(
        *GROUP, "default", "mfapolicies", "console-mfa", propagation_policy="Orphan"
    )

    left = kube.get("mfareports", "default", "kept")
    assert left is not None
    assert "ownerReferences" not in left["metadata"]


@pytest.mark.parametrize("key", ["uid", "resourceVersion"])
def test_only_the_state_that_was_meant_is_deleted(
    kube: EmbeddedKubernetes, http: Http, policy: Object, key: str
) -> None:
    def delete(value: str) -> urllib3.BaseHTTPResponse:
        body = json.dumps({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {key: value}})
        return http("DELETE", PATH, body=body, headers={"Content-Type": "application/json"})

    refused = delete("1")
    assert (refused.status, refused.json()["reason"]) == (409, "Conflict")
    assert names(kube, "mfapolicies") == ["console-mfa"]

    assert delete(policy["metadata"][key]).status == 200
    assert names(kube, "mfapolicies") == []


def test_finalizers_hold_an_object_until_they_are_taken_away(
    kube: EmbeddedKubernetes, http: Http, policy: Object
) -> None:
    kube.patch("mfapolicies", "default", "console-mfa", {"metadata": {"finalizers": ["a/b"]}})
    kube.apply(report("held", policy))

    marked = http("DELETE", PATH).json()
    again = http("DELETE", PATH).json()
    assert marked["metadata"]["deletionTimestamp"]
    assert marked["metadata"]["generation"] == policy["metadata"]["generation"] + 1
    assert again == marked
    assert names(kube, "mfareports") == ["held"]

    kube.patch("mfapolicies", "default", "console-mfa", {"metadata": {"finalizers": None}})
    assert names(kube, "mfapolicies") == []
    assert names(kube, "mfareports") == []


def test_a_collection_is_deleted_as_selected(
    kube: EmbeddedKubernetes, objects: Any, new_policy: Callable[..., Object]
) -> None:
    for name, team in (("a", "red"), ("b", "blue"), ("c", "red")):
        manifest = new_policy(name)
        manifest["metadata"]["labels"] = {"team": team}
        kube.apply(manifest)

    objects.delete_collection_namespaced_custom_object(*GROUP, "default", "mfapolicies", label_selector="team=red")

    assert names(kube, "mfapolicies") == ["b"]
