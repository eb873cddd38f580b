"""What the operator publishes of a pass: status, report, Events and metrics, and what kubectl makes of them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from mfa_sandbox.aws import Account
from tests.cluster.agreement import assert_all_agree
from tests.fixtures.operator import COMMAND, aws_environment, eventually
from tests.fixtures.shared_operator import SharedOperator, named

GRACE = timedelta(hours=100)
OLD = datetime(2020, 5, 17, 9, 30, tzinfo=UTC)
EXPIRES = "2087-06-30T00:00:00Z"
NAME = "console-mfa"
REASON = "Sealed, checked monthly"


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(scope="module")
def prod(module_shared: SharedOperator) -> Account:
    """Users of nearly every state."""
    account = module_shared.account()
    account.user("alice", path="/eng/", password=True, created=OLD, password_last_used=OLD + timedelta(days=1))
    account.user("bob", password=True, mfa=["virtual"])
    account.user("carol", password=True)
    account.user("break-glass-1", password=True, created=OLD)
    account.user("robot", access_keys=1)
    return account


@pytest.fixture(scope="module")
def closed(module_shared: SharedOperator) -> Account:
    account = module_shared.account()
    account.suspended = True
    return account


@pytest.fixture(scope="module")
def spec(prod: Account, closed: Account) -> dict[str, Any]:
    [first, second] = named(prod, closed)
    return {
        "accounts": [first | {"name": "payments-prod"}, second],
        "gracePeriod": "100h",
        "exemptions": [{"users": ["break-glass-*"], "reason": REASON, "expires": EXPIRES}],
    }


@pytest.fixture(scope="module")
def status(module_shared: SharedOperator, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The status of the policy after its first pass, in which one user could not be checked."""
    fault = module_shared.aws.faults.add("ListMFADevices", "access_denied", user="carol", times=None)
    module_shared.policies.apply(NAME, **spec)
    found = module_shared.policies.wait_for_pass(NAME)
    module_shared.aws.faults.remove(fault.id)
    return found


def test_status(status: dict[str, Any], prod: Account, closed: Account) -> None:
    now = moment(status["lastPassTime"])
    assert abs(moment(status["nextPassTime"]) - now - timedelta(minutes=15)) <= timedelta(seconds=46)
    messages = {condition["type"]: condition.pop("message") for condition in status["conditions"]}
    assert "1 of 2 accounts audited" in messages["Ready"]
    assert "1 of 2 accounts not audited" in messages["AccountsAudited"]
    assert "1 user without the required MFA" in messages["Compliant"]
    messages = {account["id"]: account.pop("message") for account in status["accounts"]}
    assert "ListMFADevices AccessDenied (1 time)" in messages[prod.id]
    assert closed.role_arn in messages[closed.id]
    assert status.pop("servedBy")["lease"] == "mfa-operator/mfa-operator"
    assert status == {
        "observedGeneration": 1,
        "lastPassTime": text(now),
        "nextPassTime": status["nextPassTime"],
        "conditions": [
            condition | {"lastTransitionTime": text(now), "observedGeneration": 1}
            for condition in (
                {"type": "Ready", "status": "True", "reason": "PassSucceeded"},
                {"type": "Compliant", "status": "False", "reason": "Violations"},
                {"type": "AccountsAudited", "status": "False", "reason": "AccountsFailed"},
            )
        ],
        "summary": {
            "accounts": 2,
            "accountsFailed": 1,
            "accountsPending": 0,
            "accountsSkipped": 0,
            "accountsExcluded": 0,
            **SUMMARY,
        },
        "accountsTotal": 2,
        "accounts": [
            {"id": closed.id, "state": "Denied", "reason": "AssumeRoleDenied"},
            {
                "id": prod.id,
                "name": "payments-prod",
                "state": "Audited",
                **{
                    field: SUMMARY[field]
                    for field in ("users", "consoleUsers", "violating", "overdue", "exempt", "unknown")
                },
                "lastSuccessTime": text(now),
            },
        ],
        "findings": [
            {
                "accountId": prod.id,
                "accountName": "payments-prod",
                "user": "alice",
                "state": "Violating",
                "reason": "NoMfa",
                "firstSeen": text(now),
                "deadline": text(now + GRACE),
            },
            {
                "accountId": prod.id,
                "accountName": "payments-prod",
                "user": "carol",
                "state": "Unknown",
                "reason": "LookupDenied",
            },
            {
                "accountId": prod.id,
                "accountName": "payments-prod",
                "user": "break-glass-1",
                "state": "Exempt",
                "reason": "NoMfa",
                "firstSeen": text(now),
            },
        ],
        "findingsTotal": 3,
    }


