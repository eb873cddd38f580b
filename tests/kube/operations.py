"""The things that a pass does with the cluster, one by one, so that each can be made to fail."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from mfa_operator.api.enums import EventReason, FindingState
from mfa_operator.api.objects import PolicyRef
from mfa_operator.api.status import Finding, PolicyStatus, ReportStatus
from mfa_operator.kube.cluster import Cluster, PolicyIdentity, RetryPolicy
from mfa_operator.reporting.events import EventNote
from mfa_sandbox.kubernetes import EmbeddedKubernetes
from mfa_sandbox.kubernetes.faults import Failure

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
REF = PolicyRef("default", "console-mfa")
ACCOUNT = "111122223333"
REPORT = f"console-mfa-{ACCOUNT}"
TRIES = 5
QUICK = RetryPolicy(first=0.01, longest_asked=0.01)
NOTE = EventNote(EventReason.NEW_VIOLATIONS, "Audit", "alice has no MFA")


def report_status(*users: str) -> ReportStatus:
    findings = [Finding(user=user, state=FindingState.VIOLATING, reason="NoMfa", first_seen=NOW) for user in users]
    return ReportStatus(account_id=ACCOUNT, audited_at=NOW, findings=tuple(findings))


def users_of(kube: EmbeddedKubernetes) -> list[str]:
    """Who stands in the report; nobody where there is none."""
    report = kube.get("mfareports", "default", REPORT)
    return [] if report is None else [finding["user"] for finding in report["status"]["findings"]]


def generation_of(kube: EmbeddedKubernetes) -> int | None:
    """The generation that the policy's status speaks of; None where there is no status."""
    policy = kube.get("mfapolicies", "default", "console-mfa") or {}
    generation: int | None = policy.get("status", {}).get("observedGeneration")
    return generation


class Operation(NamedTuple):
    """One thing that a pass does, the request it makes, and how to see that it is done."""

    verb: str
    resource: str
    subresource: str
    call: Callable[[Cluster, PolicyIdentity], object]
    done: Callable[[EmbeddedKubernetes], bool] = lambda _: True

    def fails(
        self,
        kube: EmbeddedKubernetes,
        status: Failure,
        *,
        times: int | None = 1,
        message: str | None = None,
        applied: bool = False,
    ) -> None:
        """Let the next requests of this kind fail; None: all of them."""
        kube.faults.add(
            status=status,
            times=times,
            message=message,
            applied=applied,
            verb=self.verb,
            resource=self.resource,
            subresource=self.subresource,
        )

    def requests(self, kube: EmbeddedKubernetes) -> int:
        """How many requests of this kind there were."""
        return kube.requests.count(verb=self.verb, resource=self.resource, subresource=self.subresource)


def delete_report(cluster: Cluster, policy: PolicyIdentity) -> None:
    cluster.delete_report(cluster.write_report(policy, report_status("alice"), None))


WRITES = {
    "policy status": Operation(
        "update",
        "mfapolicies",
        "status",
        lambda cluster, policy: cluster.write_policy_status(policy, PolicyStatus(observed_generation=7)),
        lambda kube: generation_of(kube) == 7,
    ),
    "create report": Operation(
        "create",
        "mfareports",
        "",
        lambda cluster, policy: cluster.write_report(policy, report_status("alice"), None),
        lambda kube: users_of(kube) == ["alice"],
    ),
    "report status": Operation(
        "update",
        "mfareports",
        "status",
        lambda cluster, policy: cluster.write_report(policy, report_status("alice"), None),
        lambda kube: users_of(kube) == ["alice"],
    ),
    "delete report": Operation(
        "delete", "mfareports", "", delete_report, lambda kube: kube.get("mfareports", "default", REPORT) is None
    ),
}
READS = {
    "get policy": Operation("get", "mfapolicies", "", lambda cluster, _: cluster.get_policy(REF)),
    "list policies": Operation("list", "mfapolicies", "", lambda cluster, _: list(cluster.list_policies(None))),
    "list in namespace": Operation(
        "list", "mfapolicies", "", lambda cluster, _: list(cluster.list_policies(["default"]))
    ),
    "get report": Operation("get", "mfareports", "", lambda cluster, _: cluster.get_report(REF, ACCOUNT)),
    "list reports": Operation("list", "mfareports", "", lambda cluster, _: cluster.list_reports(REF)),
}
EMIT = Operation("create", "events", "", lambda cluster, policy: cluster.emit(policy, NOTE))
