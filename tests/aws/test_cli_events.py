"""`mfa-operator events` as a process, on a real queue: for setting the queue up."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mfa_sandbox.aws import EmbeddedAws
from mfa_sandbox.aws.queues import Queue
from tests.fixtures.operator import eventually

COMMAND = Path(sys.executable).parent / "mfa-operator"
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def queue(aws: EmbeddedAws) -> Queue:
    return aws.world.events_queue()


@pytest.fixture
def start(aws: EmbeddedAws) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def start(*args: str) -> subprocess.Popen[str]:
        environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **aws.environment()}
        process = subprocess.Popen(
            [COMMAND, "events", *args], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_prints_what_would_be_audited_and_deletes_nothing(aws: EmbeddedAws, queue: Queue, start: Start) -> None:
    process = start(f"--queue={queue.url}")
    assert process.stdout is not None
    aws.world.account("111122223333").user("alice", password=True)
    queue.send("\x1b[2J no event", aws.world.now())
    shown = [process.stdout.readline().split(maxsplit=3) for _ in range(3)]
    assert sorted(columns[1:3] for columns in shown) == [
        ["CreateLoginProfile", "111122223333"],
        ["CreateUser", "111122223333"],
        ["unreadable", "-"],
    ]
    assert {columns[3].strip() for columns in shown if columns[1] != "unreadable"} == {"alice"}
    assert all(line.isprintable() for columns in shown for line in " ".join(columns).splitlines())
    # Not while it still writes: a line that an interrupt cuts short is written once more.
    asked = aws.calls.count("ReceiveMessage")
    eventually(lambda: aws.calls.count("ReceiveMessage") > asked, "it reads on", patience=30)
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=20)
    assert (process.returncode, rest) == (0, "")
    assert "Traceback" not in errors
    assert len(queue) == 3
    assert aws.calls.count("DeleteMessageBatch") + aws.calls.count("DeleteMessage") == 0


def test_says_why_the_queue_cannot_be_read(aws: EmbeddedAws, queue: Queue, start: Start) -> None:
    aws.world.queues.delete(queue)
    process = start(f"--queue={queue.url}")
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    (line,) = errors.splitlines()
    assert line.startswith("mfa-operator: cannot read the queue: GetQueueAttributes: ")
    assert "NonExistentQueue" in line


@pytest.mark.parametrize("url", ["", "nonsense", "http://sqs.us-east-1.amazonaws.com/111122223333/q"])
def test_a_url_of_no_queue_is_bad_input(start: Start, url: str) -> None:
    process = start(f"--queue={url}")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 3
    assert len(errors.splitlines()) == 1
