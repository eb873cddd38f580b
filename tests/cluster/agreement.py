"""Whether status, reports and metrics say the same: each is worked out from the objects, not by the product's code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mfa_operator.api.duration import Duration
from tests.fixtures.operator import OperatorProcess, eventually
from tests.fixtures.shared_operator import SharedOperator

Object: TypeAlias = Mapping[str, Any]
Series: TypeAlias = tuple[str, frozenset[tuple[str, str]]]
Samples: TypeAlias = dict[Series, float]

GAUGES = {
    f"mfa_policy_{name}"
    for name in (
        "users",
        "account_up",
        "quarantined_users",
        "last_success_timestamp_seconds",
        "credential_report_timestamp_seconds",
        "oldest_violation_timestamp_seconds",
        "last_pass_timestamp_seconds",
        "interval_seconds",
        "exemption_next_expiry_timestamp_seconds",
    )
}
COUNTED = ("violating", "overdue", "exempt", "unknown", "remediated")
IN_ACCOUNTS = ("users", "consoleUsers", "violating", "overdue", "exempt", "unknown")
OPEN = ("Violating", "Overdue")


def assert_all_agree(shared: SharedOperator) -> None:
    """Status against reports and metrics against both, for every policy of the namespace."""
    differences: list[str] = []

    def agreed() -> bool:
        # A pass may end between two reads.
        policies, reports = _objects(shared)
        expected = expected_samples(policies, reports)
        actual = policy_gauges(shared.operator, shared.namespace)
        differences[:] = [line for policy in policies for line in contradictions(policy, reports_of(policy, reports))]
        differences.extend(f"only in the objects: {_text(item)}" for item in sorted(expected.items() - actual.items()))
        differences.extend(f"only in the metrics: {_text(item)}" for item in sorted(actual.items() - expected.items()))
        return not differences

    try:
        eventually(agreed, "status, reports and metrics agree", patience=10)
    except pytest.fail.Exception as failure:
        pytest.fail("\n".join([str(failure), *differences]))


def _objects(shared: SharedOperator) -> tuple[Sequence[Object], Sequence[Object]]:
    return shared.policies.all(), shared.policies.all_reports()


def reports_of(policy: Object, reports: Iterable[Object]) -> dict[str, Object]:
    """Status of the policy's reports by account id."""
    uid = policy["metadata"]["uid"]
    return {
        report["status"]["accountId"]: report["status"]
        for report in reports
        if [owner["uid"] for owner in report["metadata"].get("ownerReferences", ())] == [uid]
    }


def contradictions(policy: Object, reports: Mapping[str, Object]) -> Iterator[str]:
    """What a policy's status says otherwise than its reports, and what they say otherwise than themselves."""
    name, status = policy["metadata"]["name"], policy.get("status", {})
    accounts: list[Object] = status.get("accounts", [])
    if extra := reports.keys() - {account["id"] for account in accounts}:
        yield f"{name}: reports of accounts that status does not name: {extra}"
    for account in accounts:
        report = reports.get(account["id"])
        counts = {field: account[field] for field in IN_ACCOUNTS if field in account}
        audited = report is not None and "auditedAt" in report
        wanted = {field: report["summary"][field] for field in IN_ACCOUNTS} if report and audited else {}
        if counts != wanted:
            yield f"{name}: account {account['id']} has {counts}, its report {wanted}"
        if report and report.get("account", {}).get("state") != account["state"]:
            yield f"{name}: account {account['id']} is {account['state']}, its report says {report.get('account')}"
        if report and audited:
            yield from _miscounts(f"{name}: report of {account['id']}", report)
    totals = Counter(accounts=len(accounts), accountsFailed=sum(one["state"] != "Audited" for one in accounts))
    for report in reports.values():
        totals.update(report.get("summary", {}))
    # + drops what is 0.
    if +Counter(status.get("summary", {})) != +totals:
        yield f"{name}: summary {status.get('summary')} instead of {dict(totals)}"
    found = [(id_, one["user"], one["state"]) for id_, report in reports.items() for one in report.get("findings", ())]
    shown = [(one["accountId"], one["user"], one["state"]) for one in status.get("findings", ())]
    if (
        status.get("findingsTotal", 0) != len(found)
        or not set(shown) <= set(found)
        or len(shown) != min(50, len(found))
    ):
        yield f"{name}: shows {shown} of {status.get('findingsTotal')} findings, the reports have {found}"
    compliant = {one["type"]: one["status"] for one in status.get("conditions", ())}.get("Compliant")
    if compliant == "True" and (totals["accountsFailed"] or totals["violating"] or totals["overdue"]):
        yield f"{name}: Compliant, with {dict(totals)}"


