"""A value that cannot work is refused before anything is applied: the reason first, then what to do."""

from __future__ import annotations

import json
from typing import Any

import botocore.session
import jsonschema
import pytest

from tests.chart.helm import CHART, Helm, HelmError, container

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    # By values.schema.json.
    "a typo": ({"replica": 3}, "additional properties 'replica' not allowed"),
    "a typo further down": ({"serviceAccount": {"annotation": {}}}, "additional properties 'annotation' not allowed"),
    "too many at once": ({"maxConcurrentAccounts": 500}, "at '/maxConcurrentAccounts': maximum: got 500, want 256"),
    "a log format": ({"logs": {"format": "xml"}}, "at '/logs/format': value must be one of 'json', 'text'"),
    "a remediation that is neither on nor off": (
        {"remediation": "dry-run"},
        "at '/remediation': value must be one of 'on', 'off'",
    ),
    "an action that is none": (
        {"access": [{"remediation": "Delete"}]},
        "at '/access/0/remediation': value must be one of 'None', 'QuarantineUntilMfa', 'RemoveConsoleAccess'",
    ),
    "an account id as a number": (
        {"access": [{"accounts": [111122223333]}]},
        "at '/access/0/accounts/0': got number, want string",
    ),
    "a key that access rules lack": ({"access": [{"account": ["*"]}]}, "additional properties 'account' not allowed"),
    "a pattern for namespaces": ({"watchNamespaces": ["team-*"]}, "at '/watchNamespaces/0': 'team-*' does not match"),
    "half a digest": ({"image": {"digest": "sha256:abc"}}, "at '/image/digest'"),
    "a path for a link": ({"runbookBaseUrl": "docs"}, "at '/runbookBaseUrl'"),
    "killed before it can end": ({"terminationGracePeriodSeconds": 3}, "minimum: got 3, want 6"),
    "a rule for no namespace": ({"access": [{"namespaces": []}]}, "at '/access/0/namespaces': minItems: got 0, want 1"),
    "a rule for no account": ({"access": [{"accounts": []}]}, "at '/access/0/accounts': minItems: got 0, want 1"),
    "a rule for no role": ({"access": [{"roles": []}]}, "at '/access/0/roles': minItems: got 0, want 1"),
    "an availability zone": ({"aws": {"region": "eu-central-1a"}}, "at '/aws/region': 'eu-central-1a' does not match"),
    "a name with an underscore": (
        {"nameOverride": "Mfa_operator"},
        "at '/nameOverride': 'Mfa_operator' does not match",
    ),
    "a name too long": ({"nameOverride": "n" * 51}, "at '/nameOverride': maxLength: got 51, want 50"),
    "a Service that begins with a digit": (
        {"fullnameOverride": "1mfa"},
        "at '/fullnameOverride': '1mfa' does not match",
    ),
    "a service account with a space": (
        {"serviceAccount": {"name": "mfa operator"}},
        "at '/serviceAccount/name': 'mfa operator' does not match",
    ),
    "a global key of another chart": (
        {"global": {"imageRegisty": "a"}},
        "additional properties 'imageRegisty' not allowed",
    ),
    "an argument that is no flag": ({"extraArgs": ["audit"]}, "at '/extraArgs/0': 'audit' does not match"),
    "an address without a port": (
        {"metrics": {"address": "0.0.0.0"}},
        "at '/metrics/address': '0.0.0.0' does not match",
    ),
    "a family that is none": (
        {"service": {"ipFamilies": ["IPv5"]}},
        "at '/service/ipFamilies/0': value must be one of",
    ),
    "a probe of another kind": ({"livenessProbe": {"exec": {}}}, "additional properties 'exec' not allowed"),
    # By the templates.
    "a flag that is a value": (
        {"extraArgs": ["--context=a", "--remediation=on"]},
        ": --remediation in extraArgs[1] is a value of the chart: set remediation instead",
    ),
    "two CA bundles": (
        {"caBundle": {"configMap": "a", "secret": "b"}},
        ": The CA bundle is named twice: caBundle.configMap and caBundle.secret",
    ),
    "a CA bundle and its variable": (
        {"caBundle": {"secret": "b"}, "extraEnv": [{"name": "AWS_CA_BUNDLE", "value": "/ca"}]},
        ": AWS_CA_BUNDLE is set twice, by caBundle and by extraEnv[0]. Drop one",
    ),
    "one port for both": (
        {"metrics": {"address": ":8080"}},
        ": One port cannot serve both: metrics.address is :8080 and health.address is :8080",
    ),
    "two families in a single stack": (
        {"service": {"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6", "IPv4"]}},
        ": A SingleStack Service has one family: service.ipFamilies names two",
    ),
    "no pod may ever go": (
        {"podDisruptionBudget": {"maxUnavailable": 0}},
        ": No node could be drained: podDisruptionBudget.maxUnavailable is 0. Raise it",
    ),
    "the region twice": (
        {"aws": {"region": "eu-central-1"}, "extraEnv": [{"name": "AWS_REGION", "value": "eu-west-1"}]},
        ": AWS_REGION is set twice, by aws.region and by extraEnv[0]. Drop one",
    ),
    "a proxy twice": (
        {"proxy": {"https": "http://a"}, "extraEnv": [{"name": "A"}, {"name": "https_proxy", "value": "http://b"}]},
        ": HTTPS_PROXY is set twice, by proxy.https and by extraEnv[1]. Drop one",
    ),
    "a variable twice": (
        {"extraEnv": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]},
        ": A is set twice, by extraEnv[0] and by extraEnv[1]. Drop one",
    ),
    "scraped twice": (
        {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}},
        ": Every sample would be scraped twice: serviceMonitor.enabled and",
    ),
    "a monitor of nothing": (
        {"serviceMonitor": {"enabled": True}, "service": {"enabled": False}},
        ": A ServiceMonitor finds pods through the Service: serviceMonitor.enabled needs",
    ),
    "a node that never drains": (
        {"replicas": 1, "podDisruptionBudget": {"enabled": True}},
        ": No node could be drained: podDisruptionBudget.minAvailable=1 with replicas=1. Raise replicas",
    ),
    "a node that never drains, in percent": (
        {"podDisruptionBudget": {"minAvailable": "100%"}},
        ": No node could be drained: podDisruptionBudget.minAvailable is 100%",
    ),
    "no service account": (
        {"serviceAccount": {"create": False}},
        ": No service account is named: serviceAccount.create=false needs serviceAccount.name",
    ),
    "annotations for nobody": (
        {"serviceAccount": {"create": False, "name": "given", "annotations": {"a": "b"}}},
        "has no effect with serviceAccount.create=false",
    ),
    "tag and digest": (
        {"image": {"tag": "1", "digest": f"sha256:{'a' * 64}"}},
        ": Only the digest would count: image.tag and image.digest are both set. Drop one",
    ),
    "a tag in the repository": ({"image": {"repository": "a.example.com:5000/b:1"}}, "put it into image.tag"),
    "a flag by its variable": (
        {"extraEnv": [{"name": "MFA_OPERATOR_REMEDIATION", "value": "off"}]},
        ": MFA_OPERATOR_REMEDIATION in extraEnv[0] has no effect: the chart's value",
    ),
    "the Lease's namespace": (
        {"extraEnv": [{"name": "POD_NAMESPACE", "value": "x"}]},
        ": POD_NAMESPACE in extraEnv[0] is set by the chart",
    ),
    "a rule after the last": (
        {"access": [{"remediation": "None"}, {"accounts": ["1*"]}]},
        "access[0] matches everything, so that the rules after it never hold",
    ),
    "an alert that is none": (
        {"prometheusRule": {"enabled": True, "disabled": ["MfaUserOverDue"]}},
        ": There is no alert MfaUserOverDue, which prometheusRule.disabled names; there are MfaUserViolating",
    ),
    "an alert both ways": (
        {"prometheusRule": {"severities": {"MfaUserOverdue": "info"}, "disabled": ["MfaUserOverdue"]}},
        ": Alert MfaUserOverdue has a severity in prometheusRule.severities, and prometheusRule.disabled",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refuses(helm: Helm, what: str) -> None:
    values, message = REFUSED[what]
    with pytest.raises(HelmError) as refused:
        helm.render(values)
    assert message in str(refused.value)


@pytest.mark.parametrize("release", ["1mfa", "mfa.operator"])
def test_refuses_a_release_whose_service_has_no_valid_name(helm: Helm, release: str) -> None:
    with pytest.raises(HelmError, match=rf"values-checks.yaml:\S+: Kubernetes refuses the name \"{release}-"):
        helm.render({"nameOverride": "console"}, release=release)
    assert helm.render({"fullnameOverride": "console"}, release=release)


def test_every_region_of_every_partition_is_accepted() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["aws"]["properties"]["region"]
    session = botocore.session.get_session()
    regions = {
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("ec2", partition_name=partition)
    }
    assert {"eusc-de-east-1", "us-isob-east-1", "eu-isoe-west-1", "us-isof-south-1", "cn-north-1"} < regions
    for region in regions | {""}:
        jsonschema.validate(region, schema)


def test_a_registry_with_a_port_is_no_tag(helm: Helm) -> None:
    assert "registry.example.com:5000/mfa:0.1.0" in helm.render(
        {"image": {"repository": "registry.example.com:5000/mfa"}}
    )


@pytest.mark.parametrize(
    ("registry", "repository", "image"),
    [
        ("", "mfa-operator", "mfa-operator"),
        ("mirror.example.com/", "mfa-operator", "mirror.example.com/mfa-operator"),
        ("mirror.example.com", "security/mfa-operator", "mirror.example.com/security/mfa-operator"),
        ("mirror.example.com:443/a", "quay.example.com/b/c", "mirror.example.com:443/a/b/c"),
        ("mirror.example.com", "localhost/b", "mirror.example.com/b"),
        ("mirror.example.com", "registry:5000/b", "mirror.example.com/b"),
    ],
)
def test_a_global_registry_replaces_the_images_own(helm: Helm, registry: str, repository: str, image: str) -> None:
    objects = helm.objects({"global": {"imageRegistry": registry}, "image": {"repository": repository, "tag": "1"}})
    assert container(objects)["image"] == f"{image}:1"
