"""Who exists, who can sign in and with what, over HTTP: new, deleted and recreated users, paths, types of devices."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from mfa_operator.api.enums import FindingReason, UserState
from mfa_operator.aws import lookups
from mfa_operator.aws.sessions import AccountSession
from mfa_operator.evaluation.facts import User
from mfa_sandbox.aws import Account, EmbeddedAws
from mfa_sandbox.aws.user import MfaKind
from tests.aws.audit_world import HOUR, MINUTE, Auditing, finding, states, unknown

COMPLIANT, VIOLATING, NO_CONSOLE = UserState.COMPLIANT, UserState.VIOLATING, UserState.NO_CONSOLE
NOT_VISIBLE = FindingReason.NOT_VISIBLE_YET
EIGHT: Sequence[MfaKind] = ("sms", *("hardware",) * 6, "security_key")
EXEMPT_IF_TAGGED = [{"users": ["*"], "reason": "Tagged", "tags": {"mfa-exempt": "true"}}]


@pytest.mark.parametrize("operation", ["GetLoginProfile", "ListMFADevices"])
def test_a_listed_user_that_iam_cannot_find_yet_is_unknown(
    op: Auditing, aws: EmbeddedAws, account: Account, operation: str
) -> None:
    """Neither deleted nor without console access; IAM is eventually consistent."""
    account.force_report()
    op.audit(account)
    account.user("alice", password=True)
    aws.faults.add(operation, "no_such_entity", user="alice")
    assert unknown(op.later(account, MINUTE, policy=op.policy(account, interval="1m"))) == {"alice": NOT_VISIBLE}
    assert states(op.later(account)) == {"alice": VIOLATING}


def test_tags_that_iam_does_not_find_yet_exempt_nobody(op: Auditing, aws: EmbeddedAws, account: Account) -> None:
    account.user("alice", password=True, tags={"mfa-exempt": "true"})
    account.force_report()
    aws.faults.add("ListUserTags", "no_such_entity", user="alice")
    assert unknown(op.audit(account, exemptions=EXEMPT_IF_TAGGED)) == {"alice": NOT_VISIBLE}
    assert states(op.later(account, exemptions=EXEMPT_IF_TAGGED)) == {"alice": UserState.EXEMPT}


@pytest.mark.parametrize("operation", ["ListMFADevices", "GetLoginProfile", "ListUserTags"])
def test_a_user_deleted_during_a_pass_is_left_out(
    op: Auditing, aws: EmbeddedAws, account: Account, operation: str
) -> None:
    """NoSuchEntity about an old user is no error and no finding."""
    alice = account.user("alice", password=True)
    account.user("bob", password=True, mfa=["virtual"])
    account.force_report()
    op.clock.advance(HOUR)
    aws.faults.add(operation, "delay", user="alice", delay=0.3)

    def delete_meanwhile() -> None:
        # Seen to be listed, and gone before the question about it is answered.
        aws.calls.wait_for(lambda calls: calls.count("ListUsers") == 1, 30)
        alice.delete()

    watcher = threading.Thread(target=delete_meanwhile)
    watcher.start()
    audit = op.audit(account, exemptions=EXEMPT_IF_TAGGED)
    watcher.join()
    assert states(audit) == {"bob": COMPLIANT}
    assert audit.report.summary.users == 1
    assert audit.failures == ()


@pytest.mark.parametrize("name", ["a+b=c,d.e@f_g-h", "-", "=1+1", ",", "@", "Ünlike"[1:], "x" * 64])
def test_every_name_that_iam_allows_is_judged(op: Auditing, account: Account, name: str) -> None:
    """In the report's CSV, in the lists, in each question."""
    account.user(name, path="/eng/team/", password=True)
    account.user("bob", path="/eng/", password=True, mfa=["virtual"])
    account.force_report()
    audit = op.audit(account)
    assert states(audit) == {name: VIOLATING, "bob": COMPLIANT}
    assert (finding(audit, name).user, finding(audit, name).path) == (name, "/eng/team/")
    assert states(op.later(account, exemptions=[{"users": ["/eng/team/*"], "reason": "x"}]))[name] is UserState.EXEMPT


def test_a_past_sign_in_proves_no_password(op: Auditing, account: Account) -> None:
    """PasswordLastUsed outlives the password."""
    alice = account.user("alice", password=True)
    alice.used_password()
    op.clock.advance(HOUR)
    alice.remove_password()
    account.force_report()
    assert states(op.audit(account)) == {"alice": NO_CONSOLE}
    assert op.asked_about("alice") == []


def test_access_keys_alone_count_only_with_users_all(op: Auditing, account: Account) -> None:
    account.user("robot", access_keys=2)
    account.force_report()
    assert states(op.audit(account)) == {"robot": NO_CONSOLE}
    audit = op.later(account, requirement={"users": "All"})
    assert states(audit) == {"robot": VIOLATING}
    assert op.asked_about("robot") == ["ListMFADevices"]
    assert audit.report.summary.console_users == 0


