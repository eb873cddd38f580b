"""README and docs name things that are there: pages, commands, flags, metrics, words of the API, the chart's values."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import botocore.session
import click
import jsonschema
import pytest
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from mfa_operator.api import enums
from mfa_operator.api.objects import read_policy
from mfa_operator.cli.program import cli
from mfa_operator.iam_events.table import TABLE
from tests.unit.crd_schema import schema_of
from tools import reference

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
CHART = ROOT / "deploy" / "helm" / "mfa-operator"
PROGRAM = "mfa-operator"
OTHERS_WORDS = {
    # Kubernetes, kstatus, Flux
    *("CrashLoopBackOff", "ImagePullBackOff", "InProgress", "HelmRelease"),
    # Error codes of IAM, and an operator of its policies
    *("EntityAlreadyExists", "EntityTemporarilyUnmodifiable", "InvalidAuthenticationCode", "LimitExceeded"),
    *("NoSuchEntity", "ServiceFailure", "BoolIfExists"),
    # Events of IAM and Organizations, errors of SQS and of AWS's SDK, metrics of CloudWatch
    *(name for _, name in TABLE),
    *("NonExistentQueue", "ExpiredToken", "ConnectTimeoutError", "EndpointConnectionError", "FailedInvocations"),
    # Parameters of the templates, which tests/unit/test_aws_setup_docs.py compares
    *("AdditionalPrincipalArn", "ClusterArn", "ClusterName", "OperatorPrincipalArn"),
    *("MemberRoleName", "MemberRolePath", "QuarantineAndRemoveConsoleAccess", "RoleName", "RolePath"),
    *("OrganizationEvents", "PermissionsBoundary"),
}
"""Words in CamelCase that others have made; whatever is in none of our lists has to be here, with its origin."""

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@cache
def tokens(page: Path) -> tuple[Token, ...]:
    return tuple(MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8")))


def inline(page: Path, kind: str) -> Iterator[Token]:
    return (child for token in tokens(page) for child in token.children or () if child.type == kind)


def code(page: Path) -> set[str]:
    return {token.content for token in inline(page, "code_inline")}


def blocks(page: Path, language: str) -> list[str]:
    return [token.content for token in tokens(page) if token.type == "fence" and token.info == language]


def console(page: Path) -> list[str]:
    """Commands of console blocks, each on one line, and those between backticks."""
    lines = (line for block in blocks(page, "console") for line in block.replace("\\\n", " ").splitlines())
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")] + sorted(code(page))


def calls(page: Path, program: str) -> list[list[str]]:
    """Calls of a program, in a pod too, as a shell splits them: without variables before and a pipe after it."""
    found = []
    for command in console(page):
        lexer = shlex.shlex(command.partition(" | ")[0], posix=True)
        lexer.whitespace_split, lexer.commenters = True, "#"
        try:
            words = list(lexer)
        except ValueError:
            # Text with a quote in it, no command.
            continue
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            del words[0]
        if words[:1] == ["kubectl"] and "exec" in words and "--" in words:
            del words[: words.index("--") + 1]
        if words and words[0] == program:
            found.append(words[1:])
    return found


def anchors(page: Path) -> set[str]:
    """Headings' anchors as GitHub makes them."""
    found = [tokens(page)[at + 1].content for at, token in enumerate(tokens(page)) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def problem_of_link(page: Path, href: str) -> str:
    """What is wrong with a link; empty where nothing is, or where it leads out of the repository."""
    path, _, anchor = href.partition("#")
    if re.match(r"[a-z]+:", href):
        return ""
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return f"{href}: there is no such file"
    if anchor and anchor not in anchors(target):
        return f"{href}: {target.name} has no such heading"
    return ""


def problem_of_call(words: list[str]) -> str:
    """What is wrong with the arguments of a call of ours; empty where nothing is."""
    command: click.Command = cli
    options = [word.partition("=")[0] for word in words if word.startswith("-") and word != "-"]
    if words and not words[0].startswith("-"):
        found = cli.get_command(click.Context(cli), words[0])
        if found is None:
            return f"{words[0]}: there is no such command"
        command = found
    unknown = set(options) - flags_of(command)
    return f"{' '.join(words)}: there is no {', '.join(sorted(unknown))}" if unknown else ""


def flags_of(command: click.Command) -> set[str]:
    parameters = command.get_params(click.Context(command, help_option_names=["-h", "--help"]))
    return {flag for parameter in parameters for flag in (*parameter.opts, *parameter.secondary_opts)}


def exported() -> set[str]:
    """Names of metrics, as the reference has them, which another test compares with the code."""
    names = set(re.findall(r"^\| `(\w+)` \|", reference.metrics(), re.MULTILINE))
    return names | {f"{name}_{suffix}" for name in names for suffix in ("bucket", "sum", "count")}


def alerts() -> set[str]:
    groups = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yaml").read_text(encoding="utf-8"))["groups"]
    return {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}


@cache
def printed_columns() -> frozenset[str]:
    """The headings of `kubectl get mfap` and `kubectl get mfar`."""
    found = set()
    for path in (ROOT / "deploy" / "crds").glob("*.yaml"):
        (version,) = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]["versions"]
        columns = [each["name"] for each in version["additionalPrinterColumns"] if not each.get("priority")]
        found.add(" ".join(["NAME", *(name.upper() for name in columns)]))
    return frozenset(found)


