"""Each mode needs the IAM permissions of deploy/aws/policies, all of them and no others."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mfa_operator.api.enums import FindingState
from mfa_operator.api.objects import PolicyRef
from mfa_sandbox.aws import Account
from tests.fixtures.quarantined import ARN
from tests.fixtures.remediation_harness import NAMESPACE, QUARANTINE, REMOVE, RemediationHarness

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

POLICIES = Path(__file__).parents[2] / "deploy" / "aws" / "policies"
ANYTHING = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'


def allowed(*names: str) -> set[str]:
    """The IAM actions that these policies allow together."""
    actions: set[str] = set()
    for name in names:
        for statement in json.loads((POLICIES / f"{name}.json").read_text())["Statement"]:
            listed = statement["Action"]
            if statement["Effect"] == "Allow":
                actions |= set([listed] if isinstance(listed, str) else listed)
    return actions


def audits(harness: RemediationHarness, account: Account, _: IAMClient) -> None:
    harness.run()


def quarantines(harness: RemediationHarness, account: Account, admin: IAMClient) -> None:
    """Somebody has the name; then made, attached, edited by somebody until no version is free, repaired, and lifted."""
    harness.run()
    theirs = account.backend.create_policy("", "/theirs/", ANYTHING, ARN.rsplit("/", 1)[1], [])
    harness.run()
    account.backend.delete_policy(theirs.arn)
    harness.run()
    assert account.existing_user("alice").attached_policies == [ARN]
    for _ in range(4):
        admin.create_policy_version(PolicyArn=ARN, PolicyDocument=ANYTHING, SetAsDefault=True)
    harness.run()
    account.existing_user("alice").add_mfa("virtual")
    harness.run()
    assert account.existing_user("alice").attached_policies == []


def removes(harness: RemediationHarness, account: Account, _: IAMClient) -> None:
    harness.run()
    harness.run()
    assert not account.existing_user("alice").has_password


def people(harness: RemediationHarness, account: Account, remediation: dict[str, object]) -> None:
    """An Overdue user, one whom a tag exempts, and root; and the policy over them."""
    account.user("alice", password=True)
    account.user("sealed", password=True, tags={"mfa-exempt": "true"})
    account.root(password=True, mfa="virtual")
    harness.policy(
        account,
        requirement={"root": "Mfa"},
        exemptions=[{"users": ["sealed"], "tags": {"mfa-exempt": "true"}, "reason": "sealed"}],
        remediation=remediation,
    )


Scenario = Callable[[RemediationHarness, Account, "IAMClient"], None]


@pytest.mark.parametrize(
    ("policies", "remediation", "scenario"),
    [
        (("audit",), {}, audits),
        (("audit", "quarantine"), QUARANTINE, quarantines),
        (("audit", "remove-console-access"), REMOVE, removes),
    ],
    ids=["audit", "quarantine", "remove-console-access"],
)
def test_a_mode_needs_exactly_its_policies(
    policies: tuple[str, ...],
    remediation: dict[str, object],
    scenario: Scenario,
    harness: RemediationHarness,
    account: Account,
    iam_of: Callable[[object], IAMClient],
) -> None:
    people(harness, account, remediation)
    permissions = allowed(*policies)
    account.allow_only(permissions)
    admin = iam_of(account.admin_credentials)
    harness.aws.calls.clear()
    scenario(harness, account, admin)

    calls = [call for call in harness.aws.calls if call.service == "iam" and ":assumed-role/" in call.principal]
    assert [call.operation for call in calls if call.code == "AccessDenied"] == [], "a permission is missing"
    # IAM asks for TagPolicy where CreatePolicy brings tags; it is no call of its own.
    used = {f"iam:{call.operation}" for call in calls} | ({"iam:TagPolicy"} & permissions)
    assert used == permissions, "a permission is of no use"


MODES: dict[str, tuple[str, dict[str, object], Scenario]] = {
    "audit": ("audit", {}, audits),
    "quarantine": ("quarantine", QUARANTINE, quarantines),
    "remove-console-access": ("remove-console-access", REMOVE, removes),
}
# IAM asks for TagPolicy where CreatePolicy brings tags; the sandbox does not. Quarantine works without the simulation.
NOT_MISSED = {"iam:TagPolicy", "iam:SimulatePrincipalPolicy"}
ONE_BY_ONE = [
    (mode, action) for mode, (policy, _, _) in MODES.items() for action in sorted(allowed(policy) - NOT_MISSED)
]


@pytest.mark.parametrize(("mode", "missing"), ONE_BY_ONE)
def test_without_any_one_of_them_somebody_is_told(
    mode: str, missing: str, harness: RemediationHarness, account: Account, iam_of: Callable[[object], IAMClient]
) -> None:
    policy, remediation, scenario = MODES[mode]
    people(harness, account, remediation)
    # Everything that the mode's own policies and the audit's allow, save one.
    account.allow_only(allowed("audit", policy) - {missing})
    with suppress(AssertionError):
        scenario(harness, account, iam_of(account.admin_credentials))
    report = harness.cluster.reports.get((NAMESPACE, f"p-{account.id}"))
    told = [harness.cluster.policies[PolicyRef(NAMESPACE, "p")]["status"], *(report.status.findings if report else ())]
    told += [note.note for _, note in harness.cluster.events]
    words = missing.removeprefix("iam:"), "LookupDenied"
    assert any(word in str(one) for one in told for word in words), f"nobody hears that {missing} is missing"


def test_an_auditor_cannot_act_whatever_the_settings_say(harness: RemediationHarness, account: Account) -> None:
    """The role is a key of its own: with the audit policy alone, nothing changes, and the finding says why."""
    account.user("alice", password=True)
    account.allow_only(allowed("audit"))
    harness.policy(account, remediation=REMOVE)
    harness.run()
    harness.run()
    assert account.existing_user("alice").has_password
    finding = harness.finding(account, "alice")
    assert finding.state == FindingState.OVERDUE
    assert "GetUser" in harness.record(account, "alice").message
