"""Planning: which Overdue users are acted on in this pass, and for every other finding, why not. Pure.

The refusals are tried in the order of REFUSALS; the first that speaks decides. Those that are left are taken oldest
deadline first, until the limits of the policy are reached; users with whom the last try failed come after all others,
the one tried longest ago first, so that they do not use up the limits of every pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mfa_operator.api.enums import (
    OPEN_STATES,
    ROOT_USER,
    RefusalReason,
    RemediationAction,
    RemediationState,
    UserState,
)
from mfa_operator.api.policy import Remediation
from mfa_operator.api.status import Finding, FindingRemediation
from mfa_operator.evaluation.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for every user of one account in one pass."""

    remediation: Remediation
    switched_on: bool
    """The operator's own switch: `--remediation`, and a settings file that can be read."""
    permitted: bool
    """Whether the access rules let the policy's namespace take this action in this account."""
    own_users: frozenset[str]
    """IAM users of this account that the operator itself signs in as."""
    console_users: int
    now: datetime
    taken: int = 0
    """Actions that count against the limits already: those since the policy's last pass, for a targeted pass."""

    @property
    def limit(self) -> int:
        """Actions in this account and pass: the smaller of both limits, at least 1, less those that were taken."""
        share = self.console_users * self.remediation.max_percent // 100
        return max(max(1, min(self.remediation.max_per_pass, share)) - self.taken, 0)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One verdict, and what was published about the user before this pass."""

    verdict: Verdict
    published: Finding | None
    terms: Terms


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done about one user: the action, or the reason why none is taken now."""

    verdict: Verdict
    action: RemediationAction
    refusal: RefusalReason | None

    @property
    def acts(self) -> bool:
        return self.refusal is None


Refusal = Callable[[Candidate], RefusalReason | None]


def plan(
    verdicts: Sequence[Verdict],
    published: Mapping[str, Finding],
    terms: Terms,
    *,
    in_force: frozenset[str] = frozenset(),
) -> list[Decision]:
    """A decision for every user who violates, is exempt or unknown, in the order in which actions are to be taken.

    `published` is the report as it stood before this pass, by user. `in_force` names users under quarantine already:
    nothing needs to be done about them, and nothing is decided.
    """
    action = terms.remediation.action
    judged = [
        verdict
        for verdict in sorted(verdicts, key=lambda verdict: _turn(verdict, published.get(verdict.user)))
        if verdict.state not in (UserState.NO_CONSOLE, UserState.COMPLIANT) and verdict.user not in in_force
    ]
    decisions: list[Decision] = []
    left = terms.limit
    for verdict in judged:
        candidate = Candidate(verdict, published.get(verdict.user), terms)
        refusal = next((reason for refuse in REFUSALS if (reason := refuse(candidate))), None)
        if refusal is None and left == 0:
            refusal = RefusalReason.LIMIT_REACHED
        elif refusal is None:
            left -= 1
            refusal = RefusalReason.DRY_RUN if terms.remediation.dry_run else None
        decisions.append(Decision(verdict, action, refusal))
    return decisions


def _disabled(candidate: Candidate) -> RefusalReason | None:
    asked = candidate.terms.remediation.action is not RemediationAction.NONE
    return None if asked and candidate.terms.switched_on else RefusalReason.REMEDIATION_DISABLED


def _exempt(candidate: Candidate) -> RefusalReason | None:
    return RefusalReason.EXEMPT if candidate.verdict.state is UserState.EXEMPT else None


def _unknown(candidate: Candidate) -> RefusalReason | None:
    return RefusalReason.LOOKUP_DENIED if candidate.verdict.state is UserState.UNKNOWN else None


def _root(candidate: Candidate) -> RefusalReason | None:
    return RefusalReason.ROOT if candidate.verdict.user == ROOT_USER else None


def _own_identity(candidate: Candidate) -> RefusalReason | None:
    return RefusalReason.OWN_IDENTITY if candidate.verdict.user in candidate.terms.own_users else None


def _within_grace(candidate: Candidate) -> RefusalReason | None:
    return None if candidate.verdict.state is UserState.OVERDUE else RefusalReason.WITHIN_GRACE


