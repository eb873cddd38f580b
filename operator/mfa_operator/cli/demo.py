"""`mfa-operator demo`: the whole operator, tried in a minute."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import click

from mfa_operator.config.settings import SettingsError

MISSING = (
    "the demo needs the package mfa-operator-sandbox; install it with: pip install 'mfa-operator[demo]'"
    " (in a checkout: pip install ./sandbox)"
)


@click.command("demo")
@click.option("--once", is_flag=True, help="End after the first passes are recorded, accounts and findings printed.")
@click.option(
    "--context",
    metavar="NAME",
    help="Use a cluster of your own (kind, minikube): this context of the kubeconfig, in a namespace mfa-demo that is"
    " removed at the end.",
)
@click.option("--kubeconfig", type=click.Path(path_type=Path), metavar="FILE", help="Kubeconfig that has the context.")
@click.option(
    "--metrics-port", type=click.IntRange(0, 65535), default=0, help="Port of /metrics.  [default: a free one]"
)
@click.option("--log-level", type=click.Choice(["warning", "error"]), default="error", show_default=True)
def command(*, once: bool, context: str | None, kubeconfig: Path | None, metrics_port: int, log_level: str) -> int:
    """Try the operator on an embedded AWS and Kubernetes: no account, no cluster, nothing left behind.

    An invented company, an AWS organization with users of every state, is audited by the same operator that runs in
    a cluster. The screen shows what it finds, and commands to try in another terminal.
    """
    if importlib.util.find_spec("mfa_sandbox") is None:
        raise SettingsError(MISSING)
    if kubeconfig and not context:
        raise click.UsageError("--kubeconfig needs --context.")
    from mfa_sandbox.demo.show import show

    return show(once=once, kubeconfig=kubeconfig, context=context, metrics_port=metrics_port, log_level=log_level)
