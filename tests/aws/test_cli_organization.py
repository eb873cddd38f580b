"""`audit` and `plan` on policies with an organization: the real processes against the embedded AWS."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pexpect
import pytest
import yaml

from mfa_operator.api.conversion import from_dict
from mfa_operator.api.status import PolicyStatus
from mfa_sandbox.aws import EmbeddedAws, Organization
from tests.aws.commands import Run
from tests.fixtures.operator import COMMAND
from tests.unit.crd_schema import problems

PAY, NEW, OLD, TYPED = "111122223333", "222233334444", "333344445555", "444455556666"


@pytest.fixture
def organization(aws: EmbeddedAws) -> Organization:
    """Alice violates in an account that joined long ago; one account has just joined, one is suspended."""
    made = aws.world.create_organization()
    aws.world.account(PAY).user("alice", password=True)
    made.join(PAY, "payments-prod", joined=aws.world.now() - timedelta(days=30))
    made.join(NEW, "data-lake", joined=aws.world.now() - timedelta(minutes=5))
    made.join(OLD, "old", state="SUSPENDED")
    return made


@pytest.fixture
def policy(tmp_path: Path) -> Callable[..., Path]:
    def write(**spec: Any) -> Path:
        metadata = {"name": "p", "namespace": "security"}
        body = {"apiVersion": "mfa-operator.io/v1alpha1", "kind": "MfaPolicy", "metadata": metadata}
        path = tmp_path / "policy.yaml"
        path.write_text(yaml.safe_dump({**body, "spec": {"organization": {}, **spec}}))
        return path

    return write


def states(status: dict[str, Any]) -> dict[str, str]:
    return {account["name"]: account["state"] for account in status["accounts"]}


def conditions(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}


class TestAudit:
    @pytest.mark.usefixtures("organization")
    def test_every_active_account_of_the_organization(self, run: Run, policy: Callable[..., Path]) -> None:
        done = run("audit", "-f", policy(), "-o", "json")
        [found] = json.loads(done.stdout)["policies"]
        status = found["status"]
        assert done.returncode == 2, "an account that waits for its role was not audited"
        assert states(status) == {"management": "Audited", "payments-prod": "Audited", "data-lake": "Pending"}
        assert (status["summary"]["accountsPending"], status["summary"]["accountsSkipped"]) == (1, 1)
        assert status["summary"].get("accountsFailed", 0) == 0
        assert conditions(status)["AccountsDiscovered"] == ("True", "Discovered")
        reported = {report["accountName"]: report["account"]["state"] for report in found["reports"]}
        assert reported == {"management": "Audited", "payments-prod": "Audited", "data-lake": "Pending"}
        assert problems(from_dict(PolicyStatus, status), "mfapolicies") == []
        assert "security/p: data-lake (222233334444): joined the organization at " in done.stderr

    @pytest.mark.usefixtures("organization")
    def test_exit_statuses(self, aws: EmbeddedAws, run: Run, policy: Callable[..., Path]) -> None:
        aws.world.account(NEW)
        assert run("audit", "-f", policy()).returncode == 1
        without = {"organization": {"exclude": {"accounts": [PAY]}}}
        assert run("audit", "-f", policy(**without)).returncode == 0
        aws.world.home.deny({"organizations:ListAccounts"})
        done = run("audit", "-f", policy(accounts=[{"id": TYPED, "roleArn": aws.world.account(TYPED).role_arn}]))
        assert done.returncode == 2
        assert "AccountsDiscovered=False DiscoveryDenied" in done.stdout
        assert TYPED in done.stdout, "accounts of the spec are audited all the same"

    def test_an_organization_that_cannot_be_listed_is_not_compliant(
        self, run: Run, policy: Callable[..., Path]
    ) -> None:
        done = run("audit", "-f", policy(), "-o", "csv")
        assert (done.returncode, len(list(csv.reader(io.StringIO(done.stdout))))) == (2, 1)
        assert "belongs to no organization" in done.stderr

    def test_a_unit_of_another_organization_is_bad_input(
        self, organization: Organization, run: Run, policy: Callable[..., Path]
    ) -> None:
        unit = {"organization": {"include": {"organizationalUnits": ["ou-zzzz-zzzzzzzz"]}}}
        done = run("audit", "-f", policy(**unit))
        assert (done.returncode, done.stdout) == (3, "")
        assert f"organization {organization.id} has no unit ou-zzzz-zzzzzzzz" in done.stderr

    @pytest.mark.usefixtures("organization")
    def test_a_suspended_policy_lists_nothing(self, aws: EmbeddedAws, run: Run, policy: Callable[..., Path]) -> None:
        run("audit", "-f", policy(suspend=True))
        assert list(aws.calls) == []

    def test_more_accounts_than_a_status_holds(
        self, aws: EmbeddedAws, organization: Organization, run: Run, policy: Callable[..., Path]
    ) -> None:
        """All that failed are told, although status.accounts is cut."""
        refusing = [f"6000000{number:05}" for number in range(230)]
        for account_id in refusing:
            organization.join(account_id, joined=aws.world.now() - timedelta(days=1))
        done = run("audit", "-f", policy(), "-o", "csv")
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        assert {row["account_id"] for row in rows if row["state"] == "Denied"} == set(refusing)

    @pytest.mark.usefixtures("organization")
    def test_on_a_terminal_it_says_how_far_it_is(self, aws: EmbeddedAws, policy: Callable[..., Path]) -> None:
        aws.latency_seconds = 0.2
        environment = os.environ | aws.environment() | {"TERM": "xterm"}
        child = pexpect.spawn(
            str(COMMAND),
            ["audit", "-f", str(policy())],
            env=environment,
            dimensions=(50, 160),
            timeout=60,
            encoding="utf-8",
        )
        try:
            child.expect("Listing the organization")
            child.expect("Auditing accounts.*/3")
            child.expect("AccountsDiscovered=True")
            child.expect(pexpect.EOF)
        finally:
            child.close(force=True)


class TestPlan:
    def planned(self, done: subprocess.CompletedProcess[str]) -> dict[str, str]:
        [found] = json.loads(done.stdout)["policies"]
        return {f"{user['accountName']}/{user['user']}": user.get("reason", "") for user in found["plan"]}

    @pytest.mark.usefixtures("organization")
    def test_users_of_discovered_accounts(self, run: Run, policy: Callable[..., Path], tmp_path: Path) -> None:
        rules = tmp_path / "access.yaml"
        rules.write_text("access: [{namespaces: [security], organization: true, remediation: QuarantineUntilMfa}]")
        file = policy(gracePeriod="0s", remediation={"action": "QuarantineUntilMfa", "dryRun": False})
        previous = tmp_path / "previous.json"
        previous.write_text(run("audit", "-f", file, "-o", "json").stdout)
        done = run("plan", "-f", file, "--config", rules, "--previous", previous, "-o", "json")
        assert self.planned(done) == {"payments-prod/alice": ""}

    @pytest.mark.usefixtures("organization")
    def test_who_may_not_discover_is_told(self, run: Run, policy: Callable[..., Path], tmp_path: Path) -> None:
        rules = tmp_path / "access.yaml"
        rules.write_text("access: [{namespaces: [security]}]")
        done = run("plan", "-f", policy(), "--config", rules, "-o", "json")
        assert (done.returncode, self.planned(done)) == (2, {})
        assert "needs organization: true" in done.stderr
