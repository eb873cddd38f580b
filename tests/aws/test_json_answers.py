"""Answers that no AWS gives, from a proxy or worse, to what is asked in JSON: each is a failure and says so."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator

import boto3
import pytest

from mfa_operator.aws.errors import AwsFailure
from mfa_operator.aws.event_queue import EventQueue
from mfa_operator.aws.organization import Lister, OrganizationLister
from mfa_operator.aws.sessions import Sessions
from mfa_operator.config.queue_url import QueueUrl
from mfa_sandbox.aws import EmbeddedAws
from tests.fixtures.operator import COMMAND
from tests.fixtures.trickle import HEADERS, trickling
from tests.kube.scripted import Reply, ScriptedServer

KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
PAGE = b"<!DOCTYPE html><html><body>Please sign in to the network</body></html>"
MESSAGE = {"MessageId": "1", "ReceiptHandle": "r", "Body": "b"}
GARBAGE = {
    "page": PAGE,
    "nothing": b"",
    "null": b"null",
    "list": b"[1]",
    "other encoding": b'{"Messages": [{"MessageId": "\xff"}]}',
    "too deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
}
OTHER_SHAPES = [
    {"Messages": 5},
    {"Messages": "abc"},
    {"Messages": [None]},
    {"Messages": [{}]},
    {"Messages": [MESSAGE | {"Body": {}}]},
    {"Messages": [MESSAGE] * 11},
]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer([Reply()]) as started:
        yield started


def url_of(server: ScriptedServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


@pytest.fixture
def queue(server: ScriptedServer) -> Iterator[EventQueue]:
    made = EventQueue(QueueUrl.parse(f"{url_of(server)}/111122223333/q"))
    yield made
    made.close()


def calls(queue: EventQueue) -> list[Callable[[], object]]:
    return [queue.receive, lambda: queue.delete(["receipt"]), queue.check_reachable]


@pytest.mark.parametrize("status", [200, 403])
def test_what_is_no_answer_of_sqs_is_a_failure(server: ScriptedServer, queue: EventQueue, status: int) -> None:
    """A page that a proxy puts in was taken for a queue without messages, and the queue for readable."""
    for body in GARBAGE.values():
        server.script[:] = [Reply(status, body=body)]
        for call in calls(queue):
            with pytest.raises(AwsFailure):
                call()


def test_messages_of_another_shape_are_a_failure(server: ScriptedServer, queue: EventQueue) -> None:
    for content in OTHER_SHAPES:
        server.script[:] = [Reply(body=json.dumps(content).encode())]
        with pytest.raises(AwsFailure, match="invalid answer to ReceiveMessage"):
            queue.receive()


def test_a_deletion_that_is_not_confirmed_is_a_failure(server: ScriptedServer, queue: EventQueue) -> None:
    done = {"Successful": [{"Id": "0"}]}
    server.script[:] = [Reply(body=json.dumps(done).encode())]
    queue.delete(["receipt"])
    with pytest.raises(AwsFailure, match="lacks messages"):
        queue.delete(["receipt", "another"])


def test_what_sqs_answers_is_read(server: ScriptedServer, queue: EventQueue) -> None:
    server.script[:] = [Reply(body=b"{}"), Reply(body=json.dumps({"Messages": [MESSAGE]}).encode())]
    assert queue.receive() == []
    [message] = queue.receive()
    assert (message.id, message.receipt, message.body) == ("1", "r", "b")


def test_what_is_no_answer_of_organizations_is_a_failure(
    server: ScriptedServer, aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was an unexpected error, with a traceback."""
    # Between two tries.
    monkeypatch.setattr("mfa_operator.aws.retry.pause", lambda *_: None)
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_ORGANIZATIONS", url_of(server))
    sessions = Sessions(session=boto3.Session())
    lister = OrganizationLister(sessions, Lister())
    for body in GARBAGE.values():
        server.script[:] = [Reply(body=body)]
        with pytest.raises(AwsFailure, match="ListAccounts"):
            lister.list([], lambda _: None)
    sessions.close()


@pytest.mark.parametrize("body", [PAGE, b"null"])
def test_the_command_says_that_it_cannot_read_the_queue(server: ScriptedServer, body: bytes) -> None:
    """It waited for messages of the page for ever, or ended with a traceback."""
    server.script[:] = [Reply(body=body)]
    command = [str(COMMAND), "events", f"--queue={url_of(server)}/111122223333/q"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("mfa-operator: cannot read the queue: GetQueueAttributes")


def test_an_answer_that_trickles_in_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the command, too, which makes no other client."""
    monkeypatch.setattr("mfa_operator.http_deadline.ANSWER_SECONDS", 0.2)
    with trickling(HEADERS) as server:
        queue = EventQueue(QueueUrl.parse(f"{server.url}/111122223333/q"))
        with pytest.raises(AwsFailure):
            queue.receive()
        queue.close()
