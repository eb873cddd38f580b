"""What a session of a role may do at most, and what it is called."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mfa_operator.api.objects import PolicyRef
from mfa_operator.aws.operations import changes_something
from mfa_operator.aws.quarantine_document import Variant, policy_arn
from mfa_operator.aws.role_sessions import LISTING_POLICY, MAX_NAME, READING_POLICY, session_name, writing_policy
from tests.unit import iam_lint
from tests.unit.iam_evaluation import Decision, Request, evaluate

ACCOUNT, PARTITION = "111122223333", "aws-us-gov"
IAM = f"arn:{PARTITION}:iam::{ACCOUNT}:"
OURS = policy_arn(PARTITION, ACCOUNT, Variant.CONSOLE)
ALICE = f"{IAM}user/eng/alice"
READING: Any = json.loads(READING_POLICY)
LISTING: Any = json.loads(LISTING_POLICY)
WRITING: Any = json.loads(writing_policy(PARTITION, ACCOUNT))
FILES = (Path(__file__).parents[2] / "deploy" / "aws" / "policies").glob("*.json")
GRANTED = sorted(
    {
        action
        for file in FILES
        for statement in json.loads(file.read_text())["Statement"]
        if statement["Effect"] == "Allow"
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
)
IN_ACCOUNTS = [action for action in GRANTED if action.startswith("iam:")]
"""The queue is read with the operator's own credentials, organizations are listed in sessions of their own."""
TARGETS = {
    "iam:AttachUserPolicy": (ALICE, {"iam:PolicyARN": OURS}),
    "iam:DetachUserPolicy": (ALICE, {"iam:PolicyARN": OURS}),
    "iam:DeleteLoginProfile": (ALICE, {}),
}
"""Resource and context of the actions that are not about our own policies."""


@pytest.mark.parametrize("action", IN_ACCOUNTS)
def test_the_roles_rights_are_split_into_reading_and_writing(action: str) -> None:
    resource, context = TARGETS.get(action, (OURS, {}))
    request = Request(action, resource, context)
    writes = changes_something(action.removeprefix("iam:"))
    assert evaluate([READING], request) is (Decision.IMPLICIT_DENY if writes else Decision.ALLOW)
    assert evaluate([WRITING], request) is (Decision.ALLOW if writes else Decision.IMPLICIT_DENY)
    assert evaluate([LISTING], request) is Decision.IMPLICIT_DENY


@pytest.mark.parametrize("action", [action for action in GRANTED if action.startswith("organizations:")])
def test_a_session_that_lists_an_organization_does_nothing_else(action: str) -> None:
    request = Request(action, "*", {})
    assert evaluate([LISTING], request) is Decision.ALLOW
    assert evaluate([READING], request) is Decision.IMPLICIT_DENY
    assert evaluate([WRITING], request) is Decision.IMPLICIT_DENY


@pytest.mark.parametrize(
    "request_",
    [
        Request(
            "iam:AttachUserPolicy", ALICE, {"iam:PolicyARN": f"arn:{PARTITION}:iam::aws:policy/AdministratorAccess"}
        ),
        Request("iam:AttachUserPolicy", ALICE, {"iam:PolicyARN": f"{IAM}policy/mfa-operator-quarantine"}),
        Request("iam:CreatePolicyVersion", f"{IAM}policy/other"),
        Request("iam:DeleteLoginProfile", f"arn:{PARTITION}:iam::444455556666:user/alice"),
        Request("iam:CreateAccessKey", ALICE),
        Request("iam:PutUserPolicy", ALICE),
        Request("sts:AssumeRole", f"{IAM}role/admin"),
        Request("s3:GetObject", "arn:aws:s3:::bucket/object"),
    ],
    ids=lambda request: str(request.action),
)
def test_neither_session_can_do_anything_else(request_: Request) -> None:
    """Where the role could: somebody attached AdministratorAccess to it."""
    assert evaluate([READING], request_) is Decision.IMPLICIT_DENY
    assert evaluate([WRITING], request_) is Decision.IMPLICIT_DENY


def test_the_write_policy_pairs_actions_with_their_resources() -> None:
    """No action is granted on a resource that it is not meant for."""

    assert [problem for problem in iam_lint.problems(WRITING) if not problem.startswith("Sid None")] == []


def test_sts_takes_no_more_than_2048_characters() -> None:
    assert len(writing_policy("aws-us-gov", ACCOUNT)) < 1024


@pytest.mark.parametrize(
    ("namespace", "name", "expected"),
    [
        ("security", "console-mfa", "mfa-operator+security+console-mfa"),
        ("a", "b.c", "mfa-operator+a+b.c"),
        ("a", "b/../c\n", "mfa-operator+a+b_.._c_"),
    ],
)
def test_a_session_is_called_after_its_policy(namespace: str, name: str, expected: str) -> None:
    assert session_name(PolicyRef(namespace, name)) == expected


def test_long_names_are_cut_and_stay_apart() -> None:
    names = {session_name(PolicyRef("n" * 63, "p" * 62 + last)) for last in "ab"}
    names |= {session_name(PolicyRef("n" * 25, "p" * 25)), session_name(PolicyRef("n" * 25, "p" * 26))}
    assert len(names) == 4
    for name in names:
        assert re.fullmatch(r"[\w+=,.@-]{2,64}", name, re.ASCII)
    assert max(map(len, names)) == MAX_NAME
