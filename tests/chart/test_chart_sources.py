"""What the chart holds a second time is what stands elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml

from mfa_operator import __version__
from tests.chart.helm import CHART, Helm, Object, one
from tests.chart.value_sets import NO_CRDS, VALUE_SETS

DEPLOY = CHART.parents[1]
COPIES = {
    **{f"files/crds/{path.name}": path for path in (DEPLOY / "crds").glob("*.yaml")},
    "files/rules.yaml": DEPLOY / "prometheus" / "rules.yaml",
    "files/mfa-operator.json": DEPLOY / "grafana" / "mfa-operator.json",
}
RBAC = [each for each in yaml.safe_load_all((DEPLOY / "rbac.yaml").read_text()) if each]


def schema_keys(schema: Object, path: str = "") -> Iterator[str]:
    """Every key that the schema names, maps of the user's own left out."""
    for name, part in schema.get("properties", {}).items():
        yield f"{path}{name}"
        yield from schema_keys(part, f"{path}{name}.")


def value_keys(values: Any, known: set[str], path: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield f"{path}{name}"
        if isinstance(value, dict) and any(key.startswith(f"{path}{name}.") for key in known):
            yield from value_keys(value, known, f"{path}{name}.")


def test_copies_are_byte_for_byte_what_they_are_copies_of() -> None:
    for copy, source in COPIES.items():
        assert (CHART / copy).read_bytes() == source.read_bytes(), f"run `make chart-files`: {copy} differs"
    files = {str(path.relative_to(CHART)) for path in (CHART / "files").rglob("*") if path.is_file()}
    assert files == set(COPIES)


def test_chart_and_program_have_one_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


@pytest.mark.parametrize("keep", [True, False])
def test_the_crds_are_those_of_deploy_crds(helm: Helm, keep: bool) -> None:
    rendered = {
        each["metadata"]["name"]: each
        for each in helm.objects({"crds": {"keep": keep}})
        if each["kind"] == "CustomResourceDefinition"
    }
    sources = [yaml.safe_load(path.read_text()) for path in (DEPLOY / "crds").glob("*.yaml")]
    assert len(rendered) == len(sources) == 2
    for source in sources:
        crd = rendered[source["metadata"]["name"]]
        assert crd["spec"] == source["spec"]
        assert (crd["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep") is keep


def rights(rules: list[Object]) -> set[tuple[str, str, str, str]]:
    return {
        (group, resource, verb, name)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def test_the_rights_are_those_of_deploy_rbac_yaml(helm: Helm) -> None:
    objects = helm.objects(NO_CRDS)
    for kind in ("ClusterRole", "Role"):
        own = [each for each in objects if each["kind"] == kind and not _aggregated(each)]
        assert len(own) == 1
        assert rights(own[0]["rules"]) == rights(one(RBAC, kind)["rules"])


def test_with_namespaces_the_rights_hold_only_there(helm: Helm) -> None:
    objects = helm.objects(VALUE_SETS["namespaced"])
    assert not [each for each in objects if each["kind"] == "ClusterRoleBinding"]
    roles = {each["metadata"]["namespace"]: each for each in objects if each["kind"] == "Role"}
    assert set(roles) == {"security", "payments", "mfa-operator"}
    for namespace in ("security", "payments"):
        assert rights(roles[namespace]["rules"]) == rights(one(RBAC, "ClusterRole")["rules"])


def _aggregated(role: Object) -> bool:
    return any(label.startswith("rbac.authorization") for label in role["metadata"]["labels"])


def test_the_schema_knows_every_value_and_no_other() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    known = set(schema_keys(schema))
    assert set(value_keys(values, known)) == known


def test_the_schema_describes_every_value() -> None:
    """Editors and Artifact Hub show it."""

    def silent(part: Object, path: str = "") -> Iterator[str]:
        for name, each in part.get("properties", {}).items():
            if not each.get("description"):
                yield path + name
            yield from silent(each, f"{path}{name}.")

    assert not list(silent(json.loads((CHART / "values.schema.json").read_text())))


def test_every_value_is_explained() -> None:
    """By a comment right above it, or above the first of a block of its kind."""
    lines = (CHART / "values.yaml").read_text().splitlines()
    obvious = {"nameOverride", "podAnnotations", "nodeSelector", "extraVolumeMounts", "podMonitor", "securityContext",
               "tolerations", "affinity", "podLabels", "priorityClassName", "fullnameOverride", "runtimeClassName",
               "deploymentAnnotations", "dnsConfig", "hostAliases", "extraContainers"}  # fmt: skip
    for number, line in enumerate(lines):
        name = line.partition(":")[0]
        if not line or line[0] in " #" or name in obvious:
            continue
        block = lines[number + 1] if number + 1 < len(lines) else ""
        assert lines[number - 1].startswith("#") or block.strip().startswith("#"), f"{name} has no comment"
