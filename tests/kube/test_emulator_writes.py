"""What the embedded Kubernetes makes of writes, as the API server does: metadata, status, conflicts, refusals."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import urllib3
from kubernetes import client

from mfa_operator.sandbox.kubernetes import ApiError, EmbeddedKubernetes

Object = dict[str, Any]
Http = Callable[..., urllib3.BaseHTTPResponse]

POLICIES = ("mfa-operator.io", "v1alpha1", "default", "mfapolicies")
POLICIES_PATH = "/apis/mfa-operator.io/v1alpha1/namespaces/default/mfapolicies"
NAMED = (*POLICIES, "console-mfa")
READY = {"conditions": [{"type": "Ready", "status": "True"}]}


@pytest.fixture
def policy(objects: Any, new_policy: Callable[..., Object]) -> Object:
    created: Object = objects.create_namespaced_custom_object(*POLICIES, new_policy())
    return created


def refusal(error: pytest.ExceptionInfo[client.ApiException]) -> Object:
    """The Status object of a refusal, which has to agree with the HTTP status."""
    status: Object = json.loads(str(error.value.body))
    assert (status["kind"], status["apiVersion"], status["status"]) == ("Status", "v1", "Failure")
    assert status["code"] == error.value.status
    return status


def patch(http: Http, body: object, *, kind: str = "merge-patch+json", path: str = "", **query: str) -> Any:
    return http(
        "PATCH",
        f"{POLICIES_PATH}/console-mfa{path}",
        body=json.dumps(body),
        fields=query or None,
        headers={"Content-Type": f"application/{kind}"},
    )


def version(body: Object) -> int:
    return int(body["metadata"]["resourceVersion"])


# Creating


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


def test_a_default_comes_back_when_its_field_is_taken_away(policy: Object, http: Http) -> None:
    assert patch(http, {"spec": {"interval": "5m"}}).json()["spec"]["interval"] == "5m"
    assert patch(http, {"spec": {"interval": None}}).json()["spec"]["interval"] == "15m"


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


# Changing


def test_versions_rise_over_all_resources(
    kube: EmbeddedKubernetes, api: client.ApiClient, policy: Object, http: Http
) -> None:
    leases: Any = client.CoordinationV1Api(api)
    lease = leases.create_namespaced_lease("default", {"metadata": {"name": "leader"}})
    changed = patch(http, {"spec": {"interval": "5m"}}).json()
    status = patch(http, {"status": READY}, path="/status").json()

    assert version(policy) < int(lease.metadata.resource_version) < version(changed) < version(status)


def test_the_generation_counts_changes_of_the_spec_alone(policy: Object, http: Http) -> None:
    steps = [
        (patch(http, {"metadata": {"labels": {"a": "b"}}}), 1),
        (patch(http, {"status": READY}, path="/status"), 1),
        (patch(http, {"spec": {"interval": "5m"}}), 2),
        (patch(http, {"spec": {"interval": "5m"}}), 2),
        (patch(http, {"spec": {"suspend": True}, "metadata": {"labels": {"a": "c"}}}), 3),
    ]

    assert [answer.json()["metadata"]["generation"] for answer, _ in steps] == [expected for _, expected in steps]


def test_a_write_that_changes_nothing_gives_no_new_version(policy: Object, http: Http) -> None:
    assert patch(http, {"spec": {"interval": "15m"}}).json() == policy
    assert patch(http, {"spec": {"interval": "16m"}}).json() != policy


def test_replacing(objects: Any, policy: Object) -> None:
    wanted = policy | {"spec": {"accounts": [{"id": "999988887777"}]}}
    wanted["metadata"] = policy["metadata"] | {"labels": {"a": "b"}, "uid": policy["metadata"]["uid"]}

    replaced = objects.replace_namespaced_custom_object(*NAMED, wanted)

    assert replaced["spec"]["accounts"] == [{"id": "999988887777"}]
    assert replaced["spec"]["interval"] == "15m"
    assert replaced["metadata"]["labels"] == {"a": "b"}
    assert replaced["metadata"]["uid"] == policy["metadata"]["uid"]
    assert objects.get_namespaced_custom_object(*NAMED) == replaced


def test_replacing_an_older_state_is_a_conflict(objects: Any, policy: Object, http: Http) -> None:
    patch(http, {"spec": {"interval": "5m"}})

    with pytest.raises(client.ApiException) as refused:
        objects.replace_namespaced_custom_object(*NAMED, policy)

    assert refusal(refused) == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'Operation cannot be fulfilled on mfapolicies.mfa-operator.io "console-mfa": the object has been '
        "modified; please apply your changes to the latest version and try again",
        "reason": "Conflict",
        "details": {"name": "console-mfa", "group": "mfa-operator.io", "kind": "mfapolicies"},
        "code": 409,
    }


def test_replacing_another_object_of_the_name_is_a_conflict(objects: Any, policy: Object) -> None:
    policy["metadata"]["uid"] = "other"

    with pytest.raises(client.ApiException) as refused:
        objects.replace_namespaced_custom_object(*NAMED, policy)

    status = refusal(refused)
    assert (status["code"], status["reason"]) == (409, "Conflict")
    assert "Precondition failed: UID in precondition: other" in status["message"]


def test_replacing_without_a_version_is_refused(
    objects: Any, policy: Object, new_policy: Callable[..., Object]
) -> None:
    with pytest.raises(client.ApiException) as refused:
        objects.replace_namespaced_custom_object(*NAMED, new_policy())

    status = refusal(refused)
    assert (status["code"], status["reason"]) == (422, "Invalid")
    assert status["details"]["causes"] == [
        {
            "reason": "FieldValueInvalid",
            "message": "Invalid value: 0: must be specified for an update",
            "field": "metadata.resourceVersion",
        }
    ]


@pytest.mark.parametrize(
    ("metadata", "code", "message"),
    [
        ({"name": "other"}, 400, "the name of the object (other) does not match the name on the URL (console-mfa)"),
        ({"namespace": "other"}, 400, "does not match the namespace"),
        ({"uid": "other"}, 422, 'metadata.uid: Invalid value: "other": field is immutable'),
        ({"resourceVersion": "1"}, 409, "the object has been modified"),
    ],
)
@pytest.mark.parametrize("path", ["", "/status"])
def test_a_patch_of_another_object_or_state_is_refused(
    kube: EmbeddedKubernetes, policy: Object, http: Http, path: str, metadata: Object, code: int, message: str
) -> None:
    answer = patch(http, {"metadata": metadata, "spec": {"interval": "5m"}, "status": READY}, path=path)

    assert answer.status == code
    assert message in answer.json()["message"]
    assert kube.get("mfapolicies", "default", "console-mfa") == policy


@pytest.mark.parametrize("path", ["", "/status"])
def test_a_patch_of_the_state_that_it_names_is_taken(policy: Object, http: Http, path: str) -> None:
    precondition = {"resourceVersion": policy["metadata"]["resourceVersion"]}

    answer = patch(http, {"metadata": precondition, "spec": {"interval": "5m"}, "status": READY}, path=path)

    assert answer.status == 200
    assert version(answer.json()) > version(policy)


def test_a_merge_patch_follows_its_rfc(policy: Object, http: Http) -> None:
    patch(http, {"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"requirement": {"root": "Mfa"}}})
    changed = patch(
        http, {"metadata": {"labels": {"a": None, "c": "3"}}, "spec": {"accounts": [{"id": "999988887777"}]}}
    ).json()

    assert changed["metadata"]["labels"] == {"b": "2", "c": "3"}
    assert changed["spec"]["requirement"]["root"] == "Mfa"
    assert changed["spec"]["accounts"] == [{"id": "999988887777"}]


def test_a_json_patch(policy: Object, http: Http) -> None:
    operations = [
        {"op": "test", "path": "/spec/interval", "value": "15m"},
        {"op": "replace", "path": "/spec/interval", "value": "5m"},
        {"op": "add", "path": "/spec/accounts/-", "value": {"id": "999988887777"}},
    ]

    spec = patch(http, operations, kind="json-patch+json").json()["spec"]

    assert (spec["interval"], [account["id"] for account in spec["accounts"]]) == (
        "5m",
        ["111122223333", "999988887777"],
    )


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        ([{"op": "test", "path": "/spec/interval", "value": "9m"}], 422),
        ([{"op": "remove", "path": "/spec/absent"}], 422),
        ([{"op": "add", "path": "/spec/exemptions/-", "value": {}}], 422),
        ([{"op": "dance", "path": "/spec"}], 422),
        ([{"path": "/spec"}], 422),
        ({"spec": {}}, 400),
    ],
)
def test_a_json_patch_that_does_not_fit(policy: Object, http: Http, operations: object, code: int) -> None:
    answer = patch(http, operations, kind="json-patch+json")

    assert (answer.status, answer.json()["kind"]) == (code, "Status")


def test_custom_resources_take_no_strategic_merge_patch(policy: Object, http: Http) -> None:
    answer = patch(http, {"spec": {"interval": "5m"}}, kind="strategic-merge-patch+json")

    assert (answer.status, answer.json()["reason"]) == (415, "UnsupportedMediaType")
    assert "application/merge-patch+json" in answer.json()["message"]


def test_the_official_clients_own_patches(api: client.ApiClient, objects: Any, policy: Object) -> None:
    merged = objects.patch_namespaced_custom_object(*NAMED, {"spec": {"interval": "5m"}})
    stepped = objects.patch_namespaced_custom_object(
        *NAMED,
        [{"op": "replace", "path": "/spec/interval", "value": "6m"}],
        _content_type="application/json-patch+json",
    )
    status = objects.patch_namespaced_custom_object_status(*NAMED, {"status": READY})
    namespaces: Any = client.CoreV1Api(api)
    core = namespaces.patch_namespace("default", {"metadata": {"labels": {"a": "b"}}})

    assert (merged["spec"]["interval"], stepped["spec"]["interval"]) == ("5m", "6m")
    assert status["status"] == READY
    assert core.metadata.labels["a"] == "b"


def test_leases_are_replaced_with_a_version(api: client.ApiClient) -> None:
    leases: Any = client.CoordinationV1Api(api)
    lease = leases.create_namespaced_lease("default", {"metadata": {"name": "leader"}, "spec": {"holderIdentity": "a"}})
    taken = leases.replace_namespaced_lease(
        "leader",
        "default",
        {
            "metadata": {"name": "leader", "resourceVersion": lease.metadata.resource_version},
            "spec": {"holderIdentity": "b"},
        },
    )

    assert taken.spec.holder_identity == "b"
    with pytest.raises(client.ApiException) as refused:
        leases.replace_namespaced_lease("leader", "default", lease)
    assert refusal(refused)["reason"] == "Conflict"


@pytest.mark.parametrize("time", ["2026-11-24T07:08:30Z", "2026-11-24T07:08:30.123Z", "yesterday"])
def test_times_of_leases_and_events_have_six_decimals(kube: EmbeddedKubernetes, time: str) -> None:
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"}}
    event = {"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "a"}}
    good = "2026-11-24T07:08:30.000000+00:00"

    for manifest in (lease | {"spec": {"renewTime": time}}, event | {"series": {"lastObservedTime": time}}):
        with pytest.raises(ApiError, match=f'parsing time "{time}"') as refused:
            kube.apply(manifest)
        assert refused.value.code == 400
    kube.apply(event | {"eventTime": good})
    kube.apply(lease | {"spec": {"renewTime": good}})
    with pytest.raises(ApiError):
        kube.patch("leases", "default", "a", {"spec": {"acquireTime": time}})


# Status


def as_put(http: Http, change: Object, path: str) -> Any:
    current = http("GET", f"{POLICIES_PATH}/console-mfa").json()
    body = current | {key: value for key, value in change.items() if key != "metadata"}
    body["metadata"] = current["metadata"] | change["metadata"]
    return http(
        "PUT",
        f"{POLICIES_PATH}/console-mfa{path}",
        body=json.dumps(body),
        headers={"Content-Type": "application/json"},
    )


def as_merge_patch(http: Http, change: Object, path: str) -> Any:
    return patch(http, change, path=path)


def as_json_patch(http: Http, change: Object, path: str) -> Any:
    operations = [
        {"op": "add", "path": "/status", "value": change["status"]},
        {"op": "add", "path": "/metadata/labels", "value": change["metadata"]["labels"]},
        {"op": "replace", "path": "/spec/interval", "value": change["spec"]["interval"]},
    ]
    return patch(http, operations, kind="json-patch+json", path=path)


def as_apply(http: Http, change: Object, path: str) -> Any:
    return patch(
        http,
        {"apiVersion": "mfa-operator.io/v1alpha1", "kind": "MfaPolicy", **change},
        kind="apply-patch+yaml",
        path=path + "?fieldManager=test",
    )


@pytest.mark.parametrize("write", [as_put, as_merge_patch, as_json_patch, as_apply])
def test_spec_and_status_are_written_apart(
    policy: Object, http: Http, write: Callable[[Http, Object, str], Any]
) -> None:
    first = {"metadata": {"labels": {"a": "1"}}, "spec": {"accounts": policy["spec"]["accounts"], "interval": "5m"}}
    second = {"metadata": {"labels": {"a": "2"}}, "spec": {"accounts": policy["spec"]["accounts"], "interval": "6m"}}

    main = write(http, {**first, "status": READY}, "").json()
    assert (main["spec"]["interval"], main["metadata"]["labels"]) == ("5m", {"a": "1"})
    assert "status" not in main

    status = write(http, {**second, "status": READY}, "/status").json()
    assert status["status"] == READY
    assert (status["spec"]["interval"], status["metadata"]["labels"]) == ("5m", {"a": "1"})
    assert version(status) > version(main)

    after = write(http, {**second, "status": {"conditions": []}}, "").json()
    assert (after["status"], after["spec"]["interval"], after["metadata"]["labels"]) == (READY, "6m", {"a": "2"})


def test_status_is_read_and_taken_away_at_its_own_path(policy: Object, http: Http) -> None:
    patch(http, {"status": READY}, path="/status")
    assert http("GET", f"{POLICIES_PATH}/console-mfa/status").json()["status"] == READY

    assert "status" not in patch(http, {"status": None}, path="/status").json()


# Server-side apply


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


# From inside the process


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
