"""Which of two operators serves a policy: by its claim, for as long as the claimant's Lease shows a sign of life."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from kubernetes.client import ApiClient, CoordinationV1Api

from mfa_operator.api.enums import EventReason
from mfa_operator.api.objects import Body, PolicyRef
from mfa_operator.api.status import ServedBy
from mfa_operator.clock import utc_moment
from mfa_operator.config.policy_selector import PolicySelector
from mfa_operator.config.settings import LeaderSettings
from mfa_operator.kube.claims import Claims
from mfa_operator.kube.cluster import Cluster, StaleData
from mfa_operator.kube.lease import Lease
from mfa_operator.kube.retry import RetryPolicy
from mfa_operator.metrics.exporter import Metrics
from mfa_operator.passes.claiming import FIRST_CHECKS, Claiming
from mfa_operator.scheduling.due import PassEnd
from mfa_sandbox.kubernetes import EmbeddedKubernetes

REF = PolicyRef("default", "console-mfa")
SECONDS = LeaderSettings().lease.total_seconds()


@dataclass
class Clock:
    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Shard:
    """An operator with a Lease of its own."""

    name: str
    lease: Lease
    claims: Claims
    claiming: Claiming
    cluster: Cluster
    metrics: Metrics

    def take(self) -> Body | PassEnd:
        body = self.cluster.get_policy(REF)
        assert body is not None
        return self.claiming.take(body)

    def serves(self) -> bool:
        return not isinstance(self.take(), PassEnd)

    def shows_it_elsewhere(self) -> bool:
        return any(
            sample.value == 1
            for family in self.metrics.collect()
            if family.name == "mfa_policy_served_elsewhere"
            for sample in family.samples
        )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shard(connected: ApiClient, clock: Clock, policy: object) -> Callable[..., Shard]:
    """Makes an operator that leads by its Lease; `identity` is its process."""

    def make(name: str, selector: str = "", identity: str = "") -> Shard:
        mine = ServedBy(lease=f"default/{name}", holder=identity or name)
        lease = Lease(connected, "default", mine.holder, LeaderSettings(name=name), clock)
        assert lease.try_to_hold()
        parsed = PolicySelector.parse(selector) if selector else PolicySelector()
        claims = Claims(connected, mine, parsed, lease_seconds=SECONDS, clock=clock)
        cluster = Cluster(connected, reporting_instance=name, served_by=mine, retry=RetryPolicy(tries=2, first=0.0))
        metrics = Metrics(version="1")
        return Shard(name, lease, claims, Claiming(cluster, metrics, claims, utc_moment), cluster, metrics)

    return make


@pytest.fixture
def claimed_by(cluster: Cluster) -> Callable[[], str | None]:
    def read() -> str | None:
        body = cluster.get_policy(REF) or {}
        holder: str | None = body.get("status", {}).get("servedBy", {}).get("holder")
        return holder

    return read


def test_the_first_serves_while_it_lives_the_other_does_not(
    shard: Callable[..., Shard], clock: Clock, claimed_by: Callable[[], str | None]
) -> None:
    first, second = shard("first"), shard("second")
    assert first.serves()
    for _ in range(10):
        assert not second.serves()
        clock.seconds += SECONDS * 0.6
        assert first.lease.try_to_hold(), "it renews"
    assert claimed_by() == "first"
    assert first.serves()
    assert second.shows_it_elsewhere()
    assert not first.shows_it_elsewhere()


def test_it_takes_over_only_once_the_other_lease_has_expired(
    shard: Callable[..., Shard], clock: Clock, claimed_by: Callable[[], str | None]
) -> None:
    first, second = shard("first"), shard("second")
    assert first.serves()
    assert not second.serves()
    clock.seconds += SECONDS - 0.1
    assert not second.serves()
    assert not first.lease.holds, "it acts no more, well before another begins"
    clock.seconds += 0.2
    assert second.serves()
    assert claimed_by() == "second"
    assert not first.serves()
    assert not second.shows_it_elsewhere()


@pytest.mark.parametrize("end", ["given back", "deleted", "taken by its next process"])
def test_a_claimant_that_lost_its_lease_gets_time_to_notice(
    shard: Callable[..., Shard], clock: Clock, connected: ApiClient, end: str
) -> None:
    first, second = shard("first"), shard("second")
    assert first.serves()
    if end == "given back":
        first.lease.release()
    elif end == "deleted":
        CoordinationV1Api(connected).delete_namespaced_lease("first", "default")
    else:
        first.lease.release()
        shard("first", identity="first again")
    assert not second.serves()
    clock.seconds += SECONDS + 0.1
    assert second.serves()


def test_the_next_process_by_the_same_lease_takes_over_at_once(
    shard: Callable[..., Shard], claimed_by: Callable[[], str | None]
) -> None:
    first = shard("first")
    assert first.serves()
    first.lease.release()
    assert shard("first", identity="first again").serves()
    assert claimed_by() == "first again"


def test_a_lease_that_cannot_be_read_is_taken_as_alive(
    shard: Callable[..., Shard], clock: Clock, kube: EmbeddedKubernetes
) -> None:
    first, second = shard("first"), shard("second")
    assert first.serves()
    kube.faults.add(status=403, times=None, verb="get", resource="leases")
    for _ in range(3):
        clock.seconds += SECONDS * 2
        assert not second.serves()
        assert "whether it still runs is not known" in second.claims.why_not_ours(first.claims.mine)


def test_of_two_that_claim_at_once_one_is_refused(shard: Callable[..., Shard]) -> None:
    first, second = shard("first"), shard("second")
    read = second.cluster.get_policy(REF)
    assert read is not None
    assert first.serves()
    with pytest.raises(StaleData):
        second.claiming.take(read)


def test_a_removed_or_reassigned_claim_is_no_longer_ours(shard: Callable[..., Shard], cluster: Cluster) -> None:
    first, second = shard("first"), shard("second")
    body = first.take()
    assert not isinstance(body, PassEnd)
    assert first.claims.holds(body)
    assert not second.claims.holds(body)
    assert not first.claims.holds({**body, "status": {}})


def test_a_relabelled_policy_is_released_at_once(
    shard: Callable[..., Shard], patch: Callable[..., object], claimed_by: Callable[[], str | None]
) -> None:
    ours, theirs = shard("ours", "shard=a"), shard("theirs", "shard=b")
    patch({"metadata": {"labels": {"shard": "a"}}})
    assert ours.serves()
    patch({"metadata": {"labels": {"shard": "b"}}})
    body = ours.cluster.get_policy(REF)
    assert body is not None
    assert not ours.claims.holds(body), "not even before it is released"
    assert not theirs.serves()
    end = ours.take()
    assert isinstance(end, PassEnd)
    assert end.left
    assert claimed_by() is None
    assert theirs.serves()


def test_who_stands_back_says_so_once_in_an_event(
    shard: Callable[..., Shard], clock: Clock, kube: EmbeddedKubernetes
) -> None:
    first, second = shard("first"), shard("second")
    assert first.serves()
    for _ in range(FIRST_CHECKS + 4):
        assert not second.serves()
        assert first.lease.try_to_hold()
        clock.seconds += SECONDS * 0.6
    (note,) = [event["note"] for event in kube.list("events") if event["reason"] == EventReason.SERVED_BY_ANOTHER]
    assert note.startswith("two operators select this policy; this one does not audit it")
    assert "the operator with the Lease default/first (first) serves it" in note


def test_every_status_that_is_written_says_who_serves_the_policy(
    shard: Callable[..., Shard], claimed_by: Callable[[], str | None]
) -> None:
    first = shard("first")
    body = first.take()
    assert not isinstance(body, PassEnd)
    assert claimed_by() == "first"
