"""Failures on demand: what AWS, a proxy or the network between does wrong, by operation, account, user and count."""

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from mfa_sandbox.aws.permissions import not_allowed
from mfa_sandbox.aws.request import Call, access_denied
from mfa_sandbox.aws.wire import EXPIRED_CREDENTIALS, Answer, AwsError, DropConnectionError


class FaultKind(StrEnum):
    THROTTLING = "throttling"  # 400 Throttling
    LIMIT_EXCEEDED = "limit_exceeded"  # 409
    ACCESS_DENIED = "access_denied"  # 403
    INTERNAL = "internal"  # 500 ServiceFailure
    HTML_502 = "html_502"  # a proxy's page
    RESET = "reset"  # the connection is reset, nothing was executed
    DELAY = "delay"  # answers rightly, but late
    UNPARSABLE_200 = "unparsable_200"  # a page that is not XML at all, nothing was executed
    XHTML_200 = "xhtml_200"  # a page that is XML, too, nothing was executed
    EXECUTED_ANSWER_LOST = "executed_answer_lost"  # executed, then the connection is reset
    NO_SUCH_ENTITY = "no_such_entity"  # 404
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 - 403, no secret
    ENTITY_TEMPORARILY_UNMODIFIABLE = "entity_temporarily_unmodifiable"  # 409
    REPORT_NOT_PRESENT = "report_not_present"  # 410
    REPORT_EXPIRED = "report_expired"  # 410
    REPORT_IN_PROGRESS = "report_in_progress"  # 404


_MESSAGES = {
    FaultKind.THROTTLING: ("Throttling", "Rate exceeded"),
    FaultKind.INTERNAL: ("ServiceFailure", "The request processing has failed because of an unknown error."),
    FaultKind.EXPIRED_TOKEN: ("ExpiredToken", EXPIRED_CREDENTIALS),
    FaultKind.REPORT_NOT_PRESENT: ("ReportNotPresent", "No report exists. Please generate a report first"),
    FaultKind.REPORT_EXPIRED: ("ReportExpired", "The most recent credential report has expired."),
    FaultKind.REPORT_IN_PROGRESS: ("ReportInProgress", "The credential report is still being generated."),
}

_PAGES = {
    FaultKind.HTML_502: Answer(
        502, b"<html><head><title>502 Bad Gateway</title></head><body>proxy</body></html>", "text/html", "502"
    ),
    FaultKind.UNPARSABLE_200: Answer(
        200, b"<!DOCTYPE html><html><body>Please sign in to the network<br></body></html>", "text/html"
    ),
    FaultKind.XHTML_200: Answer(
        200,
        b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><body>Please sign in</body></html>',
        "application/xhtml+xml",
    ),
}


@dataclass(slots=True, eq=False)
class Fault:
    """One rule. `operation` "*" is every operation; `account` is the one that the call is about; `user` matches
    the parameter UserName. The first `after` matching calls pass, then `times` calls are hit (None: all);
    `delay` seconds pass first. `hits` counts."""

    id: int
    operation: str
    kind: FaultKind
    account: str | None
    user: str | None
    times: int | None
    after: int
    delay: float
    hits: int = 0

    def matches(self, call: Call) -> bool:
        return (
            self.operation in {"*", call.operation}
            and self.account in {None, call.subject_account}
            and self.user in {None, call.parameters.get("UserName")}
        )

    def raise_before(self, call: Call) -> Answer | None:
        """Fail as the kind says, before anything is executed; None lets the call go on."""
        match self.kind:
            case FaultKind.DELAY | FaultKind.EXECUTED_ANSWER_LOST:
                return None
            case FaultKind.HTML_502 | FaultKind.UNPARSABLE_200 | FaultKind.XHTML_200:
                return _PAGES[self.kind]
            case FaultKind.RESET:
                raise DropConnectionError
            case FaultKind.ACCESS_DENIED:
                raise access_denied(call, not_allowed(call.action))
            case FaultKind.NO_SUCH_ENTITY:
                name = call.parameters.get("UserName", "")
                raise AwsError("NoSuchEntity", f"The user with name {name} cannot be found.")
            case FaultKind.LIMIT_EXCEEDED:
                report = call.operation == "GenerateCredentialReport"
                raise AwsError(
                    "LimitExceeded",
                    "There is no more capacity to launch new report generation tasks."
                    if report
                    else "Cannot exceed quota.",
                )
            case FaultKind.ENTITY_TEMPORARILY_UNMODIFIABLE:
                name = call.parameters.get("UserName", "")
                raise AwsError(
                    "EntityTemporarilyUnmodifiable",
                    f"Login Profile for User {name} cannot be modified while login profile is being created.",
                )
            case _:
                raise AwsError(*_MESSAGES[self.kind])


@dataclass(slots=True)
class RateLimit:
    """IAM's limit of one account: a bucket of `burst` requests that fills up by `per_second`. `throttled` counts."""

    per_second: float
    burst: float
    seconds: Callable[[], float]
    throttled: int = 0
    _left: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._left, self._at = self.burst, self.seconds()

    def exceeded(self) -> bool:
        """Whether a request comes too soon; a throttled one takes nothing from the bucket."""
        now = self.seconds()
        self._left = min(self._left + max(now - self._at, 0.0) * self.per_second, self.burst)
        self._at = max(now, self._at)
        if self._left < 1:
            self.throttled += 1
            return True
        self._left -= 1
        return False


class Faults:
    """The rules in force; of those that match a call the oldest acts. Beside them, limits of accounts."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._limits: dict[str, RateLimit] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def add(
        self,
        operation: str,
        kind: str,
        *,
        account: str | None = None,
        user: str | None = None,
        times: int | None = 1,
        after: int = 0,
        delay: float = 0.0,
    ) -> Fault:
        """Put a rule in force. Raises ValueError for a kind that does not exist."""
        with self._lock:
            fault = Fault(next(self._ids), operation, FaultKind(kind), account, user, times, after, delay)
            self._faults.append(fault)
        return fault

    def limit(
        self, account: str, per_second: float, *, burst: float = 5.0, seconds: Callable[[], float] = time.monotonic
    ) -> RateLimit:
        """Answer calls of IAM beyond this rate with Throttling, as IAM does: by account, whoever asks."""
        with self._lock:
            self._limits[account] = RateLimit(per_second, burst, seconds)
            return self._limits[account]

    def check_limit(self, call: Call) -> None:
        """Raises AwsError where the account's limit is exceeded."""
        with self._lock:
            limit = self._limits.get(call.subject_account) if call.service == "iam" else None
            if limit and limit.exceeded():
                raise AwsError(*_MESSAGES[FaultKind.THROTTLING])

    def remove(self, fault_id: int) -> bool:
        """Take a rule back; says whether it was there."""
        with self._lock:
            before = len(self._faults)
            self._faults = [fault for fault in self._faults if fault.id != fault_id]
            return len(self._faults) < before

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()
            self._limits.clear()

    def all(self) -> list[Fault]:
        with self._lock:
            return list(self._faults)

    def take(self, call: Call) -> Fault | None:
        """The rule that hits this call, counted."""
        with self._lock:
            for fault in self._faults:
                if not fault.matches(call) or fault.times == 0:
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                fault.hits += 1
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None