SUMMARY = {
    "users": 5,
    "consoleUsers": 4,
    "compliant": 1,
    "violating": 1,
    "overdue": 0,
    "exempt": 1,
    "unknown": 1,
    "quarantined": 0,
    "remediated": 0,
}


def test_report(shared: SharedOperator, status: dict[str, Any], prod: Account, closed: Account) -> None:
    now = status["lastPassTime"]
    labels = ("-l", f"mfa-operator.io/policy={NAME}")
    report, other = json.loads(shared.kubectl("get", "mfar", *labels, "-o", "json"))["items"]
    message = other["status"]["account"].pop("message")
    assert closed.role_arn in message
    # Never audited: no counts that would read as nobody.
    assert other["status"] == {
        "accountId": closed.id,
        "account": {"state": "Denied", "reason": "AssumeRoleDenied"},
    }
    message = report["status"]["account"].pop("message")
    assert "ListMFADevices AccessDenied (1 time)" in message
    policy = shared.policies.get(NAME)
    assert report["metadata"]["name"] == f"{NAME}-{prod.id}"
    assert report["metadata"]["labels"] == {
        "mfa-operator.io/policy": NAME,
        "mfa-operator.io/account-id": prod.id,
    }
    assert report["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "mfa-operator.io/v1alpha1",
            "kind": "MfaPolicy",
            "name": NAME,
            "uid": policy["metadata"]["uid"],
            "controller": True,
        }
    ]
    made = report["status"].pop("credentialReportTime")
    assert abs(moment(made) - moment(now)) < timedelta(minutes=5)
    ids = {name: prod.existing_user(name).id for name in ("alice", "break-glass-1", "carol")}
    checked = [moment(one.pop("checkedAt")) for one in report["status"]["findings"] if one["state"] != "Unknown"]
    assert all(moment(now) <= at <= moment(now) + timedelta(minutes=1) for at in checked)
    assert report["status"] == {
        "accountId": prod.id,
        "accountName": "payments-prod",
        "account": {"state": "Audited"},
        "auditedAt": now,
        "summary": SUMMARY,
        "findings": [
            {
                "user": "alice",
                "userId": ids["alice"],
                "path": "/eng/",
                "state": "Violating",
                "reason": "NoMfa",
                "consoleSince": text(OLD),
                "lastSignIn": text(OLD + timedelta(days=1)),
                "firstSeen": now,
                "deadline": text(moment(now) + GRACE),
            },
            {
                "user": "break-glass-1",
                "userId": ids["break-glass-1"],
                "state": "Exempt",
                "reason": "NoMfa",
                "consoleSince": text(OLD),
                "firstSeen": now,
                "exemption": REASON,
            },
            {"user": "carol", "userId": ids["carol"], "state": "Unknown", "reason": "LookupDenied"},
        ],
    }


def test_events(shared: SharedOperator, status: dict[str, Any], prod: Account, closed: Account) -> None:
    # That of a failed account follows the status.
    eventually(lambda: shared.policies.events("AccountFailed", NAME), "the Event")
    events = {event["reason"]: event for event in shared.policies.events(policy=NAME)}
    assert len(shared.policies.events(policy=NAME)) == len(events) == 2
    for event in events.values():
        assert (event["type"], event["action"], event["reportingController"]) == ("Warning", "Audit", "mfa-operator")
        assert event["reportingInstance"]
        assert event["regarding"]["uid"] == shared.policies.get(NAME)["metadata"]["uid"]
    assert f"1 new violation in account payments-prod ({prod.id}): alice." in events["NewViolations"]["note"]
    assert closed.role_arn in events["AccountFailed"]["note"]


def columns(table: str) -> dict[str, str]:
    """The one row of a table of kubectl's, by heading."""
    headings, row = table.splitlines()
    starts = [found.start() for found in re.finditer(r"\S+", headings)]
    ends = [*starts[1:], None]
    return {headings[start:end].strip(): row[start:end].strip() for start, end in zip(starts, ends, strict=True)}


