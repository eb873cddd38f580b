"""`mfa-operator enroll` without a terminal, at an AWS that checks the codes: the whole command but its `Sitting`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import botocore.loaders
import pyotp
import pytest
from click.testing import CliRunner

from mfa_operator.aws.sessions import Sessions
from mfa_operator.cli.enroll import command
from mfa_operator.enroll.terms import NewDevice, NotEnrolled
from mfa_sandbox.aws import Credentials, EmbeddedAws

ID = "111122223333"
SERIAL = f"arn:aws:iam::{ID}:mfa/alice"
CREATE, ENABLE, DELETE = "CreateVirtualMFADevice", "EnableMFADevice", "DeleteVirtualMFADevice"

_LOADER = botocore.loaders.create_loader()
"""Shared, for each boto3 session would read the service models anew."""

Typing = Callable[[str], tuple[str, str]]
"""From the seed to the two codes that a person types."""


def codes(seed: str) -> tuple[str, str]:
    """What an app with this seed shows now, and after it."""
    app, now = pyotp.TOTP(seed), datetime.now(UTC)
    return app.at(now), app.at(now + timedelta(seconds=30))


def wrong_codes(seed: str) -> tuple[str, str]:
    """Two codes of the seed in the wrong order."""
    return codes(seed)[::-1]


def giving_up(_seed: str) -> tuple[str, str]:
    """Ctrl-D instead of a code."""
    raise NotEnrolled("the input ended before the device was enabled")


class Phone:
    """Stands in for `Sitting`: scans the seed and types codes."""

    def __init__(self, typing: Typing) -> None:
        self._typing = typing
        self.notices: list[str] = []

    def tell(self, message: str) -> None:
        self.notices.append(message)

    @contextmanager
    def given(self, device: NewDevice) -> Iterator[None]:
        self._seed = device.seed
        yield

    def codes(self, note: str) -> tuple[str, str]:  # noqa: ARG002 - what a person reads
        return self._typing(self._seed)


@dataclass(frozen=True)
class Ended:
    """How the command ended, and what it said in all."""

    status: int
    said: str


class Enrolling:
    """Runs the command for alice, who has a password and no MFA, as the account's administrator."""

    def __init__(self, aws: EmbeddedAws, patch: pytest.MonkeyPatch) -> None:
        aws.check_codes = True
        self.aws = aws
        self.account = aws.world.account(ID)
        self.alice = self.account.user("alice", password=True)
        self._patch = patch

    def __call__(
        self,
        *arguments: str,
        who: Credentials | None = None,
        typing: Typing = codes,
        environment: dict[str, str] | None = None,
    ) -> Ended:
        user = () if who else ("--user", "alice")
        env = self.aws.environment(who or self.account.admin_credentials) | (environment or {})
        self._patch.setattr("mfa_operator.cli.enroll.Sitting", lambda *_, **__: Phone(typing))
        result = CliRunner().invoke(command, [*user, *arguments], env=env, catch_exceptions=False)
        return Ended(result.exit_code, result.output)

    @property
    def untouched(self) -> bool:
        return not self.account.backend.virtual_mfa_devices and not self.alice.mfa_serials


@contextmanager
def enrolling(aws: EmbeddedAws) -> Iterator[Enrolling]:
    """The command at this AWS. No pause before a retry lasts."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))
        patch.setattr("botocore.session.create_loader", lambda *_: _LOADER)
        patch.setattr("mfa_operator.aws.retry.pause", lambda *_: None)
        patch.setattr("mfa_operator.cli.enroll.check_terminal", lambda **_: None)

        def closed_later(**options: Any) -> Sessions:
            made = Sessions(**options)
            stack.callback(made.close)
            return made

        patch.setattr("mfa_operator.aws.enroll_access.Sessions", closed_later)
        yield Enrolling(aws, patch)
