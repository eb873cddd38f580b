"""The receiver on a real queue over HTTP: what it reads, what it deletes, and that it stays alive whatever happens."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.registry import CollectorRegistry

from mfa_operator.aws.event_queue import EventQueue
from mfa_operator.config.queue_url import QueueUrl
from mfa_operator.iam_events import receiver as receiver_module
from mfa_operator.iam_events.receiver import Receiver
from mfa_operator.metrics.event_metrics import EventMetrics
from mfa_operator.scheduling.due import PassAbandoned
from mfa_sandbox.aws import EmbeddedAws
from mfa_sandbox.aws.queues import Queue

ACCOUNT = "111122223333"
PATIENCE = 20.0


@dataclass
class Taker:
    """Takes hints; targeted passes are published when the test says so, or at once."""

    at_once: bool = True
    covered: set[str] = field(default_factory=lambda: {ACCOUNT})
    hints: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    dones: list[Callable[[bool], None]] = field(default_factory=list)
    refreshed: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def covers(self, account_id: str) -> bool:
        return account_id in self.covered

    def hint(self, account_id: str, users: frozenset[str], done: Callable[[bool], None]) -> None:
        with self.changed:
            self.hints.append((account_id, users))
            self.dones.append(done)
            self.changed.notify_all()
        if self.at_once:
            done(True)

    def refresh_organizations(self, account_id: str) -> None:
        with self.changed:
            self.refreshed.append(account_id)
            self.changed.notify_all()

    def wait_for_hints(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.hints) >= count, PATIENCE), self.hints


class Reading:
    """A receiver at work, and what it may."""

    def __init__(self, aws: EmbeddedAws, queue: Queue, taker: Taker) -> None:
        self.aws, self.queue, self.taker = aws, queue, taker
        self.leading = True
        self.metrics = EventMetrics()
        self.registry = CollectorRegistry()
        self.registry.register(self.metrics)
        self.messages = EventQueue(QueueUrl.parse(queue.url), check_before_request=self._check)
        self.receiver = Receiver(self.messages, taker, self.metrics, may_go_on=lambda: self.leading, chance=lambda: 0.0)

    def _check(self) -> None:
        if not self.leading:
            raise PassAbandoned("the Lease is lost")

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def send(self, body: str | dict[str, Any]) -> None:
        self.queue.send(body if isinstance(body, str) else json.dumps(body), self.aws.world.now())

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Until a condition holds that requests to AWS change."""
        end = threading.Event()
        for _ in range(int(PATIENCE / 0.02)):
            if condition():
                return
            end.wait(0.02)
        raise AssertionError(generate_latest(self.registry).decode())

    def wait_until_empty(self) -> None:
        self.wait_until(lambda: len(self.queue) == 0)


@contextmanager
def reading(aws: EmbeddedAws, queue: Queue, taker: Taker | None = None) -> Iterator[Reading]:
    made = Reading(aws, queue, taker or Taker())
    made.receiver.start()
    try:
        yield made
    finally:
        made.receiver.stop()
        aws.world.queues.close()
        for thread in made.receiver._threads:
            thread.join(PATIENCE)
        made.messages.close()


@pytest.fixture(autouse=True)
def as_the_operator(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver_module, "FIRST_PAUSE", 0.1)
    monkeypatch.setattr(receiver_module, "LAST_PAUSE", 0.2)


@pytest.fixture
def queue(aws: EmbeddedAws) -> Queue:
    return aws.world.events_queue()


@pytest.fixture
def read(aws: EmbeddedAws, queue: Queue) -> Iterator[Reading]:
    with reading(aws, queue) as made:
        yield made


def event(name: str, user: str = "alice", account: str = ACCOUNT, source: str = "aws.iam") -> dict[str, Any]:
    parameters = {"userName": user}
    detail = {"eventName": name, "eventTime": "2026-05-04T12:00:00Z", "requestParameters": parameters}
    return {"source": source, "account": account, "detail": detail}


def test_what_happens_in_iam_is_a_hint_and_its_message_goes(read: Reading) -> None:
    read.aws.world.account(ACCOUNT).user("alice", password=True)
    read.taker.wait_for_hints(2)
    assert read.taker.hints == [(ACCOUNT, frozenset({"alice"}))] * 2
    read.wait_until_empty()
    assert read.metric("mfa_events_received_total", type="CreateLoginProfile", result="hinted") == 1
    assert read.metric("mfa_event_delay_seconds_count") == 2
    assert read.metric("mfa_event_queue_up") == 1


def test_no_time_that_an_event_says_spoils_the_sum_of_delays(read: Reading) -> None:
    """Whoever may send a message writes its time; SQS keeps none for longer than 14 days."""
    for time in ("0001-01-02T00:00:00Z", "9999-12-31T00:00:00Z"):
        message = event("CreateUser")
        message["detail"]["eventTime"] = time
        read.send(message)
    read.wait_until(lambda: read.metric("mfa_event_delay_seconds_count") == 2)
    assert read.metric("mfa_event_delay_seconds_sum") == 14 * 86_400


def test_what_means_nothing_is_counted_and_deleted(read: Reading) -> None:
    read.send("no event at all")
    read.send(event("CreateUser", account="999988887777"))
    read.send(event("RunInstances", source="aws.ec2"))
    read.send(event("ChangePassword"))
    read.wait_until_empty()
    assert read.taker.hints == []
    assert read.metric("mfa_events_received_total", type="unreadable", result="invalid") == 1
    assert read.metric("mfa_events_received_total", type="CreateUser", result="ignored") == 1
    assert read.metric("mfa_events_received_total", type="other", result="ignored") == 1
    assert read.metric("mfa_events_received_total", type="ChangePassword", result="ignored") == 1


