"""How the embedded Kubernetes lists: selectors, pages, tables, the two forms of Events."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kubernetes import client

from mfa_sandbox.kubernetes import EmbeddedKubernetes
from mfa_sandbox.kubernetes.tables import age
from tests.kube.objects import POLICIES, Http, Object

GROUP = ("mfa-operator.io", "v1alpha1")
PATH = "/apis/mfa-operator.io/v1alpha1/mfapolicies"
TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}


@pytest.fixture
def five(kube: EmbeddedKubernetes, new_policy: Callable[..., Object]) -> None:
    """Policies a to e in two namespaces, labelled."""
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "security"}})
    for name, namespace, labels in (
        ("a", "default", {"team": "red", "tier": "1"}),
        ("b", "default", {"team": "blue"}),
        ("c", "default", {}),
        ("d", "security", {"team": "green"}),
        ("e", "security", {"team": "red", "a.b/c": "x.y"}),
    ):
        manifest = new_policy(name)
        manifest["metadata"] |= {"labels": labels, "namespace": namespace}
        kube.apply(manifest)


def names(listed: Object) -> str:
    return "".join(item["metadata"]["name"] for item in listed["items"])


def test_a_list_says_what_it_is(kube: EmbeddedKubernetes, objects: Any, five: None) -> None:
    listed = objects.list_cluster_custom_object(*GROUP, "mfapolicies")

    assert (listed["apiVersion"], listed["kind"]) == ("mfa-operator.io/v1alpha1", "MfaPolicyList")
    assert names(listed) == "abcde"
    assert listed["metadata"] == {"resourceVersion": listed["items"][-1]["metadata"]["resourceVersion"]}
    assert names(objects.list_namespaced_custom_object(*POLICIES)) == "abc"


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("", "abcde"),
        ("team=red", "ae"),
        ("team==red", "ae"),
        ("team!=red", "bcd"),
        ("team in (red,blue)", "abe"),
        ("team in ( red , blue ),tier", "a"),
        ("team notin (red, blue)", "cd"),
        ("team", "abde"),
        ("!team", "c"),
        ("team=red,tier=1", "a"),
        ("team=red,!tier", "e"),
        ("a.b/c=x.y", "e"),
        ("team=", ""),
    ],
)
def test_label_selectors(objects: Any, five: None, selector: str, found: str) -> None:
    listed = objects.list_cluster_custom_object(*GROUP, "mfapolicies", label_selector=selector)

    assert names(listed) == found


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("metadata.name=a", "a"),
        ("metadata.name!=a", "bcde"),
        ("metadata.namespace=security", "de"),
        ("metadata.namespace=security,metadata.name==e", "e"),
    ],
)
def test_field_selectors(objects: Any, five: None, selector: str, found: str) -> None:
    listed = objects.list_cluster_custom_object(*GROUP, "mfapolicies", field_selector=selector)

    assert names(listed) == found


@pytest.mark.parametrize(
    "query",
    [
        {"labelSelector": "team in red"},
        {"labelSelector": "-x=1"},
        {"fieldSelector": "spec.interval=15m"},
        {"fieldSelector": "metadata.name"},
        {"limit": "many"},
        {"watch": "true", "resourceVersion": "x"},
    ],
)
def test_what_cannot_be_understood_is_refused(http: Http, query: dict[str, str]) -> None:
    answer = http("GET", PATH, fields=query)

    assert (answer.status, answer.json()["reason"]) == (400, "BadRequest")


def test_pages_show_the_state_in_which_the_list_began(
    kube: EmbeddedKubernetes, objects: Any, five: None, new_policy: Callable[..., Object]
) -> None:
    def page(token: str = "") -> Object:
        found: Object = objects.list_cluster_custom_object(*GROUP, "mfapolicies", limit=2, _continue=token)
        return found

    first = page()
    kube.delete("mfapolicies", "default", "c")
    kube.apply(new_policy("bb"))
    second = page(first["metadata"]["continue"])
    third = page(second["metadata"]["continue"])

    assert [names(each) for each in (first, second, third)] == ["ab", "cd", "e"]
    assert [each["metadata"].get("remainingItemCount") for each in (first, second, third)] == [3, 1, None]
    assert "continue" not in third["metadata"]
    assert len({each["metadata"]["resourceVersion"] for each in (first, second, third)}) == 1
    assert names(page(first["metadata"]["continue"])) == "cd"


@pytest.mark.parametrize(
    ("expire", "code", "reason", "message"),
    [
        (True, 410, "Expired", "is too old to display a consistent list result"),
        (False, 400, "BadRequest", "invalid continue token"),
    ],
)
def test_a_page_of_a_list_too_old_is_gone(
    kube: EmbeddedKubernetes, objects: Any, five: None, expire: bool, code: int, reason: str, message: str
) -> None:
    token = objects.list_cluster_custom_object(*GROUP, "mfapolicies", limit=2)["metadata"]["continue"]
    if expire:
        kube.expire_watches()

    with pytest.raises(client.ApiException) as refused:
        objects.list_cluster_custom_object(*GROUP, "mfapolicies", limit=2, _continue=token if expire else "made-up")

    status = json.loads(str(refused.value.body))
    assert (refused.value.status, status["reason"]) == (code, reason)
    assert message in status["message"]


def test_lists_of_built_in_kinds_leave_the_kind_to_the_list(kube: EmbeddedKubernetes, http: Http, five: None) -> None:
    namespaces = http("GET", "/api/v1/namespaces").json()
    assert (namespaces["kind"], namespaces["apiVersion"]) == ("NamespaceList", "v1")
    assert not {"kind", "apiVersion"} & set(namespaces["items"][0])
    assert {"kind", "apiVersion"} <= set(http("GET", PATH).json()["items"][0])


def test_a_list_begun_after_the_expiry_has_all_its_pages(kube: EmbeddedKubernetes, objects: Any, five: None) -> None:
    kube.expire_watches()

    first = objects.list_cluster_custom_object(*GROUP, "mfapolicies", limit=4)
    second = objects.list_cluster_custom_object(*GROUP, "mfapolicies", limit=4, _continue=first["metadata"]["continue"])

    assert (names(first), names(second)) == ("abcd", "e")


def test_a_table_has_the_crds_columns(kube: EmbeddedKubernetes, http: Http, five: None) -> None:
    kube.patch(
        "mfapolicies",
        "default",
        "a",
        {
            "status": {
                "conditions": [
                    {"type": "Compliant", "status": "False"},
                    {"type": "Ready", "status": "True", "message": "fine"},
                ],
                "summary": {"violating": 3, "overdue": 0, "accounts": 2},
                "lastPassTime": "2001-01-01T00:00:00Z",
            }
        },
        subresource="status",
    )

    table = http("GET", PATH, headers=TABLE).json()

    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    columns = [column["name"] for column in table["columnDefinitions"]]
    assert columns[:7] == ["Name", "Ready", "Compliant", "Violating", "Overdue", "Accounts", "Last-Pass"]
    row = dict(zip(columns, table["rows"][0]["cells"], strict=True))
    assert (row["Name"], row["Ready"], row["Compliant"], row["Violating"], row["Overdue"]) == (
        "a",
        "True",
        "False",
        3,
        0,
    )
    assert row["Last-Pass"].endswith("y")
    assert row["Age"].endswith("s")
    assert row["Message"] == "fine"
    assert [column["priority"] for column in table["columnDefinitions"] if column["name"] == "Message"] == [1]
    assert table["rows"][1]["cells"][1] is None
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    assert table["rows"][0]["object"]["metadata"]["name"] == "a"


def test_a_reports_table_shows_a_label_with_dots(kube: EmbeddedKubernetes, http: Http) -> None:
    kube.apply(
        {
            "apiVersion": "mfa-operator.io/v1alpha1",
            "kind": "MfaReport",
            "metadata": {"name": "r", "labels": {"mfa-operator.io/policy": "console-mfa"}},
        }
    )

    path = "/apis/mfa-operator.io/v1alpha1/namespaces/default/mfareports/r"
    table = http("GET", path, fields={"includeObject": "Object"}, headers=TABLE).json()

    assert "console-mfa" in table["rows"][0]["cells"]
    assert table["rows"][0]["object"]["kind"] == "MfaReport"


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(seconds=-5), "<invalid>"),
        (timedelta(0), "0s"),
        (timedelta(seconds=119), "119s"),
        (timedelta(seconds=125), "2m5s"),
        (timedelta(minutes=3), "3m"),
        (timedelta(minutes=90), "90m"),
        (timedelta(hours=3, minutes=1), "3h1m"),
        (timedelta(hours=8), "8h"),
        (timedelta(hours=47), "47h"),
        (timedelta(days=2, hours=3), "2d3h"),
        (timedelta(days=8), "8d"),
        (timedelta(days=731), "2y1d"),
        (timedelta(days=3000), "8y"),
    ],
)
def test_ages_read_as_kubectls(span: timedelta, text: str) -> None:
    assert age(span) == text


def test_events_are_the_same_objects_in_both_forms(api: client.ApiClient) -> None:
    now = datetime.now(UTC)
    events: Any = client.EventsV1Api(api)
    events.create_namespaced_event(
        "default",
        {
            "metadata": {"generateName": "console-mfa-"},
            "regarding": {"kind": "MfaPolicy", "name": "console-mfa", "namespace": "default"},
            "note": "3 users violate",
            "reason": "Violations",
            "action": "Audit",
            "type": "Warning",
            "eventTime": now.isoformat(timespec="microseconds"),
            "reportingController": "mfa-operator.io/operator",
            "reportingInstance": "pod-1",
        },
    )
    core: Any = client.CoreV1Api(api)

    (event,) = core.list_namespaced_event("default", field_selector="involvedObject.name=console-mfa").items
    assert core.list_namespaced_event("default", field_selector="involvedObject.name=other").items == []
    assert (event.message, event.reporting_component, event.involved_object.kind) == (
        "3 users violate",
        "mfa-operator.io/operator",
        "MfaPolicy",
    )

    core.patch_namespaced_event(event.metadata.name, "default", {"count": 2, "message": "4 users violate"})
    (changed,) = events.list_namespaced_event("default").items
    assert (changed.note, changed.deprecated_count, changed.regarding.name) == ("4 users violate", 2, "console-mfa")
