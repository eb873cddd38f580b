"""What goes wrong between us and AWS: throttling, proxies, resets, silence, credentials that run out (27)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import cycle

import pytest
from botocore.config import Config

from mfa_operator.api.enums import AccountReason, ErrorReason, FindingReason, UserState
from mfa_operator.aws.clients import CLIENT_CONFIG
from mfa_operator.aws.errors import AwsFailure, Throttled, TimedOut
from mfa_sandbox.aws import Account, EmbeddedAws
from tests.aws.audit_world import ID, Auditing, auditing, finding, states, unknown

ATTEMPTS = 5
"""Botocore's tries of one call."""
ROUNDS = 30
"""How often a throttled question is asked again at most, once a second or so, until it is given up after a minute."""
ROLE = ("AssumeRole",)
LISTS = ("ListUsers", "ListVirtualMFADevices")
REPORT = ("GenerateCredentialReport", "GetCredentialReport")
LIVE = ("GetLoginProfile", "ListMFADevices", "ListUserTags")
KINDS = ("throttling", "internal", "html_502", "reset", "unparsable_200", "xhtml_200")
# Every operation with some kinds, every kind with some operations.
PAIRS = list(zip((*ROLE, *LISTS, *REPORT, *LIVE) * 2, cycle(KINDS), strict=False))
PAIRS_LIVE = list(zip(LIVE * 2, cycle(KINDS), strict=False))
TRUTH = {
    "alice": UserState.VIOLATING,
    "bob": UserState.COMPLIANT,
    "carol": UserState.NO_CONSOLE,
    "glass": UserState.EXEMPT,
}
EXEMPT = [{"users": ["glass"], "reason": "Sealed", "tags": {"mfa-exempt": "true"}}]


@pytest.fixture(autouse=True)
def people(op: Auditing, account: Account) -> None:
    account.user("alice", password=True)
    account.user("bob", password=True, mfa=["virtual"])
    account.user("carol", access_keys=1)
    account.user("glass", password=True, tags={"mfa-exempt": "true"})
    account.force_report()


@pytest.fixture
def hasty(aws: EmbeddedAws) -> Iterator[Auditing]:
    """An operator that waits a fifth of a second for an answer."""
    with auditing(aws, config=CLIENT_CONFIG.merge(Config(read_timeout=0.2, retries={"total_max_attempts": 3}))) as made:
        yield made


@pytest.mark.parametrize(("operation", "kind"), PAIRS)
def test_what_goes_wrong_twice_is_asked_again_and_nobody_notices(
    op: Auditing, aws: EmbeddedAws, account: Account, operation: str, kind: str
) -> None:
    fault = aws.faults.add(operation, kind, times=2)
    audit = op.audit(account, exemptions=EXEMPT)
    assert fault.hits == 2
    assert states(audit) == TRUTH
    assert (audit.failures, audit.snapshot.notes) == ((), ())


@pytest.mark.parametrize(
    ("kind", "failure", "reason", "counted"),
    [
        ("throttling", Throttled, AccountReason.THROTTLED, ErrorReason.THROTTLED),
        ("internal", AwsFailure, AccountReason.ERROR, ErrorReason.OTHER),
        ("html_502", AwsFailure, AccountReason.ERROR, ErrorReason.OTHER),
        ("reset", TimedOut, AccountReason.TIMEOUT, ErrorReason.TIMEOUT),
        ("unparsable_200", AwsFailure, AccountReason.ERROR, ErrorReason.OTHER),
        ("xhtml_200", AwsFailure, AccountReason.ERROR, ErrorReason.OTHER),
    ],
)
def test_throttling_fails_the_account_after_bounded_calls(
    op: Auditing,
    aws: EmbeddedAws,
    account: Account,
    kind: str,
    failure: type[AwsFailure],
    reason: AccountReason,
    counted: ErrorReason,
) -> None:
    operation = {"throttling": "AssumeRole", "reset": "ListVirtualMFADevices"}.get(kind, "ListUsers")
    fault = aws.faults.add(operation, kind, times=None)
    error = op.fails(account)
    assert type(error) is failure
    assert (error.account_reason, error.error_reason) == (reason, counted)
    assert str(error).startswith(f"{operation}: ")
    assert "\n" not in str(error)
    assert 2 < fault.hits <= ATTEMPTS
    aws.faults.clear()
    assert states(op.later(account, exemptions=EXEMPT)) == TRUTH


@pytest.mark.parametrize(("operation", "kind"), PAIRS_LIVE)
def test_throttled_users_are_unknown_and_the_others_judged(
    op: Auditing, aws: EmbeddedAws, account: Account, operation: str, kind: str
) -> None:
    user = "glass" if operation == "ListUserTags" else "alice"
    fault = aws.faults.add(operation, kind, user=user, times=None)
    audit = op.audit(account, exemptions=EXEMPT)
    assert unknown(audit) == {user: FindingReason.LOOKUP_FAILED}
    assert states(audit) == TRUTH | {user: UserState.UNKNOWN}
    assert fault.hits <= (ATTEMPTS * ROUNDS if kind == "throttling" else ATTEMPTS)
    assert [one.operation for one in audit.failures] == [operation]
    # Not remembered: the next pass asks again.
    aws.faults.clear()
    assert states(op.later(account, exemptions=EXEMPT)) == TRUTH


