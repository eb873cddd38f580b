"""What happens between an audit and the action it led to: each change, at each moment before it would be too late."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from mfa_operator.api.enums import EventReason, FindingState, RefusalReason, RemediationState
from mfa_operator.aws.writes import MAX_SLOW_CHECKS
from mfa_operator.config.access_rules import AccessRules
from mfa_operator.kube.cluster import ObjectGone
from mfa_operator.scheduling.due import PassAbandoned
from mfa_sandbox.aws import Account
from tests.fixtures.remediation_harness import MINUTE, NAMESPACE, QUARANTINE, REMOVE, RemediationHarness

Change = Callable[[RemediationHarness, Account], object]
MOMENTS = ["write report", "report written", "get policy"]
"""Before the intent is published, right after, and before the policy is read anew."""


@pytest.fixture
def ready(harness: RemediationHarness, account: Account) -> RemediationHarness:
    """alice is Overdue, and published: the next pass acts on her."""
    account.user("alice", password=True, path="/eng/")
    harness.policy(account)
    harness.run()
    return harness


def untouched(harness: RemediationHarness, account: Account) -> bool:
    """Whether nobody was acted on."""
    return not harness.written() and not any(harness.counted().get(result) for result in ("done", "already_absent"))


def edit(**fields: Any) -> Change:
    return lambda harness, account: harness.policy(account, **fields)


def delete(harness: RemediationHarness, account: Account) -> None:
    harness.cluster.delete(next(iter(harness.cluster.policies)))


def recreate(harness: RemediationHarness, account: Account) -> None:
    delete(harness, account)
    harness.policy(account)


def terminate(harness: RemediationHarness, account: Account) -> None:
    """Deleted, and held by somebody's finalizer."""
    next(iter(harness.cluster.policies.values()))["metadata"]["deletionTimestamp"] = "2026-03-02T12:00:00Z"


def rules(*entries: object) -> Change:
    def change(harness: RemediationHarness, account: Account) -> None:
        harness.rules = AccessRules.from_dict({"access": list(entries)})

    return change


def switch_off(harness: RemediationHarness, account: Account) -> None:
    """--remediation=off, and likewise a settings file that is broken."""
    harness.rules = harness.rules.without_remediation()


def lose_leadership(harness: RemediationHarness, account: Account) -> None:
    harness.leading = False


def stop(harness: RemediationHarness, account: Account) -> None:
    harness.stopping.set()


STOPS: dict[str, Change] = {
    "suspended": edit(suspend=True),
    "dry run": edit(remediation={**REMOVE, "dryRun": True}),
    "no action": edit(remediation={"action": "None"}),
    "exempt by name": edit(exemptions=[{"users": ["al*"], "reason": "On leave"}]),
    "exempt by path": edit(exemptions=[{"users": ["/eng/*"], "reason": "On leave"}]),
    "longer grace": edit(gracePeriod="1h"),
    "another limit": edit(remediation={**REMOVE, "maxPerPass": 1}),
    "deleted": delete,
    "recreated": recreate,
    "being deleted": terminate,
    "access taken": rules({"namespaces": ["others"], "remediation": "RemoveConsoleAccess"}),
    "milder access": rules({"remediation": "None"}),
    "switched off": switch_off,
    "leadership lost": lose_leadership,
    "stopping": stop,
}


ENDS_THE_PASS = {"deleted", "recreated", "being deleted", "leadership lost", "stopping"}
"""What is the scheduler's to take in."""


def run(harness: RemediationHarness, stop: str) -> None:
    if stop in ENDS_THE_PASS:
        with suppress(ObjectGone, PassAbandoned):
            harness.run()
    else:
        harness.run()


@pytest.mark.parametrize(
    ("remediation", "moment"),
    [*((REMOVE, moment) for moment in MOMENTS), (QUARANTINE, "get policy")],
    ids=[*(f"removal, {moment}" for moment in MOMENTS), "quarantine"],
)
@pytest.mark.parametrize("stop", STOPS)
def test_every_forbidding_rule_stops_an_action_that_was_planned(
    ready: RemediationHarness, account: Account, remediation: dict[str, object], moment: str, stop: str
) -> None:
    ready.policy(account, remediation=remediation)
    ready.at(moment, lambda: STOPS[stop](ready, account))
    run(ready, stop)
    assert moment in ready.steps, "the action was planned"
    assert untouched(ready, account)


@pytest.mark.parametrize("moment", ["GetUser", "ListMFADevices", "ListMFADevices answered"])
@pytest.mark.parametrize("stop", ["access taken", "milder access", "switched off", "leadership lost", "stopping"])
def test_the_operators_own_rules_hold_up_to_the_call(
    ready: RemediationHarness, account: Account, stop: str, moment: str
) -> None:
    ready.at(moment, lambda: STOPS[stop](ready, account))
    run(ready, stop)
    assert moment in ready.steps
    assert untouched(ready, account)


