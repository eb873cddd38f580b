"""What AWS refuses: denied look-ups make a user Unknown, never compliant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mfa_operator.api.enums import ROOT_USER, AccountReason, ErrorReason, FindingReason, UserState
from mfa_operator.aws.errors import Denied, RoleDenied, WrongAccount
from mfa_operator.reporting.account_report import account_status, failed_account
from mfa_sandbox.aws import Account, EmbeddedAws
from tests.aws.audit_world import HOUR, ID, Auditing, finding, states, unknown

LOOKUP_DENIED = FindingReason.LOOKUP_DENIED
TRUTH = {
    "alice": UserState.VIOLATING,
    "bob": UserState.COMPLIANT,
    "carol": UserState.NO_CONSOLE,
    "dora": UserState.COMPLIANT,
    "glass": UserState.EXEMPT,
    ROOT_USER: UserState.COMPLIANT,
}
SPEC: dict[str, Any] = {
    "requirement": {"root": "Mfa"},
    "exemptions": [{"users": ["glass"], "reason": "Sealed", "tags": {"mfa-exempt": "true"}}],
}


@pytest.fixture(autouse=True)
def people(op: Auditing, account: Account) -> None:
    account.user("alice", password=True)
    account.user("bob", password=True, mfa=["virtual"])
    account.user("carol", access_keys=1)
    account.user("dora", password=True, mfa=["security_key"])
    account.user("glass", password=True, tags={"mfa-exempt": "true"})
    account.root(mfa="hardware")
    account.force_report()


def test_with_every_right_everybody_is_judged(op: Auditing, account: Account) -> None:
    audit = op.audit(account, **SPEC)
    assert states(audit) == TRUTH
    assert audit.failures == ()
    assert audit.snapshot.notes == ()


@pytest.mark.parametrize("operation", ["iam:ListUsers"])
def test_what_the_pass_cannot_do_without_denies_the_account(op: Auditing, account: Account, operation: str) -> None:
    """Denied, with what was refused, and what was known of it stays."""
    account.deny([operation])
    error = op.fails(account, **SPEC)
    assert type(error) is Denied
    assert error.account_reason is AccountReason.ACCESS_DENIED
    assert error.error_reason is ErrorReason.ACCESS_DENIED
    assert f"not authorized to perform: {operation}" in str(error)


@pytest.mark.parametrize("operation", ["iam:GenerateCredentialReport", "iam:GetCredentialReport"])
def test_without_the_report_everybody_is_read_live(op: Auditing, account: Account, operation: str) -> None:
    """On the report alone."""
    account.deny([operation])
    audit = op.audit(account, **SPEC)
    assert states(audit) == TRUTH
    status = account_status(audit.report, op.clock.moment)
    assert (status.state, status.reason) == ("Audited", AccountReason.REPORT_UNAVAILABLE)
    assert operation in status.message
    assert "every user was read live" in status.message
    assert audit.report.credential_report_time is None


def test_without_the_virtual_list_each_user_is_read_live(op: Auditing, account: Account) -> None:
    account.deny(["iam:ListVirtualMFADevices"])
    audit = op.audit(account, **SPEC)
    assert states(audit) == TRUTH
    assert op.asked_about("bob") == ["ListMFADevices"]
    assert "no list of virtual devices" in audit.snapshot.notes[0]


def test_roots_device_type_is_unknown_without_the_virtual_list(op: Auditing, account: Account) -> None:
    account.deny(["iam:ListVirtualMFADevices"])
    audit = op.audit(account, requirement={"root": "HardwareMfa"})
    assert unknown(audit) == {ROOT_USER: LOOKUP_DENIED}


@pytest.mark.parametrize(
    ("operation", "missing"),
    [
        # Who is known to have no console, or a virtual device, needs no look.
        ("iam:GetLoginProfile", {"alice": LOOKUP_DENIED, "glass": LOOKUP_DENIED}),
        ("iam:ListMFADevices", {"alice": LOOKUP_DENIED, "dora": LOOKUP_DENIED, "glass": LOOKUP_DENIED}),
        ("iam:ListUserTags", {"glass": LOOKUP_DENIED}),
        ("iam:GetAccountSummary", {ROOT_USER: LOOKUP_DENIED}),
    ],
)
def test_an_unreadable_user_is_unknown_and_the_others_are_judged(
    op: Auditing, account: Account, operation: str, missing: dict[str, FindingReason]
) -> None:
    """On one question alone its suspects are Unknown, and never remediated."""
    account.deny([operation])
    audit = op.audit(account, **SPEC)
    assert unknown(audit) == missing
    assert states(audit) == TRUTH | dict.fromkeys(missing, UserState.UNKNOWN)
    assert {failure.error_reason for failure in audit.failures} == {ErrorReason.ACCESS_DENIED}
    assert len(audit.failures) == len(missing)
    assert f"some users could not be checked: {operation.removeprefix('iam:')} AccessDenied" in audit.snapshot.notes[-1]
    # The right comes back: so do the verdicts, without a word from anybody.
    account.allow_again()
    assert states(op.later(account, **SPEC)) == TRUTH


def test_a_known_violator_keeps_first_seen_while_unreadable(op: Auditing, account: Account) -> None:
    seen = finding(op.audit(account), "alice")
    account.deny(["iam:GetLoginProfile", "iam:ListMFADevices"])
    op.clock.advance(5 * HOUR)
    hidden = finding(op.audit(account), "alice")
    assert (hidden.state, hidden.reason) == ("Unknown", LOOKUP_DENIED)
    assert (hidden.first_seen, hidden.deadline) == (seen.first_seen, seen.deadline)
    account.allow_again()
    assert finding(op.later(account), "alice").first_seen == seen.first_seen


def test_an_scp_that_denies_everything_denies_the_account(op: Auditing, account: Account) -> None:
    account.deny(["iam:*"], by="service control policy")
    assert "explicit deny in a service control policy" in str(op.fails(account))


@pytest.mark.parametrize(
    "refuse",
    [
        lambda account: setattr(account, "suspended", True),
        lambda account: account.trusted.clear(),
        lambda account: account.trusted.update({account.role_arn: "acme-7f3a"}),
    ],
    ids=["suspended", "no trust", "an external id is asked for"],
)
def test_a_refused_role_denies_the_account_and_is_named(
    op: Auditing, account: Account, refuse: Callable[[Account], None]
) -> None:
    """AWS's answer is the same for all of these."""
    refuse(account)
    error = op.fails(account)
    assert type(error) is RoleDenied
    assert (error.account_reason, error.error_reason) == (AccountReason.ASSUME_ROLE_DENIED, ErrorReason.ASSUME_ROLE)
    assert f"tried {account.role_arn} without an external id" in str(error)
    assert "a suspended account" in str(error)
    status = failed_account(
        op.policy(account).accounts[0], None, denied=True, reason=error.account_reason, message=str(error)
    )
    assert account.role_arn in status.message