def test_a_lost_device_that_could_not_be_read_is_read_next_pass(
    op: Auditing, aws: EmbeddedAws, account: Account
) -> None:
    """The report still says that there is a device, and must not be believed meanwhile."""
    everything = {"deviceTypes": ["Virtual", "SecurityKey", "HardwareToken", "Sms"]}
    op.audit(account, requirement=everything)
    account.existing_user("bob").remove_mfa()
    aws.faults.add("ListMFADevices", "internal", user="bob", times=2 * ATTEMPTS)
    for _ in range(2):
        assert unknown(op.later(account, requirement=everything)) == {"bob": FindingReason.LOOKUP_FAILED}
    assert states(op.later(account, requirement=everything))["bob"] is UserState.VIOLATING


def test_a_late_answer_is_asked_for_again(hasty: Auditing, aws: EmbeddedAws, account: Account) -> None:
    fault = aws.faults.add("ListUsers", "delay", delay=1.0, times=1)
    assert states(hasty.audit(account, exemptions=EXEMPT)) == TRUTH
    assert fault.hits == 1
    # The late one is done at last, and nobody waits for it any more.
    assert aws.calls.wait_for(lambda calls: calls.count("ListUsers") == 2, 30)


def test_silence_is_a_timeout(hasty: Auditing, aws: EmbeddedAws, account: Account) -> None:
    aws.faults.add("ListUsers", "delay", delay=1.0, times=None)
    error = hasty.fails(account)
    assert type(error) is TimedOut
    assert error.code == "ReadTimeoutError"
    assert error.account_reason is AccountReason.TIMEOUT


def test_silence_about_one_user_is_that_users(hasty: Auditing, aws: EmbeddedAws, account: Account) -> None:
    aws.faults.add("ListMFADevices", "delay", user="alice", delay=1.0, times=None)
    audit = hasty.audit(account, exemptions=EXEMPT)
    assert unknown(audit) == {"alice": FindingReason.LOOKUP_FAILED}
    assert [one.code for one in audit.failures] == ["ReadTimeoutError"]


def test_where_nobody_listens_it_is_a_timeout_too(op: Auditing, aws: EmbeddedAws, account: Account) -> None:
    policy = op.policy(account)
    aws.stop()
    with pytest.raises(AwsFailure) as failed:
        op.auditor.audit(policy, policy.accounts[0], None, op.clock.utc_now())
    assert failed.value.account_reason is AccountReason.TIMEOUT


def test_credentials_that_run_out_between_two_passes_are_renewed(op: Auditing, account: Account) -> None:
    op.audit(account)
    account.expire_credentials()
    assert states(op.later(account, exemptions=EXEMPT)) == TRUTH
    assert op.calls["AssumeRole"] == 1


def test_credentials_that_expire_during_a_pass_are_renewed_once(
    op: Auditing, aws: EmbeddedAws, account: Account
) -> None:
    """Four users are read at once, and all answers are ExpiredToken."""
    for number in range(40):
        account.user(f"user-{number:02}", password=True)
    account.force_report()
    assert aws.calls.count("AssumeRole") == 0

    def expire_soon() -> None:
        aws.calls.wait_for(lambda calls: calls.count("ListMFADevices") >= 10, 30)
        account.expire_credentials()

    watcher = threading.Thread(target=expire_soon)
    watcher.start()
    audit = op.audit(account)
    watcher.join()
    assert audit.failures == ()
    assert len(audit.report.findings) == 42
    expired = [call for call in aws.calls if call.code == "ExpiredToken"]
    assert expired
    assert op.calls["AssumeRole"] == 2


def test_credentials_that_are_never_good_fail_the_account(op: Auditing, aws: EmbeddedAws, account: Account) -> None:
    """Renewed once, not for ever."""
    fault = aws.faults.add("ListUsers", "expired_token", times=None)
    error = op.fails(account)
    assert error.code == "ExpiredToken"
    assert fault.hits == 2


def test_one_accounts_failure_touches_no_other(op: Auditing, aws: EmbeddedAws, account: Account) -> None:
    other = aws.world.account("444455556666")
    other.user("oscar", password=True)
    aws.faults.add("*", "throttling", account=ID, times=None)
    assert isinstance(op.fails(account), Throttled)
    assert states(op.audit(other)) == {"oscar": UserState.VIOLATING}


def test_every_answer_is_counted_with_its_code(op: Auditing, aws: EmbeddedAws, account: Account) -> None:
    """For mfa_aws_requests_total: what is retried is not hidden."""
    aws.faults.add("ListUsers", "throttling", times=2)
    op.audit(account)
    assert op.counted["iam", "ListUsers", "Throttling"] == 2
    assert op.counted["iam", "ListUsers", "200"] == 1
    assert op.counted["sts", "AssumeRole", "200"] == 1
    assert op.counted["iam", "GetCredentialReport", "200"] == 1
    assert sum(op.counted.values()) == len(aws.calls)


def test_who_violates_stays_found_through_a_storm(op: Auditing, aws: EmbeddedAws, account: Account) -> None:
    seen = finding(op.audit(account), "alice")
    for kind in KINDS:
        for operation in (*LISTS, "GetCredentialReport"):
            aws.faults.add(operation, kind, times=2)
        kept = finding(op.later(account), "alice")
        assert (kept.first_seen, kept.deadline) == (seen.first_seen, seen.deadline)
