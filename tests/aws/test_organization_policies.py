"""A policy over an organization on the embedded AWS: who is audited, and what is kept when the organization changes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from queue import SimpleQueue

import pytest

from mfa_operator.api.enums import AccountState, EventReason, RefusalReason, RemediationState
from mfa_operator.api.objects import PolicyRef, read_policy
from mfa_operator.clock import seconds_since_boot
from mfa_operator.config.access_rules import AccessRules
from mfa_operator.passes.discovery import Discoverer
from mfa_operator.scheduling.due import Cause
from mfa_operator.scheduling.hints import Doubt
from tests.fixtures.organization_harness import OrganizationStage
from tests.fixtures.remediation_harness import HOUR, MINUTE, QUARANTINE, REMOVE

PAYMENTS, SHOP, DEV = "111122223333", "222233334444", "333344445555"


@pytest.fixture
def stage(stage: OrganizationStage) -> OrganizationStage:
    """Two accounts, and a policy over the organization that has had its first passes."""
    stage.join(PAYMENTS, "payments")
    stage.join(SHOP, "shop")
    stage.apply()
    stage.run(Cause.CREATED)
    return stage


def test_before_the_first_listing_nothing_is_claimed(stage: OrganizationStage) -> None:
    ready, compliant, discovered = map(stage.condition, ("Ready", "Compliant", "AccountsDiscovered"))
    assert (ready.status, ready.reason) == ("Unknown", "Pending")
    assert ready.message == "listing the organization"
    assert (compliant.status, compliant.reason) == ("Unknown", "NotAudited")
    assert (discovered.status, discovered.reason) == ("Unknown", "Pending")


def test_a_policy_without_accounts_is_looked_at_again_soon(stage: OrganizationStage) -> None:
    stage.organization.revoke(stage.management_id)
    stage.harness.discoverer.forget(stage.ref)
    end = stage.run(Cause.REQUESTED)
    assert end.next_due
    assert end.next_due - stage.harness.clock.utc_now() <= timedelta(seconds=10)


def test_every_account_of_the_organization_is_audited(stage: OrganizationStage) -> None:
    stage.run()
    assert stage.covered == stage.reported == {PAYMENTS, SHOP}
    assert stage.account(PAYMENTS).name == "payments"
    assert stage.condition("Ready").status == stage.condition("Compliant").status == "True"
    discovered = stage.condition("AccountsDiscovered")
    assert (discovered.status, discovered.reason) == ("True", "Discovered")
    assert f"2 accounts of organization {stage.organization.id}, 1 excluded; listed " in discovered.message
    assert stage.status.summary
    assert (stage.status.summary.accounts, stage.status.summary.accounts_excluded) == (2, 1)


def test_an_event_audits_no_account_that_has_left(stage: OrganizationStage) -> None:
    """A listing has left the account out, and the pass that deletes its report is still to come."""
    stage.run()
    stage.organization.leave(PAYMENTS)
    stage.run(by=timedelta(hours=2))
    stage.aws.calls.clear()
    now = stage.harness.clock.utc_moment()
    doubts = {account_id: Doubt(frozenset({"alice"}), now) for account_id in (PAYMENTS, SHOP)}
    stage.harness.reconciler.run_accounts(stage.ref, doubts)
    assert stage.aws.calls.count(account=SHOP, operation="ListUsers") == 1
    assert stage.aws.calls.count(account=PAYMENTS) == 0


def test_who_waited_for_the_listing_is_told(stage: OrganizationStage) -> None:
    told: list[object] = []
    stage.harness.discoverer.list_changed = told.append
    stage.join(DEV)
    stage.run(Cause.REQUESTED)
    assert told == [stage.ref]
    stage.run()
    assert stage.covered == {PAYMENTS, SHOP, DEV}
    assert told == [stage.ref]


def test_one_listing_serves_all_policies_of_one_lister(stage: OrganizationStage) -> None:
    stage.run()
    before = stage.aws.calls.count(operation="ListAccounts")
    other = stage.harness.cluster.apply("q", {"organization": {"exclude": {"accounts": [SHOP, stage.management_id]}}})
    stage.harness.reconciler.run_pass(other, fresh=True, cause=Cause.CREATED)
    stage.harness.discoverer.run_due()
    assert stage.aws.calls.count(operation="ListAccounts") == before
    assert ("security", f"q-{PAYMENTS}") in stage.harness.cluster.reports
    assert ("security", f"q-{SHOP}") not in stage.harness.cluster.reports


class TestComingAndGoing:
    def test_who_leaves_is_gone_with_the_next_complete_listing(self, stage: OrganizationStage) -> None:
        stage.run()
        stage.organization.leave(SHOP)
        stage.run()
        assert stage.reported == {PAYMENTS, SHOP}
        stage.settle()
        assert stage.covered == stage.reported == {PAYMENTS}
        [event] = stage.events(EventReason.ACCOUNT_LEFT)
        assert f"account shop ({SHOP})" in event

    @pytest.mark.parametrize("state", ["SUSPENDED", "PENDING_CLOSURE", "CLOSED"])
    def test_who_is_suspended_is_skipped_and_its_report_stays(self, stage: OrganizationStage, state: str) -> None:
        stage.aws.world.account(SHOP).user("alice", password=True)
        stage.run()
        seen = stage.harness.cluster.reports["security", f"p-{SHOP}"].status.findings[0].first_seen
        stage.organization.set_state(SHOP, state)  # type: ignore[arg-type]  # one of its states
        stage.settle()
        assert stage.covered == {PAYMENTS}
        assert stage.reported == {PAYMENTS, SHOP}
        assert stage.status.summary
        assert stage.status.summary.accounts_skipped == 1
        assert stage.condition("Ready").status == stage.condition("Compliant").status == "True"
        stage.organization.reactivate(SHOP)
        stage.settle()
        assert stage.covered == {PAYMENTS, SHOP}
        assert stage.harness.cluster.reports["security", f"p-{SHOP}"].status.findings[0].first_seen == seen

    def test_who_is_suspended_is_not_asked_after_a_restart(self, stage: OrganizationStage) -> None:
        stage.run()
        stage.organization.suspend(SHOP)
        stage.settle()
        stage.restart()
        stage.aws.calls.clear()
        stage.run()
        stage.run_pass(Cause.INTERVAL)
        assert stage.aws.calls.count(account=SHOP) == 0
        assert stage.aws.calls.count(account=PAYMENTS) > 0
        assert stage.reported == {PAYMENTS, SHOP}
        assert stage.status.summary
        assert stage.status.summary.accounts_skipped == 1

    def test_who_joined_in_a_pass_that_was_cut_off_is_asked_after_a_restart(self, stage: OrganizationStage) -> None:
        """Its report is there, and the status does not know it yet."""
        stage.run()
        before = stage.harness.cluster.policies[stage.ref]["status"]
        stage.join(DEV)
        stage.settle()
        stage.harness.cluster.policies[stage.ref]["status"] = before
        stage.restart()
        stage.aws.calls.clear()
        stage.run_pass(Cause.INTERVAL)
        assert stage.aws.calls.count(account=DEV) > 0

    def test_who_moves_out_of_the_included_unit_is_excluded(self, stage: OrganizationStage) -> None:
        prod, dev = stage.organization.unit("Prod"), stage.organization.unit("Dev")
        stage.organization.move(PAYMENTS, stage.organization.unit("Payments", prod))
        stage.organization.move(SHOP, prod)
        stage.apply({"include": {"organizationalUnits": [prod.id]}})
        stage.run(Cause.SPEC_CHANGED)
        stage.settle()
        assert stage.covered == {PAYMENTS, SHOP}
        stage.organization.move(SHOP, dev)
        stage.settle()
        assert stage.covered == stage.reported == {PAYMENTS}

    def test_quarantines_that_stay_behind_are_told_of(self, stage: OrganizationStage) -> None:
        stage.aws.world.account(SHOP).user("alice", password=True)
        stage.apply(gracePeriod="0s", remediation=QUARANTINE)
        for _ in range(3):
            stage.run()
        stage.organization.leave(SHOP)
        stage.settle()
        [event] = stage.events(EventReason.QUARANTINES_LEFT)
        assert f"--account {SHOP}" in event
        assert f"arn:aws:iam::{SHOP}:role/mfa-operator" in event


class TestJoining:
    def test_who_has_just_joined_and_refuses_the_role_is_pending(self, stage: OrganizationStage) -> None:
        stage.run()
        stage.organization.join(DEV, "dev")
        stage.settle(by=61 * MINUTE)
        # Joined 76 minutes ago by then.
        assert stage.account(DEV).state is AccountState.DENIED
        stage.organization.leave(DEV)
        stage.settle()
        stage.organization.join(DEV, "dev", joined=stage.harness.clock.utc_now() + 50 * MINUTE)
        stage.settle(by=61 * MINUTE)
        assert stage.account(DEV).state is AccountState.PENDING
        assert stage.account(DEV).message.startswith("joined the organization at ")
        summary = stage.status.summary
        assert summary
        assert (summary.accounts, summary.accounts_failed, summary.accounts_pending) == (3, 0, 1)
        assert (stage.condition("Ready").status, stage.condition("AccountsAudited").status) == ("True", "Unknown")
        assert stage.condition("Compliant").status == "Unknown"

    def test_once_the_hour_is_over_it_is_denied_and_said(self, stage: OrganizationStage) -> None:
        stage.run()
        stage.organization.join(DEV, "dev", joined=stage.harness.clock.utc_now() + 50 * MINUTE)
        stage.settle(by=61 * MINUTE)
        before = len(stage.events(EventReason.ACCOUNT_FAILED))
        for _ in range(4):
            stage.run()
        assert stage.account(DEV).state is AccountState.DENIED
        assert len(stage.events(EventReason.ACCOUNT_FAILED)) == before + 1

    def test_the_management_account_says_why_it_has_no_role(self, stage: OrganizationStage) -> None:
        # Which answers as one without the role does.
        stage.aws.world.account(stage.management_id).suspended = True
        stage.apply({"exclude": {"accounts": [SHOP]}})
        stage.run(Cause.SPEC_CHANGED)
        stage.run()
        assert stage.covered == {PAYMENTS, stage.management_id}
        assert "StackSets never deploy to the management account" in stage.account(stage.management_id).message


class TestBothTogether:
    def test_typed_entries_win_even_outside_the_organization(self, stage: OrganizationStage) -> None:
        stage.aws.world.account(DEV)
        stage.aws.world.account(SHOP).trust("other-role")
        roles = {SHOP: f"arn:aws:iam::{SHOP}:role/other-role", DEV: f"arn:aws:iam::{DEV}:role/mfa-operator"}
        stage.apply(accounts=[{"id": each, "roleArn": role} for each, role in roles.items()])
        stage.run(Cause.SPEC_CHANGED)
        stage.run()
        assert stage.covered == {PAYMENTS, SHOP, DEV}
        assert stage.condition("AccountsAudited").status == "True"
        assert stage.account(SHOP).name == "shop"

    def test_typed_accounts_do_not_wait_for_the_listing(self, stage: OrganizationStage) -> None:
        stage.harness.start()
        stage.organization.throttle(per_second=0.0001, burst=0)
        accounts = [{"id": SHOP, "roleArn": f"arn:aws:iam::{SHOP}:role/mfa-operator"}]
        ref = stage.harness.cluster.apply("new", {"organization": {}, "accounts": accounts})
        stage.harness.reconciler.run_pass(ref, fresh=True, cause=Cause.CREATED)
        assert ("security", f"new-{SHOP}") in stage.harness.cluster.reports
        conditions = {each["type"]: each for each in stage.harness.cluster.policies[ref]["status"]["conditions"]}
        assert conditions["Ready"]["status"] == "True"
        assert conditions["Compliant"]["status"] == "Unknown"


class TestFailures:
    @pytest.mark.parametrize("restarted", [False, True], ids=["same process", "restarted"])
    def test_the_last_list_stays_in_force(self, stage: OrganizationStage, restarted: bool) -> None:
        stage.run()
        stage.organization.leave(SHOP)
        stage.organization.management_id = PAYMENTS
        if restarted:
            stage.restart()
        stage.settle()
        stage.run()
        assert stage.covered == stage.reported == {PAYMENTS, SHOP}
        discovered = stage.condition("AccountsDiscovered")
        assert (discovered.status, discovered.reason) == ("False", "DiscoveryDenied")
        assert "ListAccounts" in discovered.message
        words = "the accounts that the reports name are audited until then" if restarted else "stays in force"
        assert words in discovered.message
        assert stage.condition("Ready").status == "True"
        stage.organization.management_id = stage.management_id
        stage.settle()
        assert stage.covered == stage.reported == {PAYMENTS}
        assert stage.condition("AccountsDiscovered").status == "True"

    def test_since_when_it_fails_stands_in_the_condition(self, stage: OrganizationStage) -> None:
        stage.run()
        stage.organization.management_id = PAYMENTS
        stage.settle()
        first = stage.condition("AccountsDiscovered").last_transition_time
        stage.settle()
        assert stage.condition("AccountsDiscovered").last_transition_time == first

    def test_a_unit_that_is_not_there_ends_no_audit(self, stage: OrganizationStage) -> None:
        stage.run()
        stage.apply({"include": {"organizationalUnits": ["ou-zz99-mistyped"]}})
        stage.run(Cause.SPEC_CHANGED)
        waits = stage.condition("AccountsDiscovered")
        assert (waits.status, waits.message) == ("Unknown", "listing the organization"), "nothing is counted yet"
        stage.settle()
        discovered = stage.condition("AccountsDiscovered")
        assert (discovered.status, discovered.reason) == ("False", "UnknownUnit")
        assert f"organization {stage.organization.id} has no unit ou-zz99-mistyped" in discovered.message
        assert stage.covered == stage.reported == {PAYMENTS, SHOP}

    def test_an_account_in_no_organization_says_so(self, stage: OrganizationStage) -> None:
        stage.run()
        stage.aws.world.account(DEV)
        role = f"arn:aws:iam::{DEV}:role/mfa-operator"
        stage.apply({"roleArn": role})
        stage.settle()
        stage.run()
        discovered = stage.condition("AccountsDiscovered")
        assert (discovered.status, discovered.reason) == ("False", "NotInUse")
        assert f"the account of {role} belongs to no organization" in discovered.message
        assert stage.condition("Ready").status == "True"
        assert stage.covered == {PAYMENTS, SHOP}

    def test_an_account_missing_from_a_failed_listing_stays(self, stage: OrganizationStage) -> None:
        """Restarted again and again, never with a complete listing: nothing is lost."""
        stage.run()
        stage.organization.management_id = PAYMENTS
        for _ in range(3):
            stage.restart()
            stage.settle()
        assert stage.covered == stage.reported == {PAYMENTS, SHOP}


class TestAnotherOrganization:
    """The role or the credentials change, and what is listed is another organization."""

    ROLE = f"arn:aws:iam::{DEV}:role/mfa-operator"

    def switch(self, stage: OrganizationStage) -> str:
        """Another organization, to which shop has moved, is what the role lists from now on; returns its id."""
        stage.aws.world.account(DEV)
        other = stage.aws.world.create_organization(DEV)
        stage.organization.leave(SHOP)
        other.join(SHOP, "shop")
        stage.apply({"roleArn": self.ROLE})
        return other.id

    @pytest.mark.parametrize("restarted", [False, True], ids=["same process", "restarted"])
    def test_nobody_leaves_by_its_list(self, stage: OrganizationStage, restarted: bool) -> None:
        stage.run()
        listed = self.switch(stage)
        if restarted:
            stage.restart()
        for _ in range(3):
            stage.settle()
        assert stage.covered == stage.reported == {PAYMENTS, SHOP}
        assert stage.events(EventReason.ACCOUNT_LEFT) == []
        discovered = stage.condition("AccountsDiscovered")
        assert (discovered.status, discovered.reason) == ("False", "DiscoveryFailed")
        assert f"{self.ROLE} lists organization {listed}, and the accounts" in discovered.message
        assert f"belong to organization {stage.organization.id};" in discovered.message
        assert "delete the policy and apply it again" in discovered.message

    def test_reports_of_an_earlier_release_tell_by_their_accounts(self, stage: OrganizationStage) -> None:
        stage.run()
        stage.harness.cluster.organizations.clear()
        stage.aws.world.account(DEV)
        stage.aws.world.create_organization(DEV)
        stage.apply({"roleArn": self.ROLE})
        stage.restart()
        stage.settle()
        assert stage.covered == stage.reported == {PAYMENTS, SHOP}
        assert "it lists none of them" in stage.condition("AccountsDiscovered").message
        stage.apply()
        stage.restart()
        stage.settle()
        assert stage.condition("AccountsDiscovered").status == "True"

    def test_typed_accounts_belong_to_nobody(self, stage: OrganizationStage) -> None:
        """Of the reports only those count that were discovered."""
        stage.aws.world.account(DEV)
        stage.organization.leave(PAYMENTS)
        stage.organization.leave(SHOP)
        stage.harness.discoverer.forget(stage.ref)
        typed = [{"id": PAYMENTS, "roleArn": f"arn:aws:iam::{PAYMENTS}:role/mfa-operator"}]
        stage.harness.cluster.apply("p", {"accounts": typed})
        stage.run(Cause.SPEC_CHANGED)
        stage.apply(accounts=typed)
        stage.restart()
        stage.settle()
        assert stage.condition("AccountsDiscovered").status == "True"

    @pytest.mark.parametrize("restarted", [False, True], ids=["same process", "restarted"])
    def test_an_organization_takes_the_place_of_typed_accounts(self, stage: OrganizationStage, restarted: bool) -> None:
        """They are outside it: their reports do not make it another organization than before."""
        harness, partner = stage.harness, "999988887777"
        harness.cluster.delete(stage.ref)
        harness.reconciler.forget(stage.ref)
        typed = {"id": partner, "roleArn": stage.aws.world.account(partner).role_arn}
        harness.cluster.apply("p", {"accounts": [typed]})
        stage.run(Cause.CREATED)
        assert stage.reported == {partner}
        stage.apply()
        if restarted:
            stage.restart()
        stage.run(Cause.SPEC_CHANGED)
        stage.settle()
        assert stage.condition("AccountsDiscovered").status == "True"
        assert stage.covered == stage.reported == {PAYMENTS, SHOP}

    def test_a_policy_made_again_takes_it(self, stage: OrganizationStage) -> None:
        stage.run()
        self.switch(stage)
        stage.settle()
        stage.harness.cluster.delete(stage.ref)
        stage.harness.reconciler.forget(stage.ref)
        stage.apply({"roleArn": self.ROLE, "exclude": {"accounts": [DEV]}})
        stage.run(Cause.CREATED)
        stage.run()
        assert stage.covered == stage.reported == {SHOP}
        assert stage.condition("AccountsDiscovered").status == "True"

    def test_a_listing_that_no_thread_could_begin_comes_again(
        self, stage: OrganizationStage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The machine was out of threads for a moment."""
        told: SimpleQueue[PolicyRef] = SimpleQueue()
        moment = seconds_since_boot()
        submit = ThreadPoolExecutor.submit

        def out_of_threads(*_: object) -> None:
            monkeypatch.setattr(ThreadPoolExecutor, "submit", submit)
            raise RuntimeError("can't start new thread")

        sessions = stage.harness.sessions
        discoverer = Discoverer(sessions, list_changed=told.put, monotonic=lambda: moment)
        monkeypatch.setattr(ThreadPoolExecutor, "submit", out_of_threads)
        policy = read_policy(stage.harness.cluster.policies[stage.ref])
        assert "can't start new thread" not in str(discoverer.accounts(policy, stage.harness.rules).discovery)
        assert told.get(timeout=10) == stage.ref
        assert "can't start new thread" in str(discoverer.accounts(policy, stage.harness.rules).discovery)
        moment += 120
        assert told.get(timeout=10) == stage.ref
        assert discoverer.accounts(policy, stage.harness.rules).complete
        sessions.stopping.set()


