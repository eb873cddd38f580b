"""What audits policies in the operator's process: the parts, put together by the settings."""

from __future__ import annotations

import threading
from collections.abc import Callable

from mfa_operator.api.objects import PolicyRef
from mfa_operator.aws.sessions import Sessions
from mfa_operator.config.access_file import AccessFile
from mfa_operator.config.settings import Settings
from mfa_operator.kube.claims import Claims
from mfa_operator.kube.cluster import Cluster
from mfa_operator.metrics.exporter import Metrics
from mfa_operator.passes.auditor import Auditor
from mfa_operator.passes.discovery import Discoverer
from mfa_operator.passes.publishing import Pace
from mfa_operator.passes.reconciler import Reconciler
from mfa_operator.passes.tools import Tools
from mfa_operator.remediation.inputs import Environment
from mfa_operator.remediation.remediator import OperatorRemediator
from mfa_operator.scheduling.lease_guard import LeaseGuard


def build_reconciler(
    settings: Settings,
    cluster: Cluster,
    metrics: Metrics,
    access: AccessFile,
    stopping: threading.Event,
    *,
    guard: LeaseGuard,
    list_changed: Callable[[PolicyRef], None],
    claims: Claims | None = None,
) -> Reconciler:
    """The reconciler and everything below it.

    `guard`: whether this replica still leads; asked, like `stopping`, before every single action, and before every
    request that changes something. `list_changed` is called, from any thread, with a policy whose accounts were waited
    for. `claims`: which policies are ours to serve; None: all of them.
    """
    width, depth = settings.audit.max_concurrent_accounts, settings.audit.max_concurrent_users
    sessions = Sessions(
        stopping=stopping, count_request=metrics.count_aws_request, connections=width * depth, guard=guard
    )
    auditor = Auditor(sessions, max_concurrent_users=depth)
    discoverer = Discoverer(sessions, list_changed=list_changed)
    environment = Environment(
        cluster=cluster,
        auditor=auditor,
        metrics=metrics,
        access=access.current,
        leading=guard.leading,
        namespaces=settings.cluster.namespaces,
        command_prefix=settings.events.command_prefix,
        still_ours=claims.holds if claims else lambda _: True,
        still_covers=discoverer.covers,
    )
    tools = Tools(
        cluster=cluster,
        auditor=auditor,
        metrics=metrics,
        access=access.current,
        remediator=OperatorRemediator(environment),
        events=settings.events,
        interval_override=settings.audit.interval_override,
        user_violation_info=settings.audit.user_violation_info,
    )
    return Reconciler(
        tools,
        discoverer=discoverer,
        claims=claims,
        max_concurrent_accounts=width,
        pace=Pace(status=settings.audit.progress_every),
    )
