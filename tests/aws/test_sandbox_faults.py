"""The sandbox's faults, call log and control endpoint."""

import http.client
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from mfa_sandbox.aws import Account, EmbeddedAws, FaultKind
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


def test_a_reset_is_a_reset_on_the_wire(aws: EmbeddedAws) -> None:
    aws.faults.add("GetCallerIdentity", "reset")
    sts = aws.sts()
    with pytest.raises(ConnectionClosedError) as caught:
        sts.get_caller_identity()
    sts.close()
    assert "Connection reset by peer" in repr(caught.value.kwargs["error"])


def test_delay_outlasts_a_read_timeout_and_executes_all_the_same(aws: EmbeddedAws, account: Account) -> None:
    alice = account.user("alice", password=True)
    fault = aws.faults.add("DeleteLoginProfile", "delay", delay=0.5)
    impatient = boto3.client(
        "iam",
        endpoint_url=aws.endpoint_url,
        region_name=aws.region,
        aws_access_key_id=account.admin_credentials.access_key_id,
        aws_secret_access_key=account.admin_credentials.secret_access_key,
        config=Config(read_timeout=0.1, retries={"total_max_attempts": 1}),
    )
    with pytest.raises(ReadTimeoutError):
        impatient.delete_login_profile(UserName="alice")
    impatient.close()
    assert aws.calls.wait_for(lambda calls: calls.count("DeleteLoginProfile") == 1, 10)
    assert (alice.has_password, fault.hits) == (False, 1)


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


def test_probability_is_repeatable(aws: EmbeddedAws, iam: "IAMClient") -> None:
    def throttled() -> list[bool]:
        aws.faults.random.seed(7)
        return [code_or_none(iam.list_users) == "Throttling" for _ in range(40)]

    aws.faults.add("ListUsers", "throttling", probability=0.3, times=None)
    first = throttled()
    assert 0 < sum(first) < 40
    assert throttled() == first
    aws.faults.clear()
    assert not any(throttled())


def test_a_kind_that_does_not_exist(aws: EmbeddedAws) -> None:
    with pytest.raises(ValueError, match="nonsense"):
        aws.faults.add("ListUsers", "nonsense")
    assert FaultKind("reset") is FaultKind.RESET


def test_calls_are_kept_without_secrets(aws: EmbeddedAws, account: Account, iam: "IAMClient") -> None:
    alice = account.user("alice")
    aws.calls.clear()
    iam.create_login_profile(UserName="alice", Password="correct horse")
    serial = iam.create_virtual_mfa_device(VirtualMFADeviceName="phone")["VirtualMFADevice"]["SerialNumber"]
    iam.enable_mfa_device(
        UserName="alice", SerialNumber=serial, AuthenticationCode1="111111", AuthenticationCode2="222222"
    )
    iam.list_users(MaxItems=7)
    kept = json.dumps([record.as_json() for record in aws.calls])
    assert not any(secret in kept for secret in ("correct horse", "111111", "222222"))
    moto_user = account.backend.users[alice.name]
    device = moto_user.mfa_devices[serial]
    assert (moto_user.password, device.authentication_code_1) == ("set", "")
    record = aws.calls[-1]
    assert (record.service, record.operation, record.account_id) == ("iam", "ListUsers", account.id)
    assert record.principal == f"arn:aws:sts::{account.id}:assumed-role/mfa-operator/audit"
    assert record.parameters == {"MaxItems": "7"}
    assert (record.http_status, record.code, record.executed) == (200, None, True)
    assert abs((aws.world.now() - record.time).total_seconds()) < 60


def test_calls_are_counted(aws: EmbeddedAws, account: Account, iam: "IAMClient") -> None:
    code_or_none(lambda: iam.get_login_profile(UserName="nobody"))
    code_or_none(lambda: iam.get_group(GroupName="nothing"))
    sts = aws.sts()
    sts.get_caller_identity()
    sts.close()
    assert aws.calls.operations() == {"AssumeRole": 1, "GetLoginProfile": 1, "GetGroup": 1, "GetCallerIdentity": 1}
    assert (len(aws.calls), aws.calls.count()) == (4, 4)
    assert aws.calls.count(account=account.id) == 3, "assuming its role is about the account"
    assert aws.calls.count("GetLoginProfile", account.id) == 1
    assert aws.calls.count("AssumeRole", aws.world.home_id) == 0
    assert [record.code for record in aws.calls] == [None, "NoSuchEntity", "NoSuchEntity", None]
    assert [record.executed for record in aws.calls] == [True, False, False, True]
    assert aws.calls.count(principal=f"arn:aws:iam::{aws.world.home_id}:user/mfa-operator") == 2


def test_what_nobody_implements_says_so(aws: EmbeddedAws, iam: "IAMClient") -> None:
    assert code_of(lambda: iam.get_context_keys_for_custom_policy(PolicyInputList=["{}"])) == ("InvalidAction", 400)
    assert aws.calls[-1].code == "InvalidAction"


class Together(threading.Event):
    """Lets nobody go on before so many wait at the same time; keeps what each would have waited."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.seconds: list[float | None] = []
        self._barrier = threading.Barrier(number)

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout)
        self._barrier.wait(10)
        return False


def test_latency_lets_others_go_on(aws: EmbeddedAws, account: Account) -> None:
    together = aws._started.stopping = Together(20)
    aws.latency_seconds = 0.04
    client = aws.iam(account.admin_credentials)
    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(client.list_users) for _ in range(20)]
        assert [answer.result()["Users"] for answer in answers] == [[]] * 20
    client.close()
    assert together.seconds == [0.04] * 20


class Control:
    """A process elsewhere, at the control endpoint."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self._port = int(aws.endpoint_url.rpartition(":")[2])

    def __call__(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        connection.request(method, f"/_sandbox/{path}", None if body is None else json.dumps(body))
        answer = connection.getresponse()
        content = json.loads(answer.read())
        connection.close()
        return answer.status, content


def test_control_of_faults(aws: EmbeddedAws, iam: "IAMClient") -> None:
    control = Control(aws)
    status, fault = control("POST", "faults", {"operation": "ListUsers", "kind": "throttling", "times": None})
    assert (status, fault["kind"], fault["hits"]) == (201, "throttling", 0)
    assert code_of(iam.list_users) == ("Throttling", 400)
    assert control("GET", "faults")[1]["faults"][0]["hits"] == 1
    assert control("DELETE", f"faults/{fault['id']}")[0] == 200
    iam.list_users()
    assert control("DELETE", f"faults/{fault['id']}")[0] == 404
    control("POST", "faults", {"operation": "ListUsers", "kind": "throttling"})
    assert control("DELETE", "faults")[0] == 200
    iam.list_users()
    bad: object
    for bad in ({"operation": "ListUsers", "kind": "no"}, {"kind": "reset"}, {"operation": "x", "kin": "reset"}, []):
        status, said = control("POST", "faults", bad)
        assert (status, bool(said["error"])) == (400, True)


def test_control_of_calls(aws: EmbeddedAws, account: Account, iam: "IAMClient") -> None:
    control = Control(aws)
    iam.list_users()
    _, listed = control("GET", f"calls?operation=ListUsers&account={account.id}")
    assert listed["count"] == 1
    assert listed["calls"][0]["operation"] == "ListUsers"
    assert control("GET", "calls")[1]["count"] == 2, "the control endpoint itself is not AWS"
    assert control("GET", "calls?opration=x")[0] == 400
    assert control("DELETE", "calls")[0] == 200
    assert control("GET", "calls")[1] == {"count": 0, "calls": []}
    assert control("GET", "nonsense")[0] == 404
