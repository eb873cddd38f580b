"""Statuses with everything in them that a status can have, and a client in whose way somebody comes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from kubernetes.client import ApiClient, Configuration

from mfa_operator.api.enums import (
    AccountState,
    ConditionReason,
    ConditionType,
    FindingState,
    RemediationAction,
    RemediationState,
)
from mfa_operator.api.status import (
    AccountStatus,
    Condition,
    Counts,
    Finding,
    FindingRemediation,
    PolicyFinding,
    PolicyStatus,
    PolicySummary,
    ReportStatus,
)

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
ACCOUNT, OTHER = "111122223333", "444455556666"
NAME = "console-mfa"
REPORT = f"{NAME}-{ACCOUNT}"
SPEC: dict[str, Any] = {"accounts": [{"id": ACCOUNT}]}


class InterruptedClient(ApiClient):
    """Somebody else acts once, just before the next PUT."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__(configuration)
        # A list, for the copies that are made of this client.
        self._interruptions: list[Callable[[], object]] = []

    def interrupt(self, interruption: Callable[[], object]) -> None:
        self._interruptions.append(interruption)

    @property
    def interrupted(self) -> bool:
        """Whether that has happened."""
        return not self._interruptions

    def call_api(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        if method == "PUT" and self._interruptions:
            self._interruptions.pop()()
        return super().call_api(method, url, *args, **kwargs)


def violation(user: str = "alice", **fields: Any) -> Finding:
    finding = Finding(
        user=user,
        state=FindingState.VIOLATING,
        reason="NoMfa",
        first_seen=NOW,
        deadline=NOW + timedelta(days=7),
    )
    return msgspec.structs.replace(finding, **fields)


def status_of(*findings: Finding, **fields: Any) -> ReportStatus:
    return ReportStatus(account_id=ACCOUNT, audited_at=NOW, findings=findings, **fields)


FULL_REPORT = status_of(
    violation("alice", path="/eng/", console_since=NOW, last_sign_in=NOW),
    violation(
        "bob",
        state=FindingState.OVERDUE,
        remediation=FindingRemediation(
            action=RemediationAction.QUARANTINE,
            state=RemediationState.FAILED,
            reason="LimitReached",
            time=NOW,
            message="not now",
            profile_created=NOW,
        ),
    ),
    violation("carol", state=FindingState.EXEMPT, exemption="Sealed break-glass users, checked monthly"),
    account_name="payments-prod",
    credential_report_time=NOW - timedelta(hours=2),
    summary=Counts(users=9, console_users=8, compliant=1, violating=1, overdue=1, exempt=1, unknown=4, quarantined=1),
)


def conditions(*, ready: bool) -> tuple[Condition, ...]:
    return (
        Condition(
            type=ConditionType.READY,
            status="True" if ready else "False",
            reason=ConditionReason.PASS_SUCCEEDED if ready else ConditionReason.NO_ACCOUNT_AUDITED,
            message="audited",
            last_transition_time=NOW,
            observed_generation=1,
        ),
    )


FULL_POLICY = PolicyStatus(
    observed_generation=1,
    last_pass_time=NOW,
    next_pass_time=NOW + timedelta(minutes=15),
    conditions=conditions(ready=True),
    summary=PolicySummary(users=9, violating=1, accounts=1, accounts_failed=1),
    accounts=(AccountStatus(id=ACCOUNT, state=AccountState.DENIED, users=9, reason="AccessDenied", message="no"),),
    findings=(PolicyFinding(account_id=ACCOUNT, user="alice", state=FindingState.VIOLATING, reason="NoMfa"),),
    findings_total=1,
)