class TestBeforeTheFirstWholePass:
    """A restart, and then AWS refuses the listing: accounts that nobody knows of yet may violate."""

    def test_a_first_pass_that_was_cut_off_makes_nothing_compliant(self, stage: OrganizationStage) -> None:
        cut_off = stage.harness.cluster.policies[stage.ref]["status"]
        stage.run()
        stage.harness.cluster.policies[stage.ref]["status"] = cut_off
        del stage.harness.cluster.reports["security", f"p-{SHOP}"]
        stage.organization.management_id = PAYMENTS
        stage.restart()
        stage.settle()
        assert stage.covered == {PAYMENTS}
        assert stage.condition("Compliant").status == "Unknown"
        stage.organization.management_id = stage.management_id
        stage.settle()
        assert stage.condition("Compliant").status == "True"

    def test_typed_accounts_alone_make_nothing_compliant(self, stage: OrganizationStage) -> None:
        stage.organization.management_id = PAYMENTS
        stage.harness.discoverer.forget(stage.ref)
        role = f"arn:aws:iam::{PAYMENTS}:role/mfa-operator"
        stage.apply({"roleArn": f"arn:aws:iam::{SHOP}:role/mfa-operator"}, accounts=[{"id": PAYMENTS, "roleArn": role}])
        for _ in range(2):
            stage.settle()
            assert stage.condition("Ready").status == "True"
            assert stage.condition("Compliant").status == "Unknown"
            stage.restart()


