"""A command forked by the tests' server is what the program itself is."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import pytest

from tests.fixtures.ready_command import COMMAND, ReadyCommand

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "COLUMNS": "70", "AWS_PROFILE": "nobody"}


@pytest.mark.parametrize(
    "args", [["--help"], ["version"], ["bogus"], [], ["audit", "-f", "no/such/file"], ["run", "--log-level=x"]], ids=str
)
def test_ends_and_says_the_same(ready_command: ReadyCommand, args: Sequence[str]) -> None:
    own = subprocess.run([COMMAND, *args], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
    forked = ready_command.run(*args, env=ENVIRONMENT)
    assert (forked.returncode, forked.stdout, forked.stderr) == (own.returncode, own.stdout, own.stderr)


def test_has_the_environment_that_it_is_given_and_no_other(ready_command: ReadyCommand) -> None:
    """Not that of an earlier one either."""
    variable = {"MFA_OPERATOR_LOG_LEVEL": "loud"}
    refused, taken = (
        ready_command.run("run", "--kubeconfig=/none", env=ENVIRONMENT | extra, cluster=True)
        for extra in (variable, {})
    )
    assert "'loud' is not one of" in refused.stderr
    assert "there is no kubeconfig at /none" in taken.stderr