def test_unreadable_messages_are_logged_rarely_without_secrets(read: Reading, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(30):
        read.send('password="hunter2"')
    read.wait_until_empty()
    lines = [record.getMessage() for record in caplog.records if "not an event" in record.getMessage()]
    assert len(lines) == 1
    assert "hunter2" not in caplog.text


def test_who_joins_the_organization_refreshes_its_accounts(read: Reading) -> None:
    read.send(event("AccountJoinedOrganization", source="aws.organizations"))
    read.wait_until_empty()
    assert read.taker.refreshed == [ACCOUNT]


def test_a_message_stays_until_its_pass_is_published(aws: EmbeddedAws, queue: Queue) -> None:
    with reading(aws, queue, Taker(at_once=False)) as read:
        read.send(event("CreateUser"))
        read.send(event("DeleteUser"))
        read.taker.wait_for_hints(2)
        read.taker.dones[0](True)
        read.wait_until(lambda: len(queue) == 1)
        # A failed one is left; it comes back by itself.
        read.taker.dones[1](False)
        for message in queue._messages:
            queue.change_visibility(message.handle, 0)
        read.taker.wait_for_hints(3)
        read.taker.dones[2](True)
        read.wait_until_empty()


def test_a_message_that_comes_back_early_is_no_second_hint(aws: EmbeddedAws, queue: Queue) -> None:
    with reading(aws, queue, Taker(at_once=False)) as read:
        read.send(event("CreateUser"))
        read.taker.wait_for_hints(1)
        (message,) = queue._messages
        first = message.handle
        queue.change_visibility(first, 0)
        read.wait_until(lambda: message.receives == 2 and message.handle != first)
        read.send(event("DeleteUser"))
        read.taker.wait_for_hints(2)
        read.taker.dones[0](True)
        # Only the last receipt deletes it.
        read.wait_until(lambda: message not in queue._messages)
        assert len(read.taker.hints) == 2


def test_who_leads_no_more_neither_reads_nor_deletes(aws: EmbeddedAws, queue: Queue) -> None:
    with reading(aws, queue, Taker(at_once=False)) as read:
        read.send(event("CreateUser"))
        read.taker.wait_for_hints(1)
        read.leading = False
        aws.calls.clear()
        read.taker.dones[0](True)
        # The poll under way brings one more; nobody reads it.
        read.send(event("DeleteUser"))
        for thread in read.receiver._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        assert len(read.taker.hints) == 1
        assert len(queue) == 2
        assert aws.calls.count("DeleteMessageBatch") == 0


def test_stopping_waits_for_no_poll(aws: EmbeddedAws, queue: Queue) -> None:
    with reading(aws, queue) as read:
        read.wait_until(lambda: read.metric("mfa_event_queue_up") == 1)
        read.receiver.stop()
        assert read.metric("mfa_event_queue_up") is None
        assert all(thread.daemon for thread in read.receiver._threads)


def test_a_queue_that_is_deleted_and_made_again(read: Reading, caplog: pytest.LogCaptureFixture) -> None:
    read.aws.world.queues.delete(read.queue)
    read.wait_until(lambda: read.metric("mfa_event_queue_up") == 0)
    read.queue = read.aws.world.events_queue()
    read.send(event("CreateUser"))
    read.wait_until_empty()
    read.wait_until(lambda: read.metric("mfa_event_queue_up") == 1)
    assert "NonExistentQueue" in caplog.text


@pytest.mark.parametrize("fault", ["expired_token", "throttling", "access_denied", "internal", "html_502", "reset"])
def test_the_queue_fails_and_works_again(read: Reading, fault: str) -> None:
    rule = read.aws.faults.add("ReceiveMessage", fault, times=None)
    read.send(event("CreateUser"))
    read.wait_until(lambda: read.metric("mfa_event_queue_up") == 0)
    read.aws.faults.remove(rule.id)
    read.send(event("DeleteUser"))
    read.taker.wait_for_hints(2 if fault != "internal" else 1)
    read.wait_until(lambda: read.metric("mfa_event_queue_up") == 1)


def test_credentials_that_were_exchanged_are_read_again(read: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    user = read.aws.world.home.user("next-operator", access_keys=1)
    old = read.aws.world.operator
    for key in list(read.aws.world.home.backend.users[old.name].access_keys):
        key.status = "Inactive"
    read.send(event("CreateUser"))
    read.wait_until(lambda: read.metric("mfa_event_queue_up") == 0)
    for name, value in user.credentials().environment().items():
        monkeypatch.setenv(name, value)
    read.send(event("DeleteUser"))
    read.wait_until(lambda: read.metric("mfa_event_queue_up") == 1)


def test_a_right_that_is_missing_for_deletions_shows(read: Reading) -> None:
    read.aws.world.home.deny(["sqs:DeleteMessage*"])
    read.send(event("CreateUser"))
    read.wait_until(lambda: read.metric("mfa_event_queue_up") == 0)
    read.aws.world.home.allow_again()
    read.send(event("DeleteUser"))
    read.wait_until(lambda: read.metric("mfa_event_queue_up") == 1)


def test_what_is_held_of_messages_is_bounded(aws: EmbeddedAws, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver_module, "MAX_IN_FLIGHT", 20)
    with reading(aws, queue, Taker(at_once=False)) as read:
        for index in range(60):
            read.send(event("CreateUser", f"user-{index}"))
        read.taker.wait_for_hints(11)
        read.wait_until(lambda: aws.calls.count("ReceiveMessage") >= 2)
        assert len(read.receiver._waiting) <= 20
        seen = 0
        while seen < 60:
            for done in read.taker.dones[seen:]:
                done(True)
                seen += 1
            if seen < 60:
                read.taker.wait_for_hints(seen + 1)
        read.wait_until_empty()
