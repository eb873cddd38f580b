"""What the operator writes fits the CRDs' schemas, and is read back as it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import StrEnum
from typing import Any

import pytest
from botocore.utils import parse_timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from mfa_operator.api.conversion import InvalidObject, from_dict, rfc3339, to_dict
from mfa_operator.api.enums import (
    AccountReason,
    AccountState,
    ConditionReason,
    ConditionType,
    FindingReason,
    FindingState,
    RefusalReason,
    RemediationAction,
    RemediationState,
    UserState,
)
from mfa_operator.api.status import (
    AccountStatus,
    Condition,
    Counts,
    Finding,
    FindingRemediation,
    PolicyFinding,
    PolicyStatus,
    PolicySummary,
    ReportStatus,
)
from tests.unit.crd_schema import problems, schema_of
from tests.unit.facts import ID, NOW, finding

NAMES = st.text("abcXYZ019+=,.@_-", min_size=1, max_size=64)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001 - hypothesis adds the zone
    lambda moment: moment.replace(microsecond=0)
)
MAYBE = st.none() | MOMENTS
COUNT = st.integers(0, 5001)
COUNTS = dict.fromkeys(Counts.__struct_fields__, COUNT)
REMEDIATIONS = st.builds(
    FindingRemediation,
    action=st.sampled_from(RemediationAction),
    state=st.sampled_from(RemediationState),
    reason=st.just("") | st.sampled_from(RefusalReason),
    time=MAYBE,
    message=st.text(max_size=30),
    profile_created=MAYBE,
)
FINDINGS = st.builds(
    Finding,
    user=NAMES,
    path=st.sampled_from(["/", "/eng/"]),
    state=st.sampled_from(FindingState),
    reason=st.sampled_from(FindingReason),
    console_since=MAYBE,
    last_sign_in=MAYBE,
    first_seen=MAYBE,
    deadline=MAYBE,
    exemption=st.text(max_size=20),
    remediation=st.none() | REMEDIATIONS,
)
REPORTS = st.builds(
    ReportStatus,
    account_id=st.just(ID),
    account_name=st.text(max_size=20),
    audited_at=MAYBE,
    credential_report_time=MAYBE,
    summary=st.builds(Counts, **COUNTS),
    findings=st.lists(FINDINGS, max_size=4, unique_by=lambda one: one.user).map(tuple),
)
ACCOUNTS = st.builds(
    AccountStatus,
    id=st.from_regex(r"[0-9]{12}", fullmatch=True),
    name=st.text(max_size=20),
    state=st.sampled_from(AccountState),
    **{name: st.none() | COUNT for name in ("users", "console_users", "violating", "overdue", "exempt", "unknown")},
    last_success_time=MAYBE,
    reason=st.just("") | st.sampled_from(AccountReason),
    message=st.text(max_size=30),
)
CONDITIONS = st.builds(
    Condition,
    type=st.sampled_from(ConditionType),
    status=st.sampled_from(["True", "False", "Unknown"]),
    reason=st.sampled_from(ConditionReason),
    message=st.text(max_size=30),
    last_transition_time=MOMENTS,
    observed_generation=st.integers(0, 9),
)
STATUSES = st.builds(
    PolicyStatus,
    observed_generation=st.integers(0, 9),
    last_pass_time=MAYBE,
    next_pass_time=MAYBE,
    conditions=st.lists(CONDITIONS, max_size=2, unique_by=lambda one: one.type).map(tuple),
    summary=st.none() | st.builds(PolicySummary, accounts=COUNT, accounts_failed=COUNT, **COUNTS),
    accounts=st.lists(ACCOUNTS, max_size=3, unique_by=lambda one: one.id).map(tuple),
    findings=st.lists(
        st.builds(
            PolicyFinding,
            account_id=st.just(ID),
            user=NAMES,
            state=st.sampled_from(FindingState),
            reason=st.sampled_from(FindingReason),
            first_seen=MAYBE,
            deadline=MAYBE,
        ),
        max_size=3,
        unique_by=lambda one: one.user,
    ).map(tuple),
    findings_total=st.none() | COUNT,
)


@settings(max_examples=50)
@given(STATUSES)
def test_a_policys_status_fits_the_schema_and_round_trips(status: PolicyStatus) -> None:
    assert problems(status, "mfapolicies") == []
    assert from_dict(PolicyStatus, to_dict(status), at="status") == status


@settings(max_examples=50)
@given(REPORTS)
def test_a_report_fits_the_schema_and_is_read_back_as_it_was(report: ReportStatus) -> None:
    assert problems(report, "mfareports") == []
    assert from_dict(ReportStatus, to_dict(report), at="status") == report


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("findings.state", FindingState),
        ("findings.remediation.action", RemediationAction),
        ("findings.remediation.state", RemediationState),
    ],
)
def test_the_words_of_a_report_are_the_schemas(path: str, words: type[StrEnum]) -> None:
    assert set(_field("mfareports", path)["enum"]) == set(words)


@pytest.mark.parametrize(("path", "words"), [("accounts.state", AccountState), ("findings.state", FindingState)])
def test_the_words_of_a_policys_status_are_the_schemas(path: str, words: type[StrEnum]) -> None:
    assert set(_field("mfapolicies", path)["enum"]) == set(words)


def _field(plural: str, path: str) -> Any:
    schema: Any = schema_of(plural)
    for name in path.split("."):
        schema = schema["properties"][name]
        schema = schema.get("items", schema)
    return schema


def test_the_schemas_name_what_would_be_lost_in_silence() -> None:
    """The test of the tests: an unknown field, a number too small and a key twice are found."""
    good = ReportStatus(account_id=ID)
    assert problems(good, "mfareports") == []
    assert problems(ReportStatus(account_id="1"), "mfareports")
    assert problems(ReportStatus(account_id=ID, findings=(finding(), finding())), "mfareports")
    assert problems(ReportStatus(account_id=ID, summary=Counts(users=-1)), "mfareports")
    assert problems(ReportStatus(account_id=ID, summary=PolicySummary()), "mfapolicies")


def test_counts_are_never_left_out_and_empty_fields_always_are() -> None:
    """`kubectl get` shows 0, not nothing; and a report's size is that of its findings."""
    written = to_dict(ReportStatus(account_id=ID, findings=(finding(),)))
    assert set(written) == {"accountId", "findings", "summary"} or set(written) == {"accountId", "findings"}
    assert set(to_dict(Counts())) == {
        *("users", "consoleUsers", "compliant", "violating", "overdue", "exempt", "unknown", "quarantined"),
        "remediated",
    }
    assert to_dict(finding()) == {"user": "alice", "state": "Violating", "reason": "NoMfa"}


