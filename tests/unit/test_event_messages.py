"""What a message of the events queue says, and that nothing in one can do more than ask for a targeted pass."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mfa_operator.api.enums import ROOT_USER
from mfa_operator.iam_events.message import MAX_BYTES, Hint, Ignored, OrganizationChanged, Unreadable, parse
from mfa_operator.iam_events.table import TABLE, TYPES, About

ACCOUNT = "111122223333"
OURS = f"arn:aws:iam::{ACCOUNT}:policy/mfa-operator/mfa-operator-quarantine"
ALICE = {"type": "IAMUser", "accountId": ACCOUNT, "userName": "alice"}
ADMIN = {"type": "AssumedRole", "accountId": ACCOUNT}
ROOT = {"type": "Root", "accountId": ACCOUNT}


def event(name: str, parameters: Any = None, identity: Any = ADMIN, **detail: Any) -> dict[str, Any]:
    return {
        "version": "0",
        "detail-type": "AWS API Call via CloudTrail",
        "source": "aws.iam",
        "account": ACCOUNT,
        "region": "us-east-1",
        "detail": {
            "eventTime": "2026-05-04T12:00:00Z",
            "eventName": name,
            "userIdentity": identity,
            "requestParameters": parameters,
            "recipientAccountId": ACCOUNT,
            **detail,
        },
    }


def users_of(message: dict[str, Any]) -> set[str]:
    hint = parse(json.dumps(message))
    assert isinstance(hint, Hint)
    assert hint.account_id == ACCOUNT
    return set(hint.users)


@pytest.mark.parametrize(
    ("message", "users"),
    [
        (event("CreateLoginProfile", {"userName": "bob"}), {"bob"}),
        (event("DeleteLoginProfile", {"userName": "bob"}), {"bob"}),
        (event("DeactivateMFADevice", {"userName": "bob", "serialNumber": "x"}), {"bob"}),
        (event("EnableMFADevice", {"userName": "bob", "serialNumber": "x"}, ALICE), {"bob"}),
        # A person who names nobody means themselves.
        (event("DeactivateMFADevice", {"serialNumber": "x"}, ALICE), {"alice"}),
        (event("DeactivateMFADevice", None, ALICE), {"alice"}),
        # A role has no name: the account.
        (event("DeactivateMFADevice", None, ADMIN), set()),
        (event("DeactivateMFADevice", None, None), set()),
        # Nor has a user of another account.
        (event("DeactivateMFADevice", None, ALICE | {"accountId": "999988887777"}), set()),
        (event("EnableMFADevice", {"userName": "AWS ROOT USER"}, ROOT), {ROOT_USER}),
        (event("DeactivateMFADevice", {"serialNumber": "x"}, ROOT), {ROOT_USER}),
        (event("UpdateUser", {"userName": "bob", "newUserName": "robert"}), {"bob", "robert"}),
        (event("UpdateUser", {"userName": "bob", "newPath": "/eng/"}), {"bob"}),
        (event("CreateUser", {"userName": "bob", "tags": [{"key": "a", "value": "b"}]}), {"bob"}),
        (event("DeleteUser", {"userName": "bob"}), {"bob"}),
        (event("TagUser", {"userName": "bob", "tags": []}), {"bob"}),
        (event("UntagUser", {"userName": "bob", "tagKeys": ["a"]}), {"bob"}),
        (event("DetachUserPolicy", {"userName": "bob", "policyArn": OURS}), {"bob"}),
        (event("AttachUserPolicy", {"userName": "bob", "policyArn": f"{OURS}-keys"}), {"bob"}),
        (event("CreatePolicyVersion", {"policyArn": OURS, "policyDocument": "{}"}), set()),
    ],
)
def test_an_event_names_its_users(message: dict[str, Any], users: set[str]) -> None:
    assert users_of(message) == users


@pytest.mark.parametrize(
    "message",
    [
        event("DeleteLoginProfile", {"userName": "bob"}, errorCode="NoSuchEntity"),
        event("AttachUserPolicy", {"userName": "bob", "policyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}),
        event("DeletePolicy", {"policyArn": f"{OURS}-of-somebody-else"}),
        event("ChangePassword", None, ALICE),
        event("UpdateLoginProfile", {"userName": "bob"}),
        event("CreateVirtualMFADevice", {"virtualMFADeviceName": "bob"}),
        event("RunInstances", {"userName": 7}),
        event("CreateUser", {"userName": "bob"}) | {"source": "aws.evil"},
        {"source": "aws.ec2", "detail": {"state": "running"}},
        {"source": "aws.ec2", "detail": [1, 2]},
        {"source": "aws.ec2", "detail": {"eventName": {"x": 1}}},
        {"source": "custom"},
    ],
)
def test_what_changes_no_verdict_is_ignored(message: dict[str, Any]) -> None:
    assert isinstance(parse(json.dumps(message)), Ignored)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        "{}",
        "not json",
        '{"source": 7, "detail": {}}',
        "[" * 200_000,
        '{"source": "aws.iam", "detail": ' + '{"a":' * 100_000,
        json.dumps(event("CreateUser", {"userName": ["bob"]})),
        json.dumps(event("CreateUser", "bob")),
        json.dumps(event("CreateUser", {"userName": "b" * 65})),
        json.dumps(event("CreateUser", {"userName": "bob\n"})),
        json.dumps(event("CreateUser", {"userName": ""})),
        json.dumps(event("CreateUser", {"userName": "<root_account>"})),
        json.dumps(event("UpdateUser", {"userName": "bob", "newUserName": "../x"})),
        json.dumps(event("CreateUser", {"userName": "bob"}) | {"account": "1234"}),
        json.dumps(event("CreateUser", {"userName": "bob"}) | {"account": "１１１１２２２２３３３３"}),  # noqa: RUF001
        "x" * (MAX_BYTES + 1),
        "\ud800",
    ],
    ids=range(19),
)
def test_what_is_no_event_is_unreadable(body: str) -> None:
    parsed = parse(body)
    assert isinstance(parsed, Unreadable)
    assert len(parsed.problem) < 300


def test_the_log_shows_no_secret_of_an_unreadable_message() -> None:
    parsed = parse('password="hunter2" AKIAIOSFODNN7EXAMPLE \x1b[2J')
    assert isinstance(parsed, Unreadable)
    assert "hunter2" not in parsed.problem
    assert "IOSFODNN7EXAMPLE" not in parsed.problem
    assert parsed.problem.isprintable()


def test_without_an_envelope_account_the_records_is_used() -> None:
    message = event("CreateUser", {"userName": "bob"})
    del message["account"]
    assert users_of(message) == {"bob"}


@pytest.mark.parametrize("name", ["AccountJoinedOrganization", "AccountDepartedOrganization"])
def test_who_joins_or_leaves_changes_the_list_of_accounts(name: str) -> None:
    message = event(name, None, {"accountId": ACCOUNT, "invokedBy": "organizations.amazonaws.com"})
    message |= {"source": "aws.organizations", "detail-type": "AWS Service Event via CloudTrail"}
    assert parse(json.dumps(message)) == OrganizationChanged(name, ACCOUNT)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-05-04T12:00:00Z", datetime(2026, 5, 4, 12, tzinfo=UTC)),
        ("2026-05-04T14:00:00+02:00", datetime(2026, 5, 4, 12, tzinfo=UTC)),
        ("2026-05-04T12:00:00", datetime(2026, 5, 4, 12, tzinfo=UTC)),
        ("yesterday", None),
        ("0001-01-01T00:00:00+14:00", None),
        (None, None),
    ],
)
def test_the_time_of_an_event(text: str | None, time: datetime | None) -> None:
    hint = parse(json.dumps(event("CreateUser", {"userName": "bob"}, eventTime=text)))
    assert isinstance(hint, Hint)
    assert hint.time == time


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from([name for _, name in TABLE]) | st.text(max_size=20)
EVENTS = st.fixed_dictionaries(
    {
        "source": st.sampled_from(["aws.iam", "aws.organizations", "aws.signin"]) | JSON,
        "account": st.just(ACCOUNT) | JSON,
        "detail": st.fixed_dictionaries(
            {"eventName": NAMES},
            optional={
                "eventTime": st.datetimes().map(str) | JSON,
                "userIdentity": st.sampled_from([ALICE, ADMIN, ROOT]) | JSON,
                "requestParameters": st.fixed_dictionaries(
                    {}, optional={"userName": JSON, "newUserName": JSON, "policyArn": JSON | st.just(OURS)}
                )
                | JSON,
                "errorCode": JSON,
            },
        )
        | JSON,
    }
)


@given(EVENTS.map(json.dumps) | JSON.map(json.dumps) | st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
@example(json.dumps(event("CreateUser", {"userName": "bob"})))
def test_whatever_a_message_holds_it_asks_for_one_look_at_most(body: str) -> None:
    parsed = parse(body)
    assert parsed.type in TYPES
    if isinstance(parsed, Hint):
        assert parsed.account_id.isascii()
        assert len(parsed.account_id) == 12
        assert len(parsed.users) <= 2
        assert all(0 < len(user) <= 64 for user in parsed.users)
        assert parsed.time is None or parsed.time.tzinfo is UTC


def test_the_rule_in_aws_sends_what_hints() -> None:
    """deploy/aws/events-rule.yaml names the events one by one."""
    rule = (Path(__file__).parents[2] / "deploy" / "aws" / "events-rule.yaml").read_text(encoding="utf-8")
    sent = {word for word in re.findall(r"\b[A-Z][A-Za-z]+\b", rule) if word in {name for _, name in TABLE}}
    assert sent == {name for (_, name), about in TABLE.items() if about is not About.NOTHING}
