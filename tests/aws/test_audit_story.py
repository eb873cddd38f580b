"""One user over many passes: the right state at the next pass, and exactly the calls that it takes.

Every pass costs the report, the users and the virtual devices; what else is asked is about the one user.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from mfa_operator.api.enums import FindingReason, UserState
from mfa_sandbox.aws import Account, SandboxUser
from mfa_sandbox.aws.user import MfaKind
from tests.aws.audit_world import BULK, FIRST, HOUR, MINUTE, Auditing, finding, states

PROFILE, DEVICES = "GetLoginProfile", "ListMFADevices"
BOTH = Counter({PROFILE: 1, DEVICES: 1})
NEW_REPORT = Counter(GenerateCredentialReport=2)
"""STARTED, then COMPLETE."""
COMPLIANT, VIOLATING, NO_CONSOLE = UserState.COMPLIANT, UserState.VIOLATING, UserState.NO_CONSOLE
Pass = tuple[UserState | None, Counter[str]]


@pytest.fixture(autouse=True)
def others(op: Auditing, account: Account) -> None:
    """People of every kind who do nothing in this story, and must cost nothing."""
    account.user("has-virtual", password=True, mfa=["virtual"])
    account.user("has-keys", access_keys=1)


def begin(op: Auditing, account: Account) -> None:
    """A report an hour old, and a first pass over it."""
    account.force_report()
    op.clock.advance(HOUR)
    op.audit(account)


def next_pass(op: Auditing, account: Account, by: timedelta = 15 * MINUTE) -> Pass:
    audit = op.later(account, by)
    assert states(audit)["has-virtual"] is COMPLIANT
    assert states(audit)["has-keys"] is NO_CONSOLE
    return states(audit).get("alice"), op.calls


def test_a_violator_is_read_once(op: Auditing, account: Account) -> None:
    account.user("alice", password=True)
    account.force_report()
    assert states(op.audit(account))["alice"] is VIOLATING
    assert op.calls == FIRST + BOTH
    for _ in range(5):
        assert next_pass(op, account) == (VIOLATING, BULK)


def test_a_violator_gets_a_virtual_device(op: Auditing, account: Account) -> None:
    alice = account.user("alice", password=True)
    begin(op, account)
    alice.add_mfa("virtual")
    assert next_pass(op, account) == (COMPLIANT, BULK)
    assert next_pass(op, account) == (COMPLIANT, BULK)


@pytest.mark.parametrize("kind", ["security_key", "hardware"])
def test_a_violator_gets_a_device_that_no_list_shows(op: Auditing, account: Account, kind: MfaKind) -> None:
    """It is seen with the next report, or at once when a person asks for a pass: whoever enrolled does not wait."""
    alice = account.user("alice", password=True)
    begin(op, account)
    alice.add_mfa(kind)
    assert next_pass(op, account) == (VIOLATING, BULK)
    asked = op.later(account, MINUTE, fresh=True)
    assert (states(asked)["alice"], op.calls) == (COMPLIANT, BULK + Counter({DEVICES: 1}))
    assert next_pass(op, account) == (COMPLIANT, BULK)


@pytest.mark.parametrize("kind", ["security_key", "hardware"])
def test_a_violators_device_is_seen_with_the_next_report(op: Auditing, account: Account, kind: MfaKind) -> None:
    alice = account.user("alice", password=True)
    begin(op, account)
    alice.add_mfa(kind)
    assert next_pass(op, account, 2.5 * HOUR) == (VIOLATING, BULK)
    # The report is four hours old then; the row says that there is a device, and the question is which.
    assert next_pass(op, account, 1 * HOUR) == (
        COMPLIANT,
        BULK + NEW_REPORT + Counter({DEVICES: 1}),
    )
    assert next_pass(op, account) == (COMPLIANT, BULK)


def test_a_text_message_is_no_device(op: Auditing, account: Account) -> None:
    account.user("alice", password=True, mfa=["sms"])
    begin(op, account)
    assert finding(op.later(account), "alice").reason == FindingReason.DEVICE_TYPE_NOT_ALLOWED


def test_a_user_loses_a_virtual_device(op: Auditing, account: Account) -> None:
    """The false pass: the report has the device for up to four hours more."""
    alice = account.user("alice", password=True, mfa=["virtual"])
    begin(op, account)
    assert next_pass(op, account) == (COMPLIANT, BULK)
    alice.remove_mfa()
    assert next_pass(op, account) == (VIOLATING, BULK + BOTH)
    assert next_pass(op, account) == (VIOLATING, BULK)


def test_a_user_exchanges_a_virtual_device_for_a_passkey(op: Auditing, account: Account) -> None:
    alice = account.user("alice", password=True, mfa=["virtual"])
    begin(op, account)
    alice.remove_mfa()
    alice.add_mfa("security_key")
    assert next_pass(op, account) == (COMPLIANT, BULK + Counter({DEVICES: 1}))
    assert next_pass(op, account) == (COMPLIANT, BULK)


def test_a_user_loses_a_passkey(op: Auditing, account: Account) -> None:
    """Nothing but the report tells, and it does within four hours."""
    alice = account.user("alice", password=True, mfa=["security_key"])
    begin(op, account)
    assert next_pass(op, account) == (COMPLIANT, BULK)
    alice.remove_mfa()
    state, _ = next_pass(op, account, 3 * HOUR)
    assert state is VIOLATING


def test_a_violator_is_deleted(op: Auditing, account: Account) -> None:
    """A row of the report without a user is nobody."""
    alice = account.user("alice", password=True)
    begin(op, account)
    alice.delete()
    assert next_pass(op, account) == (None, BULK)


def test_a_compliant_user_is_deleted_and_recreated_without_mfa(op: Auditing, account: Account) -> None:
    """The name is in the report, with the other user's device."""
    account.user("alice", password=True, mfa=["virtual"]).delete()
    alice = account.user("alice", password=True, mfa=["virtual"])
    begin(op, account)
    alice.delete()
    op.clock.advance(MINUTE)
    account.user("alice", password=True)
    assert next_pass(op, account) == (VIOLATING, BULK + BOTH)