def later(harness: RemediationHarness, happens: Callable[[], object]) -> Callable[[], None]:
    """An answer that takes a minute, in which something happens."""

    def change() -> None:
        harness.clock.advance(MINUTE)
        happens()

    return change


@pytest.mark.parametrize("remediation", [REMOVE, QUARANTINE], ids=["removal", "quarantine"])
@pytest.mark.parametrize("name", STOPS)
def test_an_edit_during_a_slow_check_of_the_user_counts(
    ready: RemediationHarness, account: Account, remediation: dict[str, object], name: str
) -> None:
    """The policy was read a minute before: what it said then is no ground to act on."""
    ready.policy(account, remediation=remediation)
    ready.at("ListMFADevices answered", later(ready, lambda: STOPS[name](ready, account)))
    run(ready, name)
    assert "ListMFADevices answered" in ready.steps
    assert untouched(ready, account)


def test_a_password_given_during_a_slow_check_stays(ready: RemediationHarness, account: Account) -> None:
    ready.at("ListMFADevices", later(ready, lambda: new_profile(ready, account)))
    ready.run()
    assert untouched(ready, account)
    assert ready.record(account, "alice").reason == RefusalReason.NOT_PUBLISHED_YET


def test_who_can_only_be_checked_slowly_is_not_acted_on(ready: RemediationHarness, account: Account) -> None:
    for _ in range(MAX_SLOW_CHECKS):
        ready.at("ListMFADevices answered", later(ready, lambda: None))
    ready.run()
    assert untouched(ready, account)
    record = ready.record(account, "alice")
    assert record.state == RemediationState.FAILED
    assert "CheckTooSlow" in record.message
    ready.run()
    assert not account.existing_user("alice").has_password


def test_an_edit_is_reported_and_the_next_pass_plans_by_it(ready: RemediationHarness, account: Account) -> None:
    ready.at("report written", lambda: ready.policy(account, remediation={**REMOVE, "maxPerPass": 7}))
    ready.run()
    record = ready.record(account, "alice")
    assert (record.state, record.reason) == (RemediationState.SKIPPED, RefusalReason.REMEDIATION_DISABLED)
    assert "edited" in record.message
    ready.run()
    assert not account.existing_user("alice").has_password


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ("switched off", RefusalReason.REMEDIATION_DISABLED),
        ("milder access", RefusalReason.NOT_ALLOWED),
        ("access taken", RefusalReason.NOT_ALLOWED),
    ],
)
def test_a_change_of_the_settings_file_is_the_reason_given(
    ready: RemediationHarness, account: Account, stop: str, reason: RefusalReason
) -> None:
    ready.at("report written", lambda: STOPS[stop](ready, account))
    ready.run()
    record = ready.record(account, "alice")
    assert (record.state, record.reason) == (RemediationState.SKIPPED, reason)


def enroll(kind: str) -> Change:
    return lambda _, account: account.existing_user("alice").add_mfa(kind)  # type: ignore[arg-type]  # from the table


def remove_user(harness: RemediationHarness, account: Account) -> None:
    account.existing_user("alice").delete()


def recreate_user(harness: RemediationHarness, account: Account) -> None:
    """The same name, another user, and no password change that the report could tell."""
    remove_user(harness, account)
    account.user("alice", password=True, path="/eng/")


def new_profile(harness: RemediationHarness, account: Account) -> None:
    alice = account.existing_user("alice")
    alice.remove_password()
    alice.set_password()


def rename_path(harness: RemediationHarness, account: Account) -> None:
    account.existing_user("alice")._user.path = "/exempt/"


USERS: dict[str, tuple[Change, bool]] = {
    "virtual MFA": (enroll("virtual"), False),
    "passkey": (enroll("security_key"), False),
    "hardware token": (enroll("hardware"), False),
    "user deleted": (remove_user, False),
    "password removed": (lambda _, account: account.existing_user("alice").remove_password(), False),
    "user recreated": (recreate_user, True),
    "profile recreated": (new_profile, True),
}
"""Each change, and whether alice violates anew after it."""