def _no_console(candidate: Candidate) -> RefusalReason | None:
    return None if candidate.verdict.console else RefusalReason.NO_CONSOLE


def _not_permitted(candidate: Candidate) -> RefusalReason | None:
    return None if candidate.terms.permitted else RefusalReason.NOT_ALLOWED


def _not_published(candidate: Candidate) -> RefusalReason | None:
    """This very violation must stand in a report, with a deadline that has passed: people could read it there."""
    before = candidate.published
    if before is None or before.state not in OPEN_STATES or before.first_seen != candidate.verdict.first_seen:
        return RefusalReason.NOT_PUBLISHED_YET
    if before.deadline is None or before.deadline > candidate.terms.now:
        return RefusalReason.WITHIN_GRACE
    return None


REFUSALS: tuple[Refusal, ...] = (
    _exempt,
    _unknown,
    _within_grace,
    _root,
    _own_identity,
    _disabled,
    _not_permitted,
    _no_console,
    _not_published,
)

_MESSAGES = {
    RefusalReason.REMEDIATION_DISABLED: "switched off by the policy's action or by the operator's settings",
    RefusalReason.DRY_RUN: "spec.remediation.dryRun is true: nothing was changed",
    RefusalReason.NOT_ALLOWED: "the operator's access rules do not allow this action here",
    RefusalReason.NOT_PUBLISHED_YET: "first published in this pass; a later pass may act",
    RefusalReason.WITHIN_GRACE: "the deadline has not passed",
    RefusalReason.LIMIT_REACHED: "the limit of this pass was reached; a later pass may act",
    RefusalReason.ROOT: "root is never remediated",
    RefusalReason.OWN_IDENTITY: "the operator itself signs in as this user",
    RefusalReason.LOOKUP_DENIED: "the user could not be checked",
    RefusalReason.EXEMPT: "an exemption covers the user",
    RefusalReason.NO_CONSOLE: "the user has no console access to take away",
    RefusalReason.ENROLLING_FORBIDDEN: "under quarantine the user could not enrol MFA",
}


_FOUND_RIGHT_BEFORE = (RefusalReason.LOOKUP_DENIED, RefusalReason.ENROLLING_FORBIDDEN)
"""Refusals that no plan can foresee: they use up a place in the limits."""


def refusal_message(reason: RefusalReason) -> str:
    return _MESSAGES[reason]


def record(decision: Decision, before: FindingRemediation | None, now: datetime) -> FindingRemediation | None:
    """What the finding's `remediation` says of a decision; None where the policy asks for nothing.

    A refusal that was published before keeps its time: it is no news. So does a failure whose turn has not come again.
    """
    if decision.action is RemediationAction.NONE or decision.verdict.state is not UserState.OVERDUE:
        return None
    waiting = decision.refusal is RefusalReason.LIMIT_REACHED and before and before.action == decision.action
    if waiting and _failed(before):
        return before
    if decision.refusal is None:
        return FindingRemediation(action=decision.action, state=RemediationState.PLANNED, time=now)
    state = RemediationState.DRY_RUN if decision.refusal is RefusalReason.DRY_RUN else RemediationState.SKIPPED
    same = before and (before.action, before.state, before.reason) == (decision.action, state, decision.refusal)
    return FindingRemediation(
        action=decision.action,
        state=state,
        reason=decision.refusal,
        time=before.time if before and same else now,
        message=refusal_message(decision.refusal),
    )


def _turn(verdict: Verdict, before: Finding | None) -> tuple[bool, float, float, str]:
    """Sorts first who is to be acted on first."""
    record, deadline = before.remediation if before else None, verdict.deadline
    failed = _failed(record)
    tried = record.time.timestamp() if failed and record and record.time else 0.0
    return failed, tried, deadline.timestamp() if deadline else math.inf, verdict.user


def _failed(record: FindingRemediation | None) -> bool:
    """Whether the last try came to nothing: AWS refused, or the check right before it did."""
    if record is None:
        return False
    return record.state is RemediationState.FAILED or record.reason in _FOUND_RIGHT_BEFORE
