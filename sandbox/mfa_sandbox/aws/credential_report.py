"""The credential report as AWS makes it: a picture taken when it is asked for, at most one in four hours.

IAM User Guide, "Getting credential reports for your AWS account".
"""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from moto.iam.models import AccessKey, User

from mfa_sandbox.aws.state import AccountState, LoginProfile, RootUser
from mfa_sandbox.aws.wire import AwsError, Result

Row: TypeAlias = dict[str, str]

COLUMNS = (
    "user",
    "arn",
    "user_creation_time",
    "password_enabled",
    "password_last_used",
    "password_last_changed",
    "password_next_rotation",
    "mfa_active",
    "access_key_1_active",
    "access_key_1_last_rotated",
    "access_key_1_last_used_date",
    "access_key_1_last_used_region",
    "access_key_1_last_used_service",
    "access_key_2_active",
    "access_key_2_last_rotated",
    "access_key_2_last_used_date",
    "access_key_2_last_used_region",
    "access_key_2_last_used_service",
    "cert_1_active",
    "cert_1_last_rotated",
    "cert_2_active",
    "cert_2_last_rotated",
)
ROOT_USER = "<root_account>"
WINDOW = timedelta(hours=4)


@dataclass(slots=True)
class CredentialReports:
    """The reports of one account.

    `polls` is how many INPROGRESS come between STARTED and COMPLETE. A report older than `expires_after` is
    answered with ReportExpired (None: never). `rewrite` changes the rows (header: the first row's keys) and
    `override` replaces the whole text, both of the pictures taken from then on.
    """

    polls: int = 0
    expires_after: timedelta | None = WINDOW
    rewrite: Callable[[list[Row]], list[Row]] | None = None
    override: str | None = None
    content: bytes | None = None
    generated: datetime | None = None
    _pending: int = 0

    def generate(self, account: AccountState, now: datetime) -> Result:
        if self._pending > 0:
            self._pending -= 1
            if self._pending > 0:
                return {"State": "INPROGRESS"}
            return {"State": "COMPLETE"}
        if self.generated is not None and now - self.generated < WINDOW:
            return {"State": "COMPLETE"}
        self.take(account, now)
        # One more than the INPROGRESS answers: the poll that brings it to 0 is COMPLETE.
        self._pending = self.polls + 1 if self.polls else 0
        return {
            "State": "STARTED",
            "Description": "No report exists. Starting a new report generation task",
        }

    def take(self, account: AccountState, now: datetime) -> None:
        """Take the picture now, whatever the window says."""
        self.content = self._text(account).encode()
        self.generated = now
        self._pending = 0

    def get(self, now: datetime) -> Result:
        if self._pending > 1:
            self._pending -= 1
            raise AwsError("ReportInProgress", "The credential report is still being generated.")
        self._pending = 0
        if self.content is None or self.generated is None:
            raise AwsError("ReportNotPresent", "No report exists. Please generate a report first")
        if self.expires_after is not None and now - self.generated >= self.expires_after:
            raise AwsError("ReportExpired", "The most recent credential report has expired. Please generate a new one")
        return {"Content": self.content, "ReportFormat": "text/csv", "GeneratedTime": self.generated}

    def forget(self) -> None:
        """As if none had ever been made."""
        self.content = self.generated = None
        self._pending = 0

    def _text(self, account: AccountState) -> str:
        if self.override is not None:
            return self.override
        rows = list(_rows(account))
        if self.rewrite is not None:
            rows = self.rewrite(rows)
        out = io.StringIO()
        header = list(rows[0]) if rows else list(COLUMNS)
        writer = csv.DictWriter(out, header, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue().removesuffix("\n")


def _rows(account: AccountState) -> Iterator[Row]:
    yield _root_row(account.root_user)
    for user in account.backend.users.values():
        yield _user_row(user, account.profiles.get(user.id))


def _root_row(root: RootUser) -> Row:
    return {
        "user": ROOT_USER,
        "arn": root.arn,
        "user_creation_time": _time(root.created),
        "password_enabled": root.password_enabled_token,
        "password_last_used": _time(root.password_last_used) if root.password_last_used else "no_information",
        "password_last_changed": "not_supported",
        "password_next_rotation": "not_supported",
        "mfa_active": _flag(root.mfa is not None),
        **_static_keys(root.access_keys, root.created),
        "cert_1_active": "false",
        "cert_1_last_rotated": "N/A",
        "cert_2_active": "false",
        "cert_2_last_rotated": "N/A",
    }


def _user_row(user: User, profile: LoginProfile | None) -> Row:
    last_used: datetime | None = user.password_last_used
    signed_in = _time(last_used) if last_used else "no_information"
    row = {
        "user": user.name,
        "arn": user.arn,
        "user_creation_time": _time(user.create_date),
        "password_enabled": _flag(profile is not None),
        "password_last_used": signed_in if profile else "N/A",
        "password_last_changed": _time(profile.changed) if profile else "N/A",
        "password_next_rotation": "N/A",
        "mfa_active": _flag(bool(user.mfa_devices)),
    }
    for number in (1, 2):
        keys = user.access_keys
        row |= _key_columns(number, keys[number - 1] if len(keys) >= number else None)
    certificates = list(user.signing_certificates.values())
    for number in (1, 2):
        certificate = certificates[number - 1] if len(certificates) >= number else None
        row[f"cert_{number}_active"] = _flag(certificate is not None and certificate.status == "Active")
        row[f"cert_{number}_last_rotated"] = _time(certificate.upload_date) if certificate else "N/A"
    return row


def _key_columns(number: int, key: AccessKey | None) -> Row:
    used = key.last_used if key else None
    return {
        f"access_key_{number}_active": _flag(key is not None and key.status == "Active"),
        f"access_key_{number}_last_rotated": _time(key.create_date) if key else "N/A",
        f"access_key_{number}_last_used_date": _time(used.timestamp) if used else "N/A",
        f"access_key_{number}_last_used_region": used.region if used else "N/A",
        f"access_key_{number}_last_used_service": used.service if used else "N/A",
    }


def _static_keys(count: int, created: datetime) -> Row:
    row: Row = {}
    for number in (1, 2):
        row |= _key_columns(number, None)
        if number <= count:
            row[f"access_key_{number}_active"] = "true"
            row[f"access_key_{number}_last_rotated"] = _time(created)
    return row


def _time(moment: datetime) -> str:
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S+00:00")


def _flag(value: bool) -> str:
    return "true" if value else "false"
