"""Accounts and findings as tables in a terminal."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

import msgspec
import pytest
from rich.console import Console, RenderableType

from mfa_operator.api.enums import (
    AccountReason,
    AccountState,
    ConditionReason,
    ConditionType,
    FindingReason,
    FindingState,
    RemediationAction,
    RemediationState,
    UserState,
)
from mfa_operator.api.status import AccountStatus, Condition, FindingRemediation, PolicyStatus, ReportStatus
from mfa_operator.offline.layout import relative
from mfa_operator.offline.plan import PlannedUser
from mfa_operator.offline.tables import (
    MAX_ADVICE,
    accounts_table,
    advice,
    conditions_line,
    findings_table,
    plan_table,
)
from tests.unit.facts import DAY, HOUR, ID, MINUTE, NOW, finding

ALICE = finding("alice", path="/eng/", first_seen=NOW - 3 * HOUR, deadline=NOW + 7 * DAY - timedelta(seconds=1))


def shown(*renderables: RenderableType, width: int = 200) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(*renderables, sep="\n")
    return out.getvalue()


def row_of(text: str, word: str) -> list[str]:
    """The cells of the line that holds a word."""
    [line] = [line for line in text.splitlines() if word in line]
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_text_of_others_is_shown_as_it_is_and_moves_no_cursor(width: int) -> None:
    hostile = "[bold red]x[/] \x1b[2J\u202eabc\rz"
    account = AccountStatus(id=ID, name=hostile, state=AccountState.FAILED, reason=AccountReason.ERROR, message=hostile)
    report = ReportStatus(
        account_id=ID, account_name=hostile, findings=(finding("alice", exemption=hostile, first_seen=NOW),)
    )
    condition = Condition(
        type=ConditionType.READY,
        status="False",
        reason=ConditionReason.INVALID_SPEC,
        message=hostile,
        last_transition_time=NOW,
        observed_generation=1,
    )
    text = shown(
        accounts_table([account]),
        findings_table([report], NOW),
        *advice([report], {}),
        *conditions_line(PolicyStatus(conditions=(condition,))),
        width=width,
    )
    assert all(line.isprintable() for line in text.split("\n"))
    assert "[bold red]" in text
    assert "[2J" not in text
    assert max(len(line) for line in text.split("\n")) <= width


@pytest.mark.parametrize("width", [20, 40, 60, 71])
def test_where_no_table_fits_each_fact_stands_in_a_line(width: int) -> None:
    account = AccountStatus(id=ID, name="payments", state=AccountState.AUDITED, users=5000, violating=12)
    report = ReportStatus(account_id=ID, account_name="payments", findings=(ALICE,))
    lines = [
        line.strip()
        for line in shown(accounts_table([account]), findings_table([report], NOW), width=width).splitlines()
    ]
    for line in (
        "users       5000",
        "violating     12",
        "overdue        -",
        "/eng/alice",
        "state: Violating",
        "deadline: in 7d",
    ):
        assert line in lines


def test_an_account_row_has_counts_or_dashes_if_never_audited() -> None:
    text = shown(
        accounts_table(
            [
                AccountStatus(
                    id=ID,
                    name="payments",
                    state=AccountState.AUDITED,
                    users=9,
                    console_users=8,
                    violating=1,
                    overdue=2,
                    exempt=3,
                    unknown=0,
                ),
                AccountStatus(
                    id="444455556666",
                    state=AccountState.DENIED,
                    reason=AccountReason.ASSUME_ROLE_DENIED,
                    message="tried the role",
                ),
            ]
        )
    )
    assert row_of(text, ID) == ["payments", ID, "Audited", "9", "8", "1", "2", "3", "0"]
    assert row_of(text, "444455556666") == ["444455556666", "Denied", *"------", "tried the role"]


@pytest.mark.parametrize("width", [40, 100, 200])
def test_a_message_of_many_accounts_stands_once(width: int) -> None:
    accounts = [
        AccountStatus(
            id=f"{111122220000 + number}",
            state=AccountState.DENIED,
            reason=AccountReason.ASSUME_ROLE_DENIED,
            message=f"refused for {111122220000 + number}",
        )
        for number in range(20)
    ]
    text = shown(accounts_table(accounts), width=width)
    assert text.count("refused for") == 1
    assert all(account.id in text for account in accounts)


def test_a_finding_row_has_reason_first_seen_and_deadline() -> None:
    report = ReportStatus(
        account_id=ID,
        findings=(
            ALICE,
            finding("glass", FindingState.EXEMPT, first_seen=NOW - DAY, exemption="Sealed"),
            finding("dave", FindingState.UNKNOWN, FindingReason.LOOKUP_DENIED),
            finding(
                "erin",
                FindingState.OVERDUE,
                remediation=FindingRemediation(
                    action=RemediationAction.QUARANTINE, state=RemediationState.DONE, message="attached"
                ),
            ),
        ),
    )
    text = shown(findings_table([report], NOW))
    assert row_of(text, "alice") == [
        ID,
        "/eng/alice",
        "Violating",
        "NoMfa",
        "3h ago",
        "in 7d",
        "can sign in without MFA",
    ]
    assert row_of(text, "glass")[-2:] == ["1d ago", "exempt: Sealed"]
    assert row_of(text, "dave") == [
        ID,
        "dave",
        "Unknown",
        "LookupDenied",
        "could not be checked: AWS answered AccessDenied",
    ]
    assert row_of(text, "erin")[-1] == "can sign in without MFA; QuarantineUntilMfa Done: attached"


def test_names_are_shown_as_they_are_and_not_taken_for_markup() -> None:
    """`[prod]` is a style to rich, and `[/x]` is an error."""
    account = AccountStatus(id=ID, name="[prod] [/x]", state=AccountState.FAILED, message="[/y] no answer")
    report = ReportStatus(account_id=ID, account_name="[prod] [/x]", findings=(finding("[bold]"),))
    text = shown(accounts_table([account]), findings_table([report], NOW), *advice([report], {}))
    assert text.count("[prod] [/x]") == 3
    assert "[/y] no answer" in text
    assert f"[bold] in account [prod] [/x] ({ID}) can sign in without MFA" in text


DENIAL = "AssumeRole: AccessDenied: tried arn:aws:iam::444455556666:role/mfa-operator without an external id"
DENIED = AccountStatus(id="444455556666", name="sandbox", state=AccountState.DENIED, message=DENIAL)
LONG = finding(
    "somebody-of-a-very-long-name-indeed",
    FindingState.REMEDIATED,
    FindingReason.CONSOLE_ACCESS_REMOVED,
    path="/engineering/",
    first_seen=NOW - 59 * MINUTE,
    deadline=NOW - 58 * MINUTE,
)
ACTED_ON = PlannedUser(
    account_id=ID,
    account_name="payments",
    user="somebody-of-a-very-long-name-indeed",
    state=UserState.OVERDUE,
    deadline=NOW,
    action=RemediationAction.REMOVE_CONSOLE_ACCESS,
    acts=True,
)
SPARED = msgspec.structs.replace(
    ACTED_ON, user="bob", acts=False, reason="OverLimit", message="the pass has acted on as many users as it may"
)
NARROW: Mapping[str, tuple[RenderableType, Sequence[str]]] = {
    "accounts": (
        accounts_table([AccountStatus(id=ID, name="payments-prod", state=AccountState.AUDITED, users=5000), DENIED]),
        ["payments-prod", ID, "444455556666", "Unknown", "5000", f"sandbox (444455556666): {DENIAL}"],
    ),
    "findings": (
        findings_table([ReportStatus(account_id=ID, account_name="payments", findings=(ALICE, LONG))], NOW),
        [
            f"account payments ({ID})",
            "/eng/alice",
            "Violating",
            "3h ago",
            "in 7d",
            "NoMfa: can sign in without MFA",
            "59m ago",
        ],
    ),
    "plan": (
        plan_table([ACTED_ON, SPARED], NOW),
        [
            f"account payments ({ID})",
            ACTED_ON.user,
            "Overdue",
            "RemoveConsoleAccess",
            "nothing",
            f"{SPARED.reason}: {SPARED.message}",
        ],
    ),
}


@pytest.mark.parametrize("width", [80, 100, 139])
@pytest.mark.parametrize("name", NARROW)
def test_a_narrow_terminal_cuts_nothing_and_splits_no_word(name: str, width: int) -> None:
    table, expected = NARROW[name]
    text = shown(table, width=width)
    assert "…" not in text
    assert max(len(line) for line in text.splitlines()) <= width
    unwrapped = " ".join(text.split())
    for words in expected:
        assert words in unwrapped


def test_a_narrow_terminal_shows_the_account_once() -> None:
    """Whose names need not differ."""
    reports = [
        ReportStatus(account_id=account_id, account_name="payments", findings=(ALICE, LONG))
        for account_id in (ID, ID[::-1])
    ]
    lines = [line.strip() for line in shown(findings_table(reports, NOW), width=80).splitlines()]
    assert [line for line in lines if "payments" in line] == [f"account payments ({one})" for one in (ID, ID[::-1])]


def test_fixes_are_shown_for_the_first_violations_only() -> None:
    """Other findings get no commands."""

    many = tuple(finding(f"user-{number}") for number in range(MAX_ADVICE + 3))
    report = ReportStatus(account_id=ID, account_name="payments", findings=(finding("x", FindingState.EXEMPT), *many))
    text = shown(*advice([report], {}), width=1000)
    assert text.count("Enable MFA:") == text.count("Or, if they need no console") == MAX_ADVICE
    assert f"user-0 in account payments ({ID}) can sign in without MFA:" in text
    assert "--user-name x" not in text
    assert text.rstrip().endswith("The same two steps apply to the other 3.")
    assert "The same two" not in shown(*advice([ReportStatus(account_id=ID, findings=many[:3])], {}))


def test_the_ways_out_are_of_the_accounts_partition() -> None:
    report = ReportStatus(account_id=ID, findings=(ALICE,))
    assert f"arn:aws-cn:iam::{ID}:mfa/alice" in shown(*advice([report], {ID: "aws-cn"}), width=1000)
    assert f"arn:aws:iam::{ID}:mfa/alice" in shown(*advice([report], {}), width=1000)


@pytest.mark.parametrize(
    ("distance", "words"),
    [
        (timedelta(), "now"),
        (timedelta(seconds=59), "now"),
        (MINUTE, "in 1m"),
        (-59 * MINUTE, "59m ago"),
        (-3 * HOUR, "3h ago"),
        (23 * HOUR, "in 23h"),
        (7 * DAY - timedelta(seconds=1), "in 7d"),
        (6.5 * DAY, "in 6d"),
        (-400 * DAY, "400d ago"),
    ],
)
def test_a_time_is_told_as_people_say_it(distance: timedelta, words: str) -> None:
    assert relative(NOW + distance, NOW) == words


def test_no_time_is_told_as_nothing() -> None:
    assert relative(None, NOW) == ""


def conditions() -> Iterable[Condition]:
    for kind, status, reason in (
        (ConditionType.READY, "True", ConditionReason.PASS_SUCCEEDED),
        (ConditionType.COMPLIANT, "Unknown", ConditionReason.NOT_AUDITED),
    ):
        yield Condition(type=kind, status=status, reason=reason, message="[/words]", last_transition_time=NOW)  # type: ignore[arg-type]  # literals


def test_the_conditions_stand_below_the_tables() -> None:
    text = shown(*conditions_line(PolicyStatus(conditions=tuple(conditions()))))
    assert text.splitlines() == ["Ready=True PassSucceeded: [/words]", "Compliant=Unknown NotAudited: [/words]"]