def test_columns(shared: SharedOperator, status: dict[str, Any], prod: Account) -> None:
    shown = columns(shared.kubectl("get", "mfap", NAME, "-o", "wide"))
    assert re.fullmatch(r"\d+[smh]\d*s?", shown.pop("LAST-PASS"))
    assert re.fullmatch(r"\d+[smh]\d*s?", shown.pop("AGE"))
    assert shown.pop("MESSAGE").startswith("1 of 2 accounts audited")
    assert shown == {
        "NAME": NAME,
        "READY": "True",
        "REASON": "PassSucceeded",
        "COMPLIANT": "False",
        "VIOLATING": "1",
        "OVERDUE": "0",
        "ACCOUNTS": "2",
        "FAILED": "1",
    }
    shown = columns(shared.kubectl("get", "mfar", f"{NAME}-{prod.id}"))
    assert re.fullmatch(r"\d+[smh]\d*s?", shown.pop("CHANGED"))
    assert shown == {
        "NAME": f"{NAME}-{prod.id}",
        "POLICY": NAME,
        "ACCOUNT": prod.id,
        "ACCOUNT-NAME": "payments-prod",
        "STATE": "Audited",
        "USERS": "5",
        "VIOLATING": "1",
        "OVERDUE": "0",
        "UNKNOWN": "1",
    }


def test_describe_shows_the_events(shared: SharedOperator, status: dict[str, Any]) -> None:
    _, _, events = shared.kubectl("describe", "mfap", NAME).partition("\nEvents:\n")
    assert re.search(r"Warning +NewViolations .* mfa-operator +1 new violation in account payments-prod", events)
    assert re.search(r"Warning +AccountFailed ", events)


def test_wait_for_ready(shared: SharedOperator) -> None:
    shared.policies.apply("ready", accounts=named(shared.account("alice")))
    assert "condition met" in shared.kubectl("wait", "--for=condition=Ready", "mfap/ready", "--timeout=60s")
    assert columns(shared.kubectl("get", "mfap", "ready"))["READY"] == "True"


def test_the_status_has_the_50_worst_findings_the_report_all(shared: SharedOperator) -> None:
    account = shared.account(*(f"user-{number:02}" for number in range(60)))
    shared.policies.apply("many", accounts=named(account), gracePeriod="0s")
    status = shared.policies.wait_for_pass("many")
    assert (len(status["findings"]), status["findingsTotal"], status["summary"]["overdue"]) == (50, 60, 60)
    assert len(shared.policies.findings("many", account.id)) == 60
    assert_all_agree(shared)


def test_metrics_say_the_same(shared: SharedOperator, status: dict[str, Any]) -> None:
    assert_all_agree(shared)


def test_audit_says_the_same(
    shared: SharedOperator,
    status: dict[str, Any],
    spec: Mapping[str, Any],
    prod: Account,
    closed: Account,
    tmp_path: Path,
) -> None:
    """Without the cluster, from the files that people have."""
    shared.policies.request_pass(NAME)
    published = {
        "status": shared.policies.status(NAME),
        "reports": [shared.policies.reports()[f"{NAME}-{account.id}"] for account in (prod, closed)],
    }
    ours = {"namespace": shared.namespace, "name": NAME}
    previous = tmp_path / "previous.json"
    previous.write_text(json.dumps({"policies": [{**ours, **published}]}))
    policy = tmp_path / "policy.yaml"
    manifest = {"apiVersion": "mfa-operator.io/v1alpha1", "kind": "MfaPolicy", "metadata": ours, "spec": dict(spec)}
    policy.write_text(yaml.safe_dump(manifest))

    done = subprocess.run(
        [COMMAND, "audit", "-f", policy, "-o", "json", f"--previous={previous}"],
        env=aws_environment(shared.aws),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    [audited] = json.loads(done.stdout)["policies"]
    assert {key: audited.pop(key) for key in ours} == ours
    assert verdicts(audited) == verdicts(published)


def verdicts(published: Mapping[str, Any]) -> dict[str, Any]:
    """Status and reports without what tells one pass from another of the same outcome."""
    content: dict[str, Any] = json.loads(json.dumps(published))
    status = content["status"]
    # Without a cluster nobody serves it.
    for field in ("lastPassTime", "nextPassTime", "observedGeneration", "lastHandledRequestedAt", "servedBy"):
        status.pop(field, None)
    for condition in status["conditions"]:
        del condition["lastTransitionTime"]
        condition.pop("observedGeneration", None)
        # Without a cluster there is no next pass, and no report to point at.
        condition["message"] = condition["message"].partition(", next pass")[0].partition("; ")[0]
    for account in status["accounts"]:
        account.pop("lastSuccessTime", None)
    for report in content["reports"]:
        report.pop("auditedAt", None)
        for finding in report.get("findings", ()):
            finding.pop("checkedAt", None)
    return content
