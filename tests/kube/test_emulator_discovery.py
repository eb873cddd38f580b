"""What clients find out about the embedded Kubernetes before they ask for objects."""

from collections.abc import Callable
from typing import Any

import pytest
import urllib3
from kubernetes import client
from kubernetes.dynamic import DynamicClient

from mfa_sandbox.kubernetes import EmbeddedKubernetes
from tests.kube.objects import Object


def test_groups_and_versions(api: client.ApiClient) -> None:
    listed: Any = client.ApisApi(api).get_api_versions()
    groups = {group.name: group.preferred_version.group_version for group in listed.groups}

    assert groups == {
        "authentication.k8s.io": "authentication.k8s.io/v1",
        "coordination.k8s.io": "coordination.k8s.io/v1",
        "events.k8s.io": "events.k8s.io/v1",
        "mfa-operator.io": "mfa-operator.io/v1alpha1",
    }
    assert client.CoreApi(api).get_api_versions().versions == ["v1"]
    coordination: Any = client.CoordinationApi(api).get_api_group()
    assert coordination.preferred_version.version == "v1"


def test_custom_resources_are_discovered_as_their_crds_say(objects: Any) -> None:
    listed = objects.get_api_resources("mfa-operator.io", "v1alpha1")
    found = {resource.name: resource for resource in listed.resources}

    assert listed.group_version == "mfa-operator.io/v1alpha1"
    assert set(found) == {"mfapolicies", "mfapolicies/status", "mfareports", "mfareports/status"}
    assert {name: found[name].kind for name in ("mfapolicies", "mfareports")} == {
        "mfapolicies": "MfaPolicy",
        "mfareports": "MfaReport",
    }
    assert found["mfapolicies"].short_names == ["mfap"]
    assert found["mfareports"].short_names == ["mfar"]
    assert found["mfapolicies"].categories == ["mfa"]
    assert found["mfapolicies"].singular_name == "mfapolicy"
    assert all(resource.namespaced for resource in found.values())
    assert "watch" in found["mfapolicies"].verbs
    assert sorted(found["mfapolicies/status"].verbs) == ["get", "patch", "update"]


def test_core_resources_name_their_version_without_a_group(api: client.ApiClient) -> None:
    listed = client.CoreV1Api(api).get_api_resources()

    assert listed.group_version == "v1"
    assert {resource.name: resource.namespaced for resource in listed.resources} == {
        "namespaces": False,
        "namespaces/status": False,
        "events": True,
    }


def test_the_dynamic_client_finds_its_way(
    api: client.ApiClient, kube: EmbeddedKubernetes, new_policy: Callable[..., Object], tmp_path: Any
) -> None:
    kube.apply(new_policy())
    dynamic: Any = DynamicClient(api, cache_file=str(tmp_path / "discovery"))  # type: ignore[no-untyped-call]  # has no types
    policies = dynamic.resources.get(api_version="mfa-operator.io/v1alpha1", kind="MfaPolicy")

    assert [policy.metadata.name for policy in policies.get().items] == ["console-mfa"]


def test_version_and_health(api: client.ApiClient, http: Callable[..., urllib3.BaseHTTPResponse]) -> None:
    assert client.VersionApi(api).get_code().major == "1"
    for path in ("/healthz", "/livez", "/readyz"):
        assert http("GET", path).data == b"ok"


def test_who_am_i(api: client.ApiClient) -> None:
    authentication: Any = client.AuthenticationV1Api(api)
    review = authentication.create_self_subject_review({})

    assert review.status.user_info.username == "sandbox"


@pytest.mark.parametrize(
    "path",
    [
        "/api/v2",
        "/api/v1/pods",
        "/apis/apps",
        "/apis/apps/v1",
        "/apis/mfa-operator.io/v1",
        "/apis/mfa-operator.io/v1alpha1/mfathings",
        "/apis/mfa-operator.io/v1alpha1/namespaces/default/mfapolicies/console-mfa/scale",
        "/openapi/v3/apis/apps/v1",
        "/somewhere",
    ],
)
def test_what_is_not_served_is_not_found(http: Callable[..., urllib3.BaseHTTPResponse], path: str) -> None:
    answer = http("GET", path)

    assert (answer.status, answer.data) == (404, b"404 page not found\n")


def test_a_method_that_a_resource_does_not_have(http: Callable[..., urllib3.BaseHTTPResponse]) -> None:
    answer = http("GET", "/apis/authentication.k8s.io/v1/selfsubjectreviews")

    assert (answer.status, answer.json()["reason"]) == (405, "MethodNotAllowed")


def test_namespaces_are_objects_as_any_other(
    api: client.ApiClient, objects: Any, new_policy: Callable[..., Object]
) -> None:
    core: Any = client.CoreV1Api(api)
    core.create_namespace({"metadata": {"name": "security", "labels": {"team": "red"}}})
    objects.create_namespaced_custom_object("mfa-operator.io", "v1alpha1", "security", "mfapolicies", new_policy())

    created = core.read_namespace("security")
    assert created.status.phase == "Active"
    assert created.metadata.labels == {"team": "red", "kubernetes.io/metadata.name": "security"}
    assert [item.metadata.name for item in core.list_namespace().items] == ["default", "kube-system", "security"]

    core.delete_namespace("security")
    assert [item.metadata.name for item in core.list_namespace().items] == ["default", "kube-system"]
    assert objects.list_cluster_custom_object("mfa-operator.io", "v1alpha1", "mfapolicies")["items"] == []
