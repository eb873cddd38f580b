"""A value that cannot work is refused before anything is applied, in words that say what to do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.helm import Helm, HelmError

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    # By values.schema.json.
    "a typo": ({"replica": 3}, "additional properties 'replica' not allowed"),
    "a typo further down": ({"serviceAccount": {"annotation": {}}}, "additional properties 'annotation' not allowed"),
    "too many at once": ({"maxConcurrentAccounts": 500}, "at '/maxConcurrentAccounts': maximum: got 500, want 256"),
    "a log format": ({"logs": {"format": "xml"}}, "at '/logs/format': value must be one of 'json', 'text'"),
    "a brake that is none": ({"remediation": "dry-run"}, "at '/remediation': value must be one of 'on', 'off'"),
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
    "a path for a link": ({"prometheusRule": {"runbookBaseUrl": "docs"}}, "at '/prometheusRule/runbookBaseUrl'"),
    "killed before it can end": ({"terminationGracePeriodSeconds": 3}, "minimum: got 3, want 6"),
    # By the templates.
    "scraped twice": (
        {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}},
        "every sample would be scraped twice. Choose one",
    ),
    "a monitor of nothing": (
        {"serviceMonitor": {"enabled": True}, "service": {"enabled": False}},
        "serviceMonitor.enabled needs service.enabled=true",
    ),
    "a node that never drains": (
        {"replicas": 1, "podDisruptionBudget": {"enabled": True}},
        "minAvailable=1 with replicas=1 would block every drain of a node. Raise replicas",
    ),
    "a node that never drains, in percent": (
        {"podDisruptionBudget": {"minAvailable": "100%"}},
        "minAvailable=100% would block every drain of a node",
    ),
    "no service account": (
        {"serviceAccount": {"create": False}},
        "serviceAccount.create=false needs serviceAccount.name",
    ),
    "annotations for nobody": (
        {"serviceAccount": {"create": False, "name": "given", "annotations": {"a": "b"}}},
        "has no effect with serviceAccount.create=false",
    ),
    "tag and digest": (
        {"image": {"tag": "1", "digest": f"sha256:{'a' * 64}"}},
        "the digest alone would count. Drop one",
    ),
    "a tag in the repository": ({"image": {"repository": "a.example.com:5000/b:1"}}, "put it into image.tag"),
    "a flag by its variable": (
        {"extraEnv": [{"name": "MFA_OPERATOR_REMEDIATION", "value": "off"}]},
        "extraEnv[0] sets MFA_OPERATOR_REMEDIATION: use the chart's value",
    ),
    "the Lease's namespace": (
        {"extraEnv": [{"name": "POD_NAMESPACE", "value": "x"}]},
        "extraEnv[0] sets POD_NAMESPACE, which the chart sets",
    ),
    "a rule after the last": (
        {"access": [{"remediation": "None"}, {"accounts": ["1*"]}]},
        "access[0] matches everything, so that the rules after it never hold",
    ),
    "an alert that is none": (
        {"prometheusRule": {"enabled": True, "disabled": ["MfaUserOverDue"]}},
        "an alert MfaUserOverDue that does not exist; there are MfaUserViolating",
    ),
    "an alert both ways": (
        {"prometheusRule": {"severities": {"MfaUserOverdue": "info"}, "disabled": ["MfaUserOverdue"]}},
        "prometheusRule.disabled leaves out",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refuses(helm: Helm, what: str) -> None:
    values, message = REFUSED[what]
    with pytest.raises(HelmError) as refused:
        helm.render(values)
    assert message in str(refused.value)


def test_a_registry_with_a_port_is_no_tag(helm: Helm) -> None:
    assert "registry.example.com:5000/mfa:0.1.0" in helm.render(
        {"image": {"repository": "registry.example.com:5000/mfa"}}
    )


def test_works_as_a_part_of_another_chart(helm: Helm) -> None:
    assert helm.render({"global": {"imageRegistry": "registry.example.com"}})
