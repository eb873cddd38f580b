"""`mfa-operator plan` and `release`, as people on call use them: the real processes against the embedded AWS."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from mfa_operator.aws.quarantine_document import Variant, document_json, policy_arn, tag_list
from mfa_sandbox.aws import Account, EmbeddedAws
from tests.aws.commands import Run

ARN = policy_arn("aws", "111122223333", Variant.CONSOLE)
READING = ("Get", "List", "Generate", "Assume")


@pytest.fixture
def policy(account: Account, tmp_path: Path) -> Path:
    """A policy that asks for removal, without grace."""
    path = tmp_path / "policy.yaml"
    body = {
        "apiVersion": "mfa-operator.io/v1alpha1",
        "kind": "MfaPolicy",
        "metadata": {"name": "p", "namespace": "security"},
        "spec": {
            "accounts": [{"id": account.id, "name": "prod", "roleArn": account.role_arn}],
            "gracePeriod": "0s",
            "exemptions": [{"users": ["sealed"], "reason": "sealed"}],
            "remediation": {"action": "RemoveConsoleAccess", "dryRun": False, "maxPerPass": 1},
        },
    }
    path.write_text(yaml.safe_dump(body))
    return path


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "access.yaml"
    path.write_text("access: [{namespaces: [security], remediation: RemoveConsoleAccess}]")
    return path


def reasons(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Why nothing would be done, by user; "" for who would be acted on."""
    (policy,) = json.loads(done.stdout)["policies"]
    users: list[dict[str, Any]] = policy["plan"]
    assert all(user["acts"] is ("reason" not in user) for user in users)
    return {user["user"]: user.get("reason", "") for user in users}


def audited(run: Run, policy: Path, directory: Path) -> Path:
    """The JSON of an audit now, for --previous."""
    previous = directory / "previous.json"
    previous.write_text(run("audit", "-f", policy, "-o", "json").stdout)
    return previous


def quarantine(aws: EmbeddedAws, account: Account, *users: str, tagged: bool = True) -> None:
    """As the operator does it, or, without the tag, as somebody else might."""
    iam = aws.iam(account.admin_credentials)
    iam.create_policy(
        PolicyName=Variant.CONSOLE.value,
        Path="/mfa-operator/",
        PolicyDocument=document_json("aws", account.id, Variant.CONSOLE),
        Tags=tag_list() if tagged else [],  # type: ignore[arg-type]  # the same shape, by another name
    )
    for name in users:
        iam.attach_user_policy(UserName=name, PolicyArn=ARN)
    iam.close()


