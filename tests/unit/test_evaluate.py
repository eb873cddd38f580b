"""Judging users: the order of the rules, and what each of them says."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfa_operator.api.enums import DeviceType, FindingReason, UserScope, UserState
from mfa_operator.api.policy import Account, PolicySpec
from mfa_operator.evaluation.facts import UserFacts
from mfa_operator.evaluation.rules import Case, wants_tags
from mfa_operator.evaluation.verdicts import Verdict, evaluate, needs_of
from mfa_operator.reporting.account_report import account_report
from tests.unit.facts import (
    ANY,
    CREATED,
    DAY,
    HOUR,
    ID,
    MINUTE,
    NOW,
    devices,
    facts,
    profile,
    row,
    snapshot,
    spec,
    tags,
    violator,
    virtual,
)

EXEMPT = [{"users": ["*"], "reason": "Because"}]
EXEMPT_IF_TAGGED = [{"users": ["*"], "reason": "Tagged", "tags": {"mfa-exempt": "true"}}]
OLD = NOW - 30 * HOUR
GONE = profile(None)
FAILED, DENIED = FindingReason.LOOKUP_FAILED, FindingReason.LOOKUP_DENIED
Ruling = tuple[UserState, FindingReason | None]

NO_CONSOLE: Ruling = (UserState.NO_CONSOLE, None)
COMPLIANT: Ruling = (UserState.COMPLIANT, None)
VIOLATING: Ruling = (UserState.VIOLATING, FindingReason.NO_MFA)
STALE: Ruling = (UserState.UNKNOWN, FindingReason.STALE)


def judge(subject: UserFacts, policy: PolicySpec | None = None, now: datetime = NOW) -> Verdict:
    [verdict] = evaluate(policy or spec(), snapshot(subject), {}, now)
    return verdict


def all_users(**fields: Any) -> PolicySpec:
    return spec(requirement={"users": "All"} | fields)


@pytest.mark.parametrize(
    ("known", "ruling"),
    [
        # What stands higher in the chain wins over all below it.
        ({"profile": GONE, "failure": DENIED}, NO_CONSOLE),
        ({"row": row(password=False), "failure": DENIED}, (UserState.UNKNOWN, DENIED)),
        (
            {"profile": profile(), "devices": devices(DeviceType.VIRTUAL), "failure": FAILED},
            (UserState.UNKNOWN, FAILED),
        ),
        ({"has_virtual_device": virtual(True), "failure": FAILED}, (UserState.UNKNOWN, FAILED)),
        ({}, STALE),
        ({"row": row(password=None, mfa=True)}, STALE),
        ({"row": row(twice=True), "has_virtual_device": virtual(True)}, STALE),
        ({"row": row(password=False)}, NO_CONSOLE),
        ({"row": row(password=False), "devices": devices()}, NO_CONSOLE),
        ({"row": row(), "profile": GONE, "devices": devices()}, NO_CONSOLE),
        ({"row": row(), "has_virtual_device": virtual(True)}, COMPLIANT),
        ({"row": row(mfa=False), "devices": devices(DeviceType.SECURITY_KEY)}, COMPLIANT),
        ({"row": row(mfa=False), "devices": devices(DeviceType.SMS, DeviceType.HARDWARE_TOKEN)}, COMPLIANT),
        # Nobody violates on the report's word alone.
        ({"row": row(mfa=False)}, STALE),
        ({"row": row(mfa=None)}, STALE),
        ({"row": row(), "devices": devices()}, VIOLATING),
        ({"profile": profile(), "devices": devices()}, VIOLATING),
        (
            {"profile": profile(), "devices": devices(DeviceType.SMS)},
            (UserState.VIOLATING, FindingReason.DEVICE_TYPE_NOT_ALLOWED),
        ),
        # Facts that are too old are none.
        ({"row": row(password=False, at=OLD)}, STALE),
        ({"profile": profile(None, at=OLD)}, STALE),
        ({"row": row(), "devices": devices(DeviceType.SECURITY_KEY, at=OLD)}, STALE),
    ],
)
def test_the_first_rule_that_speaks_decides(known: dict[str, Any], ruling: Ruling) -> None:
    verdict = judge(facts(**known))
    assert (verdict.state, verdict.reason) == ruling


@pytest.mark.parametrize(
    ("known", "ruling"),
    [
        ({"row": row(password=False), "devices": devices()}, VIOLATING),
        ({"profile": GONE, "devices": devices()}, VIOLATING),
        ({"profile": GONE, "devices": devices(DeviceType.VIRTUAL)}, COMPLIANT),
        ({"profile": GONE, "failure": DENIED}, (UserState.UNKNOWN, DENIED)),
        ({"devices": devices()}, VIOLATING),
        ({"profile": GONE}, STALE),
    ],
)
def test_with_all_users_in_scope_a_password_does_not_matter(known: dict[str, Any], ruling: Ruling) -> None:
    """Users with keys alone are out of scope only with `users: Console`."""
    verdict = judge(facts(**known), all_users())
    assert (verdict.state, verdict.reason) == ruling


def test_a_sign_in_after_the_report_casts_doubt_on_no_password() -> None:
    """A false pass; an old sign-in proves nothing."""
    assert judge(facts(row=row(password=False, at=NOW - HOUR), used=NOW - 2 * HOUR)).state is UserState.NO_CONSOLE
    assert judge(facts(row=row(password=False, at=NOW - HOUR), used=NOW - MINUTE)).state is UserState.UNKNOWN


@pytest.mark.parametrize("kinds", [frozenset({one}) for one in DeviceType] + [ANY])
def test_any_one_device_of_an_accepted_type_suffices(kinds: frozenset[DeviceType]) -> None:
    for accepted in DeviceType:
        policy = spec(requirement={"deviceTypes": [accepted]})
        verdict = judge(violator(devices=devices(*kinds)), policy)
        assert (verdict.state is UserState.COMPLIANT) is (accepted in kinds)
        assert (verdict.reason is FindingReason.DEVICE_TYPE_NOT_ALLOWED) is (accepted not in kinds)


def test_a_virtual_device_counts_only_if_accepted() -> None:
    subject = violator(has_virtual_device=virtual(True), devices=devices(DeviceType.VIRTUAL))
    assert judge(subject).state is UserState.COMPLIANT
    assert judge(subject, spec(requirement={"deviceTypes": ["SecurityKey"]})).state is UserState.VIOLATING


def test_the_reports_mfa_counts_only_if_any_device_is_accepted() -> None:
    subject = facts(row=row(mfa=True))
    assert judge(subject, spec(requirement={"deviceTypes": list(DeviceType)})).state is UserState.COMPLIANT
    assert judge(subject).state is UserState.UNKNOWN


@pytest.mark.parametrize(
    ("subject", "state"),
    [
        (facts(row=row(password=False)), UserState.NO_CONSOLE),
        (facts(row=row(), has_virtual_device=virtual(True)), UserState.COMPLIANT),
        (facts(row=row(), failure=DENIED), UserState.UNKNOWN),
        (violator(), UserState.EXEMPT),
    ],
)
def test_only_who_would_violate_is_exempt(subject: UserFacts, state: UserState) -> None:
    verdict = judge(subject, spec(exemptions=EXEMPT))
    assert verdict.state is state
    assert verdict.exemption == ("Because" if state is UserState.EXEMPT else "")


def test_an_exempt_user_keeps_the_reason_of_the_violation() -> None:
    assert judge(violator(), spec(exemptions=EXEMPT)).reason is FindingReason.NO_MFA
    sms = violator(devices=devices(DeviceType.SMS))
    assert judge(sms, spec(exemptions=EXEMPT)).reason is FindingReason.DEVICE_TYPE_NOT_ALLOWED


def test_where_only_tags_can_tell_they_are_asked_for_and_decide() -> None:
    policy = spec(exemptions=EXEMPT_IF_TAGGED)

    def asked(subject: UserFacts, policy: PolicySpec = policy) -> bool:
        return wants_tags(Case(subject, policy, needs_of(policy), ID, NOW))

    assert asked(violator())
    assert not asked(violator(tags=tags()))
    assert not asked(facts(row=row(password=False)))
    assert not asked(facts(row=row(), has_virtual_device=virtual(True)))
    assert not asked(violator(failure=DENIED))
    assert not asked(violator(), spec())
    assert not asked(violator(), spec(exemptions=[*EXEMPT, *EXEMPT_IF_TAGGED]))
    assert judge(violator(tags=tags(**{"mfa-exempt": "true"})), policy).state is UserState.EXEMPT
    assert judge(violator(tags=tags(**{"mfa-exempt": "false"})), policy).state is UserState.VIOLATING
    unread = judge(violator(), policy)
    assert (unread.state, unread.reason) == (UserState.UNKNOWN, FAILED)


def test_tags_that_are_too_old_exempt_nobody() -> None:
    policy = spec(exemptions=EXEMPT_IF_TAGGED, maxStaleness="1h")
    old = violator(tags=tags(NOW - 5 * HOUR, **{"mfa-exempt": "true"}))
    assert wants_tags(Case(old, policy, needs_of(policy), ID, NOW))
    assert judge(old, policy).state is UserState.UNKNOWN


def test_what_is_needed_follows_the_spec() -> None:
    wanted = needs_of(all_users(root="Mfa", deviceTypes=["SecurityKey"]))
    assert (wanted.scope, wanted.root, wanted.accepted) == (UserScope.ALL, True, frozenset({DeviceType.SECURITY_KEY}))
    usual = needs_of(spec(interval="20m"))
    assert (usual.root, usual.max_staleness, usual.interval) == (False, 4 * HOUR, 20 * MINUTE)


def test_a_verdict_says_what_is_known_of_the_user() -> None:
    used = NOW - DAY
    verdict = judge(violator(path="/eng/", profile=profile(CREATED + DAY), used=used))
    assert (verdict.user, verdict.path, verdict.user_id, verdict.console) == ("alice", "/eng/", "AIDAALICE", True)
    assert (verdict.console_since, verdict.last_sign_in, verdict.created) == (CREATED + DAY, used, CREATED)
    assert judge(facts(row=row(password=False))).console is False
    assert judge(facts()).console is None


FACT_TIMES = st.sampled_from([timedelta(), HOUR, 5 * HOUR, 30 * HOUR]).map(lambda age: NOW - age)
BOOL_OR_NOT = st.sampled_from([True, False, None])
SUBJECTS = st.builds(
    facts,
    st.text("abc", min_size=1, max_size=4),
    used=st.none() | FACT_TIMES,
    row=st.none() | st.builds(row, password=BOOL_OR_NOT, mfa=BOOL_OR_NOT, at=FACT_TIMES, twice=st.booleans()),
    has_virtual_device=st.none() | st.builds(virtual, st.booleans()),
    profile=st.none() | st.builds(profile, st.none() | FACT_TIMES, at=FACT_TIMES),
    devices=st.none()
    | st.sets(st.sampled_from(DeviceType)).flatmap(
        lambda kinds: st.builds(devices, *map(st.just, kinds), at=FACT_TIMES)
    ),
    tags=st.none() | st.just(tags(**{"mfa-exempt": "true"})),
    failure=st.none() | st.sampled_from([DENIED, FAILED, FindingReason.NOT_VISIBLE_YET]),
)
POLICIES = st.builds(
    lambda scope, kinds, grace, exemptions: spec(
        requirement={"users": scope, "deviceTypes": sorted(kinds)}, gracePeriod=grace, exemptions=exemptions
    ),
    st.sampled_from(["Console", "All"]),
    st.sets(st.sampled_from(DeviceType), min_size=1),
    st.sampled_from(["0s", "168h"]),
    st.sampled_from([[], EXEMPT_IF_TAGGED, [{"users": ["a*"], "reason": "Because"}]]),
)


@given(st.lists(SUBJECTS, unique_by=lambda one: one.user.name, max_size=8), POLICIES)
def test_the_counts_of_all_states_add_up_to_the_users(subjects: list[UserFacts], policy: PolicySpec) -> None:
    verdicts = evaluate(policy, snapshot(*subjects), {}, NOW)
    assert [verdict.user for verdict in verdicts] == sorted(one.user.name for one in subjects)
    counts = account_report(Account(id=ID), snapshot(*subjects), verdicts, NOW).summary
    assert counts.states == dict.fromkeys(UserState, 0) | Counter(verdict.state for verdict in verdicts)
    assert sum(counts.states.values()) == counts.users == len(subjects)
    assert counts.console_users == sum(verdict.console is True for verdict in verdicts)


@given(SUBJECTS, POLICIES)
def test_every_verdict_has_what_its_state_promises(subject: UserFacts, policy: PolicySpec) -> None:
    verdict = judge(subject, policy)
    found = verdict.state not in (UserState.NO_CONSOLE, UserState.COMPLIANT)
    assert (verdict.reason is not None) is found
    assert bool(verdict.exemption) is (verdict.state is UserState.EXEMPT)
    dated = verdict.state in (UserState.VIOLATING, UserState.OVERDUE)
    assert (verdict.deadline is not None) is dated
    if dated:
        # A violator was seen live to have no accepted device, and not known to have no console.
        assert verdict.first_seen is not None
        assert subject.devices is not None
        assert policy.requirement.accepted.isdisjoint(subject.devices.value)
        assert subject.devices.at >= NOW - policy.max_staleness.delta - policy.interval.delta
        assert policy.requirement.users is UserScope.ALL or verdict.console is True
    if subject.failure:
        assert verdict.state in (UserState.UNKNOWN, UserState.NO_CONSOLE)
