"""Accounts that failed for the same cause: said once, wherever they are listed."""

from __future__ import annotations

import logging

import pytest

from mfa_operator.api.enums import AccountReason, AccountState
from mfa_operator.api.objects import PolicyRef
from mfa_operator.api.status import AccountStatus
from mfa_operator.passes.failure_log import FailureLog
from mfa_operator.reporting.alike import causes_in_words, failed_alike
from mfa_operator.reporting.conditions import accounts_audited
from tests.unit.facts import NOW

REFUSAL = (
    "AssumeRole: AccessDenied: User: arn:aws:sts::999900001111:assumed-role/mfa-operator/x is not authorized to"
    " perform: sts:AssumeRole on resource: arn:aws:iam::{id}:role/mfa-operator"
)


def account_id(number: int) -> str:
    return f"{100_000_000_000 + number}"


def denied(number: int, message: str = REFUSAL, name: str = "") -> AccountStatus:
    id_ = account_id(number)
    return AccountStatus(
        id=id_,
        name=name,
        state=AccountState.DENIED,
        reason=AccountReason.ASSUME_ROLE_DENIED,
        message=message.format(id=id_),
    )


def test_failures_that_differ_only_in_ids_are_one_cause() -> None:
    request = " (RequestID: 12345678-1234-1234-1234-12345678{:04d})"
    failed = [denied(number, REFUSAL + request.format(number)) for number in range(312)]
    timeout = AccountStatus(
        id=account_id(900), state=AccountState.FAILED, reason=AccountReason.TIMEOUT, message="no answer"
    )
    groups = failed_alike([timeout, *failed])
    assert [len(group.accounts) for group in groups] == [312, 1]
    assert groups[1].in_words() == f"{account_id(900)}: no answer"


def test_other_texts_are_other_causes() -> None:
    assert len(failed_alike([denied(1), denied(2, "AssumeRole: AccessDenied: wrong external id")])) == 2


def test_a_condition_says_the_text_of_312_accounts_once() -> None:
    message = accounts_audited([denied(number) for number in range(312)], 1, NOW).message
    first = [account_id(number) for number in range(3)]
    assert message == (
        f"312 of 312 accounts not audited: 312 accounts, such as {', '.join(first)}: {REFUSAL.format(id=first[0])};"
        " see status.accounts and the MfaReports"
    )


def test_few_accounts_are_all_named() -> None:
    words = causes_in_words([denied(1, "refused", "payments"), denied(2, "refused")], more="see elsewhere")
    assert words == f"2 accounts (payments ({account_id(1)}), {account_id(2)}): refused"


def test_causes_beyond_the_third_are_only_counted() -> None:
    failed = [denied(number, f"cause {number % 7} " + "x" * 600, "n" * 64) for number in range(70)]
    words = causes_in_words(failed, more="see elsewhere")
    assert words.count("10 accounts, such as") == 3
    assert words.endswith("; 40 more for other causes; see elsewhere")
    assert words.count("x") < 900


def test_the_log_names_the_first_of_each_cause_and_counts_others(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log = FailureLog(PolicyRef("security", "console-mfa"))
    for number in range(312):
        log.add(logging.WARNING, denied(number), "was not audited")
    log.add(logging.ERROR, denied(400, "a bug"), "failed unexpectedly", ValueError("a bug"))
    log.end()
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in lines] == ["WARNING"] * 3 + ["ERROR", "WARNING"]
    assert lines[0][1] == f"security/console-mfa account {account_id(0)} was not audited: " + REFUSAL.format(
        id=account_id(0)
    )
    assert lines[-1][1].startswith(
        f"security/console-mfa: 309 more failed for the same cause as account {account_id(0)}"
    )
    assert caplog.records[3].exc_info


def test_a_log_of_few_failures_has_no_sum(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log = FailureLog(PolicyRef("security", "console-mfa"))
    for number in range(3):
        log.add(logging.WARNING, denied(number), "was not audited")
    log.end()
    assert len(caplog.records) == 3
