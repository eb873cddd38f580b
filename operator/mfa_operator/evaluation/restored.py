"""After a restart: the live lookups that the last MfaReport holds, while the credential report is the same. Pure.

A user published as violating was read live: there was a login profile, and no MFA device. The facts stand as they
would in the memory of an operator that never stopped, no newer than they are, and are doubted for the same reasons. So
only violators are restored: whoever is compliant is judged by what a first pass sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec.structs import replace

from mfa_operator.api.enums import FindingReason, FindingState
from mfa_operator.api.status import Finding
from mfa_operator.evaluation.facts import Fact, LoginProfile, UserFacts
from mfa_operator.evaluation.lookup_cache import Memory

_VIOLATING = frozenset({FindingState.VIOLATING, FindingState.OVERDUE, FindingState.EXEMPT})


def restored(memory: Memory, users: Iterable[UserFacts], published: Mapping[str, Finding], now: datetime) -> Memory:
    """The memory with what `published` tells of `users`; what it holds already stays.

    `users` are this pass's bulk facts, `published` the last report's findings by user. Only to be called where both
    rest on the same credential report.
    """
    found = {
        facts.user.user_id: known
        for facts in users
        if (finding := published.get(facts.user.name)) and (known := _facts_behind(facts, finding, now))
    }
    return replace(memory, read_live={**found, **memory.read_live})


def _facts_behind(facts: UserFacts, finding: Finding, now: datetime) -> UserFacts | None:
    """The facts that the finding rests on; None where it does not say them, or is about a user deleted since."""
    at = finding.checked_at
    if finding.user_id != facts.user.user_id or at is None or at > now:
        return None
    if finding.state not in _VIOLATING or finding.reason != FindingReason.NO_MFA:
        # Which devices there were that do not count, the finding does not say.
        return None
    return UserFacts(
        user=replace(facts.user, password_last_used=finding.last_sign_in),
        # The same report, the same row.
        row=facts.row,
        has_virtual_device=Fact(value=False, at=at),
        profile=Fact(LoginProfile(finding.console_since), at) if finding.console_since else None,
        devices=Fact(frozenset(), at),
    )
