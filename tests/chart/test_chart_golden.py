"""What the chart renders, in full; UPDATE_GOLDEN=1 writes the files anew, for a person to read the difference."""

from __future__ import annotations

import json
import os
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.utils import get_environ_proxies

from mfa_operator.config.settings import RUNBOOK_BASE_URL
from tests.chart.helm import CHART, NAMESPACE, Helm, container, one, pod_spec
from tests.chart.value_sets import NO_CRDS, VALUE_SETS

GOLDEN = Path(__file__).parent / "golden"
DASHBOARD = CHART.parents[1] / "grafana" / "mfa-operator.json"


@pytest.mark.parametrize("name", VALUE_SETS)
def test_renders_what_the_golden_file_holds(helm: Helm, name: str) -> None:
    rendered = helm.render(VALUE_SETS[name])
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_text(rendered, encoding="utf-8")
    assert rendered == path.read_text(encoding="utf-8")


def test_there_is_no_golden_file_that_nobody_compares() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(VALUE_SETS)


def test_lints_without_a_warning(helm: Helm) -> None:
    for values in VALUE_SETS.values():
        said = helm("lint", "--strict", str(CHART), values=values)
        assert "0 chart(s) failed" in said
        assert "WARNING" not in said


@pytest.mark.parametrize(
    ("remediation", "flag"), [("on", "on"), ("off", "off"), (True, "on"), (False, "off")], ids=repr
)
def test_an_unquoted_off_is_off(helm: Helm, remediation: str | bool, flag: str) -> None:
    objects = helm.objects({**NO_CRDS, "remediation": remediation})
    assert f"--remediation={flag}" in container(objects)["args"]


@pytest.mark.parametrize(
    ("values", "rules"),
    [
        ({}, [{"namespaces": [NAMESPACE]}]),
        ({"namespaceOverride": "security"}, [{"namespaces": ["security"]}]),
        ({"watchNamespaces": ["a", "b"]}, [{"namespaces": ["a", "b"]}]),
        ({"access": []}, []),
        ({"access": [{"namespaces": ["*"]}], "watchNamespaces": ["a"]}, [{"namespaces": ["*"]}]),
    ],
    ids=["defaults", "another namespace", "watched namespaces", "nobody", "everybody"],
)
def test_without_rules_the_releases_own_namespace_is_served(
    helm: Helm, values: dict[str, Any], rules: list[dict[str, list[str]]]
) -> None:
    objects = helm.objects({**NO_CRDS, **values})
    text = one(objects, "ConfigMap", "-access")["data"]["access.yaml"]
    assert yaml.safe_load(text) == {"access": rules}
    assert "--config=/etc/mfa-operator/access.yaml" in container(objects)["args"]


def test_a_change_of_the_access_rules_restarts_nothing(helm: Helm) -> None:
    """The operator reads the file anew; a restart would end passes for nothing."""
    before, after = (helm.objects({**NO_CRDS, "access": [{"accounts": [account]}]}) for account in ("1*", "2*"))
    assert one(before, "ConfigMap", "-access") != one(after, "ConfigMap", "-access")
    assert one(before, "Deployment") == one(after, "Deployment")


def test_another_role_of_the_service_account_rolls_the_pods(helm: Helm) -> None:
    """IRSA's webhook reads the annotation when a pod is made, and never again."""

    def pod_template(annotations: dict[str, str]) -> Any:
        objects = helm.objects({**NO_CRDS, "serviceAccount": {"annotations": annotations}})
        return one(objects, "Deployment")["spec"]["template"]

    first, second = ({"eks.amazonaws.com/role-arn": f"arn:aws:iam::999988887777:role/{name}"} for name in ("a", "b"))
    templates = [pod_template(annotations) for annotations in ({}, first, second)]
    assert all(one != other for one, other in combinations(templates, 2))
    assert pod_template(first) == templates[1]


@pytest.mark.parametrize("page", ["quick-start", "aws-setup"])
def test_the_documented_flag_gives_the_service_account_its_role(helm: Helm, page: str) -> None:
    text = (CHART.parents[2] / "docs" / f"{page}.md").read_text(encoding="utf-8")
    (flag,) = re.findall(r"--set-string '(serviceAccount\.annotations[^']+)'", text)
    account = one(helm.objects(NO_CRDS, "--set-string", flag), "ServiceAccount")
    role = "arn:aws:iam::999988887777:role/mfa-operator-controller"
    assert account["metadata"]["annotations"] == {"eks.amazonaws.com/role-arn": role}


