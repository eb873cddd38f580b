"""What the embedded Kubernetes makes of new objects, as the API server does."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from kubernetes import client

from mfa_sandbox.kubernetes import ApiError, EmbeddedKubernetes
from tests.kube.objects import POLICIES, POLICIES_PATH, READY, Http, Object, Patch, refusal, version


def test_a_new_object_gets_its_metadata(policy: Object) -> None:
    metadata = policy["metadata"]

    assert (metadata["name"], metadata["namespace"], metadata["generation"]) == ("console-mfa", "default", 1)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", metadata["uid"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", metadata["creationTimestamp"])
    assert version(policy) > 1


def test_what_the_server_decides_cannot_be_sent(objects: Any, new_policy: Callable[..., Object]) -> None:
    manifest = new_policy()
    manifest["metadata"] |= {"uid": "mine", "generation": 7, "creationTimestamp": "2001-01-01T00:00:00Z"}
    manifest["metadata"] |= {"deletionTimestamp": "2001-01-01T00:00:00Z", "managedFields": []}
    manifest["status"] = READY

    created = objects.create_namespaced_custom_object(*POLICIES, manifest)

    assert created["metadata"]["uid"] != "mine"
    assert created["metadata"]["generation"] == 1
    assert not created["metadata"]["creationTimestamp"].startswith("2001")
    assert not {"deletionTimestamp", "managedFields"} & set(created["metadata"])
    assert "status" not in created


def test_a_generated_name_is_new_each_time(objects: Any, new_policy: Callable[..., Object]) -> None:
    manifest = new_policy() | {"metadata": {"generateName": "policy-"}}

    names = {objects.create_namespaced_custom_object(*POLICIES, manifest)["metadata"]["name"] for _ in range(5)}

    assert len(names) == 5
    assert all(re.fullmatch(r"policy-[a-z0-9]{5}", name) for name in names)


def test_the_crds_defaults_are_filled_in_and_unknown_fields_dropped(
    objects: Any, new_policy: Callable[..., Object]
) -> None:
    manifest = new_policy(remediation={"action": "QuarantineUntilMfa"}, interval=None, typo=1)
    manifest["spec"]["accounts"][0]["nmae"] = "payments"
    manifest["spec"]["exemptions"] = [{"users": ["a"], "reason": "b", "tags": {"any": "key"}}]

    spec = objects.create_namespaced_custom_object(*POLICIES, manifest)["spec"]

    assert (spec["interval"], spec["gracePeriod"], spec["suspend"]) == ("15m", "168h", False)
    assert spec["requirement"] == {
        "users": "Console",
        "root": "Ignore",
        "deviceTypes": ["Virtual", "SecurityKey", "HardwareToken"],
    }
    assert (spec["remediation"]["action"], spec["remediation"]["dryRun"]) == ("QuarantineUntilMfa", True)
    assert spec["accounts"] == [{"id": "111122223333"}]
    assert spec["exemptions"][0]["tags"] == {"any": "key"}
    assert "typo" not in spec


def test_a_default_comes_back_when_its_field_is_taken_away(policy: Object, patch: Patch) -> None:
    assert patch({"spec": {"interval": "5m"}}).json()["spec"]["interval"] == "5m"
    assert patch({"spec": {"interval": None}}).json()["spec"]["interval"] == "15m"


def test_a_dry_run_changes_nothing(
    kube: EmbeddedKubernetes, policy: Object, http: Http, new_policy: Callable[..., Object]
) -> None:

    created = http(
        "POST",
        f"{POLICIES_PATH}?dryRun=All",
        body=json.dumps(new_policy("other")),
        headers={"Content-Type": "application/json"},
    )
    changed = http(
        "PATCH",
        f"{POLICIES_PATH}/console-mfa?dryRun=All",
        body='{"spec": {"interval": "5m"}}',
        headers={"Content-Type": "application/merge-patch+json"},
    )
    deleted = http("DELETE", f"{POLICIES_PATH}/console-mfa", fields={"dryRun": "All"})

    assert (created.status, changed.status, deleted.status) == (201, 200, 200)
    assert changed.json()["spec"]["interval"] == "5m"
    assert kube.list("mfapolicies") == [policy]


@pytest.mark.parametrize(
    ("change", "code", "reason", "message"),
    [
        ({"metadata": {}}, 422, "Invalid", "name or generateName is required"),
        ({"metadata": {"name": "Not_A_Name"}}, 422, "Invalid", 'metadata.name: Invalid value: "Not_A_Name"'),
        ({"metadata": {"name": "a", "namespace": "other"}}, 400, "BadRequest", "does not match the namespace"),
        ({"kind": "MfaReport"}, 422, "Invalid", 'kind: Invalid value: "MfaReport": must be MfaPolicy'),
        ({"kind": None}, 400, "BadRequest", "Object 'Kind' is missing"),
        ({"apiVersion": "v1"}, 400, "BadRequest", "does not match the expected API version"),
        ({"metadata": {"name": "a", "resourceVersion": "3"}}, 500, None, "should not be set"),
        ({"spec": {"accounts": [{"name": "x" * 1_600_000}]}}, 500, "InternalError", "request is too large"),
    ],
)
def test_a_creation_is_refused(
    objects: Any,
    kube: EmbeddedKubernetes,
    new_policy: Callable[..., Object],
    change: Object,
    code: int,
    reason: str | None,
    message: str,
) -> None:
    with pytest.raises(client.ApiException) as refused:
        objects.create_namespaced_custom_object(*POLICIES, new_policy() | change)

    status = refusal(refused)
    assert (status["code"], status.get("reason")) == (code, reason)
    assert message in status["message"]
    assert kube.list("mfapolicies") == []


@pytest.mark.parametrize("body", ["no json: [", "[]", "7"])
def test_a_body_that_is_no_object_is_refused(http: Http, body: str) -> None:
    answer = http("POST", POLICIES_PATH, body=body, headers={"Content-Type": "application/json"})

    assert (answer.status, answer.json()["reason"]) == (400, "BadRequest")


def test_a_body_beyond_3_mib_is_refused(http: Http) -> None:
    answer = http("POST", POLICIES_PATH, body=b" " * (3 * 1024 * 1024 + 1))

    assert (answer.status, answer.json()["reason"]) == (413, "RequestEntityTooLarge")


def test_a_yaml_body_keeps_dates_as_they_are_written(http: Http) -> None:
    answer = http(
        "POST",
        POLICIES_PATH,
        body="""
            apiVersion: mfa-operator.io/v1alpha1
            kind: MfaPolicy
            metadata: {name: from-yaml}
            spec: {exemptions: [{users: [a], reason: b, expires: 2027-06-30T00:00:00Z}]}
        """,
        headers={"Content-Type": "application/yaml"},
    )

    assert answer.status == 201
    assert answer.json()["spec"]["exemptions"][0]["expires"] == "2027-06-30T00:00:00Z"


def test_a_name_in_use_is_refused_as_the_api_server_does(
    objects: Any, policy: Object, new_policy: Callable[..., Object]
) -> None:
    with pytest.raises(client.ApiException) as refused:
        objects.create_namespaced_custom_object(*POLICIES, new_policy())

    assert refusal(refused) == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'mfapolicies.mfa-operator.io "console-mfa" already exists',
        "reason": "AlreadyExists",
        "details": {"name": "console-mfa", "group": "mfa-operator.io", "kind": "mfapolicies"},
        "code": 409,
    }


def test_a_namespace_that_is_not_there(objects: Any, new_policy: Callable[..., Object]) -> None:
    with pytest.raises(client.ApiException) as refused:
        objects.create_namespaced_custom_object("mfa-operator.io", "v1alpha1", "nowhere", "mfapolicies", new_policy())

    status = refusal(refused)
    assert (status["code"], status["message"]) == (404, 'namespaces "nowhere" not found')
    assert status["details"] == {"name": "nowhere", "kind": "namespaces"}


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_an_object_that_is_not_there(http: Http, method: str) -> None:
    answer = http(
        method,
        f"{POLICIES_PATH}/absent",
        body=None if method in ("GET", "DELETE") else '{"apiVersion":"mfa-operator.io/v1alpha1","kind":"MfaPolicy"}',
        headers={"Content-Type": "application/merge-patch+json"},
    )

    assert answer.status == 404
    assert answer.json() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'mfapolicies.mfa-operator.io "absent" not found',
        "reason": "NotFound",
        "details": {"name": "absent", "group": "mfa-operator.io", "kind": "mfapolicies"},
        "code": 404,
    }


def test_the_facade_follows_the_same_rules(kube: EmbeddedKubernetes, new_policy: Callable[..., Object]) -> None:
    created = kube.apply(new_policy() | {"status": READY})
    again = kube.apply(new_policy(interval="5m"))
    status = kube.patch("mfap", "default", "console-mfa", {"status": READY}, subresource="status")

    assert "status" not in created
    assert (again["spec"]["interval"], again["metadata"]["generation"]) == ("5m", 2)
    assert kube.get("MfaPolicy", "default", "console-mfa") == status
    assert kube.list("mfapolicies.mfa-operator.io") == [status]
    kube.delete("mfapolicy", "default", "console-mfa")
    assert kube.get("mfap", "default", "console-mfa") is None
    with pytest.raises(ApiError, match="not found"):
        kube.delete("mfap", "default", "console-mfa")
    with pytest.raises(ValueError, match="no resource 'pods'"):
        kube.list("pods")
    with pytest.raises(ValueError, match="no kind 'Pod'"):
        kube.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}})
    with pytest.raises(TypeError, match="datetime"):
        kube.apply(new_policy("dated", exemptions=[{"expires": datetime.now(UTC)}]))
    assert kube.list("mfap") == []


def test_what_the_facade_gives_out_is_a_copy(kube: EmbeddedKubernetes, new_policy: Callable[..., Object]) -> None:
    manifest = new_policy()
    kube.apply(manifest)["spec"]["accounts"].clear()
    kube.list("mfap")[0]["spec"]["accounts"].clear()
    manifest["spec"]["accounts"].clear()

    policy = kube.get("mfap", "default", "console-mfa")
    assert policy is not None
    assert policy["spec"]["accounts"] == [{"id": "111122223333"}]
