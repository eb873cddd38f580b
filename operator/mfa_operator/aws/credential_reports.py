"""Getting the credential report through its states: not there, expired, in progress, as new as AWS will make it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from mfa_operator.aws.errors import AwsFailure, Denied, ReportFailed, Throttled
from mfa_operator.aws.retry import retrying
from mfa_operator.aws.sessions import AccountSession
from mfa_operator.evaluation.credential_report import CredentialReport, UnreadableReport, parse
from mfa_operator.evaluation.sufficiency import REPORT_WINDOW

NOT_THERE_CODES = frozenset({"ReportNotPresent", "ReportExpired"})
IN_PROGRESS_CODES = frozenset({"ReportInProgress"})
POLLS = 12
POLL_FIRST, POLL_MAX, POLL_JITTER = 0.3, 6.0, 0.3
"""Seconds between two polls while AWS makes a report: some 40 s in all, then the pass goes on without it."""


class _NotReady(Exception):
    """The report is being made."""


def fetch(
    session: AccountSession, now: datetime, *, last_known: datetime | None, note: Callable[[str], None]
) -> CredentialReport:
    """The newest report there is; a new one is requested where the last is 4 hours old.

    `last_known` is the GeneratedTime last seen: while it is young, no new report is asked for. `note` takes words for
    people about an older report that had to do. Raises Denied, ReportFailed or another AwsFailure.
    """
    old: CredentialReport | None = None
    if last_known and now - last_known < REPORT_WINDOW:
        old = _get(session)
        if old and now - old.generated < REPORT_WINDOW:
            return old
    try:
        _generate(session)
    except Denied:
        raise
    except AwsFailure as error:
        # No capacity, throttled or too slow: an old report is still right about most users, and says how old it is.
        old = old or _get(session)
        if old is None:
            raise
        note(
            f"AWS created no new credential report ({error.code}); "
            f"the one from {old.generated:%Y-%m-%d %H:%M} UTC is used"
        )
        return old
    report = _get(session)
    if report is None:
        raise ReportFailed(
            "GetCredentialReport", "ReportNotPresent", "AWS created a credential report but does not return it"
        )
    return report


def _generate(session: AccountSession) -> None:
    def ask() -> None:
        answer = session.ask("GenerateCredentialReport", lambda iam: iam.generate_credential_report())
        if answer["State"] != "COMPLETE":
            raise _NotReady

    polling = retrying(
        lambda error: isinstance(error, _NotReady),
        session.sessions.stopping,
        tries=POLLS,
        first=POLL_FIRST,
        longest=POLL_MAX,
        jitter=POLL_JITTER,
    )
    try:
        polling(ask)
    except _NotReady as error:
        raise ReportFailed(
            "GenerateCredentialReport", "ReportInProgress", f"the report was not ready after {POLLS} polls"
        ) from error
    except AwsFailure as error:
        if isinstance(error, Denied | Throttled):
            raise
        raise ReportFailed(error.operation, error.code, error.message) from error


def _get(session: AccountSession) -> CredentialReport | None:
    """The report that exists; None where there is none, or it expired, or a new one is in the making."""
    try:
        answer = session.ask("GetCredentialReport", lambda iam: iam.get_credential_report())
    except Denied:
        raise
    except AwsFailure as error:
        if error.code in NOT_THERE_CODES | IN_PROGRESS_CODES:
            return None
        raise ReportFailed(error.operation, error.code, error.message) from error
    try:
        return parse(answer["Content"], answer["GeneratedTime"])
    except UnreadableReport as error:
        raise ReportFailed("GetCredentialReport", "UnreadableReport", str(error)) from error
