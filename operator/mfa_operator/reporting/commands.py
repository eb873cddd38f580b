"""Commands that Events and status name, complete, so that they can be pasted. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from mfa_operator.api.policy import Account

MAX_ROLE, MAX_EXTERNAL_ID = 200, 64
"""Characters; what is longer is left for the reader to fill in: an Event's note holds 1,024 bytes."""


def restart_command(prefix: str) -> str:
    """The command that restarts the operator's pods.

    `prefix` names them, as `kubectl -n NAMESPACE exec deploy/NAME --` does; otherwise the reader fills them in.
    """
    found = re.fullmatch(r"\s*(kubectl\b.*?) exec (deploy/\S+).*", prefix)
    kubectl, deployment = found.groups() if found else ("kubectl -n NAMESPACE", "deploy/NAME")
    return f"{kubectl} rollout restart {deployment}"


def release_command(account: Account, users: Sequence[str] = (), *, prefix: str = "") -> str:
    """The command that lifts the quarantine of these users, or of everybody in the account.

    `prefix` is what stands before it where it has to run elsewhere: `kubectl exec … --` for the operator's own pod,
    which member roles trust when they trust nobody else.
    """
    words = ["mfa-operator", "release", "--account", account.id]
    if account.role_arn:
        words += ["--role-arn", account.role_arn if len(account.role_arn) <= MAX_ROLE else "ROLE_ARN"]
    if account.external_id:
        short = len(account.external_id) <= MAX_EXTERNAL_ID
        words += ["--external-id", account.external_id if short else "EXTERNAL_ID"]
    words += [word for user in users for word in ("--user", user)] or ["--all"]
    return f"{prefix.strip()} {shlex.join(words)}".strip()
