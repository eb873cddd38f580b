"""firstSeen and deadline: what goes on, what begins anew, and what clocks may not do."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfa_operator.api.enums import ROOT_USER, FindingReason, FindingState, RootRequirement, UserState
from mfa_operator.api.policy import PolicySpec
from mfa_operator.api.status import Finding
from mfa_operator.evaluation.facts import RootFacts, UserFacts
from mfa_operator.evaluation.verdicts import CLOCK_SKEW, Verdict, evaluate
from tests.unit.facts import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    devices,
    facts,
    finding,
    profile,
    row,
    snapshot,
    spec,
    tags,
    violator,
    virtual,
)

GRACE = 7 * DAY
SEEN = NOW - 3 * DAY
BEFORE = finding(first_seen=SEEN, deadline=SEEN + GRACE)
UNREACHABLE = facts(row=row(), failure=FindingReason.LOOKUP_DENIED)
EXEMPT_UNTIL = [{"users": ["*"], "reason": "Because", "expires": NOW.isoformat()}]


def judge(
    subject: UserFacts, before: Finding | None = BEFORE, policy: PolicySpec | None = None, now: datetime = NOW
) -> Verdict:
    [verdict] = evaluate(policy or spec(), snapshot(subject), {before.user: before} if before else {}, now)
    return verdict


def test_a_new_violation_is_first_seen_now_and_has_its_grace() -> None:
    verdict = judge(violator(), None)
    assert (verdict.state, verdict.first_seen, verdict.deadline) == (UserState.VIOLATING, NOW, NOW + GRACE)


def test_a_lasting_one_keeps_first_seen_and_updates_its_deadline() -> None:
    assert judge(violator()).first_seen == SEEN
    assert judge(violator()).deadline == SEEN + GRACE
    shorter = judge(violator(), policy=spec(gracePeriod="24h"))
    assert (shorter.state, shorter.deadline) == (UserState.OVERDUE, SEEN + DAY)


@pytest.mark.parametrize(
    ("now", "state"),
    [
        (SEEN + GRACE - timedelta(seconds=1), UserState.VIOLATING),
        (SEEN + GRACE, UserState.OVERDUE),
        (SEEN + GRACE + DAY, UserState.OVERDUE),
    ],
)
def test_a_violation_is_overdue_from_its_deadline_on(now: datetime, state: UserState) -> None:
    subject = violator(profile=profile(at=now), devices=devices(at=now))
    assert judge(subject, now=now).state is state


def test_without_grace_a_violation_is_overdue_at_once() -> None:
    verdict = judge(violator(), None, spec(gracePeriod="0s"))
    assert (verdict.state, verdict.first_seen, verdict.deadline) == (UserState.OVERDUE, NOW, NOW)


@pytest.mark.parametrize(
    ("subject", "goes_on"),
    [
        (violator(), True),
        (violator(created=SEEN, profile=profile(SEEN)), True),
        (violator(created=NOW - HOUR, profile=profile(NOW - HOUR)), False),
        (violator(profile=profile(NOW - HOUR)), False),
        (violator(profile=profile(SEEN - DAY)), True),
        (violator(path="/other/"), True),
        (violator(devices=devices()), True),
    ],
)
def test_a_new_user_or_login_profile_is_a_new_violation(subject: UserFacts, goes_on: bool) -> None:
    verdict = judge(subject)
    assert (verdict.first_seen == SEEN) is goes_on
    assert verdict.first_seen is not None
    assert verdict.deadline == verdict.first_seen + GRACE


def test_with_users_all_a_new_login_profile_changes_nothing() -> None:
    everybody = spec(requirement={"users": "All"})
    assert judge(violator(profile=profile(NOW - HOUR)), policy=everybody).first_seen == SEEN
    assert judge(violator(created=NOW - HOUR), policy=everybody).first_seen == NOW


def test_an_unreadable_user_keeps_the_earlier_first_seen() -> None:
    """The violation from before counts again once the user can be read."""

    verdict = judge(UNREACHABLE)
    assert (verdict.state, verdict.first_seen, verdict.deadline) == (UserState.UNKNOWN, SEEN, SEEN + GRACE)
    # And hands it on when somebody can look again.
    carried = finding(state=FindingState.UNKNOWN, reason=FindingReason.LOOKUP_DENIED, first_seen=SEEN)
    assert judge(violator(), carried).first_seen == SEEN


def test_unknown_is_no_violation_of_its_own_and_never_overdue() -> None:
    fresh = judge(UNREACHABLE, None)
    assert (fresh.first_seen, fresh.deadline) == (None, None)
    late = judge(UNREACHABLE, policy=spec(gracePeriod="0s"))
    assert (late.state, late.first_seen) == (UserState.UNKNOWN, SEEN)
    recreated = facts(created=NOW - HOUR, row=None, failure=FindingReason.LOOKUP_DENIED)
    assert judge(recreated).first_seen is None


@pytest.mark.parametrize(
    "subject", [facts(row=row(password=False)), facts(row=row(), has_virtual_device=virtual(True))]
)
def test_who_is_compliant_or_without_console_has_no_dates(subject: UserFacts) -> None:
    assert (judge(subject).first_seen, judge(subject).deadline) == (None, None)


def test_an_expired_exemption_starts_a_new_grace_period() -> None:
    exempt = finding(state=FindingState.EXEMPT, first_seen=SEEN, exemption="Because")
    during = judge(violator(), exempt, spec(exemptions=EXEMPT_UNTIL), NOW - timedelta(seconds=1))
    assert (during.state, during.first_seen, during.deadline) == (UserState.EXEMPT, SEEN, None)
    after = judge(violator(), exempt, spec(exemptions=EXEMPT_UNTIL))
    assert (after.state, after.first_seen, after.deadline) == (UserState.VIOLATING, NOW, NOW + GRACE)


def test_an_exemption_that_begins_ends_the_violation() -> None:
    policy = spec(exemptions=[{"users": ["*"], "reason": "Because"}])
    assert judge(violator(), policy=policy).first_seen == NOW
    lost_tags = judge(
        violator(tags=tags()), policy=spec(exemptions=[{"users": ["*"], "reason": "x", "tags": {"a": "b"}}])
    )
    assert lost_tags.first_seen == SEEN


def test_a_login_profile_made_after_removal_is_a_new_violation() -> None:
    removed = finding(state=FindingState.REMEDIATED, reason=FindingReason.CONSOLE_ACCESS_REMOVED, first_seen=SEEN)
    assert judge(violator(), removed).first_seen == NOW


@pytest.mark.parametrize("ahead", [MINUTE, CLOCK_SKEW, HOUR, 400 * DAY])
def test_a_future_first_seen_is_reset_beyond_small_clock_skew(ahead: timedelta) -> None:
    """A clock that was ahead must not hold the deadline off for a year."""
    verdict = judge(violator(), finding(first_seen=NOW + ahead))
    assert verdict.first_seen == (NOW + ahead if ahead <= CLOCK_SKEW else NOW)


def test_a_violation_starts_no_earlier_than_its_login_profile() -> None:
    """Or the next pass would take the profile for a new one, and begin again at each pass."""
    subject = violator(created=NOW + MINUTE, profile=profile(NOW + 2 * MINUTE))
    first = judge(subject, None)
    assert first.first_seen == NOW + 2 * MINUTE
    later = judge(subject, finding(first_seen=first.first_seen), now=NOW + HOUR)
    assert later.first_seen == first.first_seen


def test_fractions_of_a_second_do_not_restart_it() -> None:
    """Kubernetes keeps whole seconds."""
    created = NOW - HOUR + timedelta(microseconds=900_000)
    subject = violator(profile=profile(created))
    assert judge(subject, finding(first_seen=NOW - HOUR)).first_seen == NOW - HOUR


def root_verdict(before: Finding | None, now: datetime = NOW) -> Verdict:
    root = RootFacts(password=True, access_keys=False, mfa=False, virtual_device=False, at=now)
    policy = spec(requirement={"root": RootRequirement.MFA})
    [verdict] = evaluate(policy, snapshot(root=root), {ROOT_USER: before} if before else {}, now)
    return verdict


def test_root_has_dates_as_everybody() -> None:
    assert root_verdict(None).first_seen == NOW
    known = finding(ROOT_USER, reason=FindingReason.ROOT_NO_MFA, first_seen=SEEN)
    assert root_verdict(known).first_seen == SEEN
    assert root_verdict(known, NOW + GRACE).state is UserState.OVERDUE


AGES = st.sampled_from([-400 * DAY, -2 * MINUTE, timedelta(), MINUTE, HOUR, 3 * DAY, 30 * DAY]).map(
    lambda age: NOW - age
)


@given(
    st.none() | st.builds(finding, state=st.sampled_from(FindingState), first_seen=st.none() | AGES),
    AGES,
    AGES,
    st.sampled_from(["0s", "1h", "168h"]),
)
def test_dates_are_never_absurd_and_the_next_pass_keeps_them(
    before: Finding | None, created: datetime, profile_created: datetime, grace: str
) -> None:
    """No deadline before firstSeen, no firstSeen beyond the skew of clocks."""
    policy = spec(gracePeriod=grace)
    subject = violator(created=min(created, profile_created), profile=profile(profile_created))
    verdict = judge(subject, before, policy)
    assert verdict.first_seen is not None
    assert verdict.deadline == verdict.first_seen + policy.grace_period.delta
    assert verdict.first_seen <= NOW + CLOCK_SKEW
    assert (verdict.state is UserState.OVERDUE) is (verdict.deadline <= NOW)
    if profile_created <= NOW + CLOCK_SKEW:
        state = FindingState.OVERDUE if verdict.state is UserState.OVERDUE else FindingState.VIOLATING
        again = finding(state=state, first_seen=verdict.first_seen, deadline=verdict.deadline)
        assert judge(subject, again, policy).first_seen == verdict.first_seen


def test_the_date_of_one_user_is_not_anothers() -> None:
    verdicts = evaluate(
        spec(), snapshot(violator("alice"), violator("bob")), {"bob": finding("bob", first_seen=SEEN)}, NOW
    )
    assert [verdict.first_seen for verdict in verdicts] == [NOW, SEEN]


def test_a_namesake_has_a_violation_of_their_own() -> None:
    """Deleted and made again while our clock was ahead of AWS's: only the id tells the two users apart."""
    before = finding(user_id="AIDAOLD", first_seen=NOW, deadline=NOW + GRACE)
    later = NOW + 10 * MINUTE
    subject = violator(
        user_id="AIDANEW",
        created=NOW - MINUTE,
        row=None,
        profile=profile(NOW - MINUTE, at=later),
        devices=devices(at=later),
    )
    assert judge(subject, before, now=later).first_seen == later
    known_by_name_alone = finding(first_seen=NOW, deadline=NOW + GRACE)
    assert judge(subject, known_by_name_alone, now=later).first_seen == NOW