@pytest.mark.parametrize(
    ("remediation", "moment"),
    [*((REMOVE, moment) for moment in (*MOMENTS, "GetUser")), (QUARANTINE, "GetUser")],
    ids=[*(f"removal, {moment}" for moment in (*MOMENTS, "GetUser")), "quarantine"],
)
@pytest.mark.parametrize("change", USERS)
def test_every_change_of_the_user_is_seen_before_the_call(
    ready: RemediationHarness, account: Account, remediation: dict[str, object], moment: str, change: str
) -> None:
    happens, recreated = USERS[change]
    ready.policy(account, remediation=remediation)

    # Time passes, or a new profile could not be told from the old one.
    def change_later() -> None:
        ready.clock.advance(MINUTE)
        happens(ready, account)

    ready.at(moment, change_later)
    ready.run()
    assert ready.written() == []
    findings = {finding.user: finding for finding in ready.report(account).findings}
    assert bool(findings) is recreated
    if recreated:
        # A new violation, which nobody could read of yet.
        assert findings["alice"].first_seen == ready.clock.utc_now()
        assert ready.record(account, "alice").reason in (RefusalReason.NOT_PUBLISHED_YET, RefusalReason.WITHIN_GRACE)
    assert ready.events(EventReason.CONSOLE_ACCESS_REMOVED) == ready.events(EventReason.QUARANTINED) == []
    expected = {
        "virtual MFA": "skipped_compliant",
        "passkey": "skipped_compliant",
        "hardware token": "skipped_compliant",
    }
    expected["password removed"] = "already_absent"
    assert ready.counted() == ({expected[change]: 1} if change in expected else {})


def test_a_user_recreated_within_a_second_is_told_apart_by_id(ready: RemediationHarness, account: Account) -> None:
    ready.clock.advance(-MINUTE)
    ready.at("get policy", lambda: recreate_user(ready, account))
    ready.run()
    assert ready.written() == []
    assert ready.record(account, "alice").reason == RefusalReason.NOT_PUBLISHED_YET


@pytest.mark.parametrize("moment", ["GetLoginProfile", "ListMFADevices"])
def test_a_device_enrolled_during_the_check_counts(ready: RemediationHarness, account: Account, moment: str) -> None:
    ready.at(moment, lambda: account.existing_user("alice").add_mfa("security_key"))
    ready.run()
    assert account.existing_user("alice").has_password
    assert ready.counted() == {"skipped_compliant": 1}


@pytest.mark.parametrize("moment", [*MOMENTS, "GetUser", "ListUserTags"])
def test_a_tag_that_exempts_counts(harness: RemediationHarness, account: Account, moment: str) -> None:
    alice = account.user("alice", password=True)
    harness.policy(account, exemptions=[{"users": ["*"], "tags": {"mfa-exempt": "true"}, "reason": "Sealed"}])
    harness.run()
    harness.at(moment, lambda: alice.tag("mfa-exempt", "true"))
    harness.run()
    assert alice.has_password
    assert harness.finding(account, "alice").state == FindingState.EXEMPT
    assert harness.record(account, "alice").reason == RefusalReason.EXEMPT


def test_a_move_to_a_path_that_tags_may_exempt_is_read_again(ready: RemediationHarness, account: Account) -> None:
    ready.policy(account, exemptions=[{"users": ["/exempt/*"], "tags": {"a": "b"}, "reason": "Sealed"}])
    ready.at("GetUser", lambda: rename_path(ready, account))
    ready.run()
    assert account.existing_user("alice").has_password
    assert ready.record(account, "alice").reason == RefusalReason.LOOKUP_DENIED


@pytest.mark.parametrize("operation", ["GetUser", "GetLoginProfile", "ListMFADevices", "ListUserTags"])
@pytest.mark.parametrize("kind", ["access_denied", "throttling", "unparsable_200", "xhtml_200"])
def test_who_cannot_be_looked_at_is_not_acted_on(
    harness: RemediationHarness, account: Account, operation: str, kind: str
) -> None:
    alice = account.user("alice", password=True)
    harness.policy(account, exemptions=[{"users": ["*"], "tags": {"mfa-exempt": "true"}, "reason": "Sealed"}])
    harness.run()
    harness.at("act", lambda: harness.aws.faults.add(operation, kind, times=None))
    harness.run()
    assert alice.has_password
    record = harness.record(account, "alice")
    assert (record.state, record.reason) == (RemediationState.SKIPPED, RefusalReason.LOOKUP_DENIED)
    assert harness.written() == []


def test_a_cluster_that_does_not_keep_the_intent_gets_no_action(ready: RemediationHarness, account: Account) -> None:
    ready.cluster.old_crd = True
    ready.run()
    assert untouched(ready, account)
    assert "GetUser" not in ready.steps


def test_a_deleted_policys_report_is_no_proof_of_publication(ready: RemediationHarness, account: Account) -> None:
    stale = ready.cluster.reports[NAMESPACE, f"p-{account.id}"]
    recreate(ready, account)
    # The garbage collector has not come round yet.
    ready.cluster.reports[NAMESPACE, f"p-{account.id}"] = stale
    ready.run()
    assert untouched(ready, account)
    assert ready.record(account, "alice").reason == RefusalReason.NOT_PUBLISHED_YET