class TestPlan:
    def test_says_who_would_be_acted_on_and_why_the_others_not(
        self, aws: EmbeddedAws, account: Account, run: Run, policy: Path, rules: Path, tmp_path: Path
    ) -> None:
        for name in ("alice", "bob", "sealed"):
            account.user(name, password=True)
        account.user("safe", password=True, mfa=["virtual"])

        first = run("plan", "-f", policy, "--config", rules, "-o", "json")
        assert first.returncode == 1
        assert first.stderr == ""
        assert reasons(first) == {"alice": "NotPublishedYet", "bob": "NotPublishedYet", "sealed": "Exempt"}

        previous = audited(run, policy, tmp_path)
        done = run("plan", "-f", policy, "--config", rules, "--previous", previous, "-o", "json")
        assert reasons(done) == {"alice": "", "bob": "LimitReached", "sealed": "Exempt"}
        assert [call.operation for call in aws.calls if not call.operation.startswith(READING)] == []

        table = run("plan", "-f", policy, "--config", rules, "--previous", previous)
        assert "action RemoveConsoleAccess: 1 of 3 findings would be acted on now" in table.stdout
        assert "LimitReached" in table.stdout

    def test_yaml_and_csv_say_the_same_as_json(
        self, account: Account, run: Run, policy: Path, rules: Path, tmp_path: Path
    ) -> None:
        for name in ("alice", "sealed"):
            account.user(name, password=True)
        plan = ("plan", "-f", policy, "--config", rules, "--previous", audited(run, policy, tmp_path), "-o")
        content = json.loads(run(*plan, "json").stdout)
        assert yaml.safe_load(run(*plan, "yaml").stdout) == content
        rows = list(csv.DictReader(io.StringIO(run(*plan, "csv").stdout)))
        (of_policy,) = content["policies"]
        assert [(row["user"], row["acts"] == "true", row["reason"], row["deadline"]) for row in rows] == [
            (user["user"], user["acts"], user.get("reason", ""), user.get("deadline", "")) for user in of_policy["plan"]
        ]
        assert {(row["namespace"], row["policy"], row["action"]) for row in rows} == {
            (of_policy["namespace"], of_policy["name"], of_policy["plan"][0]["action"])
        }

    def test_without_access_rules_nothing_would_be_done(
        self, account: Account, run: Run, policy: Path, tmp_path: Path
    ) -> None:
        account.user("alice", password=True)
        previous = audited(run, policy, tmp_path)
        done = run("plan", "-f", policy, "--previous", previous, "-o", "json")
        assert reasons(done) == {"alice": "NotAllowed"}
        assert "no access rules were given" in done.stderr

    def test_nobody_violates_is_status_0_and_a_dry_run_is_named(
        self, account: Account, run: Run, policy: Path, rules: Path, tmp_path: Path
    ) -> None:
        account.user("safe", password=True, mfa=["virtual"])
        assert run("plan", "-f", policy, "--config", rules).returncode == 0
        account.user("alice", password=True)
        policy.write_text(policy.read_text().replace("dryRun: false", "dryRun: true"))
        previous = audited(run, policy, tmp_path)
        done = run("plan", "-f", policy, "--config", rules, "--previous", previous, "-o", "json")
        assert reasons(done) == {"alice": "DryRun"}

    def test_who_is_under_quarantine_already_is_not_planned_for(
        self, aws: EmbeddedAws, account: Account, run: Run, policy: Path, rules: Path, tmp_path: Path
    ) -> None:
        for name in ("alice", "bob"):
            account.user(name, password=True)
        quarantine(aws, account, "alice")
        policy.write_text(policy.read_text().replace("RemoveConsoleAccess", "QuarantineUntilMfa"))
        previous = audited(run, policy, tmp_path)
        done = run("plan", "-f", policy, "--config", rules, "--previous", previous, "-o", "json")
        assert reasons(done) == {"bob": ""}

    def test_what_cannot_be_asked_about_quarantines_is_said(
        self, account: Account, run: Run, policy: Path, rules: Path
    ) -> None:
        account.user("alice", password=True)
        account.deny({"iam:GetPolicy"})
        policy.write_text(policy.read_text().replace("RemoveConsoleAccess", "QuarantineUntilMfa"))
        done = run("plan", "-f", policy, "--config", rules, "-o", "json")
        assert reasons(done) == {"alice": "LookupDenied"}
        assert "iam:GetPolicy" in done.stdout

    def test_an_account_that_cannot_be_audited_is_status_2(self, account: Account, run: Run, policy: Path) -> None:
        account.suspended = True
        done = run("plan", "-f", policy)
        assert done.returncode == 2
        assert "AssumeRole" in done.stderr

    @pytest.mark.parametrize(
        ("args", "words"),
        [
            (["--config", "no-such-file"], "no-such-file"),
            (["--previous", "no-such-file"], "no-such-file"),
            (["--previous", "POLICY"], "not JSON"),
            (["-f", "no-such-policy"], "no-such-policy"),
            (["-o", "xml"], "xml"),
            (["--previous", "x", "--from-cluster"], "--previous and --from-cluster"),
            (["--from-cluster", "--kubeconfig", "no-such-kubeconfig"], "no-such-kubeconfig"),
        ],
    )
    def test_bad_input_is_one_message_and_status_3(self, run: Run, policy: Path, args: list[str], words: str) -> None:
        done = run("plan", "-f", policy, *(str(policy) if arg == "POLICY" else arg for arg in args))
        assert (done.returncode, done.stdout) == (3, "")
        assert words in done.stderr
        assert "Traceback" not in done.stderr


