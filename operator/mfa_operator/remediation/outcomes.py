"""What came of one user in a pass. The record book, the Events and the counters each take from it what they need."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mfa_operator.api.enums import FindingReason, RefusalReason, RemediationAction
from mfa_operator.aws.errors import AwsFailure
from mfa_operator.evaluation.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Done:
    """The action was carried out, now or by an earlier pass."""

    user: str
    action: RemediationAction
    message: str
    result: str
    """Label `result` of mfa_policy_remediations_total."""
    profile_created: datetime | None = None
    """CreateDate of the login profile that was removed."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Nothing is done about the user in this pass."""

    user: str
    reason: RefusalReason
    message: str = ""
    tried: bool = False
    """Something was tried now: the record takes the time of this pass though the reason is the same as before."""


@dataclass(frozen=True, slots=True)
class NotNeeded:
    """There is nothing to do any more."""

    user: str
    action: RemediationAction
    result: str = ""
    """Counted where it is not empty."""


@dataclass(frozen=True, slots=True)
class Postponed:
    """AWS asks to come back later."""

    user: str
    message: str


@dataclass(frozen=True, slots=True)
class LeftOpen:
    """Nobody knows yet whether the action was carried out: the intent stays, and the next pass finds out."""

    user: str
    message: str = ""
    unknown: FindingReason | None = None
    """Why the user counts as Unknown until then, where there would be no finding to keep the intent."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The action failed, and nothing of it is left."""

    user: str
    action: RemediationAction
    message: str
    quarantined: bool = False
    """The quarantine is attached all the same: only the rest failed."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """The action was not tried: something in the account stands in its way, for all users alike."""

    user: str
    message: str


@dataclass(frozen=True, slots=True)
class ProfileReplaced:
    """The login profile that was to be removed is gone; the user has another one since, and that is another matter."""

    user: str
    action: RemediationAction


@dataclass(frozen=True, slots=True)
class Lifted:
    """The quarantine was lifted."""

    user: str
    message: str


@dataclass(frozen=True, slots=True)
class LiftFailed:
    """The quarantine should be lifted, and could not be."""

    user: str
    message: str


@dataclass(frozen=True, slots=True)
class LeftToOthers:
    """This policy does not ask for the quarantine any more; another one does."""

    user: str


Outcome = (
    Done
    | Skipped
    | NotNeeded
    | Postponed
    | LeftOpen
    | Failed
    | Blocked
    | ProfileReplaced
    | Lifted
    | LiftFailed
    | LeftToOthers
)
"""Everything that can come of a user."""


@dataclass(frozen=True, slots=True)
class LiveVerdict:
    """The verdict on a user by a live read; None where there is no such user."""

    user: str
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one user, what was seen of them on the way, and what failed."""

    outcome: Outcome | None
    """None: nothing happened that has to be said."""
    seen: LiveVerdict | None = None
    errors: tuple[AwsFailure, ...] = ()
