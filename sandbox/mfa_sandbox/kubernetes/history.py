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


@dataclass(frozen=True)
class Change:
    """One write: `old` is None for a creation, `new` for a deletion, whose last state `old` then is."""

    version: int
    resource: ResourceType
    old: Object | None
    new: Object | None


@dataclass(frozen=True)
class EndOfWatch:
    """What ends a watch from the server's side: orderly, with an error first, or by cutting the connection."""

    expired: bool = False
    abrupt: bool = False


Feed = asyncio.Queue[Change | EndOfWatch]


class History:
    """Counts resource versions and keeps the last `limit` changes, for watches that start in the past.

    Used from one event loop's thread only.
    """

    def __init__(self, limit: int = 1000) -> None:
        self.version = 1
        self.oldest = 0  # a watch from before this version has missed something
        self._changes: deque[Change] = deque()
        self._limit = limit
        self._feeds: set[Feed] = set()

    def next_version(self) -> int:
        self.version += 1
        return self.version

    def record(self, change: Change) -> None:
        self._changes.append(change)
        while len(self._changes) > self._limit:
            self.oldest = self._changes.popleft().version
        for feed in self._feeds:
            feed.put_nowait(change)

    def since(self, version: int) -> list[Change]:
        """The changes after `version`. Raises ApiError 410 when some of them are no longer known."""
        if version < self.oldest:
            raise expired(version, self.oldest)
        return [change for change in self._changes if change.version > version]

    @property
    def followers(self) -> int:
        return len(self._feeds)

    @contextmanager
    def follow(self) -> Iterator[Feed]:
        """The changes from now on."""
        feed: Feed = asyncio.Queue()
        self._feeds.add(feed)
        try:
            yield feed
        finally:
            self._feeds.discard(feed)

    def end_watches(self, end: EndOfWatch) -> int:
        """End every watch; returns how many there were."""
        for feed in self._feeds:
            feed.put_nowait(end)
        return len(self._feeds)

    def expire(self) -> int:
        """Make every version given out so far too old, and tell the watches so; returns how many there were."""
        self.oldest = self.next_version()
        self._changes.clear()
        return self.end_watches(EndOfWatch(expired=True))
