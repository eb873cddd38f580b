"""The one line of resource versions, and who follows it."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mfa_sandbox.kubernetes.errors import expired
from mfa_sandbox.kubernetes.resources import ResourceType

Object = dict[str, Any]

REMEMBERED = 1000


@dataclass(frozen=True)
class Change:
    """One write: `old` is None for a creation, `new` for a deletion, whose last state `old` then is."""

    version: int
    resource: ResourceType
    old: Object | None
    new: Object | None


# None: every version given out so far is too old.
Feed = asyncio.Queue[Change | None]


class History:
    """Counts resource versions and keeps the last changes, for watches that start in the past.

    Used from one event loop's thread only.
    """

    def __init__(self) -> None:
        self.version = 1
        self.oldest = 0  # a watch from before this version has missed something
        self._changes: deque[Change] = deque()
        self._feeds: set[Feed] = set()

    def next_version(self) -> int:
        self.version += 1
        return self.version

    def record(self, change: Change) -> None:
        self._changes.append(change)
        while len(self._changes) > REMEMBERED:
            self.oldest = self._changes.popleft().version
        for feed in self._feeds:
            feed.put_nowait(change)

    def since(self, version: int) -> list[Change]:
        """The changes after `version`. Raises ApiError 410 when some of them are no longer known."""
        if version < self.oldest:
            raise expired(version, self.oldest)
        return [change for change in self._changes if change.version > version]

    @contextmanager
    def follow(self) -> Iterator[Feed]:
        """The changes from now on."""
        feed: Feed = asyncio.Queue()
        self._feeds.add(feed)
        try:
            yield feed
        finally:
            self._feeds.discard(feed)

    def expire(self) -> None:
        """Make every version given out so far too old, and let the watches know."""
        self.oldest = self.next_version()
        self._changes.clear()
        for feed in self._feeds:
            feed.put_nowait(None)
