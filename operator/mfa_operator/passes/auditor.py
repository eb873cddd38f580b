"""One account audited under one policy: collect, judge, report. What `run` and `audit` share."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mfa_operator.api.enums import FindingState
from mfa_operator.api.policy import Account, PolicySpec
from mfa_operator.api.status import Finding, ReportStatus
from mfa_operator.aws.collect import MAX_CONCURRENT_USERS, Collector
from mfa_operator.aws.errors import AwsFailure
from mfa_operator.aws.sessions import Sessions
from mfa_operator.clock import utc_moment
from mfa_operator.evaluation.facts import Snapshot
from mfa_operator.evaluation.rules import Case, wants_tags
from mfa_operator.evaluation.verdicts import Verdict, evaluate, needs_of
from mfa_operator.reporting.account_report import account_report
from mfa_operator.reporting.wording import many
from mfa_operator.scheduling.due import PassAbandoned
from mfa_operator.scheduling.hints import Doubt

_Key = tuple[str, str | None, str | None]
"""Account id, role and external id: one way into an account."""
SHARE = 0.1
"""Share of its interval within which a policy is content with what another policy's pass fetched of an account."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What one audit of an account found."""

    snapshot: Snapshot
    verdicts: tuple[Verdict, ...]
    report: ReportStatus
    failures: tuple[AwsFailure, ...]
    """Lookups of single users that failed; the account is audited all the same."""


class Auditor:
    """Audits accounts, and keeps what one pass leaves to the next about each."""

    def __init__(
        self, sessions: Sessions, *, max_concurrent_users: int = MAX_CONCURRENT_USERS, restores: bool = True
    ) -> None:
        """`restores`: an account's first audit may use the live answers that the previous report tells of.

        A command does not: whoever runs it wants answers from now.
        """
        self.sessions = sessions
        self._restores = restores
        self._width = max_concurrent_users
        self._collectors: dict[_Key, Collector] = {}
        self._named: Counter[_Key] | None = None
        """How many policies name each account; None before anybody has said."""
        self._lock = threading.Lock()

    def audit(
        self,
        spec: PolicySpec,
        account: Account,
        previous: ReportStatus | None,
        now: datetime,
        *,
        fresh: bool = False,
        interval: timedelta | None = None,
        doubt: Doubt | None = None,
    ) -> Audit:
        """Audit one account. `fresh`: a person asked, so nothing from before this moment is used.

        `interval` stands in for spec.interval. `doubt`: what an event says may have changed; nothing from before it is
        used of these users, nor of what speaks of all of them at once. Raises AwsFailure where the account cannot be
        audited, PassAbandoned where the operator is stopping.
        """
        collector = self.collector(account)
        moment = utc_moment()
        findings = {finding.user: finding for finding in previous.findings} if previous else {}
        failures: list[AwsFailure] = []
        needs = needs_of(spec)
        not_before = moment if fresh else moment - (interval or spec.interval.delta) * SHARE
        snapshot = collector.collect(
            needs,
            now,
            deadlines=_deadlines(findings.values()),
            report_time=previous.credential_report_time if previous else None,
            published=findings if self._restores else {},
            not_before=doubt.since if doubt and not fresh else not_before,
            forget_before=moment if fresh else None,
            doubted=doubt.users if doubt else (),
            shared=lambda: self._named is None or self._named[_key(account)] > 1,
            count_error=failures.append,
        )
        ask_tags = [
            facts.user.name
            for facts in snapshot.users
            if wants_tags(Case(facts, spec, needs, account.id, now, self._checkpoint))
        ]
        snapshot = collector.add_tags(snapshot, ask_tags, failures.append)
        verdicts = evaluate(spec, snapshot, findings, now, checkpoint=self._checkpoint)
        if failures:
            snapshot = replace(snapshot, notes=(*snapshot.notes, _failed_lookups(failures)))
        report = account_report(account, snapshot, verdicts, now, previous=findings)
        return Audit(snapshot, tuple(verdicts), report, tuple(failures))

    def _checkpoint(self) -> None:
        """Judging thousands of users by thousands of globs can take long; a process that stops does not wait for it."""
        if self.sessions.stopping.is_set():
            raise PassAbandoned("judging")

    def held_back(self, account_id: str) -> bool:
        """Whether requests to the account mostly wait, as AWS throttles it."""
        return self.sessions.pacing.paced(account_id)

    def collector(self, account: Account) -> Collector:
        """The account's collector: one per account and way to reach it, whichever policies name it."""
        key = _key(account)
        with self._lock:
            if key not in self._collectors:
                self._collectors[key] = Collector(self.sessions.account(account), self._width)
            return self._collectors[key]

    def keep_only(self, accounts: Iterable[Account]) -> None:
        """Forget the accounts that no policy names any more. `accounts`: of all policies, as often as each is named."""
        named = Counter(map(_key, accounts))
        with self._lock:
            self._named = named
            for key in self._collectors.keys() - named.keys():
                del self._collectors[key]


def _key(account: Account) -> _Key:
    return account.id, account.role_arn, account.external_id


def _deadlines(findings: Iterable[Finding]) -> dict[str, datetime]:
    return {
        finding.user: finding.deadline
        for finding in findings
        if finding.deadline and finding.state is FindingState.VIOLATING
    }


def _failed_lookups(failures: list[AwsFailure]) -> str:
    kinds = Counter((failure.operation, failure.code) for failure in failures)
    first = ", ".join(
        f"{operation} {code} ({many(count, 'time')})" for (operation, code), count in kinds.most_common(3)
    )
    return f"some users could not be checked: {first}"
