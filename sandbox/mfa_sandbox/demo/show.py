"""Runs the demo: embedded AWS, a cluster, the operator in a thread, and the screen in front."""

from __future__ import annotations

import os
import queue
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import msgspec
import yaml
from rich.console import Console, RenderableType
from rich.live import Live

from mfa_operator.api.conversion import InvalidObject
from mfa_operator.api.enums import ConditionType
from mfa_operator.api.objects import Policy, PolicyRef, known_status, read_policy
from mfa_operator.aws.sessions import Sessions
from mfa_operator.clock import utc_now
from mfa_operator.config.access_file import AccessFile
from mfa_operator.config.queue_url import QueueUrl
from mfa_operator.config.settings import (
    AccessSettings,
    ClusterSettings,
    LeaderSettings,
    LogSettings,
    QueueSettings,
    ServerSettings,
    Settings,
    SettingsError,
)
from mfa_operator.offline import layout
from mfa_operator.offline.covered_table import covered_table
from mfa_operator.offline.organizations import covered, list_accounts
from mfa_operator.process import logs
from mfa_operator.process.lifecycle import Listening, Operator
from mfa_sandbox.aws import EmbeddedAws
from mfa_sandbox.demo import cluster as clusters
from mfa_sandbox.demo import company, screen

FIRST_PASS_SECONDS = 60.0
REFRESH_SECONDS = 0.5


def show(*, once: bool, kubeconfig: Path | None, context: str | None, metrics_port: int, log_level: str) -> int:
    """Run the demo until Ctrl-C, or with `once` until the first passes are recorded. Returns the exit status.

    Raises SettingsError where the cluster cannot be reached or a port is taken.
    """
    console = layout.console(sys.stdout)
    with ExitStack() as stack:
        _clean_up_on_signals()
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mfa-operator-demo-")))
        logs.configure(LogSettings(level="error" if log_level == "error" else "warning"))
        aws = stack.enter_context(EmbeddedAws())
        acme = company.populate(aws)
        events = aws.world.events_queue()
        console.print(f"AWS: an organization of {acme.accounts} accounts on {aws.endpoint_url}")
        cluster: clusters.DemoCluster = (
            stack.enter_context(clusters.own(kubeconfig, context, company.NAMESPACE))
            if context
            else stack.enter_context(clusters.embedded(scratch, company.NAMESPACE))
        )
        console.print(f"Kubernetes: {f'context {context}' if context else cluster.kubeconfig}")
        applied: list[Policy] = []
        for manifest in company.policies(company.NAMESPACE, acme):
            cluster.apply(manifest)
            applied.append(read_policy(manifest))
            (scratch / f"{applied[-1].ref.name}.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))
        rules = scratch / "access.yaml"
        rules.write_text(company.ACCESS_RULES)
        environment = aws.environment()
        stack.enter_context(_environment(environment))
        settings = Settings(
            cluster=ClusterSettings(
                kubeconfig=cluster.kubeconfig, context=cluster.context, namespaces=(company.NAMESPACE,)
            ),
            leader=LeaderSettings(elect=False),
            servers=ServerSettings(metrics=("127.0.0.1", metrics_port), health=("127.0.0.1", 0)),
            access=AccessSettings(file=rules),
            queue=QueueSettings(url=QueueUrl.parse(events.url)),
        )
        listening = stack.enter_context(_running(settings))
        host, port = listening.metrics
        url = f"http://{host}:{port}/metrics"
        console.print(f"Metrics: {url}\n")
        console.print(_organization(read_policy(company.policies(company.NAMESPACE, acme)[0]), rules))
        admin = aws.world.account(company.PROD).admin_credentials.environment()
        places = screen.Places(
            company.NAMESPACE, url, scratch, cluster.kubeconfig, cluster.context, environment, admin, events.url
        )

        def policies() -> list[Policy]:
            bodies = ((cluster.policy(policy.ref), policy) for policy in applied)
            return [_as_it_is_now(body, policy) for body, policy in bodies if body]

        with console.status("The operator makes its first passes"):
            _wait(lambda: all(map(_has_audited, policies())))
        if once:
            reports = screen.read_reports(cluster.reports(company.NAMESPACE))
            console.print(screen.results(policies(), reports, utc_now()))
            return 0
        _watch(console, policies, cluster, places)
        return 0


def _watch(
    console: Console, policies: Callable[[], list[Policy]], cluster: clusters.DemoCluster, places: screen.Places
) -> None:
    """Show the results of each pass, and count down to the next, until Ctrl-C.

    Only the countdown is drawn over: what was found stays in the scrollback, whatever the height of the terminal.
    """
    shown: object = None
    try:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while True:
                now, found = utc_now(), policies()
                reports = screen.read_reports(cluster.reports(company.NAMESPACE))
                current = (reports, [_results(policy) for policy in found])
                if current != shown:
                    console.rule(f"{now:%H:%M:%S} UTC")
                    console.print(screen.results(found, reports, now))
                    console.print(screen.invitation(places), soft_wrap=True)
                    shown = current
                live.update(screen.countdown(found, now), refresh=True)
                time.sleep(REFRESH_SECONDS)
    except KeyboardInterrupt:
        console.print("Stopping.")


def _as_it_is_now(body: Mapping[str, Any], applied: Policy) -> Policy:
    """The policy of this object; where somebody made its spec invalid, with the spec that was applied first."""
    try:
        return read_policy(body)
    except InvalidObject:
        return msgspec.structs.replace(applied, status=known_status(body))


def _results(policy: Policy) -> tuple[PolicyRef, list[tuple[str, str, str]]]:
    """The policy's conditions without their messages, in which the time of the last listing changes with each pass."""
    return policy.ref, [(each.type, each.status, each.reason) for each in policy.status.conditions]


def _organization(policy: Policy, rules: Path) -> RenderableType:
    """The accounts of the organization, as `mfa-operator accounts` shows them."""
    access = AccessFile(rules).current()
    with closing(Sessions()) as sessions:
        [listed] = list_accounts([policy], sessions, access, lambda _: None)
        accounts = covered(policy, listed, access, lambda _: None)
    return covered_table(accounts, f"The organization, as policy {policy.ref.name} covers it")


def _clean_up_on_signals() -> None:
    """SIGTERM, and SIGHUP where a terminal is closed, end the demo as Ctrl-C does: nothing is left behind."""
    heeded = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is not signal.SIG_IGN]

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        for each in heeded:
            # A second signal must not interrupt the cleaning up.
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for number in heeded:
        signal.signal(number, end)


