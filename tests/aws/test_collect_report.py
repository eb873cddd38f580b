"""Getting the credential report over HTTP: its states, its age, its faults, new columns, a name that appears twice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mfa_operator.api.enums import AccountReason, UserState
from mfa_operator.aws.credential_reports import POLLS
from mfa_operator.aws.errors import Throttled
from mfa_sandbox.aws import Account, EmbeddedAws
from mfa_sandbox.aws.credential_report import Row
from tests.aws.audit_world import HOUR, QUARTER, Auditing, auditing, rewritten, states

GENERATE, GET = "GenerateCredentialReport", "GetCredentialReport"
TRUTH = {
    "alice": UserState.VIOLATING,
    "bob": UserState.COMPLIANT,
    "carol": UserState.NO_CONSOLE,
    "dora": UserState.COMPLIANT,
}


@pytest.fixture(autouse=True)
def people(op: Auditing, account: Account) -> None:
    account.user("alice", password=True)
    account.user("bob", password=True, mfa=["virtual"])
    account.user("carol", access_keys=1)
    account.user("dora", password=True, mfa=["security_key"])


def test_where_there_is_none_one_is_made_and_waited_for(op: Auditing, account: Account) -> None:
    """STARTED, INPROGRESS, COMPLETE."""
    account.reports.polls = 4
    audit = op.audit(account)
    assert states(audit) == TRUTH
    assert (op.calls[GENERATE], op.calls[GET]) == (6, 1)
    assert audit.report.credential_report_time == op.clock.moment
    assert audit.snapshot.notes == ()
    assert audit.snapshot.partial is None


def test_one_that_is_young_is_taken_and_its_age_is_shown(op: Auditing, account: Account) -> None:
    """AWS makes no other within four hours, whoever asks."""
    account.force_report()
    made = op.clock.moment
    op.clock.advance(3 * HOUR)
    assert op.audit(account).report.credential_report_time == made
    assert op.calls[GENERATE] == 1
    for _ in range(3):
        assert op.later(account).report.credential_report_time == made
        assert GENERATE not in op.calls


def test_a_new_one_is_requested_after_four_hours_not_before(op: Auditing, account: Account) -> None:
    """AWS makes at most one in four hours, and many accounts at once meet rate limits."""
    account.force_report()
    made = op.clock.moment
    op.audit(account)
    assert op.later(account, 4 * HOUR - timedelta(seconds=1)).report.credential_report_time == made
    assert GENERATE not in op.calls
    assert op.later(account, timedelta(seconds=1) + QUARTER).report.credential_report_time == op.clock.moment
    assert op.calls[GENERATE] == 2


def test_a_restart_asks_for_no_new_one_where_the_last_is_known(aws: EmbeddedAws, account: Account) -> None:
    """A thousand accounts after a restart are a thousand calls that AWS limits."""
    with auditing(aws) as before:
        account.force_report()
        before.audit(account)
        stored, moment = before.reports, before.clock.moment
    with auditing(aws) as after:
        after.reports = stored
        after.clock.moment = moment
        assert states(after.later(account)) == TRUTH
        assert GENERATE not in after.calls


def test_one_that_another_process_has_made_meanwhile_is_found(op: Auditing, account: Account) -> None:
    account.force_report()
    op.audit(account)
    op.clock.advance(HOUR)
    account.force_report()
    assert op.later(account).report.credential_report_time == op.clock.moment - QUARTER


@pytest.mark.parametrize("kind", ["report_expired", "report_not_present", "report_in_progress"])
def test_one_that_should_be_there_and_is_not_is_made(
    op: Auditing, aws: EmbeddedAws, account: Account, kind: str
) -> None:
    """410 and 404 are answers, no failures."""
    account.force_report()
    op.audit(account)
    aws.faults.add(GET, kind)
    audit = op.later(account)
    assert states(audit) == TRUTH
    assert (op.calls[GENERATE], op.calls[GET]) == (1, 2)
    assert audit.snapshot.notes == ()


def test_one_that_is_never_ready_has_everybody_read_live(op: Auditing, account: Account) -> None:
    account.reports.polls = 10_000
    audit = op.audit(account)
    assert states(audit) == TRUTH
    assert op.calls[GENERATE] == POLLS
    assert audit.snapshot.partial is AccountReason.REPORT_UNAVAILABLE
    assert audit.report.credential_report_time is None
    assert "every user was read live instead" in audit.snapshot.notes[0]


def test_one_reported_complete_but_missing_is_not_used(op: Auditing, aws: EmbeddedAws, account: Account) -> None:
    aws.faults.add(GET, "report_not_present", times=None)
    audit = op.audit(account)
    assert states(audit) == TRUTH
    assert audit.snapshot.partial is AccountReason.REPORT_UNAVAILABLE
    assert op.calls["GetLoginProfile"] == 4


@pytest.mark.parametrize("kind", ["limit_exceeded", "throttling", "internal", "html_502"])
def test_where_no_new_one_can_be_made_the_old_one_has_to_do(
    op: Auditing, aws: EmbeddedAws, account: Account, kind: str
) -> None:
    """It is still right about most users, and says how old it is."""
    account.reports.expires_after = None
    account.force_report()
    made = op.clock.moment
    op.audit(account)
    aws.faults.add(GENERATE, kind, times=None)
    op.clock.advance(4 * HOUR)
    audit = op.audit(account)
    assert states(audit) == TRUTH
    assert audit.report.credential_report_time == made
    assert "AWS created no new credential report" in audit.snapshot.notes[0]
    assert f"the one from {made:%Y-%m-%d %H:%M} UTC is used" in audit.snapshot.notes[0]
    assert op.calls[GENERATE] <= 5
    # And the next pass tries again.
    aws.faults.clear()
    assert op.later(account).snapshot.notes == ()


def test_an_old_one_is_not_believed_for_ever(op: Auditing, aws: EmbeddedAws, account: Account) -> None:
    """With maxStaleness: what is older is asked live, whatever the reason."""
    account.reports.expires_after = None
    account.force_report()
    op.audit(account)
    aws.faults.add(GENERATE, "limit_exceeded", times=None)
    account.existing_user("carol").set_password()
    op.clock.advance(5 * HOUR)
    assert states(op.audit(account)) == TRUTH | {"carol": UserState.VIOLATING}


def test_without_capacity_or_an_old_one_everybody_is_read_live(
    op: Auditing, aws: EmbeddedAws, account: Account
) -> None:
    aws.faults.add(GENERATE, "limit_exceeded", times=None)
    audit = op.audit(account)
    assert states(audit) == TRUTH
    assert audit.snapshot.partial is AccountReason.REPORT_UNAVAILABLE
    assert op.calls[GENERATE] == 1
    # Without a report each pass asks anew only who is new, or whose facts have become too old.
    assert states(op.later(account)) == TRUTH
    assert "GetLoginProfile" not in op.calls


def test_throttled_and_without_an_old_one_the_account_waits(op: Auditing, aws: EmbeddedAws, account: Account) -> None:
    """Reading everybody live would ask even more of an account that asks for less."""
    aws.faults.add(GENERATE, "throttling", times=None)
    assert isinstance(op.fails(account), Throttled)
    assert op.calls["GetLoginProfile"] == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column user"),
        ("<html>proxy</html>", "no column user"),
        ("user,user_creation_time,password_enabled\nalice,2026-01-01T00:00:00Z,true", "no column mfa_active"),
    ],
)
def test_an_unreadable_one_is_reported_and_not_used(op: Auditing, account: Account, text: str, words: str) -> None:
    account.report_override = text
    audit = op.audit(account)
    assert states(audit) == TRUTH
    assert words in audit.snapshot.notes[0]
    assert audit.snapshot.partial is AccountReason.REPORT_UNAVAILABLE


@pytest.mark.parametrize("cell", ["password_enabled", "mfa_active"])
@pytest.mark.parametrize("token", ["", "N/A", "not_supported", "yes"])
def test_a_token_that_is_not_understood_has_the_user_asked_live(
    op: Auditing, account: Account, cell: str, token: str
) -> None:
    """Never a pass, whatever stands in the other cell."""
    account.report_rewrite = lambda rows: [
        row | {"password_enabled": "false", "mfa_active": "true", cell: token} if row["user"] == "alice" else row
        for row in rows
    ]
    audit = op.audit(account)
    expected = UserState.NO_CONSOLE if cell == "mfa_active" else UserState.VIOLATING
    assert states(audit) == TRUTH | {"alice": expected}
    assert ("GetLoginProfile" in op.asked_about("alice")) is (cell == "password_enabled")


def test_an_unknown_value_has_the_user_read_live(op: Auditing, account: Account) -> None:
    account.report_rewrite = rewritten("alice", mfa_active="maybe")
    assert (
        states(op.audit(account, requirement={"deviceTypes": ["Virtual", "SecurityKey", "HardwareToken", "Sms"]}))
        == TRUTH
    )
    assert op.asked_about("alice") == ["ListMFADevices", "GetLoginProfile"]


def test_a_name_that_stands_twice_is_asked_live(op: Auditing, account: Account) -> None:
    """Whichever row is right."""

    def twice(rows: list[Row]) -> list[Row]:
        other = {"password_enabled": "false", "mfa_active": "true"}
        return [*rows, *(row | other for row in rows if row["user"] == "alice")]

    account.report_rewrite = twice
    assert states(op.audit(account)) == TRUTH
    assert op.asked_about("alice") == ["GetLoginProfile", "ListMFADevices"]


def test_columns_that_are_new_or_gone_change_nothing(op: Auditing, account: Account) -> None:
    """Columns are found by header; timestamps end in Z or +00:00."""
    account.report_rewrite = lambda rows: [
        {"additional_credentials_info": 'a "b", c'}
        | {key: row[key] for key in reversed(list(row)) if "cert" not in key}
        for row in rows
    ]
    assert states(op.audit(account)) == TRUTH
    assert op.calls["GetLoginProfile"] == 1


def test_without_a_report_root_is_judged_by_the_accounts_summary(
    op: Auditing, aws: EmbeddedAws, account: Account
) -> None:
    account.root(mfa="hardware")
    aws.faults.add(GENERATE, "limit_exceeded", times=None)
    audit = op.audit(account, requirement={"root": "Mfa"})
    assert states(audit)["<root_account>"] is UserState.COMPLIANT