@cache
def words_of_the_api() -> frozenset[str]:
    """Kinds, states and reasons of ours, alerts, operations of IAM and STS."""
    kinds = (found for found in vars(enums).values() if isinstance(found, type) and issubclass(found, StrEnum))
    ours = {str(each) for kind in kinds for each in kind}
    models = (botocore.session.get_session().get_service_model(name) for name in ("iam", "sts"))
    operations = {name for model in models for name in model.operation_names}
    return frozenset({"MfaPolicy", "MfaReport"} | ours | alerts() | operations)


def has_value(path: str) -> bool:
    """Whether the chart has this value; what is free-form there may hold anything."""
    value: Any = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    for key in re.split(r"\.|\[\d+\]\.?", path):
        if value in ({}, [], None) or not isinstance(value, dict):
            return True
        if key not in value:
            return False
        value = value[key]
    return True


def given_values(page: Path) -> set[str]:
    """Values that calls of Helm set, and paths between backticks that begin like one of the chart's."""
    tops = set(yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8")))
    paths = {text for text in code(page) if re.fullmatch(r"\w+(\.\w+)+", text) and text.partition(".")[0] in tops}
    for words in calls(page, "helm"):
        following = pairwise(words)
        paths |= {value.partition("=")[0] for flag, value in following if flag in ("--set", "--set-string")}
    return paths


@pages
def test_links_lead_somewhere(page: Path) -> None:
    links = [str(token.attrs["href"]) for token in inline(page, "link_open")]
    assert [problem for href in links if (problem := problem_of_link(page, href))] == []


@pages
def test_commands_and_flags_exist(page: Path) -> None:
    assert [problem for words in calls(page, PROGRAM) if (problem := problem_of_call(words))] == []


def test_the_readme_has_every_command() -> None:
    table = re.findall(r"^\| `mfa-operator (\w+)` \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(table) == sorted(cli.list_commands(click.Context(cli)))


@pages
def test_words_that_must_be_read_twice_are_avoided(page: Path) -> None:
    """Word play and old words, which non-native readers on call stumble over."""
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"(?i)\b(?:anew|mend(?:s|ed|ing)?|told|brakes?|troubles?|without fear)\b", text) == []


def test_the_cost_of_a_steady_pass_is_stated_alike_everywhere() -> None:
    """The one that bench/README.md has measured."""
    deploy = [ROOT / "deploy" / "examples" / "multi-account.yaml", ROOT / "deploy" / "crds" / "mfapolicies.yaml"]
    texts = [" ".join(path.read_text(encoding="utf-8").replace("#", "").split()) for path in (*PAGES, *deploy)]
    found = [words for text in texts for words in re.findall(r"pass takes (\S+) (?:AWS )?calls (.{35})", text)]
    assert len(found) >= 5
    assert set(found) == {("3", "for an account of up to 1,000 users")}


@pages
def test_columns_are_those_of_the_crds(page: Path) -> None:
    """What `kubectl get` prints: the columns of priority 0, in their order, and no others."""
    headings = re.findall(r"^NAME +[A-Z -]+$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert [found for found in headings if " ".join(found.split()) not in printed_columns()] == []


@pages
def test_flags_that_are_named_alone_exist(page: Path) -> None:
    known = set().union(
        *(flags_of(found) for name in cli.list_commands(click.Context(cli)) if (found := _command(name)))
    )
    named = {re.split(r"[ =]", text)[0] for text in code(page) if text.startswith("--")} - {"--set", "--set-string"}
    assert named <= known


@pages
def test_metrics_exist(page: Path) -> None:
    text = " ".join(token.content for token in tokens(page))
    assert set(re.findall(r"\bmfa_(?:policy|aws|operator)_\w+", text)) <= exported()


@pages
def test_words_are_of_the_api(page: Path) -> None:
    camel_case = {text for text in code(page) if re.fullmatch(r"(?:[A-Z][a-z0-9]+){2,}", text)}
    assert camel_case - words_of_the_api() - OTHERS_WORDS == set()


@pages
def test_values_of_the_chart_exist(page: Path) -> None:
    assert {path for path in given_values(page) if not has_value(path)} == set()


@pages
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {word for words in calls(page, "make") for word in words if re.fullmatch("[a-z-]+", word)}
    assert named <= targets


@pages
def test_policies_are_what_the_api_server_takes(page: Path) -> None:
    for block in blocks(page, "yaml"):
        for body in yaml.safe_load_all(block):
            if body.get("kind") == "MfaPolicy":
                jsonschema.validate(body["spec"], schema_of("mfapolicies", "spec"))
                body["metadata"] = {"namespace": "default", "uid": "1", "generation": 1} | body["metadata"]
                read_policy(body)


@pytest.mark.parametrize(
    ("check", "bad"),
    [
        (lambda bad: problem_of_link(ROOT / "README.md", bad), "docs/nowhere.md"),
        (lambda bad: problem_of_link(ROOT / "README.md", bad), "docs/concepts.md#nothing"),
        (lambda bad: problem_of_call([bad]), "adit"),
        (lambda bad: problem_of_call(["audit", bad]), "--remediate=on"),
        (lambda bad: not has_value(bad), "networkPolicy.metricFrom"),
    ],
)
def test_what_is_not_there_is_noticed(check: Callable[[str], object], bad: str) -> None:
    assert check(bad)


def test_there_is_something_of_each_kind_to_check() -> None:
    assert sum(len(calls(page, PROGRAM)) for page in PAGES) > 20
    assert sum(len(calls(page, "make")) for page in PAGES) > 3
    assert len(set().union(*map(given_values, PAGES))) > 10
    assert sum("kind: MfaPolicy" in block for page in PAGES for block in blocks(page, "yaml")) >= 3


def _command(name: str) -> click.Command | None:
    return cli.get_command(click.Context(cli), name)
