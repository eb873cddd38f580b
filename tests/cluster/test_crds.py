"""The CRDs and examples of deploy/ on a real API server; the specs it refuses are in test_policy_specs.py."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import bad_specs
from tests.controlplane import Kubectl

DEPLOY = Path(__file__).parents[2] / "deploy"
EXAMPLES = (
    "exemptions",
    "minimal",
    "multi-account",
    "organization",
    "quarantine",
    "remediation-dry-run",
    "remove-console-access",
    "strict",
)
CRDS = ("mfapolicies", "mfareports")
GROUP_VERSION = "mfa-operator.io/v1alpha1"
ACCOUNT = bad_specs.ACCOUNT
SECONDS = 30.0
PASSED = "2024-03-01T12:00:00Z"
DEFAULTS: dict[str, Any] = {
    "suspend": False,
    "interval": "15m",
    "maxStaleness": "4h",
    "gracePeriod": "168h",
    "requirement": {"users": "Console", "root": "Ignore", "deviceTypes": ["Virtual", "SecurityKey", "HardwareToken"]},
    "remediation": {"action": "None", "dryRun": True, "maxPerPass": 5, "maxPercent": 10, "quarantineAccessKeys": False},
}
ORGANIZATION = {"accountRole": {"name": "mfa-operator", "path": "/"}, "refreshInterval": "1h"}


def schema(plural: str) -> dict[str, Any]:
    crd = yaml.safe_load((DEPLOY / "crds" / f"{plural}.yaml").read_text(encoding="utf-8"))
    (version,) = crd["spec"]["versions"]
    whole: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return whole


def nodes(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema inside a schema with its path, the items of lists and the values of maps included."""
    yield path, node
    for name, inner in node.get("properties", {}).items():
        # The API server's own; of its fields the schema may only restrict the name.
        if path or name != "metadata":
            yield from nodes(inner, f"{path}.{name}")
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if key in node:
            yield from nodes(node[key], path + mark)


def example(name: str) -> str:
    return str(DEPLOY / "examples" / f"{name}.yaml")


def create(kubectl: Kubectl, namespace: str, manifest: dict[str, Any], *flags: str) -> None:
    kubectl("create", "--namespace", namespace, "-f", "-", *flags, input=json.dumps(manifest))


def get(kubectl: Kubectl, namespace: str, what: str, *flags: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kubectl("get", what, "-n", namespace, "-o", "json", *flags).stdout)
    return found


def explain(kubectl: Kubectl, *args: str) -> str:
    """What `kubectl explain` prints, once the API server publishes its schemas, some time after it serves a CRD."""
    deadline = time.monotonic() + SECONDS
    while (done := kubectl("explain", *args, check=False)).returncode and time.monotonic() < deadline:
        time.sleep(0.1)
    assert done.returncode == 0, done.stderr
    return done.stdout


def report(name: str = f"a-policy-{ACCOUNT}") -> dict[str, Any]:
    labels = {"mfa-operator.io/policy": "a-policy", "mfa-operator.io/account-id": ACCOUNT}
    return {
        "apiVersion": GROUP_VERSION,
        "kind": "MfaReport",
        "metadata": {"name": name, "labels": labels},
    }


def patch_status(kubectl: Kubectl, namespace: str, what: str, status: dict[str, Any], path: Path) -> str:
    """Merge the status in as the operator does it; returns what kubectl said of a refusal."""
    path.write_text(json.dumps({"status": status}), encoding="utf-8")
    flags = ("--subresource=status", "--type=merge", f"--patch-file={path}")
    return kubectl("patch", what, "--namespace", namespace, *flags, check=False).stderr


def condition(kind: str, status: str, reason: str, message: str) -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": PASSED}


def finding(user: str, **fields: Any) -> dict[str, Any]:
    return {"user": user, "state": "Violating", "reason": "NoMfa", **fields}


