"""What one pass leaves to the next about an account: the live lookups made, and who had a virtual device. Pure.

It is kept in the process only. Losing it at a restart costs calls, never a verdict; restored.py spares some of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from mfa_operator.api.conversion import prepare
from mfa_operator.api.enums import DeviceType
from mfa_operator.evaluation.facts import Fact, User, UserFacts

T = TypeVar("T")


class Memory(msgspec.Struct, frozen=True, array_like=True):
    """Facts of an earlier pass, by IAM user id: a deleted and recreated name is another user."""

    read_live: Mapping[str, UserFacts] = {}
    """Users that were asked about live, or whose virtual device went missing."""
    with_virtual_device: frozenset[str] = frozenset()


EMPTY = Memory()


def pack(memory: Memory) -> bytes:
    """The memory as it is kept between passes: some 100 bytes a user, a tenth of what the objects take."""
    return _ENCODER.encode(memory)


def unpack(packed: bytes) -> Memory:
    """What `pack` made."""
    return _DECODER.decode(packed)


def remember(users: Iterable[UserFacts], *, virtual_devices_known: bool, before: Memory) -> Memory:
    """The memory to keep after a pass that saw `users`."""
    users = tuple(users)
    return Memory(
        read_live={
            facts.user.user_id: replace(facts, failure=None)
            for facts in users
            if facts.profile or facts.devices or facts.lost_virtual_device
        },
        with_virtual_device=frozenset(
            facts.user.user_id for facts in users if facts.has_virtual_device and facts.has_virtual_device.value
        )
        if virtual_devices_known
        else before.with_virtual_device,
    )


def without(memory: Memory, user_ids: Collection[str]) -> Memory:
    """The memory without the live lookups of these users."""
    kept = {user_id: facts for user_id, facts in memory.read_live.items() if user_id not in user_ids}
    return Memory(kept, memory.with_virtual_device)


def with_tags(memory: Memory, tags: Mapping[str, Fact[Mapping[str, str]]]) -> Memory:
    """The memory with these tags, by user id, of the users that it holds."""
    known = {user_id: replace(facts, tags=tags.get(user_id, facts.tags)) for user_id, facts in memory.read_live.items()}
    return Memory(known, memory.with_virtual_device)


def forget(memory: Memory, before: datetime) -> Memory:
    """The memory without live lookups from before a moment: a person asked for a new audit."""

    def young(fact: Fact[T] | None) -> Fact[T] | None:
        return fact if fact and fact.at >= before else None

    return Memory(
        read_live={
            user_id: replace(facts, profile=young(facts.profile), devices=young(facts.devices), tags=young(facts.tags))
            for user_id, facts in memory.read_live.items()
        },
        with_virtual_device=memory.with_virtual_device,
    )


def read_live_since(memory: Memory, user: User, since: datetime) -> bool:
    """Whether the user was read live at `since` or later."""
    facts = memory.read_live.get(user.user_id)
    return facts is not None and any(fact is not None and fact.at >= since for fact in (facts.profile, facts.devices))


def recall(
    facts: UserFacts,
    memory: Memory,
    *,
    accepted: frozenset[DeviceType],
    report_time: datetime | None,
    deadline: datetime | None,
    now: datetime,
) -> UserFacts:
    """Add to this pass's bulk facts the earlier live answers that nothing has put in doubt since.

    `deadline` is when the user's violation becomes Overdue: once it has passed, the user is read again.
    """
    before = memory.read_live.get(facts.user.user_id)
    if _lost_virtual_device(facts, before, memory):
        return replace(facts, lost_virtual_device=True)
    if before is None or _in_doubt(facts, before, accepted, report_time, deadline, now):
        return facts
    return replace(
        facts,
        profile=_still_newest(before.profile, report_time),
        devices=_still_newest(before.devices, report_time) or _confirmed_devices(facts, before, accepted),
        tags=_still_newest(before.tags, report_time),
    )


def _lost_virtual_device(facts: UserFacts, before: UserFacts | None, memory: Memory) -> bool:
    if facts.has_virtual_device is None or facts.has_virtual_device.value:
        return False
    if facts.user.user_id in memory.with_virtual_device:
        return True
    # The loss was noticed before, but nobody could be asked then, and no newer report has spoken.
    return bool(before and before.lost_virtual_device and before.devices is None and before.row == facts.row)


def _in_doubt(
    facts: UserFacts,
    before: UserFacts,
    accepted: frozenset[DeviceType],
    report_time: datetime | None,
    deadline: datetime | None,
    now: datetime,
) -> bool:
    if _value(before.has_virtual_device) is not _value(facts.has_virtual_device):
        return True
    if _value(before.row) != _value(facts.row):
        return True
    read_at = max((fact.at for fact in (before.profile, before.devices) if fact), default=None)
    if read_at and deadline and read_at < deadline <= now:
        return True
    if before.profile and before.profile.value.exists and before.devices and accepted.isdisjoint(before.devices.value):
        return False
    # Not a violator then. A sign-in since, or no row that would tell of a new password, makes a new lookup worth it.
    return facts.user != before.user or (facts.row is None and report_time is not None)


def _still_newest(fact: Fact[T] | None, report_time: datetime | None) -> Fact[T] | None:
    return fact if fact and (report_time is None or fact.at >= report_time) else None


def _confirmed_devices(
    facts: UserFacts, before: UserFacts, accepted: frozenset[DeviceType]
) -> Fact[frozenset[DeviceType]] | None:
    """Devices seen live before a newer report, which says that there is one still, but not which."""
    if not (before.devices and facts.row and facts.row.value.mfa_active) or accepted.isdisjoint(before.devices.value):
        return None
    # AWS offers no SMS any more: who had none has none. Any other device may since have given way to another.
    any_device_will_do = accepted | {DeviceType.SMS} == frozenset(DeviceType)
    sure = any_device_will_do and DeviceType.SMS not in before.devices.value - accepted
    return replace(before.devices, at=facts.row.at) if sure else before.devices


def _value(fact: Fact[T] | None) -> T | None:
    return fact.value if fact else None


prepare(Memory)
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Memory)