def test_a_user_is_recreated_with_a_password(op: Auditing, account: Account) -> None:
    """The row of that name says that there is no password."""
    alice = account.user("alice", access_keys=1)
    begin(op, account)
    alice.delete()
    op.clock.advance(MINUTE)
    account.user("alice", password=True)
    assert next_pass(op, account) == (VIOLATING, BULK + BOTH)


def test_a_violator_is_deleted_and_recreated(op: Auditing, account: Account) -> None:
    """It is another violation, with a grace period of its own."""
    alice = account.user("alice", password=True)
    begin(op, account)
    first_seen = op.reports[account.id].findings[0].first_seen
    alice.delete()
    op.clock.advance(MINUTE)
    account.user("alice", password=True)
    assert next_pass(op, account) == (VIOLATING, BULK + BOTH)
    assert first_seen is not None
    assert finding(op.later(account), "alice").first_seen == first_seen + 16 * MINUTE


@pytest.mark.parametrize(
    ("mfa", "state", "live"),
    [((), VIOLATING, BOTH), (("virtual",), COMPLIANT, Counter({PROFILE: 1})), (("security_key",), COMPLIANT, BOTH)],
)
def test_a_user_is_created_after_the_report(
    op: Auditing, account: Account, mfa: tuple[MfaKind, ...], state: UserState, live: Counter[str]
) -> None:
    """Missing from the report for up to four hours, and in the account at once."""
    begin(op, account)
    account.user("alice", password=True, mfa=mfa)
    assert next_pass(op, account) == (state, BULK + live)


def test_a_user_is_created_without_a_password_and_gets_one(op: Auditing, account: Account) -> None:
    """As no report speaks of a new user, each pass asks, until one does."""
    begin(op, account)
    alice = account.user("alice")
    assert next_pass(op, account) == (NO_CONSOLE, BULK + Counter({PROFILE: 1}))
    assert next_pass(op, account) == (NO_CONSOLE, BULK + Counter({PROFILE: 1}))
    alice.set_password()
    assert next_pass(op, account) == (VIOLATING, BULK + BOTH)
    assert next_pass(op, account) == (VIOLATING, BULK)


def test_an_old_user_gets_a_password_and_signs_in_with_it(op: Auditing, account: Account) -> None:
    """Unseen until it is used, or until the next report; seen at once then."""
    alice = account.user("alice")
    begin(op, account)
    alice.set_password()
    assert next_pass(op, account) == (NO_CONSOLE, BULK)
    alice.used_password()
    assert next_pass(op, account) == (VIOLATING, BULK + BOTH)


def test_an_old_user_gets_a_password_and_does_not_use_it(op: Auditing, account: Account) -> None:
    alice = account.user("alice")
    begin(op, account)
    alice.set_password()
    assert next_pass(op, account, 2.5 * HOUR)[0] is NO_CONSOLE
    assert next_pass(op, account, 1 * HOUR)[0] is VIOLATING


@pytest.mark.parametrize("used", ["never", None])
def test_a_password_never_used_or_to_be_reset_is_a_password(op: Auditing, account: Account, used: None) -> None:
    """The report says no_information or N/A for a password that was never used: neither is a date."""
    account.user("alice", password=True, password_last_used=used, password_reset_required=True)
    begin(op, account)
    assert next_pass(op, account) == (VIOLATING, BULK)


def test_a_violator_loses_the_password(op: Auditing, account: Account) -> None:
    """The report has the password still, and only the next one tells."""
    alice = account.user("alice", password=True)
    begin(op, account)
    alice.remove_password()
    assert next_pass(op, account, 2.5 * HOUR) == (VIOLATING, BULK)
    assert next_pass(op, account, 1 * HOUR)[0] is NO_CONSOLE


def _overdue(op: Auditing, account: Account, alice: SandboxUser) -> Pass:
    begin_at = op.clock.moment
    audit = op.audit(account, gracePeriod="1h")
    assert states(audit)["alice"] is VIOLATING
    audit = op.later(account, begin_at + HOUR - op.clock.moment + MINUTE, gracePeriod="1h")
    return states(audit).get("alice"), op.calls


def test_who_becomes_overdue_is_looked_at_right_then(op: Auditing, account: Account) -> None:
    alice = account.user("alice", password=True)
    account.force_report()
    assert _overdue(op, account, alice) == (UserState.OVERDUE, BULK + BOTH)
    audit = op.later(account, gracePeriod="1h")
    assert (states(audit)["alice"], op.calls) == (UserState.OVERDUE, BULK)


def test_a_passkey_enrolled_meanwhile_prevents_overdue(op: Auditing, account: Account) -> None:
    alice = account.user("alice", password=True)
    account.force_report()
    op.audit(account, gracePeriod="1h")
    alice.add_mfa("security_key")
    audit = op.later(account, HOUR, gracePeriod="1h")
    assert (states(audit)["alice"], op.calls) == (COMPLIANT, BULK + Counter({DEVICES: 1}))