class TestEdits:
    def test_an_edit_applies_to_the_last_listing(self, stage: OrganizationStage) -> None:
        stage.run()
        stage.organization.throttle(per_second=0.0001, burst=0)
        stage.apply({"exclude": {"accounts": [SHOP, stage.management_id]}})
        stage.run(Cause.SPEC_CHANGED)
        assert stage.covered == stage.reported == {PAYMENTS}

    def test_nobody_is_acted_on_before_the_first_listing(self, stage: OrganizationStage) -> None:
        """The include was edited while the operator was down, and AWS does not answer: who is overdue stays."""
        stage.aws.world.account(SHOP).user("alice", password=True)
        stage.apply(gracePeriod="0s")
        stage.run(Cause.SPEC_CHANGED)
        prod = stage.organization.unit("Prod")
        stage.organization.management_id = PAYMENTS
        removal = {"action": "RemoveConsoleAccess", "dryRun": False, "maxPercent": 100}
        stage.apply({"include": {"organizationalUnits": [prod.id]}}, gracePeriod="0s", remediation=removal)
        stage.restart()
        for _ in range(4):
            stage.run()
        assert stage.harness.written() == []
        stage.organization.management_id = stage.management_id
        stage.apply(gracePeriod="0s", remediation=removal)
        for _ in range(6):
            stage.run()
        assert stage.harness.written() == ["DeleteLoginProfile"]


