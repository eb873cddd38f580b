"""Judging: facts of an account, a policy and the previous report make verdicts. Pure; `now` is an argument.

Users are judged by rules.py, root here by the account's summary (CIS AWS Foundations 1.5 and 1.6). A violation keeps
the firstSeen of the last report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from mfa_operator.api.conversion import prepare
from mfa_operator.api.enums import (
    ROOT_USER,
    FindingReason,
    FindingState,
    RootRequirement,
    UserScope,
    UserState,
)
from mfa_operator.api.policy import PolicySpec
from mfa_operator.api.status import Finding
from mfa_operator.evaluation.exemptions import candidates, covering
from mfa_operator.evaluation.facts import LoginProfile, RootFacts, Snapshot, UserFacts
from mfa_operator.evaluation.rules import RULES, Case
from mfa_operator.evaluation.sufficiency import Needs

CLOCK_SKEW = timedelta(minutes=5)
"""How far AWS's clock and ours may be apart before a time in the future is taken for an error."""
READS_MAY_LAG = timedelta(minutes=15)
"""How long IAM is believed to show what was deleted. It is seconds, as a rule; after this, it was never deleted."""


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """The judgement on one user."""

    user: str
    path: str
    user_id: str
    state: UserState
    reason: FindingReason | None = None
    console: bool | None = None
    """Whether there is console access; None where it is not known."""
    console_since: datetime | None = None
    last_sign_in: datetime | None = None
    created: datetime | None = None
    checked_at: datetime | None = None
    """When the older of the live lookups was made that a violation rests on."""
    first_seen: datetime | None = None
    deadline: datetime | None = None
    exemption: str = ""


def needs_of(spec: PolicySpec) -> Needs:
    """What a policy needs to know of every account."""
    return Needs(
        scope=spec.requirement.users,
        accepted=spec.requirement.accepted,
        max_staleness=spec.max_staleness.delta,
        interval=spec.interval.delta,
        root=spec.requirement.root is not RootRequirement.IGNORE,
    )


def evaluate(
    spec: PolicySpec,
    snapshot: Snapshot,
    previous: Mapping[str, Finding],
    now: datetime,
    *,
    checkpoint: Callable[[], object] = lambda: None,
) -> list[Verdict]:
    """Verdicts on every user of the account, root among them where the policy asks for it, ordered by name.

    `previous` holds the findings of the last MfaReport by user: firstSeen lives on in them. `checkpoint` is called
    again and again meanwhile; what it raises ends the judging.
    """
    needs = needs_of(spec)
    verdicts = []
    for seen in snapshot.users:
        before = earlier_finding(previous, seen.user.name, seen.user.user_id)
        facts = _without_removed_profile(seen, before, now)
        case = Case(facts, spec, needs, snapshot.account_id, now, checkpoint)
        state, reason, exemption = next(ruling for rule in RULES if (ruling := rule(case)))
        verdict = Verdict(
            user=facts.user.name,
            path=facts.user.path,
            user_id=facts.user.user_id,
            state=state,
            reason=reason,
            console=case.console,
            console_since=facts.profile.value.created if facts.profile else None,
            last_sign_in=facts.user.password_last_used,
            created=facts.user.created,
            checked_at=_checked_at(facts) if state in (UserState.VIOLATING, UserState.EXEMPT) else None,
            exemption=exemption,
        )
        verdicts.append(_dated(verdict, before, spec, now))
    if needs.root and snapshot.root:
        verdicts.append(_dated(_root(snapshot.root, snapshot, spec, now), previous.get(ROOT_USER), spec, now))
    return sorted(verdicts, key=lambda verdict: verdict.user)


def earlier_finding(previous: Mapping[str, Finding], name: str, user_id: str) -> Finding | None:
    """What the last report says of this very user."""
    found = previous.get(name)
    return found if found and found.is_about(user_id) else None


def _checked_at(facts: UserFacts) -> datetime | None:
    return min((fact.at for fact in (facts.profile, facts.devices) if fact), default=None)


