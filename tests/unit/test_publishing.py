"""What a pass publishes as it goes on: bounded writes, each over the one before, and metrics in any case."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import pytest

from mfa_operator.api.enums import AccountState, ConditionReason, ConditionType
from mfa_operator.api.objects import Policy, PolicyRef
from mfa_operator.api.policy import Account
from mfa_operator.api.status import AccountStatus, Counts, PolicyStatus
from mfa_operator.kube.cluster import ClusterUnavailable, PolicyAsRead, PolicyIdentity, StaleData, WriteRefused
from mfa_operator.metrics.exporter import Metrics
from mfa_operator.organization.account_list import AccountList
from mfa_operator.organization.discovery import Discovery
from mfa_operator.passes.publishing import Pace, PolicyPublisher
from mfa_operator.reporting.account_result import AccountResult
from mfa_operator.reporting.policy_status import policy_status
from tests.unit.facts import HOUR, NOW, spec

REF = PolicyRef("security", "p")
LABELS = {"policy_namespace": "security", "policy": "p"}
PACE = Pace(metrics=timedelta(seconds=2), status=timedelta(seconds=10))


@dataclass
class Statuses:
    """A cluster that keeps the policy's status, and takes one only over the version that it gave out last."""

    written: list[PolicyStatus] = field(default_factory=list)
    error: Exception | None = None
    version: int = 1

    def write_policy_status(self, policy: PolicyAsRead, status: PolicyStatus) -> PolicyIdentity:
        if self.error:
            raise self.error
        if policy.resource_version != str(self.version):
            raise StaleData("another version")
        self.version += 1
        self.written.append(status)
        return PolicyIdentity(policy.ref, policy.uid, str(self.version), status)


@dataclass
class Stage:
    """One pass over some accounts."""

    total: int
    asked_for: bool = True
    cluster: Statuses = field(default_factory=Statuses)
    metrics: Metrics = field(default_factory=lambda: Metrics(version="test"))
    now: float = 1000.0
    before: PolicyStatus = field(default_factory=PolicyStatus)
    discovery: Discovery | None = None

    def __post_init__(self) -> None:
        policy = Policy(ref=REF, uid="u", resource_version="1", generation=1, spec=spec(), status=self.before)
        self.publisher = PolicyPublisher(
            policy,
            AccountList(tuple(Account(id=f"{number:012}") for number in range(self.total)), discovery=self.discovery),
            {},
            cluster=cast("Any", self.cluster),
            metrics=self.metrics,
            now=NOW,
            asked_for=self.asked_for,
            pace=PACE,
            monotonic=lambda: self.now,
        )

    def end(self, number: int) -> None:
        status = AccountStatus(id=f"{number:012}", state=AccountState.AUDITED, last_success_time=NOW)
        self.publisher.ended(AccountResult(status=status, counts=Counts(users=1, violating=1)))

    def violating(self, number: int) -> float | None:
        labels = {**LABELS, "account_id": f"{number:012}", "state": "violating"}
        return self.metrics.registry.get_sample_value("mfa_policy_users", labels)


def test_a_short_pass_writes_as_before_its_beginning_and_its_end() -> None:
    stage = Stage(3)
    stage.publisher.begin()
    for number in range(3):
        stage.end(number)
        stage.now += 1
        stage.publisher.turn()
    stage.publisher.write(stage.publisher.end(NOW + HOUR, ""))
    assert len(stage.cluster.written) == 2


def test_a_pass_of_an_hour_writes_some_fifty_times() -> None:
    stage = Stage(3600)
    stage.publisher.begin()
    for number in range(3600):
        stage.end(number)
        stage.now += 1
        assert 0 <= stage.publisher.turn() <= 10
    stage.publisher.write(stage.publisher.end(NOW + HOUR, ""))
    assert 30 < len(stage.cluster.written) < 60
    users = [status.summary.users for status in stage.cluster.written if status.summary]
    assert users == sorted(users)
    assert users[-1] == 3600
    running = stage.cluster.written[1].condition(ConditionType.RECONCILING)
    assert running is not None
    assert "10 of 3,600 accounts audited" in running.message
    assert stage.cluster.written[-1].condition(ConditionType.RECONCILING) is None


def test_the_first_pass_after_a_listing_says_how_far_it_is() -> None:
    """Nobody asked for it but the listing; what the passes without accounts said of it is over."""
    listing = Discovery(ConditionReason.PENDING, "listing the organization", in_force=False)
    empty = AccountList(discovery=listing)
    before = policy_status(spec(), 1, [], PolicyStatus(), NOW, NOW + HOUR, listed=empty)
    stage = Stage(100, asked_for=False, before=before, discovery=Discovery(ConditionReason.DISCOVERED, "100 accounts"))
    stage.publisher.begin()
    for number in range(50):
        stage.end(number)
        stage.now += 1
        stage.publisher.turn()
    status = stage.cluster.written[-1]
    ready, discovered = (status.condition(kind) for kind in (ConditionType.READY, ConditionType.ACCOUNTS_DISCOVERED))
    assert ready
    assert discovered
    assert (ready.status, ready.reason) == ("Unknown", ConditionReason.PENDING)
    assert "of 100 accounts audited" in ready.message
    assert (discovered.status, discovered.message) == ("True", "100 accounts")
    compliant = status.condition(ConditionType.COMPLIANT)
    assert compliant
    assert compliant.status == "Unknown"
    assert stage.publisher.end(NOW + HOUR, "").condition(ConditionType.RECONCILING) is None


def test_nothing_is_written_while_no_account_ends() -> None:
    stage = Stage(2)
    stage.end(0)
    for _ in range(50):
        stage.now += 10
        stage.publisher.turn()
    assert len(stage.cluster.written) == 1


def test_metrics_are_there_as_accounts_end() -> None:
    stage = Stage(2)
    stage.end(1)
    stage.now += 2
    stage.publisher.turn()
    assert (stage.violating(0), stage.violating(1)) == (None, 1)


@pytest.mark.parametrize("error", [WriteRefused("p", 413, "too large"), ClusterUnavailable("away")])
def test_metrics_are_shown_whatever_becomes_of_the_write(error: Exception) -> None:
    stage = Stage(1)
    stage.cluster.error = error
    stage.end(0)
    status = stage.publisher.end(NOW + HOUR, "")
    with pytest.raises(type(error)):
        stage.publisher.write(status)
    assert stage.violating(0) == 1
    assert stage.metrics.registry.get_sample_value("mfa_policy_ready", LABELS) == 1


def test_a_refused_progress_ends_no_pass_and_a_lost_lead_does() -> None:
    stage = Stage(2)
    stage.end(0)
    stage.now += 10
    stage.cluster.error = WriteRefused("p", 413, "too large")
    stage.publisher.turn()
    stage.end(1)
    stage.now += 10
    stage.cluster.error = StaleData("another leader wrote")
    with pytest.raises(StaleData):
        stage.publisher.turn()


def test_each_status_is_written_over_the_one_before_and_no_other() -> None:
    stage = Stage(3)
    stage.publisher.begin()
    stage.end(0)
    stage.now += 10
    stage.publisher.turn()
    stage.cluster.version += 1  # somebody else
    stage.end(1)
    stage.now += 10
    with pytest.raises(StaleData):
        stage.publisher.turn()
