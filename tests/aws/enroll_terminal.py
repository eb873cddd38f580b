"""`mfa-operator enroll` as a process of its own, driven through a pseudo-terminal as a person would."""

from __future__ import annotations

import io
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest

from mfa_sandbox.aws import Account, EmbeddedAws
from mfa_sandbox.aws.operations import OPERATIONS
from mfa_sandbox.aws.request import Call
from mfa_sandbox.aws.wire import Result
from tests.aws.enroll_world import ID, SERIAL

PROGRAM = (str(Path(sys.executable).with_name("mfa-operator")), "enroll")
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
DEADLINE = 30.0
"""Seconds, for whatever is waited for; nothing but a hang takes so long."""


class Person:
    """Somebody at a terminal of their own; `screen` is all that the program has written to it."""

    def __init__(self, account: Account, program: tuple[str, ...], size: tuple[int, int], env: dict[str, str]) -> None:
        self.account = account
        self.written = io.StringIO()
        self.process: pexpect.spawn[str] = pexpect.spawn(
            program[0], list(program[1:]), env=env, dimensions=size, encoding="utf-8", timeout=DEADLINE
        )
        self.process.logfile_read = self.written
        self.process.delaybeforesend = None
        self.process.ptyproc.delayafterclose = 0  # type: ignore[attr-defined]  # not in the stubs

    @property
    def screen(self) -> str:
        return self.written.getvalue()

    @property
    def scrollback(self) -> str:
        """What the terminal shows after the program has ended: all but what was on the alternate screen."""
        assert self.screen.count(ENTER) == self.screen.count(LEAVE)
        return re.sub(re.escape(ENTER) + ".*?" + re.escape(LEAVE), "", self.screen, flags=re.DOTALL)

    @property
    def wiped(self) -> list[int]:
        """The lines that were emptied, one after the other, right before the alternate screen was left."""
        before = self.screen[: self.screen.rindex(LEAVE)]
        found = re.search("(?:\x1b\\[\\d+;1H\x1b\\[2K)*\\Z", before)
        assert found is not None
        return [int(line) for line in re.findall("(\\d+);1H", found[0])]

    def sees(self, *texts: str) -> None:
        for text in texts:
            self.process.expect_exact(text)

    def types(self, text: str) -> None:
        self.process.sendline(text)

    def presses(self, control: str) -> None:
        self.process.sendcontrol(control)

    def seed(self, serial: str = SERIAL) -> str:
        """What the person's app has scanned; waits until it is shown."""
        self.sees("First code: ")
        return str(self.account.backend.virtual_mfa_devices[serial].base32_string_seed)

    def enters(self, codes: tuple[str, str]) -> None:
        self.types(codes[0])
        self.sees("wait until the app shows the next code", "Next code: ")
        self.types(codes[1])

    def status(self) -> int:
        """The exit status, once the program has ended."""
        self.process.expect(pexpect.EOF)
        self.process.wait()
        assert self.process.signalstatus is None
        assert "Traceback" not in self.screen
        assert self.process.exitstatus is not None
        return self.process.exitstatus


class EnrollSetup:
    """Where people sit down to enroll alice, who has a password and no MFA, as the account's administrator."""

    def __init__(self, aws: EmbeddedAws) -> None:
        aws.check_codes = True
        self.aws = aws
        self.account = aws.world.account(ID)
        self.alice = self.account.user("alice", password=True)
        self.people: list[Person] = []

    def __call__(
        self,
        *arguments: str,
        program: tuple[str, ...] = PROGRAM,
        size: tuple[int, int] = (24, 200),
        environment: dict[str, str] | None = None,
    ) -> Person:
        env = self.environment() | (environment or {})
        self.people.append(Person(self.account, (*program, "--user", "alice", *arguments), size, env))
        return self.people[-1]

    def environment(self) -> dict[str, str]:
        common = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        return common | self.aws.environment(self.account.admin_credentials)

    @contextmanager
    def held(self, operation: str) -> Iterator[threading.Event]:
        """Within it AWS does what it is asked, but does not answer. The event: a request has come."""
        answer = OPERATIONS["iam"][operation]
        came, go = threading.Event(), threading.Event()

        def held_back(call: Call) -> Result | None:
            result = answer(call)
            came.set()
            assert go.wait(DEADLINE)
            return result

        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(OPERATIONS["iam"], operation, held_back)
            try:
                yield came
            finally:
                go.set()

    @property
    def untouched(self) -> bool:
        return not self.account.backend.virtual_mfa_devices and not self.alice.mfa_serials


@contextmanager
def sitting_down(aws: EmbeddedAws) -> Iterator[EnrollSetup]:
    """A enrolling at this AWS; whoever still sits there at the end is sent away."""
    enrolling = EnrollSetup(aws)
    try:
        yield enrolling
    finally:
        for person in enrolling.people:
            person.process.close(force=True)


def comes_true(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + DEADLINE
    while not (true := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return true
