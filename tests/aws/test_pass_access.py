"""The access rules hold for every account at the moment at which its turn in a pass comes."""

from __future__ import annotations

from typing import Any

import pytest

from mfa_operator.config.access_rules import AccessRules
from mfa_operator.kube.cluster import StoredReport
from tests.fixtures.remediation_harness import RemediationHarness

IDS = [f"{number}" * 12 for number in range(1, 7)]


def test_a_right_withdrawn_during_a_pass_ends_its_audits(
    harness: RemediationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass over thousands of accounts takes long, and what it may read is not what it might at its beginning."""
    accounts = [harness.aws.world.account(account_id) for account_id in IDS]
    named = [{"id": account.id, "roleArn": account.role_arn} for account in accounts]
    ref = harness.policy(accounts[0], accounts=named)
    write = harness.cluster.write_report

    def write_and_withdraw(*arguments: Any, **options: Any) -> StoredReport:
        harness.rules = AccessRules.from_dict({"access": [{"namespaces": ["others"]}]})
        return write(*arguments, **options)

    monkeypatch.setattr(harness.cluster, "write_report", write_and_withdraw)
    harness.run(ref)
    # Two at a time: these two may have begun, and the place of the first that ends goes to nobody.
    assert {call.account_id for call in harness.aws.calls if call.account_id in IDS} <= set(IDS[:2])
    reasons = {each["id"]: each.get("reason") for each in harness.cluster.policies[ref]["status"]["accounts"]}
    assert [reasons[account_id] for account_id in IDS[2:]] == ["NotAllowed"] * 4