@pytest.mark.parametrize("plural", CRDS)
class TestSchema:
    def test_every_field_is_explained(self, plural: str) -> None:
        silent = [
            path
            for path, node in nodes(schema(plural), "")
            if not path.endswith(("[]", "{}")) and len(node.get("description", "")) < len("The kind.")
        ]
        assert silent == []

    def test_every_string_list_and_map_is_bounded(self, plural: str) -> None:
        bounds = {"string": {"maxLength", "enum"}, "array": {"maxItems"}, "integer": {"minimum"}}
        unbounded = [
            path
            for path, node in nodes(schema(plural), "")
            if path not in {".apiVersion", ".kind"}
            and node["type"] in bounds
            and not bounds[node["type"]] & node.keys()
        ]
        unbounded += [
            path
            for path, node in nodes(schema(plural), "")
            if "additionalProperties" in node and "maxProperties" not in node
        ]
        assert unbounded == []

    def test_every_rule_has_words_for_people(self, plural: str) -> None:
        rules = [rule for _, node in nodes(schema(plural), "") for rule in node.get("x-kubernetes-validations", [])]
        assert [rule["rule"] for rule in rules if not rule.get("message")] == []

    def test_kubectl_explains_it_to_the_leaves(self, kubectl: Kubectl, plural: str) -> None:
        tree = explain(kubectl, plural, "--recursive")
        for path, _ in nodes(schema(plural), ""):
            name = path.rpartition(".")[2].rstrip("[]{}")
            assert f"{name}\t<" in tree or not name
        leaf = "spec.exemptions.expires" if plural == "mfapolicies" else "status.findings.remediation.state"
        assert "DESCRIPTION:\n    " in explain(kubectl, f"{plural}.{leaf}")


@pytest.mark.parametrize("name", EXAMPLES)
class TestExamples:
    def test_applies_and_a_second_apply_changes_nothing(self, kubectl: Kubectl, namespace: str, name: str) -> None:
        here = ("--namespace", namespace, "-f", example(name))
        assert "(server dry run)" in kubectl("apply", "--dry-run=server", *here).stdout
        assert "created" in kubectl("apply", *here).stdout
        assert kubectl("diff", *here).stdout == ""
        assert "unchanged" in kubectl("apply", *here).stdout

    def test_a_second_server_side_apply_changes_nothing(self, kubectl: Kubectl, namespace: str, name: str) -> None:
        """As Argo CD and Flux do it."""
        apply = ("apply", "--server-side", "--namespace", namespace, "-f", example(name))
        versions = {kubectl(*apply, "-o", "jsonpath={.metadata.resourceVersion}").stdout for _ in range(2)}
        assert len(versions) == 1


def test_all_examples_apply_side_by_side(kubectl: Kubectl, namespace: str) -> None:
    kubectl("apply", "--namespace", namespace, "-f", str(DEPLOY / "examples"))
    assert len(kubectl("get", "mfap", "-n", namespace, "-o", "name").stdout.split()) == len(EXAMPLES)


class TestDefaults:
    def test_fill_in_all_that_is_left_out(self, kubectl: Kubectl, namespace: str) -> None:
        accounts = [{"id": ACCOUNT}]
        create(kubectl, namespace, bad_specs.policy("spec", {"accounts": accounts}))
        assert get(kubectl, namespace, "mfap/a-policy")["spec"] == DEFAULTS | {"accounts": accounts}

    @pytest.mark.parametrize(
        ("parent", "given"),
        [
            ("requirement", {"users": "All"}),
            ("remediation", {"dryRun": False}),
            ("remediation", {}),
            ("organization", {}),
            ("organization", {"refreshInterval": "5m"}),
        ],
    )
    def test_fill_in_what_a_parent_leaves_out(
        self, kubectl: Kubectl, namespace: str, parent: str, given: dict[str, Any]
    ) -> None:
        create(kubectl, namespace, bad_specs.policy(f"spec.{parent}", given))
        defaults = ORGANIZATION if parent == "organization" else DEFAULTS[parent]
        assert get(kubectl, namespace, "mfap/a-policy")["spec"][parent] == {**defaults, **given}