class TestRelease:
    @pytest.fixture
    def quarantined(self, aws: EmbeddedAws, account: Account) -> Account:
        """Alice and bob under quarantine."""
        for name in ("alice", "bob"):
            account.user(name, password=True, path="/eng/")
        quarantine(aws, account, "alice", "bob")
        return account

    def test_one_user(self, quarantined: Account, run: Run) -> None:
        done = run("release", "--account", quarantined.id, "--role-arn", quarantined.role_arn, "--user", "alice")
        assert (done.returncode, done.stdout, done.stderr) == (0, "alice: released\n", "")
        assert quarantined.existing_user("alice").attached_policies == []
        assert quarantined.existing_user("bob").attached_policies == [ARN]

    def test_all_by_the_role_of_a_policy_file_and_again(self, quarantined: Account, run: Run, policy: Path) -> None:
        done = run("release", "--account", quarantined.id, "-f", policy, "--all", "-o", "json")
        assert done.returncode == 0
        assert json.loads(done.stdout) == {
            "account": quarantined.id,
            "users": [{"user": "alice", "result": "released"}, {"user": "bob", "result": "released"}],
        }
        again = run("release", "--account", quarantined.id, "-f", policy, "--all")
        assert (again.returncode, again.stdout) == (0, f"nobody is under quarantine in account {quarantined.id}\n")

    def test_who_is_not_under_quarantine(self, quarantined: Account, run: Run, policy: Path) -> None:
        quarantined.user("free")
        done = run("release", "--account", quarantined.id, "-f", policy, "--user", "free")
        assert (done.returncode, done.stdout, done.stderr) == (0, "free: was not under quarantine\n", "")

    def test_a_name_that_no_user_has_is_an_error(self, quarantined: Account, run: Run, policy: Path) -> None:
        done = run("release", "--account", quarantined.id, "-f", policy, "--user", "alicia", "--user", "alice")
        assert (done.returncode, done.stdout) == (2, "alicia: failed\nalice: released\n")
        assert done.stderr == "mfa-operator: alicia: the account has no such user\n"

    @pytest.mark.parametrize("who", [["--all"], ["--user", "alice"]])
    def test_a_foreign_policy_of_that_name_is_left_alone_and_named(
        self, aws: EmbeddedAws, account: Account, run: Run, policy: Path, who: list[str]
    ) -> None:
        alice = account.user("alice", password=True)
        quarantine(aws, account, "alice", tagged=False)
        done = run("release", "--account", account.id, "-f", policy, *who)
        assert done.returncode == 2
        assert "managed-by=mfa-operator" in done.stderr
        assert alice.attached_policies == [ARN]

    def test_the_other_variant_is_lifted_too(self, aws: EmbeddedAws, account: Account, run: Run, policy: Path) -> None:
        alice = account.user("alice", password=True)
        iam = aws.iam(account.admin_credentials)
        variant = Variant.CONSOLE_AND_KEYS
        document = document_json("aws", account.id, variant)
        iam.create_policy(PolicyName=variant, Path="/mfa-operator/", PolicyDocument=document, Tags=tag_list())  # type: ignore[arg-type]  # as above
        iam.attach_user_policy(UserName="alice", PolicyArn=policy_arn("aws", account.id, variant))
        iam.close()
        assert run("release", "--account", account.id, "-f", policy, "--all").stdout == "alice: released\n"
        assert alice.attached_policies == []

    def test_one_that_fails_stops_no_other(
        self, aws: EmbeddedAws, quarantined: Account, run: Run, policy: Path
    ) -> None:
        aws.faults.add("DetachUserPolicy", "access_denied", user="alice", times=None)
        done = run("release", "--account", quarantined.id, "-f", policy, "--all")
        assert (done.returncode, done.stdout) == (2, "alice: failed\nbob: released\n")

    def test_credentials_of_another_account_are_refused(self, account: Account, run: Run) -> None:
        done = run("release", "--account", account.id, "--all")
        assert done.returncode == 2
        assert "belong to account" in done.stderr

    def test_a_refusal_is_told_and_status_2(self, quarantined: Account, run: Run, policy: Path) -> None:
        quarantined.deny({"iam:DetachUserPolicy"})
        done = run("release", "--account", quarantined.id, "-f", policy, "--user", "alice")
        assert done.returncode == 2
        assert "DetachUserPolicy" in done.stderr
        assert quarantined.existing_user("alice").attached_policies == [ARN]

    @pytest.mark.parametrize(
        ("args", "words"),
        [
            (["--account", "111122223333"], "--user NAME or --all"),
            (["--account", "111122223333", "--user", "a", "--all"], "--user NAME or --all"),
            (["--account", "123", "--all"], "12 digits"),
            (["--account", "999999999999", "--all", "-f", "POLICY"], "does not name account 999999999999"),
            (["--all"], "--account"),
            (["--all", "--account", "1"], "--account: invalid value '1'; an account id is 12 digits\n"),
            (
                ["--all", "--account", "999999999999", "--external-id", "acme"],
                "--external-id: needs --role-arn",
            ),
            (
                ["--all", "--account", "999999999999", "--role-arn", "arn:aws:iam::111122223333:role/x"],
                "--role-arn: is in account 111122223333, but --account is 999999999999",
            ),
        ],
    )
    def test_bad_input_is_one_message_and_status_3(self, run: Run, policy: Path, args: list[str], words: str) -> None:
        done = run("release", *(str(policy) if arg == "POLICY" else arg for arg in args))
        assert (done.returncode, done.stdout) == (3, "")
        assert words in done.stderr
        assert "Traceback" not in done.stderr
