"""How a removal can end, what is recorded of it, and who is never acted on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mfa_operator.api.enums import EventReason, FindingReason, FindingState, RefusalReason, RemediationState
from mfa_operator.kube.cluster import ClusterUnavailable, WriteRefused
from mfa_sandbox.aws import Account, EmbeddedAws
from tests.fixtures.remediation_harness import HOUR, MINUTE, REMOVE, RemediationHarness

LIMITED = {**REMOVE, "maxPerPass": 1}


@pytest.fixture
def ready(harness: RemediationHarness, account: Account) -> RemediationHarness:
    """alice is Overdue, and published: the next pass acts on her."""
    account.user("alice", password=True, access_keys=1)
    harness.policy(account)
    harness.run()
    return harness


def has_password(account: Account, user: str) -> bool:
    return account.existing_user(user).has_password


def test_a_removal_is_published_done_recorded_and_reported(ready: RemediationHarness, account: Account) -> None:
    profile = account.existing_user("alice").login_profile
    assert profile is not None
    made = profile.created
    ready.run()
    intended, done = ready.cluster.published[-2:]
    for version in (intended, done):
        record = version.status.findings[0].remediation
        assert record is not None
        assert (record.action, record.profile_created) == ("RemoveConsoleAccess", made)
    assert [version.status.findings[0].remediation.state for version in (intended, done)] == ["Intended", "Done"]  # type: ignore[union-attr]  # seen above
    deletion = [call.operation for call in ready.aws.calls].index("DeleteLoginProfile")
    assert intended.after_calls <= deletion < done.after_calls
    finding = ready.finding(account, "alice")
    assert (finding.state, finding.reason) == (FindingState.REMEDIATED, FindingReason.CONSOLE_ACCESS_REMOVED)
    assert "access keys" in ready.record(account, "alice").message
    [note] = ready.events(EventReason.CONSOLE_ACCESS_REMOVED)
    assert "access keys" in note
    assert ready.counted() == {"done": 1}
    assert len(account.backend.access_keys) == 1, "nothing but the login profile is touched"
    assert ready.written() == ["DeleteLoginProfile"]


@pytest.mark.parametrize("error", [WriteRefused("mfareports/p", 413, "too large"), ClusterUnavailable("away")])
def test_without_a_published_intent_there_is_no_call(
    ready: RemediationHarness, account: Account, error: Exception
) -> None:
    def refuse() -> None:
        raise error

    before = len(ready.aws.calls)
    ready.at("write report", refuse)
    if isinstance(error, ClusterUnavailable):
        with pytest.raises(ClusterUnavailable):
            ready.run()
    else:
        ready.run()
        assert ready.cluster.policies[next(iter(ready.cluster.policies))]["status"]["accounts"][0]["state"] == "Failed"
    assert has_password(account, "alice")
    asked = [call.operation for call in ready.aws.calls][before:]
    assert "GetUser" not in asked
    assert ready.written() == []


def test_an_outcome_that_could_not_be_written_is_found_out_later(ready: RemediationHarness, account: Account) -> None:
    def refuse() -> None:
        raise WriteRefused("mfareports/p", 500, "no")

    ready.at("write report", refuse, skip=1)
    ready.run()
    assert not has_password(account, "alice")
    assert ready.record(account, "alice").state == RemediationState.INTENDED
    ready.run()
    record = ready.record(account, "alice")
    assert (record.state, record.message) == (RemediationState.DONE, "outcome observed after restart")
    assert len(ready.events(EventReason.CONSOLE_ACCESS_REMOVED)) == 1
    assert ready.counted() == {"done": 1}
    assert ready.written() == ["DeleteLoginProfile"]


class TestAnswers:
    """What DeleteLoginProfile may answer."""

    def test_no_such_profile_is_a_success_of_somebody_else(self, ready: RemediationHarness, account: Account) -> None:
        ready.at("DeleteLoginProfile", lambda: account.existing_user("alice").remove_password())
        ready.run()
        record = ready.record(account, "alice")
        assert record.state == RemediationState.DONE
        assert "already removed" in record.message
        assert ready.counted() == {"already_absent": 1}

    def test_a_profile_just_made_is_left_to_the_next_pass(self, ready: RemediationHarness, account: Account) -> None:
        ready.aws.faults.add("DeleteLoginProfile", "entity_temporarily_unmodifiable")
        ready.run()
        record = ready.record(account, "alice")
        assert (record.state, has_password(account, "alice")) == (RemediationState.PLANNED, True)
        assert "EntityTemporarilyUnmodifiable" in record.message
        assert ready.events(EventReason.REMEDIATION_FAILED) == []
        assert ready.counted() == {}
        ready.run()
        assert not has_password(account, "alice")

    @pytest.mark.parametrize("times", [1, None])
    def test_an_answer_that_was_lost_is_done_all_the_same(
        self, ready: RemediationHarness, account: Account, times: int | None
    ) -> None:
        ready.aws.faults.add("DeleteLoginProfile", "executed_answer_lost", times=times)
        ready.run()
        ready.run()
        assert not has_password(account, "alice")
        assert ready.record(account, "alice").state == RemediationState.DONE
        assert ready.counted() == {"done": 1}
        assert len(ready.events(EventReason.CONSOLE_ACCESS_REMOVED)) == 1
        assert sum(call.executed for call in ready.aws.calls.select("DeleteLoginProfile")) == 1

    @pytest.mark.parametrize("kind", ["internal", "html_502", "reset", "unparsable_200", "xhtml_200"])
    def test_where_nobody_knows_the_intent_stays_and_is_tried_again(
        self, ready: RemediationHarness, account: Account, kind: str
    ) -> None:
        fault = ready.aws.faults.add("DeleteLoginProfile", kind, times=None)
        ready.run()
        assert has_password(account, "alice")
        assert ready.record(account, "alice").state == RemediationState.INTENDED
        assert ready.events(EventReason.REMEDIATION_FAILED) == []
        ready.aws.faults.remove(fault.id)
        ready.run()
        assert not has_password(account, "alice")
        assert ready.counted() == {"done": 1}

    @pytest.mark.parametrize("kind", ["access_denied", "throttling", "limit_exceeded"])
    def test_a_refusal_is_recorded_reported_and_counted(
        self, ready: RemediationHarness, account: Account, kind: str
    ) -> None:
        fault = ready.aws.faults.add("DeleteLoginProfile", kind, times=None)
        ready.run()
        record = ready.record(account, "alice")
        assert record.state == RemediationState.FAILED
        assert record.message.startswith("DeleteLoginProfile: ")
        assert ready.counted() == {"failed": 1}
        assert len(ready.events(EventReason.REMEDIATION_FAILED)) == 1
        ready.run()
        assert ready.counted() == {"failed": 2}
        assert len(ready.events(EventReason.REMEDIATION_FAILED)) == 1, "the same failure is no news"
        assert ready.finding(account, "alice").state == FindingState.OVERDUE
        ready.aws.faults.remove(fault.id)
        ready.run()
        assert not has_password(account, "alice")


class TestLimits:
    def make(self, harness: RemediationHarness, account: Account) -> None:
        for number in range(6):
            account.user(f"u{number}", password=True)
            harness.run()

    def test_the_oldest_deadline_first(self, harness: RemediationHarness, account: Account) -> None:
        harness.policy(account, remediation={**LIMITED, "dryRun": True})
        self.make(harness, account)
        harness.policy(account, remediation=LIMITED)
        for left in (5, 4, 3, 2, 1, 0):
            harness.run()
            assert [user.name for user in account.users() if user.has_password] == [f"u{n}" for n in range(6 - left, 6)]

    @pytest.mark.parametrize(
        ("operation", "kind"), [("DeleteLoginProfile", "access_denied"), ("GetUser", "access_denied")]
    )
    def test_who_cannot_be_acted_on_keeps_nobody_else_waiting(
        self, harness: RemediationHarness, account: Account, operation: str, kind: str
    ) -> None:
        harness.policy(account, remediation={**LIMITED, "dryRun": True})
        self.make(harness, account)
        for user in ("u0", "u1", "u2"):
            harness.aws.faults.add(operation, kind, user=user, times=None)
        harness.policy(account, remediation=LIMITED)
        for _ in range(6):
            harness.run()
        assert [user.name for user in account.users() if user.has_password] == ["u0", "u1", "u2"]
        asked = {
            user: len([call for call in harness.aws.calls.select(operation) if call.parameters["UserName"] == user])
            for user in ("u0", "u1", "u2")
        }
        for _ in range(3):
            harness.run()
        for user, before in asked.items():
            after = len([call for call in harness.aws.calls.select(operation) if call.parameters["UserName"] == user])
            assert after == before + 1, "each in turn"

    def test_a_limit_is_counted_once_for_each_user_it_stops(
        self, harness: RemediationHarness, account: Account
    ) -> None:
        for name in ("alice", "bob", "carol"):
            account.user(name, password=True)
        harness.policy(account, remediation=LIMITED)
        harness.run()
        harness.run()
        assert harness.counted() == {"done": 1, "refused_limit": 2}
        harness.run()
        assert harness.counted() == {"done": 2, "refused_limit": 2}

    def test_dry_run_plans_within_the_limit_and_touches_nothing(
        self, harness: RemediationHarness, account: Account
    ) -> None:
        for name in ("alice", "bob"):
            account.user(name, password=True)
        harness.policy(account, remediation={**LIMITED, "dryRun": True})
        harness.run()
        harness.run()
        states = {user: harness.record(account, user).state for user in ("alice", "bob")}
        assert states == {"alice": RemediationState.DRY_RUN, "bob": RemediationState.SKIPPED}
        assert harness.record(account, "bob").reason == RefusalReason.LIMIT_REACHED
        assert harness.counted() == {"dry_run": 1, "refused_limit": 1}
        before = harness.report(account)
        harness.run()
        assert harness.report(account) == before, "no news, no write"
        assert harness.written() == []


class TestAfterwards:
    def test_it_stays_on_record_for_thirty_days(self, ready: RemediationHarness, account: Account) -> None:
        ready.run()
        record = ready.record(account, "alice")
        ready.run(by=timedelta(days=29))
        assert (ready.finding(account, "alice").state, ready.record(account, "alice")) == ("Remediated", record)
        ready.run(by=timedelta(days=2))
        assert ready.users(account) == []

    def test_a_new_profile_starts_a_new_grace_period(self, ready: RemediationHarness, account: Account) -> None:
        ready.policy(account, gracePeriod="1h")
        ready.run()
        ready.run(by=2 * HOUR)
        ready.clock.advance(HOUR)
        account.existing_user("alice").set_password()
        ready.run()
        finding = ready.finding(account, "alice")
        assert (finding.state, finding.remediation) == (FindingState.VIOLATING, None)
        ready.run(by=58 * MINUTE)
        assert has_password(account, "alice")
        ready.run(by=5 * MINUTE)
        assert not has_password(account, "alice")

    @pytest.mark.parametrize("again", [False, True])
    def test_an_older_report_does_not_restore_console_access(
        self, ready: RemediationHarness, account: Account, again: bool
    ) -> None:
        """It says that there is a password; with a virtual device nobody would look whether that is so still."""
        ready.run()
        alice = account.existing_user("alice")
        alice.add_mfa("virtual")
        ready.run()
        assert ready.finding(account, "alice").state == FindingState.REMEDIATED
        if again:
            alice.set_password()
        ready.run(by=5 * HOUR)
        assert ready.users(account) == ([] if again else ["alice"])

    def test_it_outlives_a_failed_check(self, ready: RemediationHarness, account: Account) -> None:
        ready.run()
        record = ready.record(account, "alice")
        fault = ready.aws.faults.add("GetLoginProfile", "access_denied", times=None)
        ready.run()
        assert ready.finding(account, "alice").state == FindingState.UNKNOWN
        ready.aws.faults.remove(fault.id)
        ready.run()
        assert ready.record(account, "alice") == record

    def test_nothing_is_remembered_from_before_the_removal(self, ready: RemediationHarness, account: Account) -> None:
        """Another policy's pass that reads alice between the last check and the call must not bring her back."""
        other = ready.policy(account, name="other", namespace="elsewhere", remediation={"action": "None"})

        def audit_by_another() -> None:
            acting, ready.acting = ready.acting, False
            ready.reconciler.run_pass(other, fresh=True, cause="Requested")
            ready.acting = acting

        ready.at("DeleteLoginProfile", audit_by_another)
        ready.run()
        ready.run(fresh=False)
        assert ready.finding(account, "alice").state == FindingState.REMEDIATED
        ready.run(other, fresh=False)
        assert ready.cluster.reports["elsewhere", f"other-{account.id}"].status.findings == ()

    def test_with_users_all_the_violation_names_the_removal(
        self, harness: RemediationHarness, account: Account
    ) -> None:
        account.user("alice", password=True, access_keys=1)
        harness.policy(account, requirement={"users": "All"})
        harness.run()
        first_seen = harness.finding(account, "alice").first_seen
        for _ in range(3):
            harness.run()
            finding = harness.finding(account, "alice")
            assert (finding.state, finding.first_seen) == (FindingState.OVERDUE, first_seen)
            assert harness.record(account, "alice").state == RemediationState.DONE
        assert harness.report(account).summary.remediated == 1
        assert harness.written() == ["DeleteLoginProfile"]


