"""MaxItems and Marker as IAM has them: 100 by default, 1 to 1,000, an opaque marker."""

import base64
import binascii
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import TypeVar

from mfa_sandbox.aws.request import Call
from mfa_sandbox.aws.wire import AwsError

T = TypeVar("T")

DEFAULT_ITEMS = 100
MOST_ITEMS = 1000


def page(call: Call, items: Iterable[T], key: Callable[[T], str]) -> tuple[list[T], dict[str, object]]:
    """The page that the call asks for, with the `IsTruncated` and `Marker` that belong to it.

    Items are ordered by `key`, which must be unique; a marker names the last key given out, so that items that
    come and go between two pages neither shift nor repeat the others. `World.page_limit` makes pages shorter
    than asked for, which AWS reserves the right to do.
    """
    ordered = sorted(items, key=key)
    start = 0
    marker = call.parameters.get("Marker")
    if marker is not None:
        start = bisect_right(ordered, _last_key(marker), key=key)
    end = start + min(_max_items(call), call.world.page_limit or MOST_ITEMS)
    chunk = ordered[start:end]
    if end >= len(ordered):
        return chunk, {"IsTruncated": False}
    return chunk, {"IsTruncated": True, "Marker": base64.urlsafe_b64encode(key(chunk[-1]).encode()).decode()}


def _max_items(call: Call) -> int:
    text = call.parameters.get("MaxItems", str(DEFAULT_ITEMS))
    try:
        number = int(text)
    except ValueError:
        raise AwsError("MalformedInput", "Unexpected string value for integer field 'MaxItems'") from None
    bound = "less than or equal to 1000" if number > MOST_ITEMS else "greater than or equal to 1"
    if not 1 <= number <= MOST_ITEMS:
        raise AwsError(
            "ValidationError",
            f"1 validation error detected: Value '{number}' at 'maxItems' failed to satisfy constraint: "
            f"Member must have value {bound}",
        )
    return number


def _last_key(marker: str) -> str:
    try:
        return base64.b64decode(marker, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise AwsError("ValidationError", "Invalid Marker.") from None
