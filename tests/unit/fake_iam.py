"""One AWS account in memory under a clock that tests move: for stories of many hours and many users.

It stands where `AccountSession` stands and answers in boto3's shapes. What goes over the wire is tests/aws's to show.
"""

from __future__ import annotations

import csv
import io
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from mfa_operator.api.enums import DeviceType, UserScope, UserState
from mfa_operator.api.policy import Account, PolicySpec
from mfa_operator.api.status import ReportStatus
from mfa_operator.aws.errors import AwsFailure, NotFound
from mfa_operator.aws.identity import Identity
from mfa_operator.aws.sessions import Sessions
from mfa_operator.passes.auditor import Audit, Auditor
from tests.unit.facts import ID, NOW

WINDOW = timedelta(hours=4)
_SERIALS = {
    DeviceType.VIRTUAL: "arn:aws:iam::{id}:mfa/{name}",
    DeviceType.SECURITY_KEY: "arn:aws:iam::{id}:u2f/user/{name}/default-KEY",
    DeviceType.HARDWARE_TOKEN: "GAKT12345678",
    DeviceType.SMS: "arn:aws:iam::{id}:sms-mfa/{name}",
}


class Clock:
    """The time of AWS and of the operator alike."""

    def __init__(self, moment: datetime = NOW) -> None:
        self.moment = moment

    def utc_moment(self) -> datetime:
        return self.moment

    def utc_now(self) -> datetime:
        return self.moment.replace(microsecond=0)

    def seconds(self) -> float:
        return self.moment.timestamp()

    def advance(self, by: timedelta) -> None:
        self.moment += by

    @contextmanager
    def everywhere(self) -> Iterator[None]:
        """Have the shell around the judging read this clock."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("mfa_operator.passes.auditor.utc_moment", self.utc_moment)
            patch.setattr("mfa_operator.aws.collect.utc_moment", self.utc_moment)
            patch.setattr("mfa_operator.aws.collect.utc_now", self.utc_now)
            patch.setattr("mfa_operator.aws.lookups.utc_now", self.utc_now)
            patch.setattr("mfa_operator.aws.organization.utc_now", self.utc_now)
            patch.setattr("mfa_operator.aws.writes.seconds_since_boot", self.seconds)
            yield


@dataclass
class Person:
    """A user as they are now."""

    name: str
    user_id: str
    created: datetime
    path: str = "/"
    password: datetime | None = None
    signed_in: datetime | None = None
    devices: set[DeviceType] = field(default_factory=set)
    tags: dict[str, str] = field(default_factory=dict)


class FakeIam:
    """The account and the session into it. `fails` may raise an AwsFailure for an operation on a user."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.people: dict[str, Person] = {}
        self.calls: Counter[str] = Counter()
        self.asked: list[tuple[str, str]] = []
        self.fails: Callable[[str, str], AwsFailure | None] = lambda *_: None
        self.account = Account(id=ID)
        self.report: tuple[datetime, bytes] | None = None
        self.sessions = self
        self.stopping = threading.Event()
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def add(self, name: str, **fields: Any) -> Person:
        made = Person(name, f"AIDA{next(self._ids):016}", self.clock.utc_now(), **fields)
        self.people[name] = made
        return made

    def make_report(self) -> None:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["user", "user_creation_time", "password_enabled", "mfa_active"])
        for one in self.people.values():
            created = one.created.isoformat()
            writer.writerow([one.name, created, str(bool(one.password)).lower(), str(bool(one.devices)).lower()])
        self.report = self.clock.utc_now(), out.getvalue().encode()

    # What the operator asks

    def open(self) -> Identity:
        return Identity(ID, f"arn:aws:sts::{ID}:assumed-role/mfa-operator/mfa-operator")

    def ask(self, operation: str, question: Callable[[FakeIam], Any]) -> Any:
        with self._lock:
            self.calls[operation] += 1
            return question(self)

    def generate_credential_report(self) -> Mapping[str, Any]:
        if self.report is None or self.clock.moment - self.report[0] >= WINDOW:
            self.make_report()
        return {"State": "COMPLETE"}

    def get_credential_report(self) -> Mapping[str, Any]:
        if self.report is None:
            raise AwsFailure("GetCredentialReport", "ReportNotPresent", "No report exists.")
        return {"Content": self.report[1], "GeneratedTime": self.report[0]}

    def list_users(self, **_: Any) -> Mapping[str, Any]:
        return {"Users": [self._entry(one) for one in self.people.values()], "IsTruncated": False}

    def list_virtual_mfa_devices(self, **_: Any) -> Mapping[str, Any]:
        owners = [one for one in self.people.values() if DeviceType.VIRTUAL in one.devices]
        return {"VirtualMFADevices": [{"User": self._entry(one)} for one in owners], "IsTruncated": False}

    def get_login_profile(self, *, UserName: str) -> Mapping[str, Any]:  # noqa: N803 - boto3's names
        person = self._find("GetLoginProfile", UserName)
        if not person.password:
            message = f"Login Profile for User {UserName} cannot be found."
            raise NotFound("GetLoginProfile", "NoSuchEntity", message)
        return {"LoginProfile": {"UserName": UserName, "CreateDate": person.password}}

    def list_mfa_devices(self, *, UserName: str, **_: Any) -> Mapping[str, Any]:  # noqa: N803
        person = self._find("ListMFADevices", UserName)
        serials = [_SERIALS[kind].format(id=ID, name=UserName) for kind in person.devices]
        return {"MFADevices": [{"SerialNumber": serial} for serial in serials], "IsTruncated": False}

    def list_user_tags(self, *, UserName: str, **_: Any) -> Mapping[str, Any]:  # noqa: N803
        tags = self._find("ListUserTags", UserName).tags
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()], "IsTruncated": False}

    def _find(self, operation: str, name: str) -> Person:
        self.asked.append((operation, name))
        if failure := self.fails(operation, name):
            raise failure
        if name not in self.people:
            raise NotFound(operation, "NoSuchEntity", f"The user with name {name} cannot be found.")
        return self.people[name]

    def _entry(self, one: Person) -> Mapping[str, Any]:
        entry = {"UserName": one.name, "Path": one.path, "UserId": one.user_id, "CreateDate": one.created}
        entry["Arn"] = f"arn:aws:iam::{ID}:user{one.path}{one.name}"
        return entry | ({"PasswordLastUsed": one.signed_in} if one.signed_in else {})


