"""Which policies a command is about: those in files, or those in a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from mfa_operator.api.objects import Policy
from mfa_operator.offline.policy_files import load_policy


def chosen_policies(
    files: Sequence[Path], names: Sequence[str], kubeconfig: Path | None, context: str | None
) -> list[Policy]:
    """The policies of `-f`, or those of `--policy` from the cluster. Raises UsageError, SettingsError."""
    if bool(files) is bool(names):
        raise click.UsageError("missing -f FILE, or --policy NAMESPACE/NAME for a policy in the cluster.")
    if files:
        return [load_policy(path) for path in files]
    from mfa_operator.offline.cluster_input import policies_in_cluster

    return policies_in_cluster(names, kubeconfig, context)