@contextmanager
def _running(settings: Settings) -> Iterator[Listening]:
    """The operator in a thread, from the moment it answers HTTP. Raises SettingsError where it cannot start."""
    outcome: queue.Queue[Listening | BaseException | int] = queue.Queue()
    operator = Operator(settings, listening=outcome.put)

    def run() -> None:
        try:
            outcome.put(operator.run())
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits
            outcome.put(error)

    thread = threading.Thread(target=run, name="mfa-operator", daemon=True)
    thread.start()
    first = outcome.get(timeout=FIRST_PASS_SECONDS)
    if isinstance(first, BaseException):
        raise first
    if isinstance(first, int):
        raise SettingsError(f"the operator ended at once, with status {first}")
    try:
        yield first
    finally:
        operator.stop()
        thread.join(timeout=6)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """boto3 takes its endpoint and credentials from the environment; a profile of the reader's must not interfere."""
    before = dict(os.environ)
    os.environ.update(values)
    os.environ.pop("AWS_PROFILE", None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _has_audited(policy: Policy) -> bool:
    """Whether a pass has ended that knew the accounts: the organization is listed beside the passes."""
    discovered = policy.status.condition(ConditionType.ACCOUNTS_DISCOVERED)
    listed = discovered is not None and discovered.status == "True"
    return listed and bool(policy.status.last_pass_time and policy.status.accounts)


def _wait(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + FIRST_PASS_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise SettingsError(f"the first passes were not recorded within {FIRST_PASS_SECONDS:.0f} s")
        time.sleep(0.1)