class TestNeverActedOn:
    @pytest.mark.parametrize("role", [False, True], ids=["own account", "own account, through a role"])
    def test_who_the_operator_signs_in_as(self, aws: EmbeddedAws, harness: RemediationHarness, role: bool) -> None:
        home = aws.world.home
        # It was made before the test stopped the clock.
        aws.world.operator._user.create_date = harness.clock.moment
        aws.world.operator.set_password()
        other = home.user("alice", password=True)
        if not role:
            home.role_arn = ""
        harness.policy(home)
        harness.run()
        harness.run()
        assert aws.world.operator.has_password
        assert harness.record(home, aws.world.operator.name).reason == RefusalReason.OWN_IDENTITY
        assert not other.has_password

    def test_a_namesake_in_another_account_is_anybody(
        self, aws: EmbeddedAws, harness: RemediationHarness, account: Account
    ) -> None:
        namesake = account.user(aws.world.operator.name, password=True)
        harness.policy(account)
        harness.run()
        harness.run()
        assert not namesake.has_password

    def test_nobody_is_where_the_operator_cannot_tell_who_it_is(
        self, ready: RemediationHarness, account: Account
    ) -> None:
        ready.start()
        ready.aws.faults.add("GetCallerIdentity", "access_denied", account=ready.aws.world.home_id, times=None)
        ready.run()
        assert has_password(account, "alice")
        assert ready.record(account, "alice").reason == RefusalReason.LOOKUP_DENIED

    def test_root(self, harness: RemediationHarness, account: Account) -> None:
        account.root(password=True)
        harness.policy(account, requirement={"root": "Mfa"})
        harness.run()
        harness.run()
        assert harness.record(account, "<root_account>").reason == RefusalReason.ROOT
        assert harness.written() == []


def test_one_accounts_refusal_touches_no_other(aws: EmbeddedAws, harness: RemediationHarness, account: Account) -> None:
    other = aws.world.account("444455556666")
    accounts: list[dict[str, Any]] = [{"id": each.id, "roleArn": each.role_arn} for each in (account, other)]
    for each in (account, other):
        each.user("alice", password=True)
    harness.policy(account, accounts=accounts)
    harness.run()
    aws.faults.add("DeleteLoginProfile", "access_denied", account=account.id, times=None)
    harness.run()
    assert (has_password(account, "alice"), has_password(other, "alice")) == (True, False)
