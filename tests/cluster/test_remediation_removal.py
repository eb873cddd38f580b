"""Console access taken away by the real operator: limits, records, Events and counters agree with AWS."""

from __future__ import annotations

from pathlib import Path

from mfa_sandbox.aws import EmbeddedAws
from tests.fixtures.operator import Policies, StartOperator

ACCOUNT = "111122223333"
ACCOUNTS = [{"id": ACCOUNT, "roleArn": f"arn:aws:iam::{ACCOUNT}:role/mfa-operator"}]


def test_twelve_overdue_users_go_five_five_two(
    aws: EmbeddedAws, start_operator: StartOperator, policies: Policies, tmp_path: Path
) -> None:
    account = aws.world.account(ACCOUNT)
    users = [account.user(f"user-{number:02}", password=True) for number in range(12)]
    for number in range(60):
        account.user(f"safe-{number:02}", password=True, mfa=["virtual"])
    config = tmp_path / "access.yaml"
    config.write_text("access: [{remediation: RemoveConsoleAccess}]")
    operator = start_operator(f"--config={config}")
    policies.apply(
        "p",
        accounts=ACCOUNTS,
        gracePeriod="0s",
        remediation={"action": "RemoveConsoleAccess", "dryRun": False, "maxPerPass": 5, "maxPercent": 50},
    )
    policies.wait_for_pass("p")
    assert {finding["remediation"]["reason"] for finding in policies.findings("p", ACCOUNT).values()} == {
        "NotPublishedYet"
    }
    assert aws.calls.count("DeleteLoginProfile") == 0
    labels = {"policy_namespace": policies.namespace, "policy": "p", "account_id": ACCOUNT}
    for removed in (5, 10, 12):
        policies.request_pass("p")
        assert sum(not user.has_password for user in users) == removed
        findings = policies.findings("p", ACCOUNT)
        assert sum(finding["state"] == "Remediated" for finding in findings.values()) == removed
        assert policies.status("p")["summary"]["remediated"] == removed
        assert len(policies.events("ConsoleAccessRemoved")) == removed
        done = operator.samples("mfa_policy_remediations_total", **labels, action="RemoveConsoleAccess", result="done")
        assert done == {(): removed}
    assert aws.calls.count("DeleteLoginProfile") == 12
    assert policies.status("p")["summary"]["overdue"] == 0

    for user in users[:2]:
        user.set_password()
    policies.request_pass("p")
    findings = policies.findings("p", ACCOUNT)
    assert findings["user-00"]["remediation"]["reason"] == "NotPublishedYet"
    assert users[0].has_password
    assert sum(finding["state"] == "Remediated" for finding in findings.values()) == 10
