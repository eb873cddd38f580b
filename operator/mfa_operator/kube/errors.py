"""What can go wrong when talking to the cluster. Free of any client, so that whoever only handles errors loads none."""

from __future__ import annotations


class ClusterError(Exception):
    """The cluster did not do what was asked. The message is for people and holds the object's kind and name."""


class ClusterUnavailable(ClusterError):
    """No useful answer in all tries: unreachable, overloaded, or the object was changed by others all the time."""


class StaleData(ClusterUnavailable):
    """Somebody else has written the object since it was read: what we know is older, and was not written."""


class ObjectGone(ClusterError):
    """The object does not exist any more, or another one has taken its name (its uid differs)."""


class ReadRefused(ClusterError):
    """The API server will not show this, however often it is asked."""

    def __init__(self, name: str, status: int, message: str) -> None:
        super().__init__(f"{name} cannot be read ({status}): {message}")
        self.name, self.status, self.message = name, status, message


class WriteRefused(ClusterError):
    """The API server will not store this, however often it is asked: not permitted, invalid, too large.

    `name` is kind, namespace and name of the object, `status` the HTTP status (413 whenever it is a matter of size),
    `message` the server's reason.
    """

    def __init__(self, name: str, status: int, message: str) -> None:
        super().__init__(f"{name} was not written ({status}): {message}")
        self.name, self.status, self.message = name, status, message
