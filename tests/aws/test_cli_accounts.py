"""`mfa-operator accounts`, as people look before they apply: the real process against the embedded AWS."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pexpect
import pytest
import yaml

from mfa_sandbox.aws import EmbeddedAws, Organization, Unit
from tests.fixtures.ready_command import COMMAND, ReadyCommand

PAY, PLAY, OLD, TYPED = "111122223333", "222233334444", "333344445555", "444455556666"


@dataclass
class Company:
    """An organization, and what a policy says of it."""

    organization: Organization
    prod: Unit
    payments: Unit
    sandbox: Unit


@pytest.fixture
def company(aws: EmbeddedAws) -> Company:
    organization = aws.world.create_organization()
    prod, sandbox = organization.unit("Production"), organization.unit("Sandbox")
    payments = organization.unit("Payments", prod)
    organization.join(PAY, "payments-prod", payments, tags={"env": "prod"})
    organization.join(PLAY, "playground", sandbox)
    organization.join(OLD, "old", prod, state="SUSPENDED")
    return Company(organization, prod, payments, sandbox)


@dataclass
class Accounts:
    """Runs the command on policies written to files."""

    aws: EmbeddedAws
    folder: Path
    ready: ReadyCommand

    def command(self, *policies: dict[str, Any]) -> list[str]:
        arguments = [str(COMMAND), "accounts"]
        for number, spec in enumerate(policies):
            metadata = {"name": f"p{number}", "namespace": "security"}
            body = {"apiVersion": "mfa-operator.io/v1alpha1", "kind": "MfaPolicy", "metadata": metadata, "spec": spec}
            path = self.folder / f"p{number}.yaml"
            path.write_text(yaml.safe_dump(body))
            arguments += ["-f", str(path)]
        return arguments

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | self.aws.environment()

    def __call__(self, *policies: dict[str, Any], args: tuple[str, ...] = ("-o", "json")) -> Ended:
        _, *arguments = self.command(*policies)
        done = self.ready.run(*arguments, *args, env=self.environment)
        return Ended(done.returncode, done.stdout, done.stderr)


@dataclass
class Ended:
    status: int
    out: str
    err: str

    def accounts(self, policy: int = 0) -> dict[str, dict[str, Any]]:
        return {each["id"]: each for each in json.loads(self.out)["policies"][policy]["accounts"]}

    def skipped(self, policy: int = 0) -> dict[str, str | None]:
        return {each["name"] or each["id"]: each["skipped"] for each in self.accounts(policy).values()}


@pytest.fixture
def accounts(aws: EmbeddedAws, tmp_path: Path, ready_command: ReadyCommand) -> Accounts:
    return Accounts(aws, tmp_path, ready_command)


def test_the_json_is_of_the_promised_shape(accounts: Accounts, company: Company) -> None:
    spec = {
        "accounts": [{"id": TYPED, "name": "typed"}],
        "organization": {"exclude": {"organizationalUnits": [company.sandbox.id]}},
    }
    done = accounts(spec)
    assert done.status == 0
    assert "no access rules were given" in done.err
    [policy] = json.loads(done.out)["policies"]
    assert (policy["namespace"], policy["name"]) == ("security", "p0")
    assert done.accounts()[PAY] == {
        "id": PAY,
        "name": "payments-prod",
        "path": "/Production/Payments",
        "roleArn": f"arn:aws:iam::{PAY}:role/mfa-operator",
        "source": "organization",
        "skipped": None,
    }
    assert done.accounts()[TYPED] == {
        "id": TYPED,
        "name": "typed",
        "path": "",
        "roleArn": None,
        "source": "spec",
        "skipped": None,
    }
    assert done.skipped() == {
        "management": None,
        "old": "Suspended",
        "payments-prod": None,
        "playground": "Excluded",
        "typed": None,
    }
    assert {call.service for call in accounts.aws.calls} == {"organizations"}, "the accounts themselves are not asked"


def test_two_policies_share_one_listing(accounts: Accounts, company: Company) -> None:
    included = {"organization": {"include": {"organizationalUnits": [company.prod.id], "tags": {"env": "prod"}}}}
    done = accounts({"organization": {}}, included)
    assert done.skipped(0)["playground"] is None
    assert {name for name, why in done.skipped(1).items() if why is None} == {"payments-prod"}
    assert accounts.aws.calls.count("ListAccounts") == 1


def test_policies_of_one_name_are_not_mixed_up(accounts: Accounts, company: Company) -> None:
    """Two versions of one policy, before and after an edit."""
    command = accounts.command({"organization": {}}, {"organization": {"exclude": {"accounts": [PLAY]}}})
    second = accounts.folder / "p1.yaml"
    second.write_text(second.read_text().replace("p1", "p0"))
    for name in ("accounts", "audit"):
        done = accounts.ready.run(name, *command[2:], "-o", "json", env=accounts.environment)
        policies = json.loads(done.stdout)["policies"]
        if name == "accounts":
            skipped = [[each["skipped"] for each in policy["accounts"]] for policy in policies]
            assert [one.count("Excluded") for one in skipped] == [0, 1]
        else:
            assert [policy["status"]["summary"]["accounts"] for policy in policies] == [3, 2]


def test_a_role_lists_it_and_its_partition_goes_into_the_roles(accounts: Accounts) -> None:
    """The operator's account is outside the organization; a delegated administrator's role lists it."""
    world = accounts.aws.world
    organization = world.create_organization("999900001111")
    organization.join(PAY, "delegate")
    organization.delegate(PAY)
    lister = world.account(PAY).trust("lister", "acme-7f3a")
    spec = {
        "organization": {
            "roleArn": lister,
            "externalId": "acme-7f3a",
            "accountRole": {"name": "audit", "path": "/sec/"},
        }
    }
    found = accounts(spec).accounts()
    assert found["999900001111"]["roleArn"] == "arn:aws:iam::999900001111:role/sec/audit"


def test_in_china_organizations_is_in_another_region_than_iam(tmp_path: Path, ready_command: ReadyCommand) -> None:
    with EmbeddedAws(partition="aws-cn") as aws:
        aws.world.create_organization().join(PAY, "payments-prod")
        done = Accounts(aws, tmp_path, ready_command)({"organization": {}})
        assert {call.account_id for call in aws.calls} == {aws.world.home_id}
    assert done.status == 0, done.err
    assert done.accounts()[PAY]["roleArn"] == f"arn:aws-cn:iam::{PAY}:role/mfa-operator"


@pytest.mark.parametrize("columns", [60, 170])
def test_the_table_is_for_people(accounts: Accounts, company: Company, columns: int) -> None:
    spec = {"organization": {"exclude": {"accounts": [PLAY]}}}
    _, *arguments = accounts.command(spec)
    done = accounts.ready.run(*arguments, env=accounts.environment | {"COLUMNS": str(columns)})
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= columns
    for words in ("MfaPolicy security/p0", "payments-prod", PAY, "/Production/Payments", "Suspended"):
        assert words in done.stdout
    assert "4 accounts: 2 to audit (2 from the organization)" in done.stdout
    names = [name for name in done.stdout.split() if name in {"management", "old", "payments-prod", "playground"}]
    assert names == sorted(names)


def test_yaml_says_the_same_as_json(accounts: Accounts, company: Company) -> None:
    in_yaml = accounts({"organization": {}}, args=("-o", "yaml"))
    assert yaml.safe_load(in_yaml.out) == json.loads(accounts({"organization": {}}).out)


def test_csv_has_a_row_for_each_account(accounts: Accounts, company: Company) -> None:
    done = accounts({"organization": {}, "accounts": [{"id": TYPED, "name": "=typed"}]}, args=("-o", "csv"))
    rows = {row["account_id"]: row for row in csv.DictReader(io.StringIO(done.out))}
    assert rows[PAY] == {
        "namespace": "security",
        "policy": "p0",
        "account_id": PAY,
        "account_name": "payments-prod",
        "path": "/Production/Payments",
        "role_arn": f"arn:aws:iam::{PAY}:role/mfa-operator",
        "source": "organization",
        "skipped": "",
    }
    assert (rows[OLD]["skipped"], rows[TYPED]["source"], rows[TYPED]["account_name"]) == (
        "Suspended",
        "spec",
        "'=typed",
    )


def test_without_a_list_there_is_no_empty_table(accounts: Accounts) -> None:
    done = accounts({"organization": {}}, args=())
    assert done.status == 2
    assert "belongs to no organization" in done.err
    assert "name a role there in spec.organization.roleArn" in done.err
    assert "could not be listed" in done.out
    assert "0 accounts" not in done.out


def test_a_policy_comes_from_stdin(accounts: Accounts, company: Company) -> None:
    """As in a pod, which has no file of the reader's: kubectl exec -i … -f - < policy.yaml."""
    *command, path = accounts.command({"organization": {}})
    done = subprocess.run(
        [*command, "-", "-o", "json"],
        env=accounts.environment | {"LC_ALL": "C", "PYTHONUTF8": "0"},
        input=Path(path).read_bytes(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert Ended(0, done.stdout.decode(), "").accounts() == accounts({"organization": {}}).accounts()


def test_access_rules_apply(accounts: Accounts, company: Company, tmp_path: Path) -> None:
    rules = tmp_path / "access.yaml"
    rules.write_text(f'access: [{{namespaces: [security], accounts: ["{PAY}"], organization: true}}]')
    done = accounts({"organization": {}}, args=("-o", "json", "--config", str(rules)))
    assert done.status == 2
    assert done.skipped() == {
        "management": "NotAllowed",
        "old": "Suspended",
        "payments-prod": None,
        "playground": "NotAllowed",
    }
    assert "access rules" not in done.err
    rules.write_text("access: [{namespaces: [security]}]")
    done = accounts({"accounts": [{"id": TYPED}], "organization": {}}, args=("-o", "json", "--config", str(rules)))
    assert (done.status, set(done.accounts())) == (2, {TYPED})
    assert "needs organization: true" in done.err


def test_without_names_of_units_their_ids_are_shown(accounts: Accounts, company: Company) -> None:
    accounts.aws.world.home.deny({"organizations:ListOrganizationalUnitsForParent"})
    done = accounts({"organization": {}})
    assert done.status == 0
    assert done.accounts()[PAY]["path"] == f"/{company.prod.id}/{company.payments.id}"


def test_throttling_and_empty_pages_only_take_longer(accounts: Accounts, company: Company) -> None:
    for number in range(30):
        company.organization.join(f"5000000000{number:02}")
    company.organization.empty_pages = True
    company.organization.throttle(per_second=20, burst=1)
    done = accounts({"organization": {}})
    assert (done.status, len(done.accounts())) == (0, 34)
    assert done.accounts()[PAY]["path"] == "/Production/Payments"


def test_on_a_terminal_it_says_how_far_it_is(accounts: Accounts, company: Company) -> None:
    company.organization.throttle(per_second=2, burst=1)
    command = accounts.command({"organization": {}})
    environment = accounts.environment | {"TERM": "xterm"}
    child = pexpect.spawn(command[0], command[1:], env=environment, dimensions=(50, 160), timeout=60, encoding="utf-8")
    try:
        child.expect("Listing the organization.*4 accounts so far")
        child.expect("4 accounts: 3 to audit")
        child.expect(pexpect.EOF)
        child.wait()
        assert child.exitstatus == 0
    finally:
        child.close(force=True)


OTHERS_UNIT = "ou-zzzz-zzzzzzzz"


@pytest.mark.parametrize(
    ("spoil", "spec", "status", "words"),
    [
        ("deny", {}, 2, "may not list the organization"),
        ("member", {}, 2, "may not list the organization"),
        ("leave", {}, 2, "belongs to no organization"),
        ("", {"include": {"organizationalUnits": [OTHERS_UNIT]}}, 3, f"has no unit {OTHERS_UNIT}"),
        ("", {"include": {"organizationalUnits": ["Production"]}}, 3, "p0.yaml:12: spec.organization.include"),
        ("", {"accountRole": {"name": "sec/audit"}}, 3, "its path goes to path"),
        ("", {"roleArn": "arn:aws:iam::999900001111:role/absent"}, 2, "may not list the organization"),
    ],
)
def test_what_goes_wrong_is_said(
    aws: EmbeddedAws, accounts: Accounts, spoil: str, spec: dict[str, Any], status: int, words: str
) -> None:
    """A list that cannot be had is status 2, with what the spec names; bad input is status 3, with nothing."""
    if spoil != "leave":
        organization = aws.world.create_organization("999900001111" if spoil == "member" else None)
        organization.join(PAY)
        if spoil == "member":
            organization.join(aws.world.home_id)
    if spoil == "deny":
        aws.world.home.deny({"organizations:ListAccounts"})
    done = accounts({"accounts": [{"id": TYPED}], "organization": spec})
    assert done.status == status, done.err
    assert words in done.err
    assert "Traceback" not in done.err
    if status == 2:
        assert set(done.accounts()) == {TYPED}
    else:
        assert done.out == ""