DOCUMENTED = {
    f"{path.stem}-{number}": re.findall(r"--set '(access[^']+)'", command)
    for path in [CHART.parents[2] / "README.md", *sorted((CHART.parents[2] / "docs").rglob("*.md"))]
    for number, command in enumerate(
        re.findall(r"^ *\$ helm (?:[^\n]*\\\n)*[^\n]*", path.read_text(encoding="utf-8"), re.MULTILINE)
    )
    if "access[" in command
}


@pytest.mark.parametrize("flags", DOCUMENTED.values(), ids=DOCUMENTED)
def test_a_documented_rule_names_its_namespaces(helm: Helm, flags: list[str]) -> None:
    """Helm replaces lists as a whole, with --reuse-values too: a rule without namespaces would be for all of them."""
    objects = helm.objects(NO_CRDS, *(f"--set={flag}" for flag in flags))
    rules = yaml.safe_load(one(objects, "ConfigMap", "-access")["data"]["access.yaml"])["access"]
    assert [rule.get("namespaces") for rule in rules] == [["security"]]


def test_openshifts_ids_are_left_to_it(helm: Helm) -> None:
    """Its restricted SCC refuses ids outside the namespace's range; an id that somebody chose stays."""
    context = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    flag = "--api-versions=security.openshift.io/v1"
    assert pod_spec(helm.objects(NO_CRDS, flag))["securityContext"] == context
    chosen = {**NO_CRDS, "podSecurityContext": {"runAsUser": 1000680000}}
    assert pod_spec(helm.objects(chosen, flag))["securityContext"] == {**context, "runAsUser": 1000680000}
    assert pod_spec(helm.objects(NO_CRDS))["securityContext"]["runAsUser"] == 65532


def test_no_credentials_are_asked_for_through_a_proxy(helm: Helm, monkeypatch: pytest.MonkeyPatch) -> None:
    """By botocore's own reading of NO_PROXY: container credentials, Pod Identity and IMDS, of both families."""
    objects = helm.objects({**NO_CRDS, "proxy": {"https": "http://proxy.example.com:3128", "noProxy": ".internal"}})
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name.lower(), raising=False)
        monkeypatch.setenv(name, "http://proxy.example.com:3128")
    (no_proxy,) = (each["value"] for each in container(objects)["env"] if each["name"] == "NO_PROXY")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    direct = ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]", "169.254.169.254", "[fd00:ec2::254]", "a.internal"]
    for host in direct:
        assert not get_environ_proxies(f"http://{host}/v1/credentials"), host
    assert get_environ_proxies("https://sts.eu-central-1.amazonaws.com/")


def test_one_namespace_in_place_of_the_releases(helm: Helm) -> None:
    values = {**VALUE_SETS["umbrella"], "extraObjects": []}
    namespaces = {each["kind"]: each["metadata"].get("namespace") for each in helm.objects(values)}
    assert namespaces.pop("ServiceMonitor") == "payments"
    assert {each for each in namespaces.values() if each} == {"security"}


def test_names_fit_however_long_the_release_is(helm: Helm) -> None:
    for each in helm.objects({**NO_CRDS, "dashboard": {"enabled": True}}, release="r" * 53, namespace="n" * 63):
        limit = 253 if each["kind"].startswith("Cluster") else 63
        assert len(each["metadata"]["name"]) <= limit


def test_the_dashboard_is_whole_and_labelled_for_the_sidecar(helm: Helm) -> None:
    values = {**NO_CRDS, "dashboard": {"enabled": True, "annotations": {"grafana_folder": "Security"}}}
    found = one(helm.objects(values), "ConfigMap", "-dashboard")
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["metadata"]["annotations"] == {"grafana_folder": "Security"}
    assert json.loads(found["data"]["mfa-operator.json"]) == json.loads(DASHBOARD.read_text(encoding="utf-8"))
    elsewhere = helm.objects({**values, "runbookBaseUrl": "https://wiki.example.com/mfa/"})
    text = one(elsewhere, "ConfigMap", "-dashboard")["data"]["mfa-operator.json"]
    assert json.loads(text)["links"][0]["url"] == "https://wiki.example.com/mfa"
    assert RUNBOOK_BASE_URL not in text
