"""Events tell of transitions, never of states: what was published before is not told again."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest

from mfa_operator.api.enums import AccountReason, AccountState, EventReason, FindingReason, FindingState
from mfa_operator.api.status import AccountStatus, Finding, ReportStatus
from mfa_operator.reporting.events import EventNote
from mfa_operator.reporting.transitions import account_events, finding_events
from tests.unit.facts import DAY, HOUR, ID, NOW, finding

AUDITED = AccountStatus(id=ID, name="payments", state=AccountState.AUDITED)
DENIED = AccountStatus(
    id=ID,
    name="payments",
    state=AccountState.DENIED,
    reason=AccountReason.ASSUME_ROLE_DENIED,
    message="tried arn:aws:iam::111122223333:role/x",
)
FAILED = AccountStatus(id=ID, state=AccountState.FAILED, reason=AccountReason.TIMEOUT, message="no answer")
NOT_ALLOWED = AccountStatus(id=ID, state=AccountState.FAILED, reason=AccountReason.NOT_ALLOWED, message="rules")
UNKNOWN, EXEMPT, OVERDUE = FindingState.UNKNOWN, FindingState.EXEMPT, FindingState.OVERDUE
REMOVED = FindingState.REMEDIATED


@pytest.mark.parametrize(
    ("before", "after", "reasons"),
    [
        (None, AUDITED, []),
        (AUDITED, AUDITED, []),
        (None, DENIED, [EventReason.ACCOUNT_FAILED]),
        (AUDITED, DENIED, [EventReason.ACCOUNT_FAILED]),
        (AUDITED, FAILED, [EventReason.ACCOUNT_FAILED]),
        (DENIED, DENIED, []),
        (DENIED, msgspec.structs.replace(DENIED, message="worded another way"), []),
        (DENIED, FAILED, [EventReason.ACCOUNT_FAILED]),
        (DENIED, AUDITED, [EventReason.ACCOUNT_RECOVERED]),
        (AUDITED, NOT_ALLOWED, [EventReason.NOT_ALLOWED]),
        (FAILED, NOT_ALLOWED, [EventReason.NOT_ALLOWED]),
        (NOT_ALLOWED, NOT_ALLOWED, []),
    ],
)
def test_an_account_event_on_failure_recovery_or_new_reason(
    before: AccountStatus | None, after: AccountStatus, reasons: list[EventReason]
) -> None:
    """And none while an account keeps failing for the same reason."""

    assert [event.reason for event in account_events(before, after)] == reasons


def test_an_event_on_an_account_says_which_and_what_was_tried() -> None:
    [failed] = account_events(None, DENIED)
    assert failed.reason.is_warning
    assert failed.note == f"account payments ({ID}) was not audited (Denied): {DENIED.message}"
    [recovered] = account_events(DENIED, AUDITED)
    assert not recovered.reason.is_warning
    assert recovered.note == f"account payments ({ID}) is audited again"


def report(*findings: Finding) -> ReportStatus:
    return ReportStatus(account_id=ID, account_name="payments", findings=findings)


def seen(user: str = "alice", state: FindingState = FindingState.VIOLATING, **fields: Any) -> Finding:
    return finding(user, state, **({"first_seen": NOW} | fields))


def told(before: ReportStatus | None, after: ReportStatus) -> list[tuple[EventReason, str]]:
    """The reason of each Event and the users that its note names."""
    return [(event.reason, event.note.split(": ", 1)[1].split(".")[0]) for event in finding_events(before, after)]


NEW, RESOLVED = EventReason.NEW_VIOLATIONS, EventReason.VIOLATIONS_RESOLVED
LATER = NOW + HOUR


@pytest.mark.parametrize(
    ("before", "after", "events"),
    [
        # The first audit of an account, and one that says the same.
        (
            None,
            report(seen("alice"), seen("bob", OVERDUE), seen("carol", EXEMPT), seen("dave", UNKNOWN)),
            [(NEW, "alice, bob")],
        ),
        (report(seen()), report(seen()), []),
        (report(), report(), []),
        # Becoming overdue is the same violation.
        (report(seen()), report(seen(state=OVERDUE)), []),
        # New, gone, both.
        (report(), report(seen()), [(NEW, "alice")]),
        (report(seen()), report(), [(RESOLVED, "alice")]),
        (report(seen("alice")), report(seen("bob")), [(NEW, "bob"), (RESOLVED, "alice")]),
        # Recreated, or another login profile: it violates anew.
        (report(seen()), report(seen(first_seen=LATER)), [(NEW, "alice")]),
        # Exempt from now on, and no longer.
        (report(seen()), report(seen(state=EXEMPT, first_seen=LATER)), [(RESOLVED, "alice")]),
        (report(seen(state=EXEMPT)), report(seen(first_seen=LATER)), [(NEW, "alice")]),
        # Nobody could look: that is neither new nor resolved, and the same violation afterwards.
        (report(seen()), report(seen(state=UNKNOWN)), []),
        (report(seen(state=UNKNOWN)), report(seen()), []),
        (report(seen(state=UNKNOWN)), report(seen(state=UNKNOWN)), []),
        # Out of sight and then fixed is resolved; out of sight without ever violating is nothing.
        (report(seen(state=UNKNOWN)), report(), [(RESOLVED, "alice")]),
        (report(finding(state=UNKNOWN)), report(), []),
        (report(finding(state=UNKNOWN)), report(seen()), [(NEW, "alice")]),
        # An exempt user that is fixed was no violation.
        (report(seen(state=EXEMPT)), report(), []),
        # Whoever had console access removed got an Event of its own.
        (report(seen(state=OVERDUE)), report(seen(state=REMOVED)), []),
        (report(seen(state=REMOVED)), report(), []),
    ],
)
def test_one_event_when_violations_begin_and_one_when_they_end(
    before: ReportStatus | None, after: ReportStatus, events: list[tuple[EventReason, str]]
) -> None:
    assert told(before, after) == events


def test_a_user_that_flickers_out_of_sight_is_told_of_once() -> None:
    """The date that Unknown carries makes it the same violation, however often AWS does not answer."""
    story = [
        report(),
        report(seen()),
        report(seen(state=UNKNOWN)),
        report(seen()),
        report(seen(state=UNKNOWN)),
        report(seen(state=OVERDUE)),
        report(),
        report(),
    ]
    events = [event for before, after in pairwise(story) for event in finding_events(before, after)]
    assert [event.reason for event in events] == [NEW, RESOLVED]


def test_the_note_counts_all_names_the_first_and_says_what_to_do() -> None:
    [event] = finding_events(report(), report(*(seen(f"user-{number}") for number in range(7))))
    assert event.reason.is_warning
    assert event.note.startswith(
        f"7 new violations in account payments ({ID}): user-0, user-1, user-2, user-3, user-4 and 2"
    )
    assert "Enable MFA" in event.note
    assert "`aws iam delete-login-profile --user-name user-0`" in event.note
    assert "console-user-without-mfa" in event.note
    [one] = finding_events(report(), report(seen()))
    assert one.note.startswith("1 new violation in ")
    [gone] = finding_events(report(seen(first_seen=NOW - DAY)), report())
    assert (gone.reason.is_warning, gone.note) == (False, f"1 violation resolved in account payments ({ID}): alice")


@pytest.mark.parametrize("name", ["u" * 63, "<root_account>"])
def test_a_note_fits_into_an_event_whole_whatever_the_names(name: str) -> None:
    """What the API server would refuse is cut, and what would be cut first is the way out."""
    findings = [seen(name + str(number)) for number in range(1, 900)]
    findings.insert(0, seen(name, reason=FindingReason.ROOT_NO_MFA))
    after = ReportStatus(account_id=ID, account_name="n" * 64, findings=tuple(findings))
    notes: list[EventNote] = [*finding_events(None, after), *finding_events(after, report())]
    assert len(notes) == 2
    assert all(len(event.note.encode()) <= 1024 for event in notes)
