"""What the embedded Kubernetes makes of changes, as the API server does: versions, conflicts, patches of every kind."""

from collections.abc import Callable
from typing import Any

import pytest
from kubernetes import client

from mfa_sandbox.kubernetes import ApiError, EmbeddedKubernetes
from tests.kube.objects import NAMED, READY, Object, Patch, refusal, version


def test_versions_rise_over_all_resources(
    kube: EmbeddedKubernetes, api: client.ApiClient, policy: Object, patch: Patch
) -> None:
    leases: Any = client.CoordinationV1Api(api)
    lease = leases.create_namespaced_lease("default", {"metadata": {"name": "leader"}})
    changed = patch({"spec": {"interval": "5m"}}).json()
    status = patch({"status": READY}, path="/status").json()

    assert version(policy) < int(lease.metadata.resource_version) < version(changed) < version(status)


def test_the_generation_counts_changes_of_the_spec_alone(policy: Object, patch: Patch) -> None:
    steps = [
        (patch({"metadata": {"labels": {"a": "b"}}}), 1),
        (patch({"status": READY}, path="/status"), 1),
        (patch({"spec": {"interval": "5m"}}), 2),
        (patch({"spec": {"interval": "5m"}}), 2),
        (patch({"spec": {"suspend": True}, "metadata": {"labels": {"a": "c"}}}), 3),
    ]

    assert [answer.json()["metadata"]["generation"] for answer, _ in steps] == [expected for _, expected in steps]


def test_a_write_that_changes_nothing_gives_no_new_version(policy: Object, patch: Patch) -> None:
    assert patch({"spec": {"interval": "15m"}}).json() == policy
    assert patch({"spec": {"interval": "16m"}}).json() != policy


def test_replacing(objects: Any, policy: Object) -> None:
    wanted = policy | {"spec": {"accounts": [{"id": "999988887777"}]}}
    wanted["metadata"] = policy["metadata"] | {"labels": {"a": "b"}, "uid": policy["metadata"]["uid"]}

    replaced = objects.replace_namespaced_custom_object(*NAMED, wanted)

    assert replaced["spec"]["accounts"] == [{"id": "999988887777"}]
    assert replaced["spec"]["interval"] == "15m"
    assert replaced["metadata"]["labels"] == {"a": "b"}
    assert replaced["metadata"]["uid"] == policy["metadata"]["uid"]
    assert objects.get_namespaced_custom_object(*NAMED) == replaced


def test_replacing_an_older_state_is_a_conflict(objects: Any, policy: Object, patch: Patch) -> None:
    patch({"spec": {"interval": "5m"}})

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
    kube: EmbeddedKubernetes, policy: Object, patch: Patch, path: str, metadata: Object, code: int, message: str
) -> None:
    answer = patch({"metadata": metadata, "spec": {"interval": "5m"}, "status": READY}, path=path)

    assert answer.status == code
    assert message in answer.json()["message"]
    assert kube.get("mfapolicies", "default", "console-mfa") == policy


@pytest.mark.parametrize("path", ["", "/status"])
def test_a_patch_of_the_state_that_it_names_is_taken(policy: Object, patch: Patch, path: str) -> None:
    precondition = {"resourceVersion": policy["metadata"]["resourceVersion"]}

    answer = patch({"metadata": precondition, "spec": {"interval": "5m"}, "status": READY}, path=path)

    assert answer.status == 200
    assert version(answer.json()) > version(policy)


def test_a_merge_patch_follows_its_rfc(policy: Object, patch: Patch) -> None:
    patch({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"requirement": {"root": "Mfa"}}})
    changed = patch(
        {"metadata": {"labels": {"a": None, "c": "3"}}, "spec": {"accounts": [{"id": "999988887777"}]}}
    ).json()

    assert changed["metadata"]["labels"] == {"b": "2", "c": "3"}
    assert changed["spec"]["requirement"]["root"] == "Mfa"
    assert changed["spec"]["accounts"] == [{"id": "999988887777"}]


def test_a_json_patch(policy: Object, patch: Patch) -> None:
    operations = [
        {"op": "test", "path": "/spec/interval", "value": "15m"},
        {"op": "replace", "path": "/spec/interval", "value": "5m"},
        {"op": "add", "path": "/spec/accounts/-", "value": {"id": "999988887777"}},
    ]

    spec = patch(operations, kind="json-patch+json").json()["spec"]

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
def test_a_json_patch_that_does_not_fit(policy: Object, patch: Patch, operations: object, code: int) -> None:
    answer = patch(operations, kind="json-patch+json")

    assert (answer.status, answer.json()["kind"]) == (code, "Status")


def test_custom_resources_take_no_strategic_merge_patch(policy: Object, patch: Patch) -> None:
    answer = patch({"spec": {"interval": "5m"}}, kind="strategic-merge-patch+json")

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
