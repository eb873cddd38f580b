"""The verdicts over HTTP equal those of a naive oracle that asks AWS live about every user."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mfa_operator.api.enums import DeviceType, UserScope, UserState
from mfa_operator.api.policy import PolicySpec
from mfa_sandbox.aws import Account, Credentials, EmbeddedAws
from tests.aws.audit_world import MINUTE, Auditing, auditing, states

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

NAMES = st.text("abXY019+=,.@_-", min_size=1, max_size=10)
KINDS = ("virtual", "security_key", "hardware", "sms")
PEOPLE = st.fixed_dictionaries(
    {
        "password": st.booleans(),
        "mfa": st.lists(st.sampled_from(KINDS), max_size=3, unique=True),
        "path": st.sampled_from(["/", "/service/", "/eng/team/"]),
        "access_keys": st.integers(0, 2),
        "tags": st.sampled_from([{}, {"mfa-exempt": "true"}]),
    }
)
EXEMPTIONS = st.lists(
    st.sampled_from(
        [
            {"users": ["a*"], "reason": "by name"},
            {"users": ["/service/*"], "reason": "by path"},
            {"users": ["*"], "tags": {"mfa-exempt": "true"}, "reason": "by tag"},
            {"users": ["*"], "expires": "2020-01-01T00:00:00Z", "reason": "long over"},
            {"users": ["*"], "accounts": ["999999999999"], "reason": "elsewhere"},
        ]
    ),
    max_size=2,
)
SPECS = st.fixed_dictionaries(
    {
        "requirement": st.fixed_dictionaries(
            {
                "users": st.sampled_from(["Console", "All"]),
                "deviceTypes": st.lists(st.sampled_from(list(DeviceType)), min_size=1, unique=True),
            }
        ),
        "exemptions": EXEMPTIONS,
    }
)
_NUMBERS = itertools.count(100_000_000_000)


def ask_about_everybody(iam: IAMClient, policy: PolicySpec) -> Mapping[str, UserState]:
    """The oracle: every user, every question, and nothing that is ours."""
    return {
        user["UserName"]: _verdict(iam, policy, user["UserName"], user["Path"]) for user in iam.list_users()["Users"]
    }


def _verdict(iam: IAMClient, policy: PolicySpec, name: str, path: str) -> UserState:
    try:
        iam.get_login_profile(UserName=name)
    except iam.exceptions.NoSuchEntityException:
        if policy.requirement.users is UserScope.CONSOLE:
            return UserState.NO_CONSOLE
    serials = [device["SerialNumber"] for device in iam.list_mfa_devices(UserName=name)["MFADevices"]]
    if {_kind(serial) for serial in serials} & policy.requirement.accepted:
        return UserState.COMPLIANT
    tags = {tag["Key"]: tag["Value"] for tag in iam.list_user_tags(UserName=name)["Tags"]}
    for exemption in policy.exemptions:
        named = any(fnmatchcase(path + name if glob[0] == "/" else name, glob) for glob in exemption.users)
        if named and not exemption.accounts and exemption.expires is None and exemption.tags.items() <= tags.items():
            return UserState.EXEMPT
    return UserState.VIOLATING


def _kind(serial: str) -> DeviceType:
    if ":sms-mfa/" in serial:
        return DeviceType.SMS
    if ":u2f/" in serial:
        return DeviceType.SECURITY_KEY
    return DeviceType.VIRTUAL if ":mfa/" in serial else DeviceType.HARDWARE_TOKEN


def as_administrator(aws: EmbeddedAws, account: Account) -> IAMClient:
    who: Credentials = account.admin_credentials
    return aws.iam(who)


@pytest.fixture(scope="module")
def world() -> Any:
    with EmbeddedAws() as started:
        yield started


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True, deadline=None)
@given(st.dictionaries(NAMES, PEOPLE, max_size=7), st.lists(SPECS, min_size=1, max_size=2))
def test_verdicts_of_random_accounts_match_the_oracle(
    world: EmbeddedAws, people: dict[str, dict[str, Any]], specs: list[dict[str, Any]]
) -> None:
    """All kinds of people, under one policy after the other, with a new report, an old one, and after a restart."""
    with auditing(world) as op:
        account = world.world.account(str(next(_NUMBERS)))
        for name, fields in people.items():
            if name.lower() not in {user.name.lower() for user in account.users()}:
                account.user(name, **fields)
        account.force_report()
        iam = as_administrator(world, account)
        try:
            for fields in specs:
                policy = op.policy(account, **fields)
                expected = ask_about_everybody(iam, policy)
                assert states(op.audit(account, policy=policy)) == expected
                op.clock.advance(MINUTE)
                assert states(op.later(account, policy=policy)) == expected
                _adds_up(op, account)
                op.restart()
                assert states(op.later(account, policy=policy)) == expected
                _adds_up(op, account)
        finally:
            iam.close()


def _adds_up(op: Auditing, account: Account) -> None:
    report = op.reports[account.id]
    assert sum(report.summary.states.values()) == report.summary.users
    listed = report.summary.violating + report.summary.overdue + report.summary.exempt + report.summary.unknown
    assert listed == len(report.findings)
