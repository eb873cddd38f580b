"""What was asked of the embedded AWS: every request, whether answered or not."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import overload

# Never kept, whoever sends them.
SECRET_PARAMETERS = frozenset(
    {"AuthenticationCode1", "AuthenticationCode2", "NewPassword", "OldPassword", "Password", "TokenCode"}
)


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One request.

    `time` is the world's clock. `account_id` is the account that the call is about (for AssumeRole the role's),
    `principal` the caller's ARN ("" where the credentials were not known). `http_status` is 0 where the
    connection was dropped without an answer; `code` is AWS's error code, None for a success. `executed` says
    whether the operation took effect, which an answer that was lost does not tell the client.
    """

    time: datetime
    account_id: str
    principal: str
    service: str
    operation: str
    parameters: Mapping[str, str]
    http_status: int
    code: str | None
    executed: bool


class CallLog:
    """A list of `CallRecord`, oldest first, that many threads may append to and read."""

    def __init__(self) -> None:
        self._records: list[CallRecord] = []
        self._changed = threading.Condition()

    def append(self, record: CallRecord) -> None:
        with self._changed:
            self._records.append(record)
            self._changed.notify_all()

    def clear(self) -> None:
        with self._changed:
            self._records.clear()

    def count(self, operation: str | None = None, account: str | None = None, principal: str | None = None) -> int:
        """How many calls there were: of an operation, about an account, by a principal's ARN; None is any."""
        return len(self.select(operation, account, principal))

    def select(
        self, operation: str | None = None, account: str | None = None, principal: str | None = None
    ) -> list[CallRecord]:
        return [
            record
            for record in self
            if operation in {None, record.operation}
            and account in {None, record.account_id}
            and principal in {None, record.principal}
        ]

    def operations(self) -> Counter[str]:
        """The number of calls by operation."""
        return Counter(record.operation for record in self)

    def wait_for(self, condition: Callable[["CallLog"], bool], timeout: float) -> bool:
        """Wait, at most `timeout` seconds, until the condition holds; says whether it does."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self), timeout)

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[CallRecord]:
        with self._changed:
            return iter(list(self._records))

    @overload
    def __getitem__(self, index: int) -> CallRecord: ...
    @overload
    def __getitem__(self, index: slice) -> list[CallRecord]: ...
    def __getitem__(self, index: int | slice) -> CallRecord | list[CallRecord]:
        return self._records[index]


def without_secrets(parameters: Mapping[str, str]) -> dict[str, str]:
    """The parameters as they may be kept."""
    return {
        name: "***" if name in SECRET_PARAMETERS else value
        for name, value in parameters.items()
        if name not in {"Action", "Version"}
    }
