"""`mfa-operator run`: the operator, in a cluster or beside one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import click

from mfa_operator.api.duration import Duration
from mfa_operator.cli import options
from mfa_operator.config.policy_selector import PolicySelector
from mfa_operator.config.queue_url import QueueUrl
from mfa_operator.config.settings import (
    EVERY_ADDRESS,
    RUNBOOK_BASE_URL,
    AccessSettings,
    Address,
    AuditSettings,
    ClusterSettings,
    EventSettings,
    LeaderSettings,
    LogSettings,
    QueueSettings,
    ServerSettings,
    Settings,
)

EPILOG = """\b
Every option can also be given in the environment: --log-format as
MFA_OPERATOR_LOG_FORMAT, and so on; several namespaces as
MFA_OPERATOR_NAMESPACE=a,b. AWS credentials and region are taken as by any
AWS SDK.

\b
Exit status:
  0  stopped by a signal
  1  leadership or the watch was lost; a Deployment restarts it
  3  the input is bad
"""


class _Namespace(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    name = "NS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401 - click's own
        # RFC 1123, as the API server wants it; a pattern such as team-* would match nothing, without a word.
        if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", value):
            self.fail(f"invalid namespace name {value!r}; globs are not possible here.", param, ctx)
        return str(value)

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        return re.split(r"[,\s]+", rv.strip(", \t\n"))


class _Selector(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    name = "SELECTOR"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> PolicySelector:  # noqa: ANN401 - click's own
        if isinstance(value, PolicySelector):
            return value
        try:
            return PolicySelector.parse(value)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


class _Address(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    name = "HOST:PORT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:  # noqa: ANN401 - click's own
        if isinstance(value, tuple):
            return value
        parts = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/]*)):([0-9]{1,5})", value)
        if not parts or int(parts[3]) > 65535:
            self.fail(f"invalid address {value!r}; write it like 0.0.0.0:9090, [::1]:9090 or :9090.", param, ctx)
        return parts[1] or parts[2] or EVERY_ADDRESS, int(parts[3])


class _Url(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    name = "URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401 - click's own
        # An Event's note holds 1,024 bytes, and the link is not all of it.
        if not re.fullmatch(r"https?://[!-~]{1,200}", value):
            self.fail(
                f"invalid URL {value!r}; it must begin with https:// and have at most 200 characters.", param, ctx
            )
        return str(value).rstrip("/")


class _GoDuration(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    name = "DURATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:  # noqa: ANN401 - click's own
        try:
            interval = Duration.parse(value).delta
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)
        if not interval:
            self.fail("invalid interval; it must be longer than 0s.", param, ctx)
        return interval


def _env(name: str) -> str:
    return f"MFA_OPERATOR_{name}"


@click.command("run", epilog=EPILOG)
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path),
    envvar=_env("KUBECONFIG"),
    help="Kubeconfig to use.  [default: the pod's service account, else $KUBECONFIG, else ~/.kube/config]",
)
@click.option("--context", envvar=_env("CONTEXT"), help="Context of the kubeconfig.  [default: its current one]")
@click.option(
    "--namespace",
    "namespaces",
    type=_Namespace(),
    multiple=True,
    envvar=_env("NAMESPACE"),
    help="Serve the policies of this namespace; may be given several times.  [default: all]",
)
@click.option(
    "--policy-selector",
    type=_Selector(),
    default=PolicySelector(),
    envvar=_env("POLICY_SELECTOR"),
    help="Serve the policies whose labels match, such as shard=a or 'team in (a,b)'. Operators with different selectors"
    " can run side by side, each with its own Lease.  [default: all]",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar=_env("CONFIG"),
    metavar="FILE",
    help="YAML with access rules: which namespace may audit and remediate which accounts. Read again when it changes."
    "  [default: audit everything, remediate nothing]",
)
@click.option(
    "--remediation",
    type=click.Choice(["off", "on"]),
    default="on",
    show_default=True,
    envvar=_env("REMEDIATION"),
    help="off: change nothing in AWS, whatever policies and access rules say.",
)
@click.option(
    "--metrics-address",
    type=_Address(),
    default=":9090",
    show_default=True,
    envvar=_env("METRICS_ADDRESS"),
    help="Address of /metrics; without a host, all addresses, IPv4 and IPv6.",
)
@click.option(
    "--health-address",
    type=_Address(),
    default=":8080",
    show_default=True,
    envvar=_env("HEALTH_ADDRESS"),
    help="Address of /healthz and /readyz; without a host, all addresses, IPv4 and IPv6.",
)
@click.option(
    "--max-concurrent-accounts",
    type=click.IntRange(1, 256),
    default=AuditSettings().max_concurrent_accounts,
    show_default=True,
    envvar=_env("MAX_CONCURRENT_ACCOUNTS"),
    help="Accounts audited at the same time.",
)
@click.option(
    "--user-violation-info/--no-user-violation-info",
    default=False,
    show_default=True,
    envvar=_env("USER_VIOLATION_INFO"),
    help="Export the metric that names users: personal data, and one series for each violating user.",
)
@click.option(
    "--metrics-per-account-limit",
    type=click.IntRange(min=0),
    envvar=_env("METRICS_PER_ACCOUNT_LIMIT"),
    metavar="N",
    help="For policies with more accounts than this, export only totals, no series for each account."
    "  [default: no limit]",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    envvar=_env("LOG_FORMAT"),
    help="Format of the log on stderr.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    default="info",
    show_default=True,
    envvar=_env("LOG_LEVEL"),
    help="Lowest level that is logged.",
)
@click.option(
    "--command-prefix",
    default="",
    envvar=_env("COMMAND_PREFIX"),
    metavar="TEXT",
    help="Prefix of commands in Events, such as 'kubectl -n mfa-operator exec deploy/mfa-operator --'."
    "  [default: nothing]",
)
@click.option(
    "--runbook-base-url",
    type=_Url(),
    default=RUNBOOK_BASE_URL,
    envvar=_env("RUNBOOK_BASE_URL"),
    help="Where docs/runbooks is published; Events link there.  [default: the project's repository]",
)
@click.option(
    "--events-queue",
    type=options.QueueUrlType(),
    envvar=_env("EVENTS_QUEUE"),
    metavar="URL",
    help="SQS queue with IAM events; their accounts are audited within seconds.  [default: none]",
)
@click.option("--interval-override", type=_GoDuration(), envvar=_env("INTERVAL_OVERRIDE"), hidden=True)
def command(
    *,
    kubeconfig: Path | None,
    context: str | None,
    namespaces: tuple[str, ...],
    policy_selector: PolicySelector,
    config: Path | None,
    remediation: Literal["off", "on"],
    metrics_address: Address,
    health_address: Address,
    max_concurrent_accounts: int,
    user_violation_info: bool,
    metrics_per_account_limit: int | None,
    log_format: Literal["text", "json"],
    log_level: Literal["debug", "info", "warning", "error"],
    command_prefix: str,
    runbook_base_url: str,
    events_queue: QueueUrl | None,
    interval_override: timedelta | None,
) -> None:
    """Run the operator: watch MfaPolicy objects and audit their accounts.

    Of several replicas only the one with the Lease acts; the others wait. It ends within 5 s of SIGTERM.
    """
    settings = Settings(
        cluster=ClusterSettings(
            kubeconfig=kubeconfig,
            context=context,
            namespaces=tuple(dict.fromkeys(namespaces)),
            selector=policy_selector,
        ),
        leader=LeaderSettings(name=policy_selector.lease_name),
        servers=ServerSettings(metrics=metrics_address, health=health_address),
        access=AccessSettings(file=config, remediation=remediation == "on"),
        audit=AuditSettings(
            max_concurrent_accounts=max_concurrent_accounts,
            user_violation_info=user_violation_info,
            metrics_per_account_limit=metrics_per_account_limit,
            interval_override=interval_override,
        ),
        events=EventSettings(command_prefix=command_prefix, runbook_base_url=runbook_base_url),
        queue=QueueSettings(url=events_queue),
        logs=LogSettings(format=log_format, level=log_level),
    )
    # Imported here, so that a bad flag and --help need not wait for kopf and the Kubernetes client.
    from mfa_operator.process import logs
    from mfa_operator.process.ending import end_process
    from mfa_operator.process.lifecycle import Operator

    logs.configure(settings.logs)
    end_process(Operator(settings, last_resort=end_process).run())