class TestReading:
    """What people see who look at policies and reports with kubectl."""

    @pytest.fixture
    def seen(self, kubectl: Kubectl, namespace: str, tmp_path: Path) -> str:
        """A namespace with a policy and a report after a pass."""
        summary = {"accounts": 3, "users": 17, "violating": 4, "overdue": 2, "unknown": 1, "exempt": 5}
        policy_status = {
            "observedGeneration": 1,
            "lastPassTime": PASSED,
            "conditions": [
                condition("Ready", "True", "PassSucceeded", "3 accounts audited"),
                condition("Compliant", "False", "Violations", "6 users violate"),
            ],
            "summary": summary | {"accountsFailed": 1},
            "accounts": [{"id": ACCOUNT, "state": "Denied", "reason": "AssumeRoleDenied", "message": "no"}],
            "findings": [finding("alice", accountId=ACCOUNT, firstSeen=PASSED)],
            "findingsTotal": 1,
        }
        report_status = {
            "accountId": ACCOUNT,
            "accountName": "payments-prod",
            "account": {"state": "Audited"},
            "auditedAt": PASSED,
            "summary": summary,
            "findings": [finding("<root_account>"), finding("alice", path="/eng/")],
        }
        create(kubectl, namespace, dict(bad_specs.BASE))
        create(kubectl, namespace, report())
        assert patch_status(kubectl, namespace, "mfap/a-policy", policy_status, tmp_path / "policy") == ""
        assert patch_status(kubectl, namespace, f"mfar/a-policy-{ACCOUNT}", report_status, tmp_path / "r") == ""
        return namespace

    def table(self, kubectl: Kubectl, *args: str) -> list[str]:
        """The lines of `kubectl get`, with one blank between the columns."""
        return [" ".join(line.split()) for line in kubectl("get", *args).stdout.splitlines()]

    def test_get_mfap_shows_the_state_of_each_policy(self, kubectl: Kubectl, seen: str) -> None:
        head, row = self.table(kubectl, "mfap", "-n", seen)
        assert head == "NAME READY COMPLIANT VIOLATING OVERDUE ACCOUNTS FAILED LAST-PASS AGE"
        # When the pass was and how old the object is, as in 3d4h or 5m.
        assert re.fullmatch(r"a-policy True False 4 2 3 1( (\d+[ydhms])+){2}", row)
        _, wide = self.table(kubectl, "mfap", "-n", seen, "-o", "wide")
        assert wide.endswith(" PassSucceeded 3 accounts audited")

    def test_get_mfar_shows_the_state_of_each_account(self, kubectl: Kubectl, seen: str) -> None:
        head, row = self.table(kubectl, "mfar", "-n", seen)
        assert head == "NAME POLICY ACCOUNT ACCOUNT-NAME STATE USERS VIOLATING OVERDUE UNKNOWN CHANGED"
        assert re.fullmatch(rf"a-policy-{ACCOUNT} a-policy {ACCOUNT} payments-prod Audited 17 4 2 1 (\d+[ydhms])+", row)

    @pytest.mark.parametrize("what", ["mfap,mfar", "mfa"])
    def test_both_kinds_are_found_together(self, kubectl: Kubectl, seen: str, what: str) -> None:
        names = kubectl("get", what, "-n", seen, "-o", "name").stdout.split()
        assert names == [
            "mfapolicy.mfa-operator.io/a-policy",
            f"mfareport.mfa-operator.io/a-policy-{ACCOUNT}",
        ]

    def test_describe_tells_it_all(self, kubectl: Kubectl, seen: str) -> None:
        assert "AssumeRoleDenied" in kubectl("describe", "mfap", "a-policy", "-n", seen).stdout
        assert "<root_account>" in kubectl("describe", "mfar", f"a-policy-{ACCOUNT}", "-n", seen).stdout

    def test_wait_for_ready(self, kubectl: Kubectl, seen: str) -> None:
        wait = ("wait", "--timeout=10s", "-n", seen, "mfap/a-policy")
        assert "condition met" in kubectl(*wait, "--for=condition=Ready").stdout
        kubectl(*wait, "--for=condition=Compliant=False")