def test_the_external_id_must_be_the_roles(op: Auditing, aws: EmbeddedAws) -> None:
    guarded = aws.world.account("444455556666", external_id="acme-7f3a")
    guarded.user("alice", password=True, mfa=["virtual"])
    assert "without an external id" in str(op.fails(guarded))
    error = op.fails(guarded, external_id="acme-0000")
    assert "with an external id" in str(error)
    assert "acme" not in str(error)
    assert states(op.later(guarded, external_id="acme-7f3a")) == {"alice": UserState.COMPLIANT}


def test_an_account_suspended_between_passes_is_denied(op: Auditing, account: Account) -> None:
    op.audit(account)
    account.suspended = True
    assert isinstance(op.fails(account), Denied)
    account.suspended = False
    assert states(op.later(account))["alice"] is UserState.VIOLATING


def test_credentials_of_another_account_audit_nobody(op: Auditing, aws: EmbeddedAws) -> None:
    """Without a role the operator's own credentials are meant, and they belong elsewhere."""
    aws.world.home.user("henry", password=True)
    policy = op.policy(aws.world.account("444455556666"))
    own = policy.accounts[0].__class__(id="444455556666")
    with pytest.raises(WrongAccount) as failed:
        op.auditor.audit(policy, own, None, op.clock.utc_now())
    assert failed.value.account_reason is AccountReason.ACCOUNT_MISMATCH
    assert "belong to account 123456789012, not to 444455556666" in str(failed.value)
    assert set(aws.calls.operations()) == {"GetCallerIdentity"}


def test_the_operators_own_account_needs_no_role(op: Auditing, aws: EmbeddedAws) -> None:
    home = aws.world.home
    home.user("henry", password=True)
    home.force_report()
    policy = op.policy(home)
    own = policy.accounts[0].__class__(id=home.id)
    audit = op.auditor.audit(policy, own, None, op.clock.utc_now())
    assert states(audit) == {"henry": UserState.VIOLATING, "mfa-operator": UserState.NO_CONSOLE}
    assert audit.snapshot.own_user == "mfa-operator"
    assert op.calls["AssumeRole"] == 0
    # Its credentials may have been exchanged: who they belong to is asked at every pass.
    aws.calls.clear()
    op.clock.advance(HOUR)
    op.auditor.audit(policy, own, None, op.clock.utc_now())
    assert op.calls["GetCallerIdentity"] == 1


def test_a_mismatch_behind_a_role_is_found_too(op: Auditing, aws: EmbeddedAws, account: Account) -> None:
    """Whatever the endpoint or proxy in between has made of AssumeRole."""
    other = aws.world.account("444455556666")
    other.user("oscar", password=True)
    session = op.auditor.collector(op.policy(account).accounts[0]).session
    opened = op.auditor.collector(op.policy(other).accounts[0]).session
    opened.open()
    session._reading = opened._reading
    error = op.fails(account)
    assert isinstance(error, WrongAccount)
    assert f"belong to account 444455556666, not to {ID}" in str(error)
    assert op.calls["ListUsers"] == 0
