"""What the embedded AWS answers when it refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError


def code_of(act: Callable[[], object]) -> tuple[str, int]:
    """AWS's error code and the HTTP status of a call that has to be refused."""
    with pytest.raises(ClientError) as caught:
        act()
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]
