"""Who may lead, by the Lease: whatever clocks do, and wherever a process sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from kubernetes.client import ApiClient, CoordinationV1Api

from mfa_operator.config.settings import LeaderSettings
from mfa_operator.kube.lease import Lease, LeaseLost
from mfa_sandbox.kubernetes import EmbeddedKubernetes

SETTINGS = LeaderSettings()
DURATION, RENEW = SETTINGS.lease.total_seconds(), SETTINGS.renew.total_seconds()


@dataclass
class Machine:
    """A replica's clock since boot, which is its own: it counts the time that the process was frozen."""

    name: str
    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Replica:
    machine: Machine
    lease: Lease

    @property
    def acts(self) -> bool:
        return self.lease.holds


@pytest.fixture
def replica(api: ApiClient) -> Callable[[str], Replica]:
    def make(name: str) -> Replica:
        machine = Machine(name)
        return Replica(machine, Lease(api, "default", name, SETTINGS, machine))

    return make


@pytest.fixture
def pair(replica: Callable[[str], Replica]) -> tuple[Replica, Replica]:
    """One that holds the Lease, and one that has seen so."""
    first, second = replica("first"), replica("second")
    assert first.lease.try_to_hold()
    assert not second.lease.try_to_hold()
    return first, second


def pass_time(seconds: float, *replicas: Replica) -> None:
    for replica in replicas:
        replica.machine.seconds += seconds


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_changed_wall_clock_does_not_affect_leadership(
    pair: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    first, second = pair
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + jump)
    assert not second.lease.try_to_hold()
    assert (first.acts, second.acts) == (True, False)
    pass_time(DURATION, first, second)
    assert second.lease.try_to_hold()
    assert (first.acts, second.acts) == (False, True)


def test_a_lease_that_is_renewed_is_not_taken(pair: tuple[Replica, Replica]) -> None:
    first, second = pair
    for _ in range(20):
        pass_time(RENEW - 1, first, second)
        assert first.acts
        assert first.lease.try_to_hold()
        assert not second.lease.try_to_hold()


def test_a_renewal_is_one_request_and_so_is_a_look_at_another_s(
    pair: tuple[Replica, Replica], kube: EmbeddedKubernetes
) -> None:
    """At one try every 2 s that is 30 a minute."""
    before = len(kube.requests)
    for _ in range(10):
        pass_time(SETTINGS.retry.total_seconds(), *pair)
        assert [replica.lease.try_to_hold() for replica in pair] == [True, False]
    assert len(kube.requests) - before == 10 * len(pair)
    assert SETTINGS.retry.total_seconds() >= 2


@pytest.mark.parametrize("status", [500, 409])
def test_after_a_renewal_that_failed_it_is_read_again(
    pair: tuple[Replica, Replica], kube: EmbeddedKubernetes, status: int
) -> None:
    """The answer may be what is lost, and not the renewal."""
    first, second = pair
    kube.faults.add(verb="update", resource="leases", status=status)
    first.lease.try_to_hold()
    assert first.lease.try_to_hold()
    assert first.acts
    assert not second.lease.try_to_hold()


def test_an_edit_of_the_lease_by_hand_costs_no_term(pair: tuple[Replica, Replica], kube: EmbeddedKubernetes) -> None:
    first, _ = pair
    kube.patch("leases", "default", "mfa-operator", {"metadata": {"labels": {"team": "security"}}})
    assert first.lease.try_to_hold()
    lease = kube.get("leases", "default", "mfa-operator")
    assert lease is not None
    assert lease["metadata"]["labels"] == {"team": "security"}


def test_the_holder_stops_before_another_can_begin(pair: tuple[Replica, Replica]) -> None:
    first, second = pair
    pass_time(RENEW, first, second)
    assert not first.acts
    assert not second.lease.try_to_hold()
    pass_time(DURATION - RENEW, second)
    assert second.lease.try_to_hold()


@pytest.mark.parametrize("given_back", [True, False])
def test_who_slept_through_its_lease_never_acts_again(pair: tuple[Replica, Replica], given_back: bool) -> None:
    first, second = pair
    pass_time(DURATION, first, second)
    second.lease.try_to_hold()
    if given_back:
        second.lease.release()
    with pytest.raises(LeaseLost):
        first.lease.try_to_hold()
    assert not first.acts


def test_a_renewal_that_slept_does_not_count_from_its_end(pair: tuple[Replica, Replica]) -> None:
    """Frozen between the first thing that it does and its request: the Lease may be older than it seems."""
    first, _ = pair
    replace = CoordinationV1Api.replace_namespaced_lease

    def slow(api: CoordinationV1Api, *args: object, **options: object) -> object:
        pass_time(RENEW, first)
        return replace(api, *args, **options)  # type: ignore[arg-type]  # as they came

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CoordinationV1Api, "replace_namespaced_lease", slow)
        first.lease.try_to_hold()
    assert not first.acts


def test_of_many_that_see_it_run_out_one_gets_it(
    pair: tuple[Replica, Replica], replica: Callable[[str], Replica]
) -> None:
    waiting = [pair[1], *(replica(f"replica-{number}") for number in range(3))]
    for each in waiting:
        each.lease.try_to_hold()
        pass_time(DURATION, each)
    assert [each.lease.try_to_hold() for each in waiting].count(True) == 1


@pytest.mark.parametrize("how", ["deleted", "emptied"])
def test_who_takes_the_lease_away_by_hand_makes_no_second_leader(
    pair: tuple[Replica, Replica], api: ApiClient, how: str
) -> None:
    """The holder learns of it at its next renewal only."""
    first, second = pair
    leases = CoordinationV1Api(api)
    if how == "deleted":
        leases.delete_namespaced_lease("mfa-operator", "default")
    else:
        edited = leases.read_namespaced_lease("mfa-operator", "default")
        assert edited.spec
        edited.spec.holder_identity = None
        leases.replace_namespaced_lease("mfa-operator", "default", edited)
    while first.acts:
        assert not second.lease.try_to_hold()
        pass_time(1, first, second)
    pass_time(DURATION - RENEW, second)
    assert second.lease.try_to_hold()


def test_a_holder_whose_lease_was_deleted_keeps_it(pair: tuple[Replica, Replica], api: ApiClient) -> None:
    first, second = pair
    CoordinationV1Api(api).delete_namespaced_lease("mfa-operator", "default")
    assert first.lease.try_to_hold()
    assert not second.lease.try_to_hold()


def test_one_that_is_given_back_is_free_at_once(pair: tuple[Replica, Replica]) -> None:
    first, second = pair
    first.lease.release()
    assert not first.acts
    assert second.lease.try_to_hold()
    with pytest.raises(LeaseLost):
        first.lease.try_to_hold()
