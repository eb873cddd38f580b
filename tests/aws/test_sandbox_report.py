"""The sandbox's credential report: a picture of the past, at most one in four hours, in AWS's own tokens."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mfa_sandbox.aws import Account, EmbeddedAws
from mfa_sandbox.aws.credential_report import Row
from tests.aws.answers import code_of

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

NOON = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def aws() -> Iterator[EmbeddedAws]:
    """In a world whose clock stands still."""
    with EmbeddedAws(clock=lambda: NOON) as started:
        yield started


def text_of(iam: "IAMClient") -> str:
    return iam.get_credential_report()["Content"].decode()


def rows_of(iam: "IAMClient") -> dict[str, Row]:
    return {row["user"]: row for row in csv.DictReader(io.StringIO(text_of(iam)))}


def test_there_is_none_until_it_is_made(iam: "IAMClient") -> None:
    assert code_of(iam.get_credential_report) == ("ReportNotPresent", 410)
    assert iam.generate_credential_report()["State"] == "STARTED"
    assert iam.generate_credential_report()["State"] == "COMPLETE"
    answer = iam.get_credential_report()
    assert (answer["GeneratedTime"], answer["ReportFormat"]) == (NOON, "text/csv")


def test_it_takes_as_many_polls_as_told(account: Account, iam: "IAMClient") -> None:
    account.reports.polls = 3
    states = [iam.generate_credential_report()["State"] for _ in range(6)]
    assert states == ["STARTED", "INPROGRESS", "INPROGRESS", "INPROGRESS", "COMPLETE", "COMPLETE"]
    account.reports.forget()
    iam.generate_credential_report()
    assert [code_of(iam.get_credential_report) for _ in range(3)] == [("ReportInProgress", 404)] * 3
    text_of(iam)


def test_it_shows_the_moment_of_generate_not_of_get(aws: EmbeddedAws, account: Account, iam: "IAMClient") -> None:
    alice = account.user("alice")
    iam.generate_credential_report()
    aws.world.advance(timedelta(hours=1))
    alice.set_password()
    alice.add_mfa()
    account.user("bob")
    assert iam.generate_credential_report()["State"] == "COMPLETE"
    rows = rows_of(iam)
    assert list(rows) == ["<root_account>", "alice"]
    assert (rows["alice"]["password_enabled"], rows["alice"]["mfa_active"]) == ("false", "false")
    assert iam.get_credential_report()["GeneratedTime"] == NOON


def test_a_new_one_comes_after_four_hours(aws: EmbeddedAws, account: Account, iam: "IAMClient") -> None:
    iam.generate_credential_report()
    account.user("alice")
    aws.world.advance(timedelta(hours=3, minutes=59))
    assert iam.generate_credential_report()["State"] == "COMPLETE"
    assert list(rows_of(iam)) == ["<root_account>"]
    aws.world.advance(timedelta(minutes=1))
    assert iam.generate_credential_report()["State"] == "STARTED"
    assert list(rows_of(iam)) == ["<root_account>", "alice"]
    assert iam.get_credential_report()["GeneratedTime"] == NOON + timedelta(hours=4)


def test_an_old_one_expires(aws: EmbeddedAws, account: Account, iam: "IAMClient") -> None:
    account.force_report()
    aws.world.advance(timedelta(hours=4))
    assert code_of(iam.get_credential_report) == ("ReportExpired", 410)
    account.reports.expires_after = None
    assert iam.get_credential_report()["GeneratedTime"] == NOON


def test_the_columns_of_users(account: Account, iam: "IAMClient") -> None:
    created = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
    changed = datetime(2025, 6, 7, 8, 9, 10, tzinfo=UTC)
    account.user("never", path="/eng/", password=True, created=created, password_created=changed, access_keys=1)
    account.user("used", password=True, password_last_used=changed, mfa=["hardware"])
    account.user("keys", access_keys=2, created=created)
    account.user("a,b+c=d@e_f", password_last_used=changed)
    account.force_report()
    rows = rows_of(iam)
    assert rows["never"] == {
        "user": "never",
        "arn": f"arn:aws:iam::{account.id}:user/eng/never",
        "user_creation_time": "2024-01-02T03:04:05+00:00",
        "password_enabled": "true",
        "password_last_used": "no_information",
        "password_last_changed": "2025-06-07T08:09:10+00:00",
        "password_next_rotation": "N/A",
        "mfa_active": "false",
        "access_key_1_active": "true",
        "access_key_1_last_rotated": "2024-01-02T03:04:05+00:00",
        "access_key_1_last_used_date": "N/A",
        "access_key_1_last_used_region": "N/A",
        "access_key_1_last_used_service": "N/A",
        "access_key_2_active": "false",
        "access_key_2_last_rotated": "N/A",
        "access_key_2_last_used_date": "N/A",
        "access_key_2_last_used_region": "N/A",
        "access_key_2_last_used_service": "N/A",
        "cert_1_active": "false",
        "cert_1_last_rotated": "N/A",
        "cert_2_active": "false",
        "cert_2_last_rotated": "N/A",
    }
    assert (rows["used"]["password_last_used"], rows["used"]["mfa_active"]) == (
        "2025-06-07T08:09:10+00:00",
        "true",
    )
    assert [rows["keys"][f"access_key_{number}_active"] for number in (1, 2)] == ["true", "true"]
    assert rows["a,b+c=d@e_f"]["password_last_used"] == "N/A", "no password, whatever was used once"


def test_root_row(account: Account, iam: "IAMClient") -> None:
    account.root(mfa="virtual", access_keys=1, password_last_used=NOON)
    account.force_report()
    row = rows_of(iam)["<root_account>"]
    assert row["arn"] == f"arn:aws:iam::{account.id}:root"
    assert (row["password_enabled"], row["mfa_active"]) == ("not_supported", "true")
    assert (row["access_key_1_active"], row["access_key_2_active"]) == ("true", "false")
    assert row["password_last_used"] == "2026-05-04T12:00:00+00:00"
    account.root(password=False, password_enabled_token="FALSE")
    account.force_report()
    row = rows_of(iam)["<root_account>"]
    assert (row["password_enabled"], row["mfa_active"]) == ("FALSE", "false")
