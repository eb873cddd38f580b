"""What happens between an audit and the action it led to: each change, at each moment before it would be too late."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from mfa_operator.api.enums import EventReason, FindingState, RefusalReason, RemediationState
from mfa_operator.config.access_rules import AccessRules
from mfa_operator.kube.cluster import ObjectGone
from mfa_operator.scheduling.due import PassAbandoned
from mfa_sandbox.aws import Account
from tests.fixtures.remediation_stage import MINUTE, NAMESPACE, QUARANTINE, REMOVE, Stage

Change = Callable[[Stage, Account], object]
MOMENTS = ["write report", "report written", "get policy"]
"""Before the intent is published, right after, and before the policy is read anew."""


@pytest.fixture
def ready(stage: Stage, account: Account) -> Stage:
    """alice is Overdue, and published: the next pass acts on her."""
    account.user("alice", password=True, path="/eng/")
    stage.policy(account)
    stage.run()
    return stage


def untouched(stage: Stage, account: Account) -> bool:
    """Whether nobody was acted on."""
    return not stage.written() and not any(stage.counted().get(result) for result in ("done", "already_absent"))


def edit(**fields: Any) -> Change:
    return lambda stage, account: stage.policy(account, **fields)


def delete(stage: Stage, account: Account) -> None:
    stage.cluster.delete(next(iter(stage.cluster.policies)))


def recreate(stage: Stage, account: Account) -> None:
    delete(stage, account)
    stage.policy(account)


def terminate(stage: Stage, account: Account) -> None:
    """Deleted, and held by somebody's finalizer."""
    next(iter(stage.cluster.policies.values()))["metadata"]["deletionTimestamp"] = "2026-03-02T12:00:00Z"


def rules(*entries: object) -> Change:
    def change(stage: Stage, account: Account) -> None:
        stage.rules = AccessRules.from_dict({"access": list(entries)})

    return change


def switch_off(stage: Stage, account: Account) -> None:
    """--remediation=off, and likewise a settings file that is broken."""
    stage.rules = stage.rules.without_remediation()


def lose_leadership(stage: Stage, account: Account) -> None:
    stage.leading = False


def stop(stage: Stage, account: Account) -> None:
    stage.stopping.set()


