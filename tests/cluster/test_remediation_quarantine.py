"""Quarantine by the real operator: put, kept, mended, and lifted by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from mfa_operator.aws.quarantine_document import Variant, policy_arn
from mfa_sandbox.aws import Account, EmbeddedAws
from tests.fixtures.operator import OperatorProcess, Policies, StartOperator, eventually

ACCOUNT = "111122223333"
ACCOUNTS = [{"id": ACCOUNT, "roleArn": f"arn:aws:iam::{ACCOUNT}:role/mfa-operator"}]
QUARANTINE = {"action": "QuarantineUntilMfa", "dryRun": False, "maxPercent": 100}
ARN = policy_arn("aws", ACCOUNT, Variant.CONSOLE)
KEYS_ARN = policy_arn("aws", ACCOUNT, Variant.CONSOLE_AND_KEYS)


@pytest.fixture
def account(aws: EmbeddedAws) -> Account:
    account = aws.world.account(ACCOUNT)
    for name in ("alice", "bob", "carol"):
        account.user(name, password=True, path="/eng/")
    account.user("safe", password=True, mfa=["virtual"])
    return account


@pytest.fixture
def operator(account: Account, start_operator: StartOperator, policies: Policies, tmp_path: Path) -> OperatorProcess:
    """An operator that may quarantine, and has: everybody without MFA, in two passes."""
    config = tmp_path / "access.yaml"
    config.write_text("access: [{remediation: QuarantineUntilMfa}]")
    operator = start_operator(f"--config={config}")
    policies.apply("p", accounts=ACCOUNTS, gracePeriod="0s", remediation=QUARANTINE)
    policies.wait_for_pass("p")
    policies.request_pass("p")
    return operator


def attached(account: Account) -> dict[str, list[str]]:
    return {user.name: user.attached_policies for user in account.users() if user.attached_policies}


def test_overdue_users_are_quarantined_and_stay_overdue(
    account: Account, operator: OperatorProcess, policies: Policies
) -> None:
    assert attached(account) == {name: [ARN] for name in ("alice", "bob", "carol")}
    summary = policies.status("p")["summary"]
    assert (summary["overdue"], summary["quarantined"]) == (3, 3)
    findings = policies.findings("p", ACCOUNT)
    assert {finding["remediation"]["state"] for finding in findings.values()} == {"Done"}
    assert len(policies.events("Quarantined")) == 3
    labels = {"policy_namespace": policies.namespace, "policy": "p", "account_id": ACCOUNT}
    assert operator.sample("mfa_policy_quarantined_users", **labels) == 3

    policies.request_pass("p")
    assert len(policies.events("Quarantined")) == 3
    assert policies.findings("p", ACCOUNT) == findings


def test_mfa_an_exemption_or_another_action_lifts_it(
    account: Account, operator: OperatorProcess, policies: Policies
) -> None:
    """Each of the three by itself."""

    account.existing_user("alice").add_mfa("virtual")
    policies.request_pass("p")
    assert set(attached(account)) == {"bob", "carol"}
    policies.apply(
        "p",
        accounts=ACCOUNTS,
        gracePeriod="0s",
        remediation=QUARANTINE,
        exemptions=[{"users": ["bob"], "reason": "on leave"}],
    )
    policies.wait_for_pass("p")
    assert set(attached(account)) == {"carol"}
    policies.apply("p", accounts=ACCOUNTS, gracePeriod="0s", exemptions=[])
    policies.wait_for_pass("p")
    assert attached(account) == {}
    assert len(policies.events("QuarantineLifted")) == 3
    assert policies.status("p")["summary"]["quarantined"] == 0


def test_drift_is_mended_within_a_pass(
    aws: EmbeddedAws, account: Account, operator: OperatorProcess, policies: Policies
) -> None:
    iam = aws.iam(account.admin_credentials)
    iam.detach_user_policy(UserName="alice", PolicyArn=ARN)
    iam.create_policy_version(
        PolicyArn=ARN,
        PolicyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}',
        SetAsDefault=True,
    )
    policies.request_pass("p")
    assert attached(account) == {name: [ARN] for name in ("alice", "bob", "carol")}
    version = iam.get_policy(PolicyArn=ARN)["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=ARN, VersionId=version)["PolicyVersion"]["Document"]
    assert "Deny" in str(document)
    iam.close()


def test_moving_to_the_access_keys_variant_moves_everybody(
    account: Account, operator: OperatorProcess, policies: Policies
) -> None:
    policies.apply("p", accounts=ACCOUNTS, gracePeriod="0s", remediation={**QUARANTINE, "quarantineAccessKeys": True})
    policies.wait_for_pass("p")
    assert attached(account) == {name: [KEYS_ARN] for name in ("alice", "bob", "carol")}


def test_a_deleted_policy_leaves_quarantines_and_says_so(
    account: Account, operator: OperatorProcess, policies: Policies
) -> None:
    policies.kubectl("-n", policies.namespace, "delete", "mfap", "p")
    event = eventually(lambda: policies.events("QuarantinesLeft"), "an Event about the quarantines left")[0]
    assert "mfa-operator release" in event["note"]
    assert len(attached(account)) == 3


def test_dry_run_and_suspend_leave_quarantines_as_they_are(
    account: Account, operator: OperatorProcess, policies: Policies
) -> None:
    account.existing_user("alice").add_mfa("virtual")
    policies.apply("p", accounts=ACCOUNTS, gracePeriod="0s", remediation={**QUARANTINE, "dryRun": True})
    policies.wait_for_pass("p")
    assert len(attached(account)) == 3


def test_a_policy_of_that_name_that_is_not_ours_is_left_alone(
    aws: EmbeddedAws, start_operator: StartOperator, policies: Policies, tmp_path: Path
) -> None:
    account = aws.world.account(ACCOUNT)
    account.user("alice", password=True)
    iam = aws.iam(account.admin_credentials)
    document = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
    iam.create_policy(PolicyName=Variant.CONSOLE.value, Path="/mfa-operator/", PolicyDocument=document)
    config = tmp_path / "access.yaml"
    config.write_text("access: [{remediation: QuarantineUntilMfa}]")
    start_operator(f"--config={config}")
    policies.apply("p", accounts=ACCOUNTS, gracePeriod="0s", remediation=QUARANTINE)
    policies.wait_for_pass("p")
    policies.request_pass("p")
    record = policies.findings("p", ACCOUNT)["alice"]["remediation"]
    assert record["state"] == "Failed"
    assert "managed-by=mfa-operator" in record["message"]
    assert attached(account) == {}
    assert len(policies.events("RemediationFailed")) == 1
    assert len(iam.list_policy_versions(PolicyArn=ARN)["Versions"]) == 1
    iam.close()