def test_the_counts_of_all_states_add_up() -> None:
    counts = Counts(users=10, console_users=8, compliant=3, violating=1, overdue=2, exempt=1, unknown=1)
    assert counts.no_console == 2
    assert sum(counts.states.values()) == 10
    assert set(counts.states) == set(UserState)


@pytest.mark.parametrize("zone", [UTC, parse_timestamp("2026-03-02T12:00:00Z").tzinfo])
def test_times_are_written_in_utc_with_z(zone: tzinfo) -> None:
    """boto3 gives times in a zone of its own making."""
    moment = datetime(2026, 3, 2, 12, tzinfo=zone)
    assert rfc3339(moment) == "2026-03-02T12:00:00Z"
    assert rfc3339(moment.astimezone(timezone(timedelta(hours=2)))) == "2026-03-02T12:00:00Z"
    assert to_dict(finding(first_seen=moment))["firstSeen"] == "2026-03-02T12:00:00Z"


def test_known_parts_of_a_newer_operators_status_are_read() -> None:
    written = to_dict(PolicyStatus(last_pass_time=NOW, summary=PolicySummary(users=3)))
    written["verdict"] = "newer"
    written["summary"]["passkeys"] = 5
    assert from_dict(PolicyStatus, written) == PolicyStatus(last_pass_time=NOW, summary=PolicySummary(users=3))
    with pytest.raises(InvalidObject, match=r"status\.conditions\[0\]\.status"):
        from_dict(PolicyStatus, {"conditions": [{"type": "Ready", "status": "Maybe"}]}, at="status")
