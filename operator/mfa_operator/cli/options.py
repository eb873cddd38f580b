"""Options that several commands take, each with one name and one meaning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mfa_operator.config.queue_url import QueueUrl

F = TypeVar("F", bound=Callable[..., Any])


class QueueUrlType(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """The URL of an SQS queue; empty, as templates leave it, is none."""

    name = "URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> QueueUrl | None:  # noqa: ANN401 - click's own
        if not value:
            return None
        try:
            return QueueUrl.parse(str(value))
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


def policy_files(*, required: bool = True) -> Callable[[F], F]:
    """`-f`: the policies that the command is about, as the parameter `files`."""
    return click.option(
        "-f",
        "--file",
        "files",
        type=click.Path(path_type=Path),
        multiple=True,
        required=required,
        metavar="FILE",
        help="A YAML file with one MfaPolicy, or - for stdin; may be given several times.",
    )


def output_form(*others: str) -> Callable[[F], F]:
    """`-o`: table, JSON or one of the others, as the parameter `output`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json", *others]),
        default="table",
        show_default=True,
        help="Format of the output.",
    )


def previous(use: str) -> Callable[[F], F]:
    """`--previous`: the JSON of an earlier audit, and what it is for."""
    return click.option(
        "--previous",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help=f"JSON of an earlier audit: {use}.",
    )


def access_rules(default: str) -> Callable[[F], F]:
    """`--config`: the operator's settings file, as the parameter `config`; `default`: what holds without it."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        envvar="MFA_OPERATOR_CONFIG",
        metavar="FILE",
        help=f"The operator's access rules.  [default: {default}]",
    )


def policies_of_cluster(use: str) -> Callable[[F], F]:
    """`--policy`: MfaPolicies in the cluster, as the parameter `names`."""
    return click.option("--policy", "names", multiple=True, metavar="NAMESPACE/NAME", help=use)


def cluster(used_for: str) -> Callable[[F], F]:
    """`--kubeconfig` and `--context`: which cluster."""

    def add(function: F) -> F:
        context = click.option("--context", help=f"For {used_for}: context of the kubeconfig.")
        kubeconfig = click.option(
            "--kubeconfig", type=click.Path(path_type=Path), metavar="FILE", help=f"For {used_for}."
        )
        return kubeconfig(context(function))

    return add
