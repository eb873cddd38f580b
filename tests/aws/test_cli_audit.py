"""`mfa-operator audit`, as the process that people and pipelines start."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pexpect
import pytest

from mfa_operator.api.conversion import from_dict, rfc3339
from mfa_operator.api.status import PolicyStatus, ReportStatus
from mfa_sandbox.aws import EmbeddedAws
from tests.aws.audit_world import READING
from tests.fixtures.ready_command import ReadyCommand
from tests.unit.crd_schema import problems

PROGRAM = str(Path(sys.executable).with_name("mfa-operator"))
CLEAN, DIRTY, CLOSED, HALF = "111122223333", "444455556666", "777788889999", "222233334444"
FORMULAS = "999900001111"
"""Accounts: all compliant, with violators, denied, and one where a user cannot be looked at."""


@pytest.fixture(scope="module")
def world() -> Iterator[EmbeddedAws]:
    """All tests read the same accounts, and nobody has changed anything in the end."""
    with EmbeddedAws() as aws:
        clean, dirty, closed, half = (aws.world.account(one) for one in (CLEAN, DIRTY, CLOSED, HALF))
        clean.user("bob", password=True, mfa=["virtual"])
        clean.user("robot", access_keys=1)
        dirty.user("alice", path="/eng/", password=True)
        dirty.user("sam", password=True, mfa=["sms"])
        dirty.user("glass", password=True)
        dirty.user("bob", password=True, mfa=["security_key"])
        for name in ("=1+1", "-2", "@x"):
            aws.world.account(FORMULAS).user(name, password=True)
        closed.suspended = True
        half.user("alice", password=True)
        half.deny(["iam:GetLoginProfile"])
        yield aws
        assert all(call.operation.startswith(READING) for call in aws.calls)
        assert len(aws.calls) > 0


def policy(account: str, *, name: str = "console-mfa", **spec: Any) -> dict[str, Any]:
    entry = {"id": account, "name": f"name-{account[0]}", "roleArn": f"arn:aws:iam::{account}:role/mfa-operator"}
    return {
        "apiVersion": "mfa-operator.io/v1alpha1",
        "kind": "MfaPolicy",
        "metadata": {"name": name, "namespace": "security"},
        "spec": {"accounts": [entry], "exemptions": [{"users": ["glass"], "reason": "Sealed"}], **spec},
    }


class Cli:
    """Runs the command on policies written to files (JSON is YAML)."""

    def __init__(self, aws: EmbeddedAws, folder: Path, ready: ReadyCommand) -> None:
        self.aws, self.folder, self.ready = aws, folder, ready
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
            **aws.environment(),
            "AWS_CONFIG_FILE": str(folder / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
        }

    def files(self, policies: Sequence[Mapping[str, Any]]) -> list[str]:
        arguments = []
        for number, content in enumerate(policies):
            path = self.folder / f"policy-{number}.yaml"
            path.write_text(json.dumps(content))
            arguments += ["-f", str(path)]
        return arguments

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self.ready.run("audit", *arguments, env=self.environment | env)

    def audit(self, *policies: Mapping[str, Any], arguments: Sequence[str] = ("-o", "json")) -> Result:
        return Result(self.run(*self.files(policies), *arguments))


class Result:
    def __init__(self, process: subprocess.CompletedProcess[str]) -> None:
        self.status = process.returncode
        self.out = process.stdout
        self.err = process.stderr

    @property
    def policies(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.out)["policies"]
        return found

    def findings(self) -> dict[str, dict[str, Any]]:
        [one] = self.policies
        return {finding["user"]: finding for report in one["reports"] for finding in report.get("findings", ())}


@pytest.fixture
def cli(world: EmbeddedAws, tmp_path: Path, ready_command: ReadyCommand) -> Cli:
    return Cli(world, tmp_path, ready_command)


@pytest.mark.parametrize(
    ("accounts", "status"),
    [
        ([CLEAN], 0),
        ([DIRTY], 1),
        ([HALF], 2),
        ([CLEAN, DIRTY, CLOSED], 2),
    ],
)
def test_the_exit_status_says_how_it_is(cli: Cli, accounts: list[str], status: int) -> None:
    """2 wins over 1: something that could not be audited may be worse than what was."""
    result = cli.audit(*(policy(one, name=f"p-{one}") for one in accounts))
    assert result.status == status
    assert [one["name"] for one in result.policies] == [f"p-{one}" for one in accounts]


def test_the_json_has_the_promised_shape(cli: Cli) -> None:
    both = policy(DIRTY)
    both["spec"]["accounts"] += policy(CLOSED)["spec"]["accounts"]
    result = cli.audit(both)
    assert set(json.loads(result.out)) == {"policies"}
    [one] = result.policies
    assert set(one) == {"namespace", "name", "status", "reports"}
    assert (one["namespace"], one["name"]) == ("security", "console-mfa")
    status = from_dict(PolicyStatus, one["status"])
    assert problems(status, "mfapolicies") == []
    assert [(account.id, account.state) for account in status.accounts] == [(CLOSED, "Denied"), (DIRTY, "Audited")]
    assert status.summary is not None
    assert (status.summary.users, status.summary.violating, status.summary.exempt) == (4, 2, 1)
    assert {condition.type: condition.status for condition in status.conditions} == {
        "Ready": "True",
        "AccountsAudited": "False",
        "Compliant": "False",
    }
    report, closed = one["reports"]
    for each in one["reports"]:
        assert problems(from_dict(ReportStatus, each), "mfareports") == []
    assert (closed["account"]["state"], closed["account"]["reason"]) == ("Denied", "AssumeRoleDenied")
    assert not {"auditedAt", "summary", "findings"} & closed.keys()
    assert report["accountId"] == DIRTY
    assert [(finding["user"], finding["state"], finding["reason"]) for finding in report["findings"]] == [
        ("alice", "Violating", "NoMfa"),
        ("glass", "Exempt", "NoMfa"),
        ("sam", "Violating", "DeviceTypeNotAllowed"),
    ]
    # What is not the report goes to stderr.
    assert f"security/console-mfa: name-7 ({CLOSED}): AssumeRole: AccessDenied: tried arn:aws:iam:" in result.err
    assert len(result.err.splitlines()) == 1


def test_a_good_audit_says_nothing_but_its_report(cli: Cli, world: EmbeddedAws) -> None:
    """Waiting for AWS to make a credential report is nothing to tell."""
    world.world.accounts[CLEAN].reports.forget()
    world.world.accounts[CLEAN].reports.polls = 2
    result = cli.audit(policy(CLEAN))
    assert (result.status, result.err) == (0, "")


def test_the_csv_has_a_row_per_finding_and_per_failed_account(cli: Cli) -> None:
    result = cli.audit(policy(DIRTY), policy(CLOSED, name="other"), arguments=("-o", "csv"))
    assert result.status == 2
    rows = list(csv.DictReader(io.StringIO(result.out)))
    assert [(row["policy"], row["account_id"], row["user"], row["state"]) for row in rows] == [
        ("console-mfa", DIRTY, "alice", "Violating"),
        ("console-mfa", DIRTY, "glass", "Exempt"),
        ("console-mfa", DIRTY, "sam", "Violating"),
        ("other", CLOSED, "", "Denied"),
    ]
    alice, glass, _, closed = rows
    assert (alice["path"], alice["account_name"], alice["namespace"]) == ("/eng/", "name-4", "security")
    assert alice["first_seen"].endswith("Z")
    assert alice["deadline"] > alice["first_seen"]
    assert (glass["exemption"], glass["deadline"]) == ("Sealed", "")
    assert "tried arn:aws:iam" in closed["message"]


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_text_of_others_reaches_no_terminal_and_no_formula(cli: Cli, form: str) -> None:
    """Whoever writes a policy or names a user writes into the terminals and spreadsheets of those who read reports."""
    hostile = "=HYPERLINK(1)\x1b[2J\u202e [bold]x[/]\r\nforged"
    content = policy(FORMULAS, exemptions=[{"users": ["-*"], "reason": hostile}])
    content["spec"]["accounts"][0]["name"] = hostile
    content["spec"]["accounts"] += [policy(CLOSED)["spec"]["accounts"][0] | {"name": hostile}]
    result = cli.audit(content, arguments=("-o", form))
    assert result.status == 2
    assert all(line.isprintable() for line in (result.out + result.err).split("\n"))
    assert "HYPERLINK(1) [bold]x[/] forged" in result.out
    if form == "json":
        assert set(result.findings()) == {"=1+1", "-2", "@x"}
    if form == "csv":
        rows = list(csv.reader(io.StringIO(result.out)))
        assert [row[4] for row in rows] == ["user", "'-2", "'=1+1", "'@x", ""]
        assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]


def test_the_table_says_itself_what_was_not_audited(cli: Cli) -> None:
    result = cli.audit(policy(CLOSED), arguments=())
    assert result.status == 2
    assert "AssumeRole: AccessDenied" in result.out
    assert result.err == ""


def test_the_table_is_for_people_and_has_no_colours_in_a_pipe(cli: Cli) -> None:
    result = cli.audit(policy(DIRTY), arguments=())
    assert result.status == 1
    for words in ("MfaPolicy security/console-mfa", "Accounts", "Findings", "/eng/alice", "in 7d", "exempt: Sealed"):
        assert words in result.out
    assert f"alice in account name-4 ({DIRTY}) can sign in without MFA:" in result.out
    assert "aws iam delete-login-profile --user-name alice" in result.out
    assert "Compliant=False Violations: 2 users without the required MFA" in result.out
    assert "\x1b" not in result.out + result.err


@pytest.mark.parametrize("form", ["table", "json", "csv"])
@pytest.mark.parametrize(("place", "status"), [("/dev/full", 2), ("closed", 2), ("unread pipe", 141)])
def test_a_report_that_cannot_be_written_is_no_success(cli: Cli, form: str, place: str, status: int) -> None:
    """Of the compliant account: status 0 would say that somebody has a report that says so."""
    reading, writing = os.pipe()
    os.close(reading)
    redirection = {"closed": ">&-", "unread pipe": ""}.get(place, f">{place}")
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", PROGRAM, "audit", *cli.files([policy(CLEAN)]), "-o", form],
        env=cli.environment,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert done.returncode == status
    words = [] if status == 141 else ["mfa-operator: the output cannot be written: "]
    assert [line[: len(words[0])] for line in done.stderr.splitlines()] == words


@pytest.mark.parametrize(("columns", "widest"), [("40", 40), ("60", 60), ("100", 100), ("0", 160), ("words", 160)])
def test_the_table_in_a_pipe_is_as_wide_as_columns_says(cli: Cli, columns: str, widest: int) -> None:
    done = cli.run(*cli.files([policy(DIRTY)]), COLUMNS=columns)
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) == widest
    assert "/eng/alice" in done.stdout


def test_an_earlier_result_keeps_first_seen_and_makes_overdue(cli: Cli) -> None:
    first = cli.audit(policy(DIRTY))
    earlier = cli.folder / "earlier.json"
    content = json.loads(first.out)
    for one in content["policies"][0]["reports"][0]["findings"]:
        # Sam's of before the user was made is another user's; alice's goes on.
        one["firstSeen"] = "2019-01-01T00:00:00Z" if one["user"] == "sam" else _plus(one["firstSeen"], seconds=7)
    earlier.write_text(json.dumps(content))
    calls = len(cli.aws.calls)
    second = cli.audit(policy(DIRTY, gracePeriod="0s"), arguments=("-o", "json", "--previous", str(earlier)))
    # And nothing else: whoever asks now gets answers from now.
    asked = {call.parameters.get("UserName") for call in cli.aws.calls[calls:]}
    assert {"alice", "sam", "glass"} <= asked
    before = {one["user"]: one["firstSeen"] for one in content["policies"][0]["reports"][0]["findings"]}
    after = second.findings()
    assert after["alice"]["firstSeen"] == before["alice"]
    assert after["sam"]["firstSeen"] > "2020"
    assert after["sam"]["state"] == "Overdue"
    assert second.status == 1
    # Of another policy's result nothing is taken.
    other = cli.audit(policy(DIRTY, name="other"), arguments=("-o", "json", "--previous", str(earlier)))
    assert other.findings()["alice"]["firstSeen"] != before["alice"]


def _plus(moment: str, *, seconds: int) -> str:
    return rfc3339(datetime.fromisoformat(moment) + timedelta(seconds=seconds))


GOOD = json.dumps(policy(CLEAN))
BAD_INPUT: Mapping[str, tuple[str | bytes | None, Sequence[str], str]] = {
    "missing file": (None, (), "cannot be read: No such file or directory"),
    "not YAML": ("spec: [", (), ":1: not YAML: "),
    "100,000 brackets": ("[" * 100_000, (), ":1: more than 64 levels of nesting"),
    "a bomb of merges": (
        "a: &a {k: v}\n"
        + "".join(f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 9)}]}}\n" for a, b in pairwise("abcdefghi")),
        (),
        ":7: aliases make this more than 250,000 values",
    ),
    "a name that is a number": (
        GOOD.replace('"name": "console-mfa"', '"name": 5'),
        (),
        ":1: metadata.name: 5 is not text",
    ),
    "a long glob": (
        GOOD.replace('["glass"]', f'["{"x" * 1_400_000}"]'),
        (),
        "users[0]: expected 'str' of length <= 512",
    ),
    "wrong kind": (GOOD.replace("MfaPolicy", "Deployment"), (), ":1: kind: is 'Deployment'; expected 'MfaPolicy'"),
    "unknown field": ("\n" + GOOD.replace('"exemptions"', '"exceptions"'), (), ":2: spec.exceptions: unknown field"),
    "two documents": (f"{GOOD}\n---\n{GOOD}\n", (), ":3: a second document begins here"),
    "empty": ("", (), "the file is empty"),
    "binary": (b"\x7fELF\x02\x01\x01\xff\xfe", (), "is not UTF-8 text"),
    "bad earlier result": (GOOD, ("--previous", "{folder}/none.json"), "none.json: cannot be read"),
    "an earlier result that is none": (GOOD, ("--previous", "{file}"), "not what `mfa-operator audit -o json` writes"),
    "unknown output": (GOOD, ("-o", "xml"), "'xml' is not one of 'table', 'json', 'csv'"),
    "unknown option": (GOOD, ("--remediate",), "--remediate"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_clear_message_and_status_3(cli: Cli, world: EmbeddedAws, case: str) -> None:
    content, more, words = BAD_INPUT[case]
    path = cli.folder / "policy.yaml"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    before = len(world.calls)
    result = Result(cli.run("-f", str(path), *(one.format(folder=cli.folder, file=path) for one in more)))
    assert (result.status, result.out) == (3, "")
    assert words in result.err
    assert len(result.err.splitlines()) == 1
    assert len(result.err) < 1_100
    assert "Traceback" not in result.err
    assert case.startswith("unknown o") or str(cli.folder) in result.err
    assert len(world.calls) == before


def test_a_directory_and_no_file_at_all_are_bad_input_too(cli: Cli) -> None:
    for arguments, words in ((("-f", str(cli.folder)), "Is a directory"), ((), "missing option '-f' / '--file'")):
        result = Result(cli.run(*arguments))
        assert (result.status, result.out) == (3, "")
        assert words in result.err
        assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("env", "status", "words"),
    [
        ({"AWS_PROFILE": "nobody"}, 3, "invalid AWS settings: The config profile (nobody) could not be found"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, 2, "set AWS credentials as for any AWS SDK"),
        ({"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN"}, 2, "InvalidClientTokenId"),
        ({"AWS_REGION": "mars", "AWS_DEFAULT_REGION": "mars"}, 2, "AWS has no region 'mars'"),
        ({"AWS_ENDPOINT_URL": "nowhere"}, 2, "Invalid endpoint: nowhere"),
    ],
)
def test_aws_settings_that_do_not_work_are_told(cli: Cli, env: dict[str, str], status: int, words: str) -> None:
    result = Result(cli.run(*cli.files([policy(CLEAN)]), "-o", "json", **env))
    assert result.status == status
    assert words in result.err
    assert "Traceback" not in result.err
    assert cli.environment["AWS_SECRET_ACCESS_KEY"] not in result.err + result.out


def test_runs_as_a_module_and_skips_a_suspended_policy(cli: Cli, world: EmbeddedAws) -> None:
    before = len(world.calls)
    files = cli.files([policy(DIRTY, suspend=True)])
    command = [sys.executable, "-m", "mfa_operator", "audit", *files, "-o", "json"]
    result = Result(
        subprocess.run(command, env=cli.environment, capture_output=True, text=True, timeout=60, check=False)
    )
    assert result.status == 2
    [one] = result.policies
    assert [condition["reason"] for condition in one["status"]["conditions"]] == ["Suspended", "NotAudited"]
    assert one["reports"] == []
    assert len(world.calls) == before


@pytest.mark.parametrize("auditing", ["audit", "plan"])
def test_the_bar_is_for_a_terminal_and_on_stderr_alone(cli: Cli, world: EmbeddedAws, auditing: str) -> None:
    out = cli.folder / "out.json"
    command = f'exec "$0" {auditing} -o json "$@" >{out}'
    world.latency_seconds = 0.05
    try:
        terminal: pexpect.spawn[str] = pexpect.spawn(
            "/bin/sh",
            ["-c", command, PROGRAM, *cli.files([policy(CLEAN), policy(DIRTY)])],
            env=cli.environment | {"TERM": "xterm", "LANG": "C.UTF-8"},
            encoding="utf-8",
            timeout=60,
            dimensions=(24, 100),
        )
        terminal.expect_exact("Auditing accounts")
        terminal.expect_exact("2/2")
        terminal.expect(pexpect.EOF)
        terminal.close()
    finally:
        world.latency_seconds = 0.0
    assert terminal.exitstatus == 1
    assert [one["name"] for one in json.loads(out.read_text())["policies"]] == ["console-mfa"] * 2
    assert "\x1b" not in out.read_text()