class TestStatus:
    @pytest.mark.parametrize("manifest", [dict(bad_specs.BASE), report("a-policy")], ids=["policy", "report"])
    def test_is_not_written_with_the_object(self, kubectl: Kubectl, namespace: str, manifest: dict[str, Any]) -> None:
        what = f"{manifest['kind']}/a-policy"
        create(kubectl, namespace, manifest | {"status": {"summary": {"users": 7}}})
        patch = json.dumps({"status": {"summary": {"users": 7}}})
        kubectl("patch", what, "-n", namespace, "--type=merge", "-p", patch)
        assert "status" not in get(kubectl, namespace, what)

    def test_writing_it_leaves_the_spec_alone(self, kubectl: Kubectl, namespace: str, tmp_path: Path) -> None:
        create(kubectl, namespace, dict(bad_specs.BASE))
        before = get(kubectl, namespace, "mfap/a-policy")
        status = {"observedGeneration": 1}
        assert patch_status(kubectl, namespace, "mfap/a-policy", status, tmp_path / "patch") == ""
        after = get(kubectl, namespace, "mfap/a-policy")
        assert after["status"] == status
        assert after["spec"] == before["spec"]
        assert after["metadata"]["generation"] == before["metadata"]["generation"]

    @pytest.mark.parametrize(
        ("findings", "words"),
        [
            (
                [finding("alice"), {"user": "alice", "state": "Unknown", "reason": "LookupDenied"}],
                "status.findings[1]: Duplicate value",
            ),
            ([finding("alice") | {"state": "Fine"}], "status.findings[0].state: Unsupported value"),
            ([finding("alice") | {"reason": "no mfa"}], "status.findings[0].reason"),
            ([finding("a" * 65)], "status.findings[0].user: Too long"),
            ([finding(f"u{n}") for n in range(5002)], "status.findings: Too many"),
        ],
        ids=["a user twice", "unknown state", "reason in words", "name of 65", "5,002 findings"],
    )
    def test_nonsense_is_refused(
        self, kubectl: Kubectl, namespace: str, tmp_path: Path, findings: list[Any], words: str
    ) -> None:
        create(kubectl, namespace, report("a-report"))
        said = patch_status(kubectl, namespace, "mfar/a-report", {"findings": findings}, tmp_path / "patch")
        assert words in said

    def test_a_reason_of_a_newer_operator_is_accepted(self, kubectl: Kubectl, namespace: str, tmp_path: Path) -> None:
        create(kubectl, namespace, report("a-report"))
        remediation = {"action": "RemoveConsoleAccess", "state": "Skipped", "reason": "NotThoughtOfYet"}
        newer = finding("alice", remediation=remediation) | {"reason": "NotThoughtOfYet"}
        status = {"findings": [newer]}
        assert patch_status(kubectl, namespace, "mfar/a-report", status, tmp_path / "patch") == ""

    def test_the_largest_account_fits_into_one_report(self, kubectl: Kubectl, namespace: str, tmp_path: Path) -> None:
        """5,000 users and root, all in violation, with names as long as IAM allows and all times known."""
        times = dict.fromkeys(("consoleSince", "lastSignIn", "firstSeen", "deadline"), PASSED)
        users = [f"{n:05}.{'first.family+team@subsidiary.example.com':-<58}" for n in range(5000)]
        findings = [finding(user, path="/engineering/platform/", **times) for user in users]
        findings.append(finding("<root_account>"))
        assert {len(user) for user in users} == {64}
        create(kubectl, namespace, report("a-report"))
        status: dict[str, Any] = {"findings": findings}
        # A second write finds the bookkeeping of the first in the object.
        for auditor in ("first", "second"):
            status |= {"accountName": auditor}
            assert patch_status(kubectl, namespace, "mfar/a-report", status, tmp_path / "patch") == ""
        stored = get(kubectl, namespace, "mfar/a-report", "--show-managed-fields")
        assert stored["status"]["findings"] == findings
        # The API server keeps track of status as one field, not of each field of each finding.
        assert 0 < len(json.dumps(stored["metadata"]["managedFields"])) < 2000
