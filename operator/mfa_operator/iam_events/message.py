"""One message of the queue, parsed: what to read again because of it. Pure, and safe on whatever stands in it.

A message is an event as EventBridge delivers CloudTrail's records: an envelope, and the record in its `detail`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec

from mfa_operator.api.enums import ROOT_USER
from mfa_operator.api.text import error_text
from mfa_operator.aws.quarantine_document import PATH, Variant
from mfa_operator.iam_events.table import OTHER, TABLE, UNREADABLE, About

MAX_BYTES = 1024 * 1024
"""Of a message: as much as SQS and EventBridge carry."""
MAX_SHOWN = 120
"""Characters of an unreadable message that the log shows."""
ROOT_IN_EVENTS = "AWS ROOT USER"
"""What IAM writes as requestParameters.userName where root's device is meant."""

_ACCOUNT_ID = re.compile(r"[0-9]{12}")
_USER_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
"""As the IAM API reference has it for UserName."""


@dataclass(frozen=True, slots=True)
class Hint:
    """Users of an account to be read again; without users, what the account tells of all users at once."""

    type: str
    account_id: str
    users: frozenset[str]
    time: datetime | None
    """When it happened, in UTC; None where the event does not say."""


@dataclass(frozen=True, slots=True)
class OrganizationChanged:
    """An account joined or left an organization: its list of accounts is out of date."""

    type: str
    account_id: str
    """The account that recorded it; empty where it is not said."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """An event that changes no verdict."""

    type: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """No event at all; `problem` says why, and shows the beginning without secrets."""

    problem: str
    type: str = UNREADABLE


Parsed: TypeAlias = Hint | OrganizationChanged | Ignored | Unreadable


class _Identity(msgspec.Struct, rename="camel"):
    type: str = ""
    account_id: str | None = None
    user_name: str | None = None


class _Parameters(msgspec.Struct, rename="camel"):
    user_name: str | None = None
    new_user_name: str | None = None
    policy_arn: str | None = None


class _Record(msgspec.Struct, rename="camel"):
    event_name: str
    event_time: str | None = None
    user_identity: _Identity | None = None
    request_parameters: _Parameters | None = None
    error_code: str | None = None
    recipient_account_id: str | None = None


class _Name(msgspec.Struct, rename="camel"):
    event_name: str = ""


class _Envelope(msgspec.Struct):
    source: str
    detail: msgspec.Raw = msgspec.Raw(b"{}")
    account: str | None = None


# Made here: msgspec is not safe where two threads make the first decoder of a type at once.
_ENVELOPE = msgspec.json.Decoder(_Envelope)
_NAME = msgspec.json.Decoder(_Name)
_RECORD = msgspec.json.Decoder(_Record)


def parse(body: str) -> Parsed:
    """What a message says. Never raises, whatever the message holds."""
    # A character has at least one byte: what is longer need not be encoded to be refused.
    if len(body) > MAX_BYTES:
        return Unreadable(f"longer than {MAX_BYTES} bytes")
    try:
        envelope = _ENVELOPE.decode(body.encode())
        # An event of another service may call anything `eventName`, or have no object as its detail.
        name = _name(envelope)
        about = TABLE.get((envelope.source, name))
        if about is None:
            return Ignored(OTHER)
        return _of_record(name, about, envelope, _RECORD.decode(envelope.detail))
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        return Unreadable(f"{error_text(str(error), MAX_SHOWN)}; it begins with {error_text(body, MAX_SHOWN)!r}")


def _name(envelope: _Envelope) -> str:
    try:
        return _NAME.decode(envelope.detail).event_name
    except msgspec.ValidationError:
        return ""


def _of_record(name: str, about: About, envelope: _Envelope, record: _Record) -> Parsed:
    if about is About.NOTHING or record.error_code:
        # What was refused changed nothing.
        return Ignored(name)
    account_id = envelope.account or record.recipient_account_id or ""
    if about is About.ORGANIZATION:
        return OrganizationChanged(name, account_id if _ACCOUNT_ID.fullmatch(account_id) else "")
    if not _ACCOUNT_ID.fullmatch(account_id):
        return Unreadable(f"{name} without the id of an account")
    parameters = record.request_parameters or _Parameters()
    if about is not About.USER and not _is_quarantine(parameters.policy_arn or ""):
        return Ignored(name)
    names = set[str]()
    if about is not About.QUARANTINE_POLICY:
        names = _names(parameters, record.user_identity or _Identity(), account_id)
    if any(user != ROOT_IN_EVENTS and not _USER_NAME.fullmatch(user) for user in names):
        return Unreadable(f"{name} of a user that cannot exist in IAM")
    users = frozenset(ROOT_USER if user == ROOT_IN_EVENTS else user for user in names)
    return Hint(name, account_id, users, _moment(record.event_time))


def _names(parameters: _Parameters, caller: _Identity, account_id: str) -> set[str]:
    """Both names of a user who was renamed; the caller where none is named; empty where that is not known either."""
    named = parameters.user_name
    if named is None and caller.type == "Root":
        named = ROOT_IN_EVENTS
    elif named is None and caller.type == "IAMUser" and caller.account_id in {None, account_id}:
        named = caller.user_name
    return {name for name in (named, parameters.new_user_name) if name is not None}


def _is_quarantine(policy_arn: str) -> bool:
    return any(policy_arn.endswith(f":policy{PATH}{variant}") for variant in Variant)


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
