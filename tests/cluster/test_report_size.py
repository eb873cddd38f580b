"""The largest reports that there can be, written by the operator's own code to a real API server with a real etcd."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mfa_operator.api.conversion import from_dict
from mfa_operator.api.enums import RemediationState
from mfa_operator.api.objects import PolicyRef
from mfa_operator.api.policy import PolicySpec
from mfa_operator.api.status import PolicyStatus
from mfa_operator.kube.cluster import Cluster, PolicyIdentity
from mfa_operator.kube.connection import connect
from mfa_operator.reporting.account_result import AccountResult
from mfa_operator.reporting.policy_status import policy_status
from mfa_operator.reporting.report_size import fitted
from tests.fixtures.operator import Policies
from tests.unit.facts import ID, NOW
from tests.unit.largest_report import USERS, largest_report
from tests.unit.test_status_size import WIDE, account


@pytest.fixture
def cluster(service_account: Path) -> Iterator[Cluster]:
    client, _ = connect(str(service_account), None)
    with client:
        yield Cluster(client, reporting_instance="test")


@pytest.mark.parametrize("state", [RemediationState.SKIPPED, RemediationState.DONE, RemediationState.INTENDED])
def test_the_largest_report_is_taken_and_given_back(
    cluster: Cluster, policies: Policies, state: RemediationState
) -> None:
    policy = PolicyIdentity.of(policies.apply("p" * 63, accounts=[{"id": ID}]))
    status = fitted(largest_report(state))
    stored = cluster.write_report(policy, status, None)
    # Once more: an update holds the object's old metadata as well.
    stored = cluster.write_report(policy, status, stored)
    assert stored.status == status
    read = cluster.get_report(PolicyRef(policies.namespace, "p" * 63), ID)
    assert read is not None
    assert len(read.status.findings) == USERS
    assert read.status == status


def test_the_largest_policy_status_is_taken(cluster: Cluster, policies: Policies) -> None:
    """Ten thousand accounts of the longest names, each failing with a message of its own, beside the longest spec."""
    accounts = [account(number, f"{number}{WIDE * 1024}"[:1024]) for number in range(10_000)]
    role = f"arn:aws:iam::{{id}}:role/{'p' * 60}/mfa-operator"
    spec = [
        {"id": one.id, "name": one.name, "roleArn": role.format(id=one.id), "externalId": "e" * 60}
        for one in accounts[:1000]
    ]
    # Not applied: the annotation of client-side apply holds no more than 256 KiB.
    manifest = json.dumps(policies.manifest("large", {"accounts": spec}))
    policies.kubectl("-n", policies.namespace, "create", "-f", "-", input=manifest)
    policy = PolicyIdentity.of(policies.get("large"))
    results = [AccountResult(status=one) for one in accounts]
    status = policy_status(from_dict(PolicySpec, {"accounts": spec}), 1, results, PolicyStatus(), NOW, NOW)
    for _ in range(2):
        cluster.write_policy_status(policy, status)
        policy = PolicyIdentity.of(policies.get("large"))
    assert (len(policy.status.accounts), policy.status.accounts_total) == (200, 10_000)