BRAKES: dict[str, Change] = {
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


def run(stage: Stage, brake: str) -> None:
    if brake in ENDS_THE_PASS:
        with suppress(ObjectGone, PassAbandoned):
            stage.run()
    else:
        stage.run()


@pytest.mark.parametrize(
    ("remediation", "moment"),
    [*((REMOVE, moment) for moment in MOMENTS), (QUARANTINE, "get policy")],
    ids=[*(f"removal, {moment}" for moment in MOMENTS), "quarantine"],
)
@pytest.mark.parametrize("brake", BRAKES)
def test_every_brake_stops_an_action_that_was_planned(
    ready: Stage, account: Account, remediation: dict[str, object], moment: str, brake: str
) -> None:
    ready.policy(account, remediation=remediation)
    ready.at(moment, lambda: BRAKES[brake](ready, account))
    run(ready, brake)
    assert moment in ready.steps, "the action was planned"
    assert untouched(ready, account)


@pytest.mark.parametrize("moment", ["GetUser", "ListMFADevices", "ListMFADevices answered"])
@pytest.mark.parametrize("brake", ["access taken", "milder access", "switched off", "leadership lost", "stopping"])
def test_the_operators_own_brakes_hold_up_to_the_call(ready: Stage, account: Account, brake: str, moment: str) -> None:
    ready.at(moment, lambda: BRAKES[brake](ready, account))
    run(ready, brake)
    assert moment in ready.steps
    assert untouched(ready, account)


def test_an_edit_is_told_and_the_next_pass_plans_by_it(ready: Stage, account: Account) -> None:
    ready.at("report written", lambda: ready.policy(account, remediation={**REMOVE, "maxPerPass": 7}))
    ready.run()
    record = ready.record(account, "alice")
    assert (record.state, record.reason) == (RemediationState.SKIPPED, RefusalReason.REMEDIATION_DISABLED)
    assert "edited" in record.message
    ready.run()
    assert not account.existing_user("alice").has_password


@pytest.mark.parametrize(
    ("brake", "reason"),
    [
        ("switched off", RefusalReason.REMEDIATION_DISABLED),
        ("milder access", RefusalReason.NOT_ALLOWED),
        ("access taken", RefusalReason.NOT_ALLOWED),
    ],
)
def test_a_change_of_the_settings_file_is_the_reason_given(
    ready: Stage, account: Account, brake: str, reason: RefusalReason
) -> None:
    ready.at("report written", lambda: BRAKES[brake](ready, account))
    ready.run()
    record = ready.record(account, "alice")
    assert (record.state, record.reason) == (RemediationState.SKIPPED, reason)


def enroll(kind: str) -> Change:
    return lambda _, account: account.existing_user("alice").add_mfa(kind)  # type: ignore[arg-type]  # from the table


def remove_user(stage: Stage, account: Account) -> None:
    account.existing_user("alice").delete()


def recreate_user(stage: Stage, account: Account) -> None:
    """The same name, another user, and no password change that the report could tell."""
    remove_user(stage, account)
    account.user("alice", password=True, path="/eng/")


def new_profile(stage: Stage, account: Account) -> None:
    alice = account.existing_user("alice")
    alice.remove_password()
    alice.set_password()


def rename_path(stage: Stage, account: Account) -> None:
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
    ready: Stage, account: Account, remediation: dict[str, object], moment: str, change: str
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
    assert ready.told(EventReason.CONSOLE_ACCESS_REMOVED) == ready.told(EventReason.QUARANTINED) == []
    expected = {
        "virtual MFA": "skipped_compliant",
        "passkey": "skipped_compliant",
        "hardware token": "skipped_compliant",
    }
    expected["password removed"] = "already_absent"
    assert ready.counted() == ({expected[change]: 1} if change in expected else {})


def test_a_user_made_anew_within_the_second_is_told_by_the_id(ready: Stage, account: Account) -> None:
    ready.clock.advance(-MINUTE)
    ready.at("get policy", lambda: recreate_user(ready, account))
    ready.run()
    assert ready.written() == []
    assert ready.record(account, "alice").reason == RefusalReason.NOT_PUBLISHED_YET


@pytest.mark.parametrize("moment", ["GetLoginProfile", "ListMFADevices"])
def test_a_device_enrolled_during_the_look_counts(ready: Stage, account: Account, moment: str) -> None:
    ready.at(moment, lambda: account.existing_user("alice").add_mfa("security_key"))
    ready.run()
    assert account.existing_user("alice").has_password
    assert ready.counted() == {"skipped_compliant": 1}


@pytest.mark.parametrize("moment", [*MOMENTS, "GetUser", "ListUserTags"])
def test_a_tag_that_exempts_counts(stage: Stage, account: Account, moment: str) -> None:
    alice = account.user("alice", password=True)
    stage.policy(account, exemptions=[{"users": ["*"], "tags": {"mfa-exempt": "true"}, "reason": "Sealed"}])
    stage.run()
    stage.at(moment, lambda: alice.tag("mfa-exempt", "true"))
    stage.run()
    assert alice.has_password
    assert stage.finding(account, "alice").state == FindingState.EXEMPT
    assert stage.record(account, "alice").reason == RefusalReason.EXEMPT


def test_a_move_to_a_path_that_tags_may_exempt_is_not_guessed_about(ready: Stage, account: Account) -> None:
    ready.policy(account, exemptions=[{"users": ["/exempt/*"], "tags": {"a": "b"}, "reason": "Sealed"}])
    ready.at("GetUser", lambda: rename_path(ready, account))
    ready.run()
    assert account.existing_user("alice").has_password
    assert ready.record(account, "alice").reason == RefusalReason.LOOKUP_DENIED


@pytest.mark.parametrize("operation", ["GetUser", "GetLoginProfile", "ListMFADevices", "ListUserTags"])
@pytest.mark.parametrize("kind", ["access_denied", "throttling", "unparsable_200"])
def test_who_cannot_be_looked_at_is_not_acted_on(stage: Stage, account: Account, operation: str, kind: str) -> None:
    alice = account.user("alice", password=True)
    stage.policy(account, exemptions=[{"users": ["*"], "tags": {"mfa-exempt": "true"}, "reason": "Sealed"}])
    stage.run()
    stage.at("act", lambda: stage.aws.faults.add(operation, kind, times=None))
    stage.run()
    assert alice.has_password
    record = stage.record(account, "alice")
    assert (record.state, record.reason) == (RemediationState.SKIPPED, RefusalReason.LOOKUP_DENIED)
    assert stage.written() == []


def test_a_cluster_that_does_not_keep_the_intent_gets_no_action(ready: Stage, account: Account) -> None:
    ready.cluster.old_crd = True
    ready.run()
    assert untouched(ready, account)
    assert "GetUser" not in ready.steps


def test_a_report_of_a_deleted_policy_of_that_name_proves_nothing(ready: Stage, account: Account) -> None:
    stale = ready.cluster.reports[NAMESPACE, f"p-{account.id}"]
    recreate(ready, account)
    # The garbage collector has not come round yet.
    ready.cluster.reports[NAMESPACE, f"p-{account.id}"] = stale
    ready.run()
    assert untouched(ready, account)
    assert ready.record(account, "alice").reason == RefusalReason.NOT_PUBLISHED_YET
