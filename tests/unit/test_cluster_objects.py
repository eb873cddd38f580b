"""Objects as the API server takes and gives them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfa_operator.api.conversion import InvalidObject
from mfa_operator.api.enums import EventReason
from mfa_operator.api.objects import PolicyRef
from mfa_operator.api.status import PolicyStatus, ReportStatus
from mfa_operator.kube.objects import PolicyIdentity, cut, event_body, read_report, status_body
from mfa_operator.reporting.events import EventNote

POLICY = PolicyIdentity(PolicyRef("security", "console-mfa"), "uid-of-the-policy")


@given(text=st.text(), size=st.integers(min_value=3, max_value=40))
def test_a_cut_text_fits_and_is_the_beginning_of_the_whole(text: str, size: int) -> None:
    short = cut(text, size)
    assert len(short.encode()) <= size
    if len(text.encode()) <= size:
        assert short == text
    else:
        assert short.endswith("…")
        assert text.startswith(short[:-1])
        # No more is cut than has to be: the next character would not fit.
        assert len((text[: len(short)] + "…").encode()) > size


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=2))])
def test_an_events_time_is_a_microtime_in_utc(zone: timezone) -> None:
    now = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC).astimezone(zone)
    body = event_body(POLICY, EventNote(EventReason.QUARANTINED, "Remediate", ""), now, name="e", instance="i")
    assert body["eventTime"] == "2026-05-04T03:02:01.000000Z"


def test_an_events_note_is_one_visible_line() -> None:
    note = EventNote(EventReason.QUARANTINED, "Remediate", "a\x1b[31m\nb http://u:p@h")
    body = event_body(POLICY, note, datetime(2026, 5, 4, tzinfo=UTC), name="e", instance="i")
    assert body["note"] == "a b http://…@h"


def stored(**metadata: Any) -> dict[str, Any]:
    essentials = {"name": "r", "namespace": "security", "uid": "u", "resourceVersion": "7"}
    return {"metadata": essentials | {"labels": {"mfa-operator.io/account-id": "111122223333"}} | metadata}


OWNER = {"apiVersion": "mfa-operator.io/v1alpha1", "kind": "MfaPolicy", "name": "p", "uid": "owner"}


@pytest.mark.parametrize(
    ("owners", "owner_uid"),
    [
        ([OWNER], "owner"),
        ([{**OWNER, "apiVersion": "mfa-operator.io/v1beta1"}], "owner"),
        ([{**OWNER, "apiVersion": "apps/v1", "kind": "Deployment", "uid": "x"}, OWNER], "owner"),
        ([{**OWNER, "apiVersion": "example.org/v1"}], ""),
        ([{**OWNER, "kind": "MfaReport"}], ""),
        ([], ""),
        (None, ""),
    ],
)
def test_a_report_belongs_to_the_policy_among_its_owners(owners: object, owner_uid: str) -> None:
    assert read_report(stored(ownerReferences=owners)).owner_uid == owner_uid
    assert read_report(stored()).owner_uid == ""


def test_a_status_is_written_to_one_very_object_as_it_was_read() -> None:
    body = status_body(read_report(stored()), ReportStatus(account_id="111122223333"))
    assert body["metadata"] == {"name": "r", "namespace": "security", "uid": "u", "resourceVersion": "7"}
    assert body["kind"] == "MfaReport"
    assert status_body(read_report(stored()), PolicyStatus())["kind"] == "MfaPolicy"


def test_a_report_without_status_means_never_audited() -> None:
    assert read_report(stored()).status == ReportStatus(account_id="111122223333")


@pytest.mark.parametrize("status", [{"accountId": 7}, {"findings": []}, {"accountId": "1", "findings": [{}]}])
def test_a_status_that_is_not_understood_names_the_field(status: dict[str, Any]) -> None:
    with pytest.raises(InvalidObject, match="status"):
        read_report({**stored(), "status": status})


def test_a_policy_whose_spec_is_invalid_has_an_identity() -> None:
    body = {"metadata": {"namespace": "security", "name": "console-mfa", "uid": "uid-of-the-policy"}, "spec": 7}
    assert PolicyIdentity.of(body) == POLICY
