"""`mfa-operator plan --from-cluster` agrees with what the operator then does."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import yaml

from mfa_sandbox.aws import EmbeddedAws
from tests.fixtures.operator import COMMAND, Policies, StartOperator

ACCOUNT = "111122223333"


def test_the_plan_is_what_the_next_pass_does(
    aws: EmbeddedAws, start_operator: StartOperator, policies: Policies, service_account: Path, tmp_path: Path
) -> None:
    account = aws.world.account(ACCOUNT)
    for number in range(4):
        account.user(f"user-{number}", password=True)
    account.user("sealed", password=True)
    spec = {
        "accounts": [{"id": ACCOUNT, "roleArn": account.role_arn}],
        "gracePeriod": "0s",
        "exemptions": [{"users": ["sealed"], "reason": "sealed"}],
        "remediation": {"action": "RemoveConsoleAccess", "dryRun": False, "maxPerPass": 2, "maxPercent": 100},
    }
    config = tmp_path / "access.yaml"
    config.write_text("access: [{remediation: RemoveConsoleAccess}]")
    start_operator(f"--config={config}")
    policies.apply("p", **spec)
    policies.wait_for_pass("p")
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(policies.manifest("p", spec)))

    def plan(*args: object) -> dict[str, str]:
        return named("-f", tmp_path / "policy.yaml", f"--config={config}", *args)

    def named(*args: object) -> dict[str, str]:
        """As in the operator's pod, where the environment names the access rules."""
        done = subprocess.run(
            [str(COMMAND), "plan", "-o", "json", *map(str, args)],
            env=os.environ | aws.environment() | {"MFA_OPERATOR_CONFIG": str(config)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1, done.stderr
        [planned] = json.loads(done.stdout)["policies"]
        return {user["user"]: user.get("reason", "") for user in planned["plan"]}

    assert set(plan().values()) == {"NotPublishedYet", "Exempt"}
    first = plan("--from-cluster", f"--kubeconfig={service_account}")
    assert sorted(first.values()) == ["", "", "Exempt", "LimitReached", "LimitReached"]
    assert named("--policy", f"{policies.namespace}/p", f"--kubeconfig={service_account}") == first
    assert aws.calls.count("DeleteLoginProfile") == 0
    policies.request_pass("p")
    removed = {user.name for user in account.users() if not user.has_password}
    assert removed == {user for user, reason in first.items() if not reason}
