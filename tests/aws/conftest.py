"""The operator's way of auditing on the embedded AWS, for each test anew."""

from collections.abc import Iterator

import pytest

from mfa_sandbox.aws import EmbeddedAws
from tests.aws.audit_world import Auditing, auditing


@pytest.fixture
def op(aws: EmbeddedAws) -> Iterator[Auditing]:
    with auditing(aws) as made:
        yield made