class TestAccess:
    def rules(self, stage: OrganizationStage, **rule: object) -> None:
        stage.harness.rules = AccessRules.from_dict({"access": [rule]})

    def test_who_may_not_discover_does_not_ask(self, stage: OrganizationStage) -> None:
        self.rules(stage, namespaces=["security"])
        stage.restart()
        before = stage.aws.calls.count(operation="ListAccounts")
        stage.settle()
        assert stage.aws.calls.count(operation="ListAccounts") == before
        assert (stage.condition("Ready").status, stage.condition("Ready").reason) == ("False", "NotAllowed")
        assert "organization: true" in stage.condition("AccountsDiscovered").message

    def test_what_was_discovered_is_not_asked_once_the_right_is_gone(self, stage: OrganizationStage) -> None:
        stage.run()
        self.rules(stage, namespaces=["security"])
        before = len(stage.aws.calls)
        stage.settle()
        assert len(stage.aws.calls) == before
        assert {each.reason for each in stage.status.accounts} == {"NotAllowed"}
        assert stage.reported == {PAYMENTS, SHOP}

    def test_discovered_accounts_are_held_to_the_rules(self, stage: OrganizationStage) -> None:
        self.rules(stage, accounts=[PAYMENTS], organization=True)
        stage.settle()
        assert stage.account(PAYMENTS).state is AccountState.AUDITED
        assert stage.account(SHOP).reason == "NotAllowed"
        assert stage.aws.calls.count(account=SHOP) == 0

    def test_a_right_withdrawn_in_the_middle_of_a_pass_stops_it(self, stage: OrganizationStage) -> None:
        stage.aws.world.account(SHOP).user("alice", password=True)
        stage.apply(gracePeriod="0s", remediation=REMOVE)
        stage.run(Cause.SPEC_CHANGED)
        withdrawn = AccessRules.from_dict({"access": [{"remediation": "RemoveConsoleAccess"}]})
        stage.harness.at("report written", lambda: setattr(stage.harness, "rules", withdrawn))
        for _ in range(3):
            stage.run()
        assert stage.harness.rules is withdrawn
        assert stage.harness.written() == []


