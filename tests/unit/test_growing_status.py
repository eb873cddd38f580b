"""MfaPolicy.status while a pass runs: it grows, and never says more good than the last whole pass did."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mfa_operator.api.enums import AccountReason, AccountState, ConditionReason, ConditionType
from mfa_operator.api.status import AccountStatus, Condition, Counts, PolicyStatus
from mfa_operator.reporting.account_result import AccountResult
from mfa_operator.reporting.growing_status import Progress, growing_status, pass_running_status
from mfa_operator.reporting.policy_status import policy_status
from tests.unit.crd_schema import problems
from tests.unit.facts import HOUR, NOW, spec

GOODNESS = ("False", "Unknown", "True")


def result(number: int, state: AccountState, **counts: int) -> AccountResult:
    reason = "" if state is AccountState.AUDITED else AccountReason.TIMEOUT
    status = AccountStatus(id=f"{number:012}", state=state, reason=reason)
    return AccountResult(status=status, counts=Counts(users=1, **counts) if counts else None)


def audited(number: int, **counts: int) -> AccountResult:
    return result(number, AccountState.AUDITED, **(counts or {"compliant": 1}))


def status_of(status: PolicyStatus, kind: ConditionType) -> Condition:
    found = status.condition(kind)
    assert found is not None
    return found


def test_before_the_first_pass_ends_it_says_how_far_it_is() -> None:
    begun = pass_running_status(PolicyStatus(), 1, NOW)
    results = [audited(number, violating=1) for number in range(412)]
    status = growing_status(begun, 1, results, Progress(412, 0, 1000), NOW + HOUR, asked_for=True)
    ready, running = (status_of(status, kind) for kind in (ConditionType.READY, ConditionType.RECONCILING))
    assert (ready.status, ready.reason) == ("Unknown", ConditionReason.PENDING)
    assert "412 of 1,000 accounts audited" in ready.message
    assert (running.status, running.message) == ("True", "a pass is under way: 412 of 1,000 accounts audited")
    assert status_of(status, ConditionType.COMPLIANT).status == "Unknown"
    assert (status.accounts_total, len(status.accounts)) == (1000, 200)
    assert status.summary is not None
    assert (status.summary.accounts, status.summary.violating) == (1000, 412)
    # The next start must not take this for a pass.
    assert (status.observed_generation, status.last_pass_time, status.next_pass_time) == (0, None, None)
    assert problems(status, "mfapolicies") == []


def test_accounts_that_fail_are_named_in_the_progress() -> None:
    assert str(Progress(3, 2, 5)) == "3 of 5 accounts audited, 2 could not be audited"
    assert str(Progress(1, 0, 1)) == "1 of 1 account audited"


def test_a_violation_shows_before_the_pass_is_over() -> None:
    before = policy_status(spec(), 1, [audited(1), audited(2)], PolicyStatus(), NOW, NOW + HOUR)
    results = [audited(1, violating=1), audited(2)]
    status = growing_status(before, 1, results, Progress(1, 0, 2), NOW + HOUR, asked_for=False)
    compliant = status_of(status, ConditionType.COMPLIANT)
    assert (compliant.status, compliant.last_transition_time) == ("False", NOW + HOUR)
    # Nobody asked for this pass: a GitOps tool must not show the policy as progressing four times an hour.
    assert status.condition(ConditionType.RECONCILING) is None


STATES = st.sampled_from(
    [
        audited,
        lambda number: audited(number, violating=1),
        lambda number: audited(number, unknown=1),
        lambda number: result(number, AccountState.FAILED),
        lambda number: result(number, AccountState.DENIED, overdue=1),
    ]
)
WORLD = st.lists(STATES, min_size=1, max_size=6).map(lambda makers: [make(n) for n, make in enumerate(makers)])


@given(st.none() | WORLD, WORLD, st.data(), st.booleans())
def test_it_never_gets_better_before_the_pass_is_over(
    earlier: list[AccountResult] | None, world: list[AccountResult], data: st.DataObject, asked_for: bool
) -> None:
    before = PolicyStatus()
    if earlier is not None:
        before = policy_status(spec(), 1, earlier, before, NOW, NOW + HOUR)
    last = pass_running_status(before, 2, NOW) if asked_for else before
    known = {one.status.id: one for one in earlier or ()}
    done: dict[str, AccountResult] = {}
    for one in data.draw(st.permutations(world)):
        done[one.status.id] = one
        both = known | done
        results = [both[each.status.id] for each in world if each.status.id in both]
        failed = sum(not each.audited for each in done.values())
        progress = Progress(len(done) - failed, failed, len(world))
        status = growing_status(last, 2, results, progress, NOW + HOUR, asked_for=asked_for)
        for kind in (ConditionType.READY, ConditionType.COMPLIANT):
            was, now = last.condition(kind), status.condition(kind)
            if was is None:
                assert now is None or now.status == "Unknown"
                continue
            assert now is not None
            assert GOODNESS.index(now.status) <= GOODNESS.index(was.status)
        found = status.condition(ConditionType.COMPLIANT)
        if len(results) < len(world) and earlier is None and found is not None:
            assert found.status == "Unknown"
        assert (status.observed_generation, status.last_pass_time) == (
            before.observed_generation,
            before.last_pass_time,
        )
        assert (status.accounts_total, len(status.accounts)) == (len(world), len(results))
        last = status