def _without_removed_profile(facts: UserFacts, before: Finding | None, now: datetime) -> UserFacts:
    """The facts without a login profile that we removed, and that IAM, which is eventually consistent, still shows.

    It is the same one where it was created at the same time: a new one is a new violation.
    """
    record, profile = before.remediation if before else None, facts.profile
    if record is None or profile is None or not record.is_removal or record.time is None:
        return facts
    created = profile.value.created
    same = created is not None and created.replace(microsecond=0) == record.profile_created
    if not same or not timedelta(0) <= now - record.time <= READS_MAY_LAG:
        return facts
    return replace(facts, profile=replace(profile, value=LoginProfile(created=None)))


def _root(root: RootFacts, snapshot: Snapshot, spec: PolicySpec, now: datetime) -> Verdict:
    """Root is judged by the account's summary; it has no login profile."""
    verdict = Verdict(ROOT_USER, "/", "root", UserState.COMPLIANT, console=root.password)
    nothing_to_protect = root.password is False and root.access_keys is False
    # GovCloud's root cannot sign in: its password is `not_supported` and it has no MFA to enable.
    if nothing_to_protect or (snapshot.partition == "aws-us-gov" and root.password is None and not root.access_keys):
        return replace(verdict, console=False)
    if root.failure or root.mfa is None:
        return replace(verdict, state=UserState.UNKNOWN, reason=root.failure or FindingReason.LOOKUP_FAILED)
    if not root.mfa:
        reason = FindingReason.ROOT_NO_MFA
    elif spec.requirement.root is RootRequirement.HARDWARE_MFA and root.virtual_device is not False:
        if root.virtual_device is None:
            return replace(verdict, state=UserState.UNKNOWN, reason=FindingReason.LOOKUP_DENIED)
        reason = FindingReason.ROOT_NO_HARDWARE_MFA
    else:
        return verdict
    found = candidates(spec, snapshot.account_id, ROOT_USER, "/", now)
    if exemption := covering(found, {}):
        return replace(verdict, state=UserState.EXEMPT, reason=reason, exemption=exemption.reason)
    return replace(verdict, state=UserState.VIOLATING, reason=reason)


def _dated(verdict: Verdict, before: Finding | None, spec: PolicySpec, now: datetime) -> Verdict:
    """Add firstSeen and deadline. A verdict carries the firstSeen of the violation that it goes on with.

    It is another violation where the user was recreated, got a new login profile, or was exempt in between.
    """
    if verdict.state not in (UserState.VIOLATING, UserState.EXEMPT, UserState.UNKNOWN):
        return verdict
    began = [verdict.created, verdict.console_since if spec.requirement.users is UserScope.CONSOLE else None]
    begin = max((moment.replace(microsecond=0) for moment in began if moment), default=None)
    first_seen = before.first_seen if before and _goes_on(verdict, before, begin) else None
    if first_seen is None and verdict.state is UserState.UNKNOWN:
        return verdict
    if first_seen is None or first_seen > now + CLOCK_SKEW:
        # AWS's clock may be a little ahead of ours: a violation never starts before its user and login profile.
        first_seen = min(max(now, begin or now), now + CLOCK_SKEW)
    if verdict.state is UserState.EXEMPT:
        return replace(verdict, first_seen=first_seen)
    deadline = first_seen + spec.grace_period.delta
    if verdict.state is UserState.VIOLATING and now >= deadline:
        verdict = replace(verdict, state=UserState.OVERDUE)
    return replace(verdict, first_seen=first_seen, deadline=deadline)


def _goes_on(verdict: Verdict, before: Finding, begin: datetime | None) -> bool:
    if before.first_seen is None or before.state is FindingState.REMEDIATED:
        return False
    was_exempt = before.state is FindingState.EXEMPT
    return was_exempt is (verdict.state is UserState.EXEMPT) and (begin is None or begin <= before.first_seen)


prepare(Verdict)