def _miscounts(label: str, report: Object) -> Iterator[str]:
    summary = report["summary"]
    states = Counter(finding["state"].lower() for finding in report.get("findings", ()))
    counted = Counter({state: summary[state] for state in COUNTED})
    if +states != +counted:
        yield f"{label} counts {dict(counted)}, but has {dict(states)}"
    if _no_console(summary) < 0:
        yield f"{label}: the states add up to more than {summary['users']} users"


def _no_console(summary: Object) -> int:
    return int(
        summary["users"] - sum(summary[state] for state in ("compliant", "violating", "overdue", "exempt", "unknown"))
    )


def expected_samples(policies: Iterable[Object], reports: Iterable[Object]) -> Samples:
    """The gauges that go with these objects."""
    reports = list(reports)
    samples: Samples = {}
    for policy in policies:
        if "lastPassTime" in policy.get("status", {}):
            samples |= _policy_samples(policy, reports_of(policy, reports))
    return samples


def _policy_samples(policy: Object, reports: Mapping[str, Object]) -> Samples:
    spec, status = policy["spec"], policy["status"]
    labels = {"policy_namespace": policy["metadata"]["namespace"], "policy": policy["metadata"]["name"]}
    samples: Samples = {}

    def add(name: str, value: float, **more: str) -> None:
        samples[f"mfa_policy_{name}", frozenset((labels | more).items())] = value

    add("last_pass_timestamp_seconds", _seconds(status["lastPassTime"]))
    add("interval_seconds", Duration.parse(spec["interval"]).delta.total_seconds())
    expiries = [_seconds(one["expires"]) for one in spec.get("exemptions", ()) if "expires" in one]
    if coming := [expiry for expiry in expiries if expiry > _seconds(status["lastPassTime"])]:
        add("exemption_next_expiry_timestamp_seconds", min(coming))
    for account in status["accounts"]:
        own = {"account_id": account["id"]}
        add("account_up", account["state"] == "Audited", **own)
        if "lastSuccessTime" in account:
            add("last_success_timestamp_seconds", _seconds(account["lastSuccessTime"]), **own)
        if (report := reports.get(account["id"])) and "auditedAt" in report:
            for state, count in _users(report["summary"]).items():
                add("users", count, **own, state=state)
            if quarantined := report["summary"]["quarantined"]:
                add("quarantined_users", quarantined, **own)
            if "credentialReportTime" in report:
                add("credential_report_timestamp_seconds", _seconds(report["credentialReportTime"]), **own)
            seen = [_seconds(one["firstSeen"]) for one in report.get("findings", ()) if one["state"] in OPEN]
            if seen:
                add("oldest_violation_timestamp_seconds", min(seen), **own)
    return samples


def _users(summary: Object) -> dict[str, int]:
    """What nobody is has no series; compliant always has one, so that an account without users has one, too."""
    counts: dict[str, int] = {state: summary[state] for state in ("violating", "overdue", "exempt", "unknown")}
    counts["no_console"] = _no_console(summary)
    return {state: count for state, count in counts.items() if count} | {"compliant": summary["compliant"]}


def policy_gauges(operator: OperatorProcess, namespace: str) -> Samples:
    """The gauges about policies of a namespace that the operator exports now."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(operator.get("/metrics", operator.metrics_url)[1])
        for sample in family.samples
        if sample.name in GAUGES and sample.labels["policy_namespace"] == namespace
    }


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _text(item: tuple[Series, float]) -> str:
    (name, labels), value = item
    return f"{name}{dict(sorted(labels))} {value:.0f}"
