"""A watch that is open and says nothing: the list that is read now and then finds what it did not tell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mfa_sandbox.aws import EmbeddedAws
from tests.controlplane import ControlPlane
from tests.fixtures.api_proxy import ApiProxy
from tests.fixtures.operator import SHORT_TIMES, Policies, StartOperator, eventually

ACCOUNT = "111122223333"


@pytest.mark.timeout(180)
def test_new_edited_and_deleted_policies_are_found(
    control_plane: ControlPlane,
    aws: EmbeddedAws,
    start_operator: StartOperator,
    service_account: Path,
    policies: Policies,
    free_lease: Callable[[], object],
    tmp_path: Path,
) -> None:
    free_lease()
    account = aws.world.account(ACCOUNT)
    account.user("alice", password=True)
    accounts = [{"id": ACCOUNT, "roleArn": account.role_arn}]
    with ApiProxy(control_plane.url, control_plane.ca_path) as proxy:
        proxy.silent = True
        operator = start_operator(
            kubeconfig=proxy.kubeconfig(service_account, tmp_path / "kubeconfig"),
            program=SHORT_TIMES,
        )
        policies.apply("p", accounts=accounts)
        assert policies.wait_for_pass("p")["summary"]["violating"] == 1
        policies.apply("p", accounts=accounts, gracePeriod="0s")
        assert policies.wait_for_pass("p")["summary"]["overdue"] == 1
        policies.kubectl("-n", policies.namespace, "delete", "mfap", "p")
        eventually(lambda: not operator.samples("mfa_policy_users"), "its metrics go")
        operator.terminate()
