"""`mfa-operator release --policy`: everybody whom a policy put under quarantine, by what its reports say."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mfa_operator.aws.quarantine_document import Variant, document_json, policy_arn, tag_list
from mfa_sandbox.aws import EmbeddedAws
from mfa_sandbox.kubernetes import EmbeddedKubernetes
from tests.fixtures.ready_command import ReadyCommand

FIRST, OTHER = "111122223333", "222233334444"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(aws: EmbeddedAws, kube: EmbeddedKubernetes, tmp_path: Path, ready_command: ReadyCommand) -> Run:
    kubeconfig = kube.write_kubeconfig(tmp_path / "kubeconfig")

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | aws.environment()
        return ready_command.run("release", *args, f"--kubeconfig={kubeconfig}", env=environment, cluster=True)

    return run


def add_policy(kube: EmbeddedKubernetes, name: str, spec: dict[str, Any]) -> None:
    metadata = {"name": name, "namespace": "default"}
    kube.apply({"apiVersion": "mfa-operator.io/v1alpha1", "kind": "MfaPolicy", "metadata": metadata, "spec": spec})


def add_report(kube: EmbeddedKubernetes, policy: str, account: str, findings: dict[str, str]) -> None:
    """A report whose users have a record of quarantine in these states."""
    labels = {"mfa-operator.io/policy": policy, "mfa-operator.io/account-id": account}
    metadata = {"name": f"{policy}-{account}", "namespace": "default", "labels": labels}
    kube.apply({"apiVersion": "mfa-operator.io/v1alpha1", "kind": "MfaReport", "metadata": metadata})
    record = {"action": "QuarantineUntilMfa", "time": "2026-11-01T00:00:00Z"}
    listed = [
        {"user": user, "state": "Overdue", "reason": "NoMfa", "remediation": {**record, "state": state}}
        for user, state in findings.items()
    ]
    status = {"accountId": account, "accountName": "name-of-it", "summary": {"users": 3}, "findings": listed}
    kube.patch("mfareports", "default", f"{policy}-{account}", {"status": status}, subresource="status")


def quarantine(aws: EmbeddedAws, account_id: str, *users: str) -> None:
    account = aws.world.account(account_id)
    iam = aws.iam(account.admin_credentials)
    iam.create_policy(
        PolicyName=Variant.CONSOLE.value,
        Path="/mfa-operator/",
        PolicyDocument=document_json("aws", account_id, Variant.CONSOLE),
        Tags=tag_list(),  # type: ignore[arg-type]  # the same shape, by another name
    )
    for user in users:
        account.user(user, password=True)
        iam.attach_user_policy(UserName=user, PolicyArn=policy_arn("aws", account_id, Variant.CONSOLE))
    iam.close()


def held(aws: EmbeddedAws, account_id: str) -> list[str]:
    return sorted(user.name for user in aws.world.account(account_id).users() if user.attached_policies)


@pytest.fixture
def quarantined(aws: EmbeddedAws, kube: EmbeddedKubernetes) -> str:
    """A policy that holds alice and bob in an account that it names, and erin in one of its organization."""
    quarantine(aws, FIRST, "alice", "bob", "of-another-policy")
    quarantine(aws, OTHER, "erin")
    accounts = [{"id": FIRST, "roleArn": f"arn:aws:iam::{FIRST}:role/mfa-operator"}]
    add_policy(kube, "p", {"accounts": accounts, "organization": {}})
    add_report(kube, "p", FIRST, {"alice": "Done", "bob": "Intended", "planned": "Planned"})
    add_report(kube, "p", OTHER, {"erin": "Done"})
    return "default/p"


def test_all_accounts_of_the_policy(aws: EmbeddedAws, run: Run, quarantined: str) -> None:
    done = run("--policy", quarantined)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == [
        f"account name-of-it ({FIRST}): alice: released",
        f"account name-of-it ({FIRST}): bob: released",
        f"account name-of-it ({OTHER}): erin: released",
    ]
    assert (held(aws, FIRST), held(aws, OTHER)) == (["of-another-policy"], [])
    again = run("--policy", quarantined, "-o", "json")
    [policy] = json.loads(again.stdout)["policies"]
    results = {user["result"] for account in policy["accounts"] for user in account["users"]}
    assert (again.returncode, results) == (0, {"was not under quarantine"})


def test_one_account_that_refuses_stops_no_other(aws: EmbeddedAws, run: Run, quarantined: str) -> None:
    aws.world.account(FIRST).suspended = True
    done = run("--policy", quarantined)
    assert done.returncode == 2
    assert f"({FIRST}): AssumeRole" in done.stderr
    assert held(aws, OTHER) == []


def test_an_account_that_the_policy_names_no_more(aws: EmbeddedAws, kube: EmbeddedKubernetes, run: Run) -> None:
    quarantine(aws, FIRST, "alice")
    add_policy(kube, "p", {"accounts": [{"id": OTHER}]})
    add_report(kube, "p", FIRST, {"alice": "Done"})
    done = run("--policy", "default/p")
    assert (done.returncode, done.stdout) == (2, f"account name-of-it ({FIRST}): alice: failed\n")
    assert "no longer names the account; use --account" in done.stderr


def test_nobody_under_quarantine(kube: EmbeddedKubernetes, run: Run) -> None:
    add_policy(kube, "p", {"accounts": [{"id": FIRST}]})
    done = run("--policy", "default/p")
    assert (done.returncode, done.stdout) == (0, "MfaPolicy default/p has nobody under quarantine\n")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--policy", "p"], "expected NAMESPACE/NAME"),
        (["--policy", "default/"], "expected NAMESPACE/NAME"),
        (["--policy", "default/absent"], "there is no MfaPolicy default/absent"),
        (["--policy", "default/p", "--all"], "--policy cannot be combined"),
        (["--policy", "default/p", "--account", FIRST], "--policy cannot be combined"),
        ([], "--account ID, or --policy NAMESPACE/NAME"),
    ],
)
def test_bad_input_is_one_message_and_status_3(run: Run, args: list[str], words: str) -> None:
    done = run(*args)
    assert (done.returncode, done.stdout) == (3, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
