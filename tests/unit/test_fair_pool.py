"""Threads that namespaces share: nobody is kept out by another namespace's long work."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import Future, wait
from functools import partial

import pytest

from mfa_operator.scheduling.fair_pool import FairPool
from mfa_operator.scheduling.turns import next_namespace

PATIENCE = 20.0


@pytest.mark.parametrize(
    ("running", "free", "expected"),
    [
        ({}, 8, "a"),
        ({"a": 3}, 5, "b"),
        ({"a": 3, "b": 3}, 2, "a"),
        ({"a": 8}, 0, "b"),
        ({"a": 7, "b": 1}, 0, None),
        ({"c": 8}, 0, "a"),
        ({"c": 8, "d": 1}, -1, None),
    ],
)
def test_whose_turn_it_is(running: dict[str, int], free: int, expected: str | None) -> None:
    """Of eight places; one more is for a namespace that has none."""
    assert next_namespace(["a", "b"], Counter(running), free) == expected


def test_one_namespace_takes_all_but_the_extra_place() -> None:
    pool, gate = FairPool(3, name="test"), threading.Event()
    begun: Counter[str] = Counter()

    def work(namespace: str) -> str:
        begun[namespace] += 1
        assert gate.wait(PATIENCE)
        return namespace

    def submit(namespace: str) -> Future[str]:
        return pool.submit(namespace, lambda: work(namespace))

    greedy = [submit("greedy") for _ in range(20)]
    polite = pool.submit("polite", lambda: "done")
    assert polite.result(PATIENCE) == "done"
    assert begun == {"greedy": 3}
    gate.set()
    assert wait(greedy, PATIENCE).not_done == set()
    assert begun == {"greedy": 20}


def test_cancelled_work_is_not_done_and_takes_no_place() -> None:
    pool, gate = FairPool(1, name="test"), threading.Event()
    first = pool.submit("a", lambda: gate.wait(PATIENCE))
    second, third = pool.submit("a", lambda: True), pool.submit("a", lambda: True)
    assert second.cancel()
    gate.set()
    assert first.result(PATIENCE)
    assert third.result(PATIENCE)
    assert second.cancelled()


def test_an_exception_reaches_the_caller_and_frees_the_slot() -> None:
    pool = FairPool(1, name="test")
    with pytest.raises(ZeroDivisionError):
        pool.submit("a", lambda: 1 // 0).result(PATIENCE)
    assert pool.submit("a", lambda: 2).result(PATIENCE) == 2


def test_a_thread_shortage_fails_only_the_calls_of_that_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No place is lost by it, and a call that failed does not run later, when nobody waits for it any more."""
    pool = FairPool(2, name="test")
    ran: list[str] = []

    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        for _ in range(10):
            refused = pool.submit("a", lambda: ran.append("refused"))
            with pytest.raises(RuntimeError, match="new thread"):
                refused.result(timeout=5)
    for _ in range(5):
        pool.submit("a", lambda: ran.append("later")).result(timeout=5)
    assert ran == ["later"] * 5


def test_a_small_policy_does_not_wait_for_large_ones() -> None:
    """Ten policies have hundreds of calls waiting; the short one is served with the next place that gets free."""
    pool, order = FairPool(2, name="test"), list[str]()
    gates = {f"long-{number}": threading.Semaphore(0) for number in range(10)}

    def work(policy: str) -> None:
        assert gates[policy].acquire(timeout=PATIENCE)
        order.append(policy)

    long = [pool.submit("a", partial(work, policy), policy=policy) for policy in gates for _ in range(30)]
    short = pool.submit("a", lambda: order.append("short"), policy="short")
    for gate in gates.values():
        gate.release()
    short.result(PATIENCE)
    # Each of the ten had one turn at most before it.
    assert len(order) <= 11
    for gate in gates.values():
        gate.release(30)
    assert wait(long, PATIENCE).not_done == set()


def test_policies_of_a_namespace_take_turns() -> None:
    pool, order, gate = FairPool(1, name="test"), list[str](), threading.Event()
    first = pool.submit("a", lambda: gate.wait(PATIENCE), policy="x")
    calls = [pool.submit("a", partial(order.append, policy), policy=policy) for policy in "xyz" for _ in range(3)]
    gate.set()
    first.result(PATIENCE)
    assert wait(calls, PATIENCE).not_done == set()
    assert order == list("xyz" * 3)


def test_a_call_that_mostly_waits_leaves_its_place_to_another() -> None:
    """As many as there are places; the next one that waits keeps its place."""
    slow: set[str] = set()
    pool, gate = FairPool(2, name="test", held_back=slow.__contains__), threading.Event()
    begun = {name: threading.Event() for name in ("s1", "s2", "s3", "q1", "q2")}

    def work(name: str) -> None:
        begun[name].set()
        assert gate.wait(PATIENCE)

    calls = [pool.submit("a", partial(work, name), policy="p", account=name) for name in begun]
    assert begun["s1"].wait(PATIENCE)
    assert begun["s2"].wait(PATIENCE)
    assert not begun["s3"].is_set()
    slow.update({"s1", "s2", "s3"})
    assert pool.held_back("a", "p") == 2
    assert pool.held_back("a", "other") == 0
    assert begun["s3"].wait(PATIENCE)
    assert begun["q1"].wait(PATIENCE)
    assert not begun["q2"].is_set()
    # Who waits no more takes a place again: nobody begins before two have ended.
    slow.clear()
    assert pool.held_back("a", "p") == 0
    assert not begun["q2"].is_set()
    gate.set()
    assert wait(calls, PATIENCE).not_done == set()
    assert pool.submit("a", lambda: "done").result(PATIENCE) == "done"
    assert pool._running.total() == len(pool._tasks) == len(pool._aside) == 0
