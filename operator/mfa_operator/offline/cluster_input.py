"""Policies and what was published of them, read from a cluster once, for the commands that work beside the operator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mfa_operator.api.conversion import InvalidObject
from mfa_operator.api.objects import Policy, PolicyRef, read_policy
from mfa_operator.config.settings import SettingsError
from mfa_operator.offline.policy_files import Previous

if TYPE_CHECKING:
    from mfa_operator.kube.cluster import Cluster


def policies_in_cluster(names: Sequence[str], kubeconfig: Path | None, context: str | None) -> list[Policy]:
    """The policies of these names, each NAMESPACE/NAME, as they stand in the cluster. Raises SettingsError."""
    refs = [_ref(name) for name in names]
    with _cluster(kubeconfig, context) as (cluster, where):
        return [_policy(cluster, where, ref) for ref in refs]


def published_in_cluster(refs: Sequence[PolicyRef], kubeconfig: Path | None, context: str | None) -> Previous:
    """The reports of the policies as they stand in the cluster. Raises SettingsError where it cannot be reached."""
    with _cluster(kubeconfig, context) as (cluster, _):
        return {(ref, stored.status.account_id): stored.status for ref in refs for stored in cluster.list_reports(ref)}


def _ref(name: str) -> PolicyRef:
    namespace, _, policy = name.partition("/")
    if not namespace or not policy or "/" in policy:
        raise SettingsError(f"--policy {name}: expected NAMESPACE/NAME")
    return PolicyRef(namespace, policy)


def _policy(cluster: Cluster, where: str, ref: PolicyRef) -> Policy:
    body = cluster.get_policy(ref)
    if body is None:
        raise SettingsError(f"there is no MfaPolicy {ref} in {where}")
    try:
        return read_policy(body)
    except InvalidObject as error:
        raise SettingsError(f"the MfaPolicy {ref} in the cluster is invalid: {error}") from error


@contextmanager
def _cluster(kubeconfig: Path | None, context: str | None) -> Iterator[tuple[Cluster, str]]:
    """The cluster, and what to call it; what goes wrong with it is a SettingsError. It loads the Kubernetes client."""
    from mfa_operator.kube.cluster import Cluster, ClusterError
    from mfa_operator.kube.connection import ConnectionSettingsError, connect

    try:
        api, where = connect(str(kubeconfig) if kubeconfig else None, context)
        yield Cluster(api, reporting_instance="mfa-operator"), where
    except (ConnectionSettingsError, ClusterError) as error:
        raise SettingsError(str(error)) from error