def test_only_devices_of_accepted_types_count(op: Auditing, account: Account) -> None:
    """Up to eight devices, of which one suffices."""
    account.user("virtual", password=True, mfa=["virtual"])
    account.user("passkey", password=True, mfa=["security_key"])
    account.user("token", password=True, mfa=["hardware"])
    account.user("sms", password=True, mfa=["sms"])
    account.user("many", password=True, mfa=EIGHT)
    account.force_report()
    everyone = ("virtual", "passkey", "token", "sms", "many")
    for types, compliant in (
        (["Virtual", "SecurityKey", "HardwareToken"], {"virtual", "passkey", "token", "many"}),
        (["SecurityKey"], {"passkey", "many"}),
        (["HardwareToken"], {"token", "many"}),
        (["Virtual"], {"virtual"}),
        (["Sms"], {"sms", "many"}),
        (["Virtual", "SecurityKey", "HardwareToken", "Sms"], set(everyone)),
    ):
        found = states(op.later(account, requirement={"deviceTypes": types}))
        assert found == {name: COMPLIANT if name in compliant else VIOLATING for name in everyone}
    assert finding(op.later(account), "sms").reason == FindingReason.DEVICE_TYPE_NOT_ALLOWED


def test_a_device_that_nobody_has_enabled_is_nobodys(op: Auditing, account: Account) -> None:
    account.user("alice", password=True)
    account.unassigned_device("alice")
    account.force_report()
    assert states(op.audit(account)) == {"alice": VIOLATING}
    [asked] = op.aws.calls.select("ListVirtualMFADevices")
    assert asked.parameters["AssignmentStatus"] == "Assigned"


def test_a_users_device_may_be_called_like_roots(op: Auditing, account: Account) -> None:
    """The owner's ARN tells, not the name."""
    account.user("alice", password=True).add_mfa("virtual", name="root-account-mfa-device")
    account.root(mfa=None)
    account.force_report()
    audit = op.audit(account, requirement={"root": "Mfa"})
    assert states(audit) == {"alice": COMPLIANT, "<root_account>": VIOLATING}


def test_1001_users_come_on_two_pages(op: Auditing, account: Account) -> None:
    for number in range(1001):
        account.user(f"user-{number:04}", password=number % 2 == 0, mfa=["virtual"] if number % 2 == 0 else [])
    account.user("zoe", password=True)
    account.force_report()
    audit = op.audit(account)
    assert audit.report.summary.users == 1002
    assert [one.user for one in audit.report.findings] == ["zoe"]
    assert (op.calls["ListUsers"], op.calls["ListVirtualMFADevices"]) == (2, 1)
    assert (op.calls["GetLoginProfile"], op.calls["ListMFADevices"]) == (1, 1)


def test_pages_shorter_than_asked_for_lose_nobody(op: Auditing, aws: EmbeddedAws, account: Account) -> None:
    """AWS may return fewer than MaxItems; IsTruncated alone says whether there are more."""
    aws.world.page_limit = 3
    for number in range(10):
        account.user(f"user-{number}", password=True, mfa=["virtual", "sms"] if number else ["sms"])
    many = account.user("many", password=True, mfa=["sms", "hardware", "hardware", "hardware", "hardware"])
    for number in range(7):
        many.tag(f"tag-{number}", "x")
    account.user("glass", password=True)
    for number in range(7):
        account.existing_user("glass").tag(f"a-tag-{number}", "x")
    account.existing_user("glass").tag("mfa-exempt", "true")
    account.force_report()
    audit = op.audit(account, exemptions=EXEMPT_IF_TAGGED)
    assert op.calls["ListUsers"] == 4
    assert op.calls["ListVirtualMFADevices"] == 3
    expected = {f"user-{number}": COMPLIANT if number else VIOLATING for number in range(10)}
    assert states(audit) == expected | {"many": COMPLIANT, "glass": UserState.EXEMPT}


def test_an_account_without_users_is_compliant(op: Auditing, account: Account) -> None:
    """Root alone."""
    audit = op.audit(account)
    assert states(audit) == {}
    assert audit.report.summary.users == 0


class TestForgetting:
    """Of a user who was just acted on nothing from before may be remembered, whichever policy's audit is under way."""

    def test_does_not_wait_for_an_audit(self, op: Auditing, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        """An audit takes minutes in a large account: what was checked before an action would be old by then."""
        account.user("alice", password=True)
        account.force_report()
        user_id = op.audit(account).verdicts[0].user_id
        collector = op.auditor.collector(op.policy(account).accounts[0])
        listing, go_on = threading.Event(), threading.Event()
        list_users = lookups.list_users

        def slowly(session: AccountSession) -> list[User]:
            listing.set()
            go_on.wait(60)
            return list_users(session)

        with monkeypatch.context() as patch, ThreadPoolExecutor(2) as pool:
            patch.setattr(lookups, "list_users", slowly)
            audit = pool.submit(op.later, account)
            assert listing.wait(10)
            try:
                pool.submit(collector.forget_user, user_id).result(10)
                assert not audit.done()
            finally:
                go_on.set()
            audit.result()
        op.later(account)
        assert set(op.asked_about("alice")) == {"GetLoginProfile", "ListMFADevices"}

    def test_reading_tags_brings_nothing_back(self, op: Auditing, account: Account) -> None:
        account.user("alice", password=True)
        account.force_report()
        audit = op.audit(account)
        collector = op.auditor.collector(op.policy(account).accounts[0])
        collector.forget_user(audit.verdicts[0].user_id)
        collector.add_tags(audit.snapshot, ["alice"], lambda _: None)
        op.later(account)
        assert set(op.asked_about("alice")) == {"GetLoginProfile", "ListMFADevices"}
