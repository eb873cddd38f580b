"""Argo CD's view of a policy: its health by the shipped Lua script."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mfa_operator.api.conversion import from_dict, to_dict
from mfa_operator.api.enums import AccountReason, AccountState, ConditionReason
from mfa_operator.api.policy import PolicySpec
from mfa_operator.api.status import AccountStatus, Counts, PolicyStatus, ReportStatus
from mfa_operator.reporting.account_result import AccountResult
from mfa_operator.reporting.growing_status import pass_running_status
from mfa_operator.reporting.policy_status import not_audited_status, policy_status

DEPLOY = Path(__file__).parents[2] / "deploy"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ID = "111122223333"
AUDITED = AccountStatus(id=ID, state=AccountState.AUDITED)
FAILED = AccountStatus(id=ID, state=AccountState.FAILED, reason=AccountReason.TIMEOUT, message="no answer")
CLOSED = AccountStatus(
    id="444455556666", state=AccountState.DENIED, reason=AccountReason.ASSUME_ROLE_DENIED, message="closed"
)
NOT_ALLOWED = AccountStatus(id=ID, state=AccountState.DENIED, reason=AccountReason.NOT_ALLOWED, message="access rules")
DENIED = AccountStatus(id=ID, state=AccountState.DENIED, reason=AccountReason.ACCESS_DENIED, message="refused")


def policy(status: PolicyStatus | None, generation: int = 1, **spec: Any) -> dict[str, Any]:
    """The object as the API server has it, its status as the operator writes it."""
    body: dict[str, Any] = {"metadata": {"generation": generation}, "spec": {"accounts": [{"id": ID}], **spec}}
    return body if status is None else {**body, "status": to_dict(status)}


def audited(account: AccountStatus, *others: AccountStatus, generation: int = 1, **counts: int) -> PolicyStatus:
    spec = from_dict(PolicySpec, {"accounts": [{"id": ID}]})
    report = ReportStatus(account_id=ID, audited_at=NOW, summary=Counts(**counts), findings=())
    due = NOW + timedelta(minutes=15)
    results = [AccountResult.of(account, report), *(AccountResult(status=other) for other in others)]
    return policy_status(spec, generation, results, PolicyStatus(), NOW, due)


def not_audited(reason: ConditionReason) -> PolicyStatus:
    return not_audited_status(audited(AUDITED), 1, reason, "why", NOW)


RUNNING = pass_running_status(PolicyStatus(), 1, NOW)
HEALTH = {
    "before the first pass": (policy(None), "Progressing", "Waiting for the first pass"),
    "all compliant": (policy(audited(AUDITED, users=3, compliant=3)), "Healthy", ""),
    "violations": (policy(audited(AUDITED, users=3, compliant=1, violating=1, overdue=1)), "Healthy", ""),
    "an edit that no pass has seen": (policy(audited(AUDITED), generation=2), "Progressing", "the new spec"),
    "the first pass is under way": (policy(RUNNING), "Progressing", "Waiting for the first pass"),
    "one account of two fails": (
        policy(audited(AUDITED, CLOSED)),
        "Healthy",
        "AccountsFailed: 1 of 2 accounts not audited",
    ),
    "the only account fails": (policy(audited(FAILED)), "Degraded", "NoAccountAudited: 1 of 1 account not audited"),
    "the only account refuses": (policy(audited(DENIED)), "Degraded", "NoAccountAudited"),
    "no account is allowed": (policy(audited(NOT_ALLOWED)), "Degraded", "NotAllowed"),
    "an invalid spec": (policy(not_audited(ConditionReason.INVALID_SPEC)), "Degraded", "InvalidSpec: why"),
    "suspended": (policy(not_audited(ConditionReason.SUSPENDED), suspend=True), "Suspended", "no audits"),
    "suspended, not seen yet": (policy(audited(AUDITED), generation=2, suspend=True), "Suspended", "no audits"),
    "woken up, not seen yet": (
        policy(not_audited(ConditionReason.SUSPENDED)),
        "Progressing",
        "after the suspension",
    ),
}


def argo_health(body: dict[str, Any]) -> dict[str, str]:
    """What Argo CD says of an object, by the shipped script."""
    # The Lua that Argo CD runs, 5.1.
    lua51 = pytest.importorskip("lupa.lua51", reason="NO LUA (PyPI lupa): deploy/argocd/health.lua goes untested here")
    lua = lua51.LuaRuntime()
    lua.globals().obj = lua.table_from(body, recursive=True)
    health = lua.execute((DEPLOY / "argocd" / "health.lua").read_text(encoding="utf-8"))
    return {"status": health["status"], "message": health["message"] or ""}


@pytest.mark.parametrize("case", HEALTH)
def test_argo_cd_shows_the_health_of_the_sync_and_not_of_aws(case: str) -> None:
    body, status, message = HEALTH[case]
    health = argo_health(body)
    assert health["status"] == status
    assert message in health["message"]
