"""A program: eight threads use every model for the first time at once, in both directions. Run by test_first_use."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import msgspec

from mfa_operator.api.conversion import from_dict, to_dict
from mfa_operator.api.objects import read_policy
from mfa_operator.api.status import ReportStatus
from mfa_operator.config.access_file import parse_access

THREADS = 8
ID = "111122223333"
TIME = "2027-06-30T00:00:00Z"
FINDING = {"user": "alice", "state": "Violating", "reason": "NoMfa", "firstSeen": TIME, "deadline": TIME}
POLICY = {
    "apiVersion": "mfa-operator.io/v1alpha1",
    "kind": "MfaPolicy",
    "metadata": {"name": "console-mfa", "namespace": "security", "uid": "1", "generation": 1},
    "spec": {
        "interval": "5m",
        "accounts": [{"id": ID, "roleArn": f"arn:aws:iam::{ID}:role/mfa-operator"}],
        "requirement": {"users": "All", "deviceTypes": ["Virtual"]},
        "exemptions": [{"users": ["a*"], "reason": "sealed", "expires": TIME, "tags": {"a": "b"}}],
        "remediation": {"action": "RemoveConsoleAccess"},
    },
    "status": {
        "lastPassTime": TIME,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "PassSucceeded",
                "message": "",
                "lastTransitionTime": TIME,
            }
        ],
        "summary": {"users": 1},
        "accounts": [{"id": ID, "state": "Audited", "lastSuccessTime": TIME}],
        "findings": [{"accountId": ID, **FINDING}],
    },
}
REPORT = {
    "accountId": ID,
    "summary": {"users": 1},
    "findings": [{**FINDING, "remediation": {"action": "QuarantineUntilMfa", "state": "Done", "time": TIME}}],
}
RULES = "access: [{namespaces: ['team-*'], accounts: ['1*'], remediation: QuarantineUntilMfa}]"


def policies() -> None:
    policy = read_policy(POLICY)
    assert to_dict(policy.spec)["accounts"][0]["id"] == ID
    msgspec.json.encode(policy.status)


def reports() -> None:
    status = from_dict(ReportStatus, REPORT)
    assert status.findings[0].user == to_dict(status)["findings"][0]["user"]
    msgspec.json.encode(status)


def rules() -> None:
    assert parse_access(RULES, Path("settings.yaml")).rules


def main() -> int:
    sys.setswitchinterval(1e-6)
    uses = (policies, reports, rules)
    together = threading.Barrier(THREADS)
    failed: list[BaseException] = []

    def use(number: int) -> None:
        together.wait()
        try:
            for turn in range(len(uses)):
                uses[(number + turn) % len(uses)]()
        except BaseException as error:  # noqa: BLE001 - whatever a thread raises fails the process
            failed.append(error)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in failed:
        sys.stderr.write(f"{error!r}\n")
    return 1 if failed else 0


def ended(number: int) -> int:
    """The status of a process of its own that does it, number `number`."""
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            status = main()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    print(*map(ended, range(int(sys.argv[1]))))  # noqa: T201 - for the test to read
