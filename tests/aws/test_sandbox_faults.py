"""The sandbox's faults, call log and control endpoint."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from botocore.parsers import ResponseParserError

from mfa_sandbox.aws import Account, EmbeddedAws
from tests.aws.answers import code_of

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("throttling", "Throttling", 400),
        ("limit_exceeded", "LimitExceeded", 409),
        ("access_denied", "AccessDenied", 403),
        ("internal", "ServiceFailure", 500),
        ("html_502", "502", 502),
        ("no_such_entity", "NoSuchEntity", 404),
        ("expired_token", "ExpiredToken", 403),
        ("entity_temporarily_unmodifiable", "EntityTemporarilyUnmodifiable", 409),
        ("report_not_present", "ReportNotPresent", 410),
        ("report_expired", "ReportExpired", 410),
        ("report_in_progress", "ReportInProgress", 404),
    ],
)
def test_errors_come_once_and_execute_nothing(
    aws: EmbeddedAws, account: Account, iam: "IAMClient", kind: str, code: str, status: int
) -> None:
    alice = account.user("alice", password=True)
    fault = aws.faults.add("DeleteLoginProfile", kind)
    assert code_of(lambda: iam.delete_login_profile(UserName="alice")) == (code, status)
    record = aws.calls[-1]
    assert (record.http_status, record.code, record.executed) == (status, code, False)
    still_there = alice.has_password
    iam.delete_login_profile(UserName="alice")
    assert (still_there, alice.has_password, fault.hits) == (True, False, 1)
    assert aws.calls[-1].executed


@pytest.mark.parametrize(
    ("kind", "raised", "executed", "status"),
    [
        ("reset", ConnectionClosedError, False, 0),
        ("executed_answer_lost", ConnectionClosedError, True, 0),
        ("unparsable_200", ResponseParserError, False, 200),
    ],
)
def test_answers_that_never_come_or_make_no_sense(
    aws: EmbeddedAws,
    account: Account,
    iam: "IAMClient",
    kind: str,
    raised: type[Exception],
    executed: bool,
    status: int,
) -> None:
    alice = account.user("alice", password=True)
    aws.faults.add("DeleteLoginProfile", kind)
    with pytest.raises(raised):
        iam.delete_login_profile(UserName="alice")
    assert alice.has_password is not executed
    record = aws.calls[-1]
    assert (record.http_status, record.executed) == (status, executed)
    iam.list_users()


def test_which_calls_a_fault_hits(aws: EmbeddedAws, account: Account, iam: "IAMClient") -> None:
    for name in ("alice", "bob"):
        account.user(name, password=True)
    aws.faults.add("GetLoginProfile", "no_such_entity", user="bob", after=1, times=2)
    asked = [code_or_none(partial(iam.get_login_profile, UserName=name)) for name in ["alice", "bob"] * 4]
    assert asked == [None, None, None, "NoSuchEntity", None, "NoSuchEntity", None, None]


def code_or_none(act: Callable[[], object]) -> str | None:
    try:
        act()
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


def test_faults_of_one_account(aws: EmbeddedAws, account: Account, iam_of: "Callable[[Account], IAMClient]") -> None:
    other = aws.world.account("222233334444")
    ours, theirs = iam_of(account), iam_of(other)
    fault = aws.faults.add("*", "throttling", account=other.id, times=None)
    assert code_or_none(ours.list_users) is None
    assert code_or_none(theirs.list_users) == "Throttling"
    assert code_or_none(theirs.get_account_summary) == "Throttling"
    assert code_or_none(lambda: iam_of(other)) == "Throttling", "assuming its role is about the account too"
    aws.faults.remove(fault.id)
    assert code_or_none(theirs.list_users) is None
