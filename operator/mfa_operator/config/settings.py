"""The operator's settings: one frozen dataclass a concern, filled from flags and environment at the start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from mfa_operator.config.policy_selector import LEASE_NAME, PolicySelector
from mfa_operator.config.queue_url import QueueUrl

Address = tuple[str, int]
"""Host and TCP port; port 0 lets the system choose one."""
EVERY_ADDRESS = ""
"""As a host: all addresses of the machine, IPv4 and IPv6."""


class SettingsError(Exception):
    """The operator cannot start with these settings; the message is one sentence for the person who gave them."""


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Which Kubernetes cluster, and what of it."""

    kubeconfig: Path | None = None
    """None: the service account of the pod, else $KUBECONFIG or ~/.kube/config, as kubectl does it."""
    context: str | None = None
    """Of the kubeconfig; None: its current one."""
    namespaces: tuple[str, ...] = ()
    """Namespaces whose policies are served; empty: all."""
    selector: PolicySelector = PolicySelector()
    """Which of their policies are served, by labels."""
    request_timeout: timedelta = timedelta(seconds=45)
    """Bound of one API request of the watcher, the stream itself not counted. The API server gives up after 60 s;
    kopf's default of 5 minutes would let one lost packet hide edits for that long."""
    resync: timedelta = timedelta(minutes=10)
    """Between two full lists of the policies. A watch that lost its place misses deletions: this is how long the
    metrics of such a policy may live on. One request per 100 policies."""


@dataclass(frozen=True, slots=True)
class LeaderSettings:
    """Leader election by a Lease. The values are those of client-go, which cluster admins know."""

    elect: bool = True
    """False: lead at once, without a Lease; right only where nobody else can run, as in the demo."""
    name: str = LEASE_NAME
    """Of the Lease; each selector has one of its own."""
    lease: timedelta = timedelta(seconds=15)
    """How long after its last renewal a dead leader's Lease keeps others from leading."""
    renew: timedelta = timedelta(seconds=10)
    """How long a leader goes on without a renewal: 5 s less than `lease`, for ending, and for clocks that drift."""
    retry: timedelta = timedelta(seconds=2)
    """Between two tries to get or renew the Lease."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where the process answers HTTP."""

    metrics: Address = (EVERY_ADDRESS, 9090)
    health: Address = (EVERY_ADDRESS, 8080)


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """The operator's own bounds on what policies may ask for."""

    file: Path | None = None
    """YAML with access rules, read again when it changes; None: audit everything, remediate nothing."""
    remediation: bool = True
    """False: nothing is remediated, whatever the file says."""


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """How much is asked of AWS at a time, and what is shown."""

    max_concurrent_accounts: int = 16
    """Accounts audited together in the whole process; one more for a namespace that has none under way. IAM's request
    limits count per account, so that more is only threads, connections and what is held of an account while it is
    audited. Beyond 16 it is the interpreter that accounts wait for."""
    max_concurrent_users: int = 4
    """Live checks together inside one account: IAM answers some 10 to 20 reads a second before it throttles, and others
    use the account too."""
    user_violation_info: bool = False
    """Whether metrics name users. Off: names are personal data, and a series a user is cardinality."""
    metrics_per_account_limit: int | None = None
    """A policy of more accounts shows its totals in the metrics, and no series by account; None: there is no limit. An
    account is six to eight series, some 700 to 900 bytes of a scrape."""
    interval_override: timedelta | None = None
    """In place of every spec.interval, also below its minimum: for soak tests."""
    progress_every: timedelta = timedelta(seconds=10)
    """How often a policy's status is written while its pass is under way, at most."""


RUNBOOK_BASE_URL = "https://github.com/mfa-operator/mfa-operator/blob/main/docs/runbooks"
"""Where docs/runbooks is published; the alerts and the chart link there too."""


@dataclass(frozen=True, slots=True)
class EventSettings:
    """What Events say."""

    command_prefix: str = ""
    """What stands before the commands that Events name, such as `kubectl -n mfa-operator exec deploy/mfa-operator --`:
    member roles trust the operator's own role, and often nobody else. It also says which pods to restart."""
    runbook_base_url: str = RUNBOOK_BASE_URL
    """Where the pages of docs/runbooks are that Events link to, without a slash at its end."""


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """The SQS queue with IAM's events, which bring accounts forward between their intervals."""

    url: QueueUrl | None = None
    """None: no queue is read."""


@dataclass(frozen=True, slots=True)
class SchedulerSettings:
    """Passes in this process."""

    max_concurrent_passes: int = 100
    """Policies audited together; one more for a namespace that has none under way. A pass is a thread that waits: the
    work is done by the threads that audit accounts, which all passes share, taking turns."""
    turn: timedelta = timedelta(seconds=5)
    """The loop turns at least this often, whether something is due or not: its heartbeat, well below the 30 s that
    liveness allows."""
    grace: timedelta = timedelta(seconds=3)
    """For passes in flight at a SIGTERM. Of the 5 s in which the process promises to end, 1 s is for the watch and the
    Lease, and 1 s is spare."""


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How the process speaks."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of the operator."""

    cluster: ClusterSettings = ClusterSettings()
    leader: LeaderSettings = LeaderSettings()
    servers: ServerSettings = ServerSettings()
    access: AccessSettings = AccessSettings()
    audit: AuditSettings = AuditSettings()
    events: EventSettings = EventSettings()
    queue: QueueSettings = QueueSettings()
    scheduler: SchedulerSettings = SchedulerSettings()
    logs: LogSettings = LogSettings()
