"""What the demo shows: accounts, findings, the next pass counting down, and what to try."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from mfa_operator.api.conversion import from_dict
from mfa_operator.api.objects import Policy
from mfa_operator.api.status import ReportStatus
from mfa_operator.offline.tables import accounts_table, conditions_line, findings_table
from mfa_sandbox.demo.company import EXTERNAL_ID, LOSE_USER, PROD, TRY_USER

NO_SCHEMAS = " (this Kubernetes has no schemas for kubectl to validate it by)"


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are, for the commands to try."""

    namespace: str
    metrics_url: str
    files: Path
    """The folder with the policies and the access rules."""
    kubeconfig: Path | None
    context: str | None
    environment: Mapping[str, str]
    """What points an AWS SDK to the embedded AWS."""
    admin: Mapping[str, str]
    """Credentials of a person who may do everything in the account PROD."""
    queue_url: str
    """Of the queue with IAM's events."""


def results(policies: Sequence[Policy], reports: Sequence[ReportStatus], now: datetime) -> RenderableType:
    """Accounts and findings of all policies, and their conditions."""
    accounts = [account for policy in policies for account in policy.status.accounts]
    parts: list[RenderableType] = [accounts_table(accounts), findings_table(reports, now)]
    for policy in policies:
        parts.append(Text(f"{policy.ref.name} (every {policy.spec.interval})", "bold"))
        parts.extend(conditions_line(policy.status))
    return Group(*parts)


def countdown(policies: Sequence[Policy], now: datetime) -> Text:
    """When the next pass of each policy is due."""
    waits = []
    for policy in policies:
        due = policy.status.next_pass_time
        left = max(int((due - now).total_seconds()), 0) if due else None
        waits.append(f"{policy.ref.name} " + ("has no next pass" if left is None else f"in {left} s"))
    return Text.assemble(("Next pass: ", "bold"), ", ".join(waits), "   (Ctrl-C ends the demo)")


def invitation(places: Places) -> Text:
    """Commands for another terminal, in lines that can be copied: not wrapped, no frame around them."""
    kubectl = "kubectl" if places.kubeconfig else f"kubectl --context {places.context}"
    lines = [f"export KUBECONFIG={shlex.quote(str(places.kubeconfig))}"] if places.kubeconfig else []
    enroll = f"{program()} enroll --user {TRY_USER} --role-arn arn:aws:iam::{PROD}:role/mfa-operator"
    admin = " ".join(f"{name}={shlex.quote(value)}" for name, value in places.admin.items())
    device = f"arn:aws:iam::{PROD}:mfa/{LOSE_USER}"
    policy, rules = (shlex.quote(str(places.files / name)) for name in ("employees.yaml", "access.yaml"))
    lines += [
        f"{kubectl} -n {places.namespace} get mfap,mfar",
        f"{kubectl} -n {places.namespace} describe mfap employees",
        f"curl -s {places.metrics_url} | grep ^mfa_policy_users",
        "export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in places.environment.items()),
        "# which accounts of the organization a policy covers, before it is applied, and which it skips:",
        f"{program()} accounts -f {policy} --config {rules}",
        f"# edit that file, and apply it{NO_SCHEMAS if places.kubeconfig else ''}:",
        f"{kubectl} apply {'--validate=false ' if places.kubeconfig else ''}-f {policy}",
        "# give a user MFA (any two different codes of six digits will do here): the finding goes within seconds,",
        "# as the operator reads the events of IAM; without them, ask for a pass:",
        f"{enroll} --external-id {EXTERNAL_ID} --seed",
        f"{kubectl} -n {places.namespace} annotate --overwrite mfap employees mfa-operator.io/requestedAt=$(date +%s)",
        "# take a device away (with the AWS CLI), and see the report change within seconds:",
        f"{kubectl} -n {places.namespace} get mfar -w &",
        f"{admin} aws iam deactivate-mfa-device --user-name {LOSE_USER} --serial-number {device}",
        "# see the events of IAM as they come in:",
        f"{program()} events --queue {places.queue_url}",
    ]
    return Text("\n").join([Text("\nTry it in another terminal:", "bold"), *map(Text, lines), Text()])


def program() -> str:
    """How the reader calls the command."""
    local = Path(".venv/bin/mfa-operator")
    return str(local) if local.exists() and os.access(local, os.X_OK) else "mfa-operator"


def read_reports(bodies: Sequence[Mapping[str, object]]) -> list[ReportStatus]:
    """The reports' statuses, those without one left out. Raises InvalidObject."""
    return [from_dict(ReportStatus, body["status"]) for body in bodies if body.get("status")]
