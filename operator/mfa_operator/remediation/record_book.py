"""What the account's report says about its users, as the pass goes on. Pure: times are passed in."""

from __future__ import annotations

from datetime import datetime

import msgspec

from mfa_operator.api.enums import RemediationAction, RemediationState, UserScope, UserState
from mfa_operator.api.status import FindingRemediation, ReportStatus
from mfa_operator.evaluation.verdicts import Verdict
from mfa_operator.remediation import planner
from mfa_operator.remediation.inputs import AccountPass
from mfa_operator.remediation.outcomes import (
    Blocked,
    Done,
    Failed,
    LeftOpen,
    LeftToOthers,
    Lifted,
    LiftFailed,
    LiveVerdict,
    NotNeeded,
    Outcome,
    Postponed,
    ProfileReplaced,
    Skipped,
)
from mfa_operator.remediation.planner import Decision, refusal_message
from mfa_operator.reporting.account_report import account_report
from mfa_operator.reporting.wording import shortened

STILL_QUARANTINED = "under quarantine still"
ATTACHED_ALREADY = "the quarantine was already attached"


class RecordBook:
    """Verdicts and records of one account, by user. Whoever this policy holds under quarantine stays on record."""

    def __init__(self, inputs: AccountPass) -> None:
        self._inputs = inputs
        self.verdicts: dict[str, Verdict] = {verdict.user: verdict for verdict in inputs.verdicts}
        self.held = inputs.recorded_quarantines()
        """Users whom this policy put under quarantine, and who still are, as far as is known."""
        self.settled: set[str] = set()
        """Users whose record is final for this pass: nothing is planned for them."""
        # What was published stands until something else is decided: a report written in the middle loses nothing.
        self._records = {
            user: finding.remediation
            for user, finding in inputs.published.items()
            if finding.remediation and not finding.remediation.is_removal
        }

    def report(self) -> ReportStatus:
        """The account's report as things stand."""
        inputs = self._inputs
        return account_report(
            inputs.account,
            inputs.snapshot,
            self.verdicts.values(),
            inputs.now,
            previous=inputs.published,
            records=self._records,
        )

    def record(self, user: str) -> FindingRemediation | None:
        return self._records.get(user)

    def see(self, seen: LiveVerdict) -> None:
        """Judge a user by what AWS said a moment ago."""
        if seen.verdict is None:
            self.verdicts.pop(seen.user, None)
        else:
            self.verdicts[seen.user] = seen.verdict

    def intend(self, decision: Decision, at: datetime) -> None:
        """Say that an action is about to be taken."""
        self._put(
            decision.verdict.user,
            FindingRemediation(
                action=decision.action,
                state=RemediationState.INTENDED,
                time=at,
                profile_created=decision.verdict.console_since,
            ),
        )

    def note_decision(self, decision: Decision) -> bool:
        """Record what is planned, or why nothing is; whether that is news.

        What holds the user under quarantine stays on record until something else is done.
        """
        user = decision.verdict.user
        before = self._inputs.record_before(user)
        noted = planner.record(decision, before, self._inputs.now)
        if noted is None or user in self.held:
            self.drop(user)
            return False
        self._put(user, noted)
        return before is None or (before.action, before.reason) != (noted.action, noted.reason)

    def note(self, outcome: Outcome, at: datetime) -> None:
        """Record what came of one user at the moment `at`."""
        user = outcome.user
        match outcome:
            case Done():
                self._done(outcome, at)
            case Skipped():
                self._skip(outcome, at)
            case NotNeeded() | ProfileReplaced():
                self.drop(user)
            case Postponed(message=message):
                self._change(user, state=RemediationState.PLANNED, message=message)
            case LeftOpen():
                self._leave_open(outcome)
            case Failed(message=message, quarantined=quarantined):
                self.held |= {user} if quarantined else set()
                self._change(user, state=RemediationState.FAILED, time=at, message=message)
            case Blocked():
                self._blocked(outcome, at)
            case LiftFailed(message=message):
                self._change(user, message=message)
            case Lifted() | LeftToOthers():
                self._let_go(user)

    def keep_quarantine(self, user: str, at: datetime, *, claim: bool) -> None:
        """Record a quarantine that stands already, whoever attached it.

        `claim`: from now on this policy holds it, too. A policy that may not act, or is only trying, holds nothing: it
        would never lift it.
        """
        if user not in self.held and not claim:
            self.drop(user)
            return
        self.held |= {user}
        before = self._inputs.record_before(user)
        quarantined = before and (before.action, before.state) == (RemediationAction.QUARANTINE, RemediationState.DONE)
        self._put(user, before if before and quarantined else _quarantined(at, ATTACHED_ALREADY))

    def drop(self, user: str) -> None:
        """Say nothing of the user any more, save that a quarantine stands."""
        self._records.pop(user, None)
        if user not in self.held:
            return
        before, verdict = self._inputs.record_before(user), self.verdicts.get(user)
        gone = verdict is not None and verdict.state is UserState.NO_CONSOLE
        if before and (before.action is RemediationAction.QUARANTINE or (before.is_removal and gone)):
            self._put(user, before)
        else:
            self._put(user, _quarantined(before.time if before else self._inputs.now, STILL_QUARANTINED))

    def _put(self, user: str, record: FindingRemediation) -> None:
        """Say this of the user; a quarantine that stands is never lost out of sight."""
        record = msgspec.structs.replace(record, quarantined=False)
        if user in self.held and not record.holds_quarantine:
            record = msgspec.structs.replace(record, quarantined=True)
        self._records[user] = record

    def _change(self, user: str, **fields: object) -> None:
        if record := self._records.get(user):
            self._put(user, msgspec.structs.replace(record, **fields))

    def _done(self, outcome: Done, at: datetime) -> None:
        user, action = outcome.user, outcome.action
        if action is RemediationAction.QUARANTINE:
            self.held |= {user}
        verdict = self.verdicts.get(user)
        if verdict and action is RemediationAction.REMOVE_CONSOLE_ACCESS:
            verdict = msgspec.structs.replace(verdict, console=False, console_since=None)
            if self._inputs.policy.spec.requirement.users is UserScope.CONSOLE:
                verdict = msgspec.structs.replace(verdict, state=UserState.NO_CONSOLE, reason=None)
            self.verdicts[user] = verdict
        self._put(
            user,
            FindingRemediation(
                action=action,
                state=RemediationState.DONE,
                time=at,
                message=outcome.message,
                profile_created=outcome.profile_created,
            ),
        )
        self.settled.add(user)

    def _skip(self, outcome: Skipped, at: datetime) -> None:
        """A reason that was given before keeps its time, unless something was tried. A quarantine stays on record."""
        user, action = outcome.user, self._inputs.action
        if user in self.held:
            self.drop(user)
            return
        before = self._inputs.record_before(user)
        same = before and not outcome.tried and (before.action, before.reason) == (action, outcome.reason)
        self._records[user] = FindingRemediation(
            action=action,
            state=RemediationState.SKIPPED,
            reason=outcome.reason,
            time=before.time if before and same else at,
            message=shortened(outcome.message or refusal_message(outcome.reason)),
        )

    def _blocked(self, outcome: Blocked, at: datetime) -> None:
        """Said before, it keeps its time: it is no news, and needs no write."""
        action, message = self._inputs.action, shortened(outcome.message)
        record = FindingRemediation(action=action, state=RemediationState.FAILED, time=at, message=message)
        before = self._inputs.record_before(outcome.user)
        if before and (before.action, before.state, before.message) == (action, record.state, message):
            record = before
        self._put(outcome.user, record)

    def _leave_open(self, outcome: LeftOpen) -> None:
        user = outcome.user
        self.settled.add(user)
        if outcome.message:
            self._change(user, message=shortened(outcome.message))
        verdict = self.verdicts.get(user)
        if outcome.unknown and verdict and verdict.state in (UserState.NO_CONSOLE, UserState.COMPLIANT):
            self.verdicts[user] = msgspec.structs.replace(verdict, state=UserState.UNKNOWN, reason=outcome.unknown)

    def _let_go(self, user: str) -> None:
        """This policy does not hold the user under quarantine any more."""
        self.held -= {user}
        record = self._records.get(user)
        if record and record.action is not RemediationAction.QUARANTINE:
            self._put(user, record)
        else:
            self.drop(user)


def _quarantined(at: datetime | None, message: str) -> FindingRemediation:
    return FindingRemediation(
        action=RemediationAction.QUARANTINE, state=RemediationState.DONE, time=at, message=message
    )
