"""The operator's way of auditing on the embedded AWS, and its commands; made for each test."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from mfa_sandbox.aws import EmbeddedAws
from tests.aws.audit_world import Auditing, auditing
from tests.aws.commands import Run
from tests.fixtures.operator import COMMAND


@pytest.fixture
def op(aws: EmbeddedAws) -> Iterator[Auditing]:
    with auditing(aws) as made:
        yield made


@pytest.fixture
def run(aws: EmbeddedAws) -> Run:
    def run(*args: object) -> subprocess.CompletedProcess[str]:
        command = [str(COMMAND), *map(str, args)]
        environment = os.environ | aws.environment()
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    return run
