"""Policies and what was published of them, read from a cluster once, for the commands that work beside the operator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mfa_operator.api.conversion import InvalidObject
from mfa_operator.api.objects import Policy, PolicyRef, read_policy
from mfa_operator.api.status import ReportStatus
from mfa_operator.config.settings import SettingsError
from mfa_operator.offline.policy_files import Previous


def policies_in_cluster(names: Sequence[str], kubeconfig: Path | None, context: str | None) -> list[Policy]:
    """The policies of these names, each NAMESPACE/NAME, as they stand in the cluster. Raises SettingsError."""
    from mfa_operator.kube.cluster import Cluster, ClusterError
    from mfa_operator.kube.connection import ConnectionSettingsError, connect

    refs = [PolicyRef(*name.split("/")) if name.count("/") == 1 else None for name in names]
    if None in refs:
        raise SettingsError(f"--policy {names[refs.index(None)]}: expected NAMESPACE/NAME")
    policies = []
    try:
        api, where = connect(str(kubeconfig) if kubeconfig else None, context)
        cluster = Cluster(api, reporting_instance="mfa-operator")
        for ref in filter(None, refs):
            body = cluster.get_policy(ref)
            if body is None:
                raise SettingsError(f"there is no MfaPolicy {ref} in {where}")
            policies.append(read_policy(body))
    except (ConnectionSettingsError, ClusterError) as error:
        raise SettingsError(str(error)) from error
    except InvalidObject as error:
        raise SettingsError(f"the MfaPolicy in the cluster is invalid: {error}") from error
    return policies


def published_in_cluster(refs: Sequence[PolicyRef], kubeconfig: Path | None, context: str | None) -> Previous:
    """The reports of the policies as they stand in the cluster. Raises SettingsError where it cannot be reached."""
    from mfa_operator.kube.cluster import Cluster, ClusterError
    from mfa_operator.kube.connection import ConnectionSettingsError, connect

    try:
        api, _ = connect(str(kubeconfig) if kubeconfig else None, context)
        cluster = Cluster(api, reporting_instance="mfa-operator")
        found: dict[tuple[PolicyRef, str], ReportStatus] = {
            (ref, stored.status.account_id): stored.status for ref in refs for stored in cluster.list_reports(ref)
        }
    except (ConnectionSettingsError, ClusterError) as error:
        raise SettingsError(str(error)) from error
    return found