class TestLeavingDuringAPass:
    """A pass over thousands of accounts takes long: a listing may leave one out that it has still to act on."""

    @pytest.fixture
    def stage(self, stage: OrganizationStage) -> OrganizationStage:
        """alice of the shop is overdue, and published: the next pass acts on her."""
        stage.aws.world.account(SHOP).user("alice", password=True)
        only_shop = {"exclude": {"accounts": [PAYMENTS, stage.management_id]}}
        stage.apply(only_shop, gracePeriod="0s", remediation=REMOVE)
        stage.run(Cause.SPEC_CHANGED)
        assert stage.harness.written() == []
        return stage

    def listed_meanwhile(self, stage: OrganizationStage) -> None:
        stage.harness.clock.advance(2 * HOUR)
        stage.harness.discoverer.run_due()

    @pytest.mark.parametrize("moment", ["report written", "get policy"])
    def test_who_left_is_not_acted_on(self, stage: OrganizationStage, moment: str) -> None:
        def leave() -> None:
            stage.organization.leave(SHOP)
            self.listed_meanwhile(stage)

        stage.harness.at(moment, leave)
        stage.run_pass(Cause.INTERVAL)
        assert moment in stage.harness.steps
        assert stage.harness.written() == []
        record = stage.harness.record(stage.aws.world.account(SHOP), "alice")
        assert (record.state, record.reason) == (RemediationState.SKIPPED, RefusalReason.NOT_ALLOWED)
        assert "no longer covers the account" in record.message

    def test_who_stays_is_acted_on(self, stage: OrganizationStage) -> None:
        stage.harness.at("report written", lambda: self.listed_meanwhile(stage))
        stage.run_pass(Cause.INTERVAL)
        assert stage.harness.written() == ["DeleteLoginProfile"]
