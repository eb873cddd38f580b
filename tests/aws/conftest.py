"""The operator's way of auditing on the embedded AWS, and its commands; made for each test."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from mfa_sandbox.aws import EmbeddedAws
from tests.aws.audit_world import Auditing, auditing
from tests.aws.commands import Run
from tests.fixtures.ready_command import ReadyCommand


@pytest.fixture
def op(aws: EmbeddedAws) -> Iterator[Auditing]:
    with auditing(aws) as made:
        yield made


@pytest.fixture
def run(aws: EmbeddedAws, ready_command: ReadyCommand) -> Run:
    def run(*args: object) -> subprocess.CompletedProcess[str]:
        return ready_command.run(*args, env=os.environ | aws.environment())

    return run
