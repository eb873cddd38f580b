"""Facts about users as a pass would hold them, made in one line each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from mfa_operator.api.conversion import from_dict
from mfa_operator.api.enums import DeviceType, FindingReason, FindingState, UserScope
from mfa_operator.api.policy import PolicySpec
from mfa_operator.api.status import Finding
from mfa_operator.evaluation.facts import Fact, LoginProfile, ReportRow, RootFacts, Snapshot, User, UserFacts
from mfa_operator.evaluation.sufficiency import Needs

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
CREATED = NOW - 400 * DAY
REPORTED = NOW - HOUR
ID = "111122223333"

ANY = frozenset(DeviceType)
USUAL = ANY - {DeviceType.SMS}


def spec(**fields: Any) -> PolicySpec:
    """A policy's spec; fields as in YAML."""
    return from_dict(PolicySpec, {"accounts": [{"id": ID}], **fields}, at="spec")


def needs(**fields: Any) -> Needs:
    usual: dict[str, Any] = {
        "scope": UserScope.CONSOLE,
        "accepted": USUAL,
        "max_staleness": 4 * HOUR,
        "interval": 15 * MINUTE,
    }
    return Needs(**(usual | fields))


def row(
    name: str = "alice",
    *,
    password: bool | None = True,
    mfa: bool | None = False,
    at: datetime = REPORTED,
    created: datetime | None = CREATED,
    twice: bool = False,
) -> Fact[ReportRow]:
    return Fact(ReportRow(name, created, password, mfa, twice=twice), at)


def virtual(there: bool) -> Fact[bool]:
    return Fact(there, NOW)


def profile(created: datetime | None = CREATED, *, at: datetime = NOW) -> Fact[LoginProfile]:
    """A login profile seen live; `created` None: seen not to be there."""
    return Fact(LoginProfile(created), at)


def devices(*kinds: DeviceType, at: datetime = NOW) -> Fact[frozenset[DeviceType]]:
    return Fact(frozenset(kinds), at)


def tags(at: datetime = NOW, /, **pairs: str) -> Fact[Mapping[str, str]]:
    return Fact(pairs, at)


def facts(
    name: str = "alice",
    *,
    user_id: str = "",
    path: str = "/",
    created: datetime = CREATED,
    used: datetime | None = None,
    **known: Any,
) -> UserFacts:
    """What is known of a user; `known` are fields of UserFacts. No virtual device unless one is given."""
    user = User(name, path, user_id or f"AIDA{name.upper()}", created, used)
    usual: dict[str, Any] = {"has_virtual_device": virtual(False)}
    return UserFacts(user=user, **(usual | known))


def violator(name: str = "alice", **known: Any) -> UserFacts:
    """Console access and no MFA, both seen live just now."""
    seen: dict[str, Any] = {"row": row(name), "profile": profile(), "devices": devices()}
    return facts(name, **(seen | known))


def snapshot(*users: UserFacts, root: RootFacts | None = None, **fields: Any) -> Snapshot:
    usual: dict[str, Any] = {
        "account_id": ID,
        "partition": "aws",
        "taken_at": NOW,
        "report_time": REPORTED,
        "users": users,
        "root": root,
    }
    return Snapshot(**(usual | fields))


def finding(
    user: str = "alice",
    state: FindingState = FindingState.VIOLATING,
    reason: FindingReason = FindingReason.NO_MFA,
    **fields: Any,
) -> Finding:
    return Finding(user=user, state=state, reason=reason, **fields)


def by_user(findings: Collection[Finding]) -> dict[str, Finding]:
    return {one.user: one for one in findings}
