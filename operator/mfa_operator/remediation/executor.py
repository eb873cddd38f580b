"""One action on one user: checked as a whole before every request, and judged by what AWS shows afterwards."""

from __future__ import annotations

import threading

from mfa_operator.api.enums import RefusalReason, RemediationAction, UserState
from mfa_operator.api.status import FindingRemediation
from mfa_operator.aws.collect import failure_reason
from mfa_operator.aws.errors import AwsFailure, NotFound
from mfa_operator.aws.live_user import UNMODIFIABLE, delete_login_profile
from mfa_operator.aws.quarantine_document import Variant
from mfa_operator.aws.quarantine_policies import NotOurs
from mfa_operator.aws.sessions import AccountSession
from mfa_operator.aws.writes import Ending, Write, carry_out
from mfa_operator.evaluation.verdicts import Verdict
from mfa_operator.remediation.checks import Checks
from mfa_operator.remediation.outcomes import (
    Attempt,
    Blocked,
    Done,
    Failed,
    LeftOpen,
    LiveVerdict,
    NotNeeded,
    Outcome,
    Postponed,
    ProfileReplaced,
    Skipped,
)
from mfa_operator.remediation.planner import Decision
from mfa_operator.remediation.publisher import OBSERVED
from mfa_operator.remediation.quarantines import AccountQuarantines
from mfa_operator.reporting.wording import shortened

REMOVED = "login profile removed; access keys, if there are any, still work"
REMOVED_BY_OTHERS = "the login profile was already removed; access keys, if there are any, still work"

_REASONS_NOT_TO = {
    UserState.UNKNOWN: RefusalReason.LOOKUP_DENIED,
    UserState.EXEMPT: RefusalReason.EXEMPT,
    UserState.VIOLATING: RefusalReason.WITHIN_GRACE,
    UserState.OVERDUE: RefusalReason.NOT_PUBLISHED_YET,
}
_RESULTS_WITHOUT_ACTION = {UserState.NO_CONSOLE: "already_absent", UserState.COMPLIANT: "skipped_compliant"}


class _Execution:
    """What every action has in common: the check of the user, and what was seen of them."""

    def __init__(self, decision: Decision, checks: Checks) -> None:
        self._judged = decision.verdict
        self._action = decision.action
        self._user = decision.verdict.user
        self._checks = checks
        self._profile = decision.verdict.console_since
        """CreateDate of the login profile that this is about; None until it is known."""
        self._seen: LiveVerdict | None = None
        """What the last check saw of the user; None where it did not come so far."""
        self._errors: list[AwsFailure] = []

    def execute(self, stopping: threading.Event) -> Attempt:
        try:
            ending: Ending[Outcome] = carry_out(self._next_write, self.check, stopping)
        finally:
            # Another policy's audit may have read the user in between.
            self._checks.forget_user(self._judged.user_id)
        return Attempt(self._outcome(ending), self._seen, (*self._errors, *ending.errors))

    def _next_write(self) -> Write | None:
        raise NotImplementedError

    def _outcome(self, ending: Ending[Outcome]) -> Outcome:
        raise NotImplementedError

    def check(self) -> Outcome | None:
        """Everything that may stand against the next request. Raises ClusterError, PassAbandoned."""
        self._seen = None
        if refusal := self._checks.check_still_allowed(self._action):
            return Skipped(self._user, *refusal)
        try:
            verdict = self._checks.verdict_now(self._user, self._judged.path)
        except AwsFailure as error:
            self._errors.append(error)
            return Skipped(self._user, RefusalReason.LOOKUP_DENIED, str(error), tried=True)
        self._seen = LiveVerdict(self._user, verdict)
        if verdict is None:
            return NotNeeded(self._user, self._action)
        if not self._same_violation(verdict):
            return self._not_the_same(verdict)
        self._profile = verdict.console_since
        # Reading may have taken long.
        refusal = self._checks.check_own_settings(self._action)
        return Skipped(self._user, *refusal) if refusal else None

    def _same_violation(self, verdict: Verdict) -> bool:
        judged = self._judged
        same = (verdict.user_id, verdict.first_seen) == (judged.user_id, judged.first_seen)
        same_profile = self._profile in (None, verdict.console_since)
        return verdict.state is UserState.OVERDUE and same and bool(verdict.console) and same_profile

    def _not_the_same(self, verdict: Verdict) -> Outcome:
        if verdict.state in _RESULTS_WITHOUT_ACTION:
            return NotNeeded(self._user, self._action, _RESULTS_WITHOUT_ACTION[verdict.state])
        return Skipped(self._user, _REASONS_NOT_TO[verdict.state] if verdict.console else RefusalReason.NO_CONSOLE)


