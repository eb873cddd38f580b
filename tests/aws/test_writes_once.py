"""What changes something at AWS: asked for leave directly before each request, and sent once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest

from mfa_operator.api.objects import PolicyRef
from mfa_operator.api.policy import Account as PolicyAccount
from mfa_operator.aws.errors import AwsFailure
from mfa_operator.aws.sessions import AccountSession, Sessions
from mfa_operator.scheduling.due import PassAbandoned
from mfa_operator.scheduling.lease_guard import LeaseGuard
from mfa_sandbox.aws import Account, EmbeddedAws
from tests.fixtures.remediation_harness import without_pauses
from tests.unit.fake_iam import Clock

ID = "111122223333"
OpenSession = Callable[..., AccountSession]


@pytest.fixture
def account(aws: EmbeddedAws) -> Account:
    account = aws.world.account(ID)
    account.user("alice", password=True)
    return account


@pytest.fixture
def session(aws: EmbeddedAws, account: Account) -> Iterator[OpenSession]:
    """Makes a session into the account, as the operator does; `through_role` false: with its own credentials."""
    opened: list[Sessions] = []

    def make(leading: Callable[[], bool], *, through_role: bool = True, retry_writes: bool = False) -> AccountSession:
        credentials = (aws.world.operator_credentials if through_role else account.admin_credentials).client_arguments()
        sessions = Sessions(
            session=boto3.Session(region_name=aws.region, **credentials),  # type: ignore[arg-type]  # keys only
            guard=LeaseGuard(leading),
            retry_writes=retry_writes,
        )
        opened.append(sessions)
        return sessions.account(PolicyAccount(id=ID, role_arn=account.role_arn if through_role else None))

    with without_pauses(aws, Clock()):
        yield make
    for sessions in opened:
        sessions.close()


def remove(session: AccountSession) -> object:
    return session.ask("DeleteLoginProfile", lambda iam: iam.delete_login_profile(UserName="alice"))


def attach(session: AccountSession) -> object:
    arn = "arn:aws:iam::aws:policy/IAMReadOnlyAccess"
    return session.ask("AttachUserPolicy", lambda iam: iam.attach_user_policy(UserName="alice", PolicyArn=arn))


@pytest.mark.parametrize("through_role", [True, False], ids=["role", "own credentials"])
@pytest.mark.parametrize("write", [remove, attach])
def test_no_write_leaves_a_process_that_does_not_lead(
    aws: EmbeddedAws, session: OpenSession, write: Callable[[AccountSession], object], through_role: bool
) -> None:
    opened = session(lambda: False, through_role=through_role)
    opened.ask("GetUser", lambda iam: iam.get_user(UserName="alice"))
    with pytest.raises(PassAbandoned):
        write(opened)
    assert {call.operation for call in aws.calls} <= {"AssumeRole", "GetUser"}


def test_a_write_does_not_wait_for_the_credentials_of_a_read(session: OpenSession) -> None:
    """What was checked right before it would be old by then: another policy's audit may wait long for STS."""
    reading = session(lambda: True)
    writing = reading.on_behalf_of(PolicyRef("security", "p"))
    writing.prepare_to_write()
    waits, answered = threading.Event(), threading.Event()

    def hold_back(**_: object) -> None:
        waits.set()
        answered.wait(60)

    sts = reading.sessions.clients.own("sts", reading.sessions.region("aws"))
    sts.meta.events.register("before-call.sts.AssumeRole", hold_back)
    with ThreadPoolExecutor(2) as pool:
        try:
            read = pool.submit(reading.ask, "GetUser", lambda iam: iam.get_user(UserName="alice"))
            assert waits.wait(10)
            pool.submit(remove, writing).result(10)
            assert not read.done()
        finally:
            answered.set()


@pytest.mark.parametrize(
    "fault",
    [
        "throttling",
        "internal",
        "html_502",
        "reset",
        "executed_answer_lost",
        "unparsable_200",
        "xhtml_200",
        "expired_token",
    ],
)
def test_a_write_that_fails_is_not_sent_again(aws: EmbeddedAws, session: OpenSession, fault: str) -> None:
    """It may have been carried out, and seconds later the user may be another person than the one it was meant for."""
    aws.faults.add("DeleteLoginProfile", fault, times=None)
    with pytest.raises(AwsFailure):
        remove(session(lambda: True))
    assert aws.calls.count("DeleteLoginProfile") == 1


def test_reads_are_sent_again(aws: EmbeddedAws, session: OpenSession) -> None:
    aws.faults.add("GetUser", "throttling", times=2)
    session(lambda: True).ask("GetUser", lambda iam: iam.get_user(UserName="alice"))
    assert aws.calls.count("GetUser") == 3


def test_expired_credentials_are_renewed_for_the_next_write(aws: EmbeddedAws, session: OpenSession) -> None:
    opened = session(lambda: True)
    aws.faults.add("DeleteLoginProfile", "expired_token", times=1)
    with pytest.raises(AwsFailure, match="ExpiredToken"):
        remove(opened)
    remove(opened)
    assert aws.calls.count("AssumeRole") == 2


def test_every_retry_of_a_command_asks_again(aws: EmbeddedAws, session: OpenSession) -> None:
    answers = iter([True, True, False])
    aws.faults.add("DeleteLoginProfile", "throttling", times=None)
    with pytest.raises(PassAbandoned):
        remove(session(lambda: next(answers), retry_writes=True))
    assert aws.calls.count("DeleteLoginProfile") == 2


def test_a_write_under_a_false_name_does_not_go_out(aws: EmbeddedAws, session: OpenSession) -> None:
    with pytest.raises(RuntimeError, match="DeleteLoginProfile changes something"):
        session(lambda: True).ask("GetUser", lambda iam: iam.delete_login_profile(UserName="alice"))
    assert aws.calls.count("DeleteLoginProfile") == 0
