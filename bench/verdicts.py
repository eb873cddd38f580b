"""Whom each tool names as a violator where the credential report is not all there is to know, or is not to be had."""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from bench import peers, processes
from mfa_sandbox.aws import Account, EmbeddedAws

REPORT = {"iam:GenerateCredentialReport", "iam:GetCredentialReport"}
TRUTH = frozenset({"violator", "new-since", "lost-since"})


def measure() -> list[dict[str, object]]:
    """Each tool, with a report from before some changes, without a report, and without that and the devices."""
    situations: dict[str, Callable[[Account], None]] = {
        "the report is an hour old": lambda _: None,
        "the report is refused": lambda account: account.deny(REPORT),
        "report and devices are refused": lambda account: account.deny({*REPORT, "iam:ListMFADevices"}),
    }
    return [row for name, arrange in situations.items() for row in _situation(name, arrange)]


def _situation(name: str, arrange: Callable[[Account], None]) -> list[dict[str, object]]:
    with EmbeddedAws() as aws, tempfile.TemporaryDirectory(prefix="mfa-bench-") as folder:
        scratch = Path(folder)
        account = aws.world.account(peers.ACCOUNT)
        seed(aws, account)
        arrange(account)
        environment = _as_the_role(aws, account)
        rows: list[dict[str, object]] = []
        for tool in peers.tools(scratch):
            output = scratch / "out"
            measured = processes.run(tool.command, environment, output=output)
            named = NAMED[tool.name](scratch)
            rows.append(
                {
                    "situation": name,
                    "tool": tool.name,
                    "status": measured.status,
                    "right": len(named & TRUTH),
                    "missed": ", ".join(sorted(TRUTH - named)) or "-",
                    "wrongly named": ", ".join(sorted(named - TRUTH)) or "-",
                    "unknown": _unknown(scratch) if tool.name == "mfa-operator" else "-",
                }
            )
            shutil.rmtree(scratch / "custodian", ignore_errors=True)
            shutil.rmtree(scratch / "prowler", ignore_errors=True)
        return rows


def seed(aws: EmbeddedAws, account: Account) -> None:
    """Six users, three of whom violate; a credential report of an hour ago, before three of them changed."""
    now = aws.world.now()
    long_ago = now - timedelta(days=100)
    aws.world.clock = lambda: now - timedelta(hours=1)
    account.user("violator", password=True, created=long_ago)
    account.user("passkey", password=True, mfa=["security_key"], created=long_ago)
    account.user("keys-only", access_keys=1, created=long_ago)
    enrolled = account.user("enrolled-since", password=True, created=long_ago)
    lost = account.user("lost-since", password=True, mfa=["virtual"], created=long_ago)
    account.force_report()
    aws.world.clock = lambda: now
    enrolled.add_mfa("virtual")
    lost.remove_mfa()
    account.user("new-since", password=True)


def _as_the_role(aws: EmbeddedAws, account: Account) -> dict[str, str]:
    """Environment with credentials of the account's role, which may do what `deny` leaves."""
    sts = aws.sts()
    given = sts.assume_role(RoleArn=account.role_arn, RoleSessionName="bench")["Credentials"]
    sts.close()
    return aws.environment() | {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }


def _ours(scratch: Path) -> set[str]:
    return {finding["user"] for finding in _findings(scratch) if finding["state"] in ("Violating", "Overdue")}


def _unknown(scratch: Path) -> str:
    return ", ".join(sorted(finding["user"] for finding in _findings(scratch) if finding["state"] == "Unknown")) or "-"


def _findings(scratch: Path) -> list[dict[str, str]]:
    text = (scratch / "out").read_text()
    answer, _ = json.JSONDecoder().raw_decode(text[text.index("{") :])
    return [finding for report in answer["policies"][0]["reports"] for finding in report["findings"]]


def _prowlers(scratch: Path) -> set[str]:
    named: set[str] = set()
    for path in (scratch / "prowler").glob("*.csv"):
        with path.open() as lines:
            named |= {
                row["RESOURCE_UID"].rpartition("/")[2] or row["RESOURCE_UID"]
                for row in csv.DictReader(lines, delimiter=";")
                if row["STATUS"] == "FAIL"
            }
    return named


def _custodians(scratch: Path) -> set[str]:
    found = scratch / "custodian" / "no-mfa" / "resources.json"
    return {user["UserName"] for user in json.loads(found.read_text())} if found.exists() else set()


NAMED: dict[str, Callable[[Path], set[str]]] = {
    "mfa-operator": _ours,
    "prowler": _prowlers,
    "custodian, report": _custodians,
}