class _Removal(_Execution):
    """DeleteLoginProfile."""

    def __init__(
        self, decision: Decision, checks: Checks, session: AccountSession, earlier_intent: FindingRemediation | None
    ) -> None:
        super().__init__(decision, checks)
        self._session, self._earlier_intent = session, earlier_intent
        self._result = ""

    def _next_write(self) -> Write | None:
        if self._result:
            return None
        self._session.prepare_to_write()
        return Write("DeleteLoginProfile", self._send)

    def _send(self) -> None:
        try:
            delete_login_profile(self._session, self._user)
            self._result = "done"
        except NotFound as error:
            # It was there a moment ago. Where an earlier try got no answer, that try took it away.
            self._result = "done" if error.retries else "already_absent"
        self._checks.note_removal(self._judged.user_id, self._profile)

    def _outcome(self, ending: Ending[Outcome]) -> Outcome:
        if ending.complete:
            ours = self._result == "done" or ending.unanswered
            return self._done(REMOVED) if ours else self._done(REMOVED_BY_OTHERS, "already_absent")
        if ending.unanswered:
            return self._outcome_of_lost_answer(ending)
        seen, earlier = self._seen.verdict if self._seen else None, self._earlier_intent
        gone = seen is not None and seen.console is False
        if ending.stopped and gone and earlier and earlier.action is RemediationAction.REMOVE_CONSOLE_ACCESS:
            # IAM is eventually consistent: an earlier pass's try whose answer was lost shows only now.
            return Done(self._user, earlier.action, OBSERVED, "done", earlier.profile_created)
        return ending.stopped or _failed(self._user, self._action, ending)

    def _outcome_of_lost_answer(self, ending: Ending[Outcome]) -> Outcome:
        """A request got no answer. What AWS showed since tells what became of it, or nobody knows yet."""
        if ending.stopped and self._seen:
            seen = self._seen.verdict
            if seen is None:
                return ending.stopped
            if seen.console is False:
                return self._done(REMOVED)
            if self._profile and seen.console_since and seen.console_since > self._profile:
                return ProfileReplaced(self._user, self._action)
        error = ending.errors[-1]
        return LeftOpen(self._user, f"no answer to the call: {error}", failure_reason(error))

    def _done(self, message: str, result: str = "done") -> Done:
        return Done(self._user, self._action, message, result, self._profile)


class _Quarantine(_Execution):
    """The managed policy made or repaired where needed, attached, and the other variant detached."""

    def __init__(self, decision: Decision, checks: Checks, quarantines: AccountQuarantines) -> None:
        super().__init__(decision, checks)
        self._quarantines = quarantines
        self._variant: Variant | None = None
        self._may_enrol: bool | None = None
        """None until it was asked: once for the action, for it has several requests."""

    def check(self) -> Outcome | None:
        if self._may_enrol is None and self._variant:
            # Before the user is read, so that nothing lengthens the time between that and the request.
            try:
                forbidden = self._checks.what_forbids_enrolling(self._user, self._judged.path, self._variant)
            except AwsFailure as error:
                self._errors.append(error)
                return Skipped(self._user, RefusalReason.LOOKUP_DENIED, str(error), tried=True)
            if forbidden:
                return Skipped(self._user, RefusalReason.ENROLLING_FORBIDDEN, forbidden, tried=True)
            self._may_enrol = True
        return super().check()

    def _next_write(self) -> Write | None:
        self._variant = self._variant or self._quarantines.variant_for(self._user)
        return self._quarantines.policies.next_write_to_attach(self._variant, self._user)

    def _outcome(self, ending: Ending[Outcome]) -> Outcome:
        attached = "AttachUserPolicy" in ending.sent
        if ending.complete or (ending.stopped and attached):
            # Stopped before the other variant was detached: the user is under quarantine, the next pass does the rest.
            return Done(self._user, self._action, f"{self._variant} attached until the user has MFA", "done")
        if ending.unanswered and not attached:
            return LeftOpen(self._user, f"no answer to the call: {ending.errors[-1]}")
        return ending.stopped or _failed(self._user, self._action, ending, quarantined=attached)


def execute(
    decision: Decision,
    earlier_intent: FindingRemediation | None,
    checks: Checks,
    session: AccountSession,
    quarantines: AccountQuarantines,
) -> Attempt:
    """Take the action that was decided and announced.

    `earlier_intent`: an intent of an earlier pass of which no outcome is known. Raises ClusterError, PassAbandoned.
    """
    execution: _Execution
    if decision.action is RemediationAction.QUARANTINE:
        execution = _Quarantine(decision, checks, quarantines)
    else:
        execution = _Removal(decision, checks, session, earlier_intent)
    return execution.execute(session.sessions.stopping)


def _failed(user: str, action: RemediationAction, ending: Ending[Outcome], *, quarantined: bool = False) -> Outcome:
    error = ending.error
    assert error is not None  # noqa: S101 - neither complete nor stopped, for the type checker
    if isinstance(error, NotOurs):
        return Blocked(user, shortened(str(error)))
    if error.code == UNMODIFIABLE:
        return Postponed(user, f"{error.code}: AWS cannot do it yet; a later pass tries again")
    return Failed(user, action, shortened(str(error)), quarantined)