class Watch:
    """A policy that audits the account pass after pass."""

    def __init__(self, iam: FakeIam, policy: PolicySpec) -> None:
        self.iam = iam
        self.policy = policy
        self.report: ReportStatus | None = None
        self.auditor = Auditor(cast("Sessions", _Only(iam)))

    def audit(self, *, fresh: bool = False) -> Audit:
        """One pass now. `iam.calls` and `iam.asked` hold this pass's alone afterwards."""
        self.iam.calls.clear()
        self.iam.asked.clear()
        with self.iam.clock.everywhere():
            audit = self.auditor.audit(
                self.policy, self.iam.account, self.report, self.iam.clock.utc_now(), fresh=fresh
            )
        self.report = audit.report
        return audit

    def restarted(self) -> Watch:
        """The same in a new process, which knows nothing but the last report."""
        other = Watch(self.iam, self.policy)
        other.report = self.report
        return other

    def states(self, *, fresh: bool = False) -> dict[str, UserState]:
        return {verdict.user: verdict.state for verdict in self.audit(fresh=fresh).verdicts}


class _Only:
    """Sessions that lead into one account, whichever is asked for."""

    def __init__(self, iam: FakeIam) -> None:
        self._iam = iam
        self.stopping = threading.Event()

    def account(self, account: Account) -> FakeIam:
        self._iam.account = account
        return self._iam


def expected_state(policy: PolicySpec, person: Person) -> UserState:
    """The naive oracle: what asking AWS live about everything says, grace and exemptions aside."""
    if policy.requirement.users is UserScope.CONSOLE and person.password is None:
        return UserState.NO_CONSOLE
    accepted = bool(person.devices & policy.requirement.accepted)
    return UserState.COMPLIANT if accepted else UserState.VIOLATING
