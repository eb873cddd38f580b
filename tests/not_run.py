"""What a machine cannot run: skipped where a person works, a failure where CI does."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def cannot_run(reason: str) -> NoReturn:
    """Skip the test for this reason, which tests/conftest.py repeats at the end; with CI=true fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
