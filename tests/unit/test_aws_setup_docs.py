"""docs/aws-setup.md tells people what is there: parameters, files, permissions and policies that work."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from botocore import xform_name

from mfa_operator.api.enums import AccountReason
from mfa_operator.api.objects import read_policy
from mfa_operator.aws import quarantine_document
from mfa_operator.aws.quarantine_document import Variant
from tests.unit import iam_lint
from tests.unit.cloudformation import load

ROOT = Path(__file__).parents[2]
AWS = ROOT / "deploy" / "aws"
TEXT = (ROOT / "docs" / "aws-setup.md").read_text(encoding="utf-8")
PARAMETERS = {path.stem: set(load(path)["Parameters"]) for path in AWS.glob("*.yaml")}
ANY_COMMAND = {"query", "output", "profile", "region"}
"""Options that the AWS CLI takes with every command."""
NO_OPERATION = {("cloudformation", "deploy"): {"stack-name", "template-file", "capabilities", "parameter-overrides"}}
"""Commands of the AWS CLI's own, with the options that we use."""


def commands() -> list[str]:
    """Shell commands, each on one line."""
    blocks = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
    return [
        command for block in blocks for command in re.findall(r"^\$ (.*)$", block.replace("\\\n", ""), re.MULTILINE)
    ]


def test_commands_give_parameters_that_the_templates_have() -> None:
    given = {
        name: set(re.findall(r"ParameterKey=(\w+)|\s(?!ParameterKey)(\w+)=", command.partition("--parameter")[2]))
        for command in commands()
        for name in re.findall(r"deploy/aws/([a-z-]+)\.yaml", command)
    }

    assert set(given) == set(PARAMETERS)
    for name, found in given.items():
        parameters = {key or override for key, override in found}
        assert parameters
        assert parameters <= PARAMETERS[name]


def options_of(service: str, command: str) -> dict[str, Any]:
    """Options of a command of the AWS CLI, by botocore's model of the service, with the members of structures."""
    model = botocore.session.get_session().get_service_model(service)
    names = {xform_name(name, "-"): name for name in model.operation_names}
    shape = model.operation_model(names[command]).input_shape
    return {xform_name(name, "-"): member for name, member in shape.members.items()} if shape else {}


def members_of(shape: Any) -> set[str]:
    shape = shape.member if shape.type_name == "list" else shape
    return set(shape.members) if shape.type_name == "structure" else set()


@pytest.mark.parametrize("command", [each for each in commands() if each.startswith("aws ")])
def test_the_aws_cli_takes_its_commands(command: str) -> None:
    _, service, name, *words = command.split()
    given = {word[2:] for word in words if word.startswith("--")} - ANY_COMMAND
    if (service, name) in NO_OPERATION:
        assert given <= NO_OPERATION[service, name]
        return
    options = options_of(service, name)
    assert given <= set(options)
    for option, values in re.findall(r"--([a-z-]+) ((?:(?!--)\S+ ?)+)", command):
        keys = {key for value in values.split() for key in re.findall(r"(?:^|,)(\w+)=", value)}
        if option in options and keys:
            assert keys <= members_of(options[option]), option


def test_stacksets_deploy_in_parallel_and_go_on_past_failures() -> None:
    """Also run from a delegated administrator instead of the management account."""

    made = [each for each in commands() if "create-stack-set" in each]
    targets = [each for each in commands() if "create-stack-instances" in each]
    preferences = {
        "RegionConcurrencyType=PARALLEL",
        # Else CloudFormation works on as many at once as may fail, plus one.
        "ConcurrencyMode=SOFT_FAILURE_TOLERANCE",
        "MaxConcurrentPercentage=100",
        "FailureTolerancePercentage=100",
    }

    assert len(made) == len(targets) == 2
    assert all("--call-as DELEGATED_ADMIN" in each for each in (*made, *targets))
    assert all("--auto-deployment Enabled=true" in each for each in made)
    for each in targets:
        assert set(each.partition("--operation-preferences ")[2].split(",")) == preferences


def test_the_files_it_names_are_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)
    paths = re.findall(r"(?:file://|--template-file )(\S+)", TEXT)

    assert links
    assert paths
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_table_of_actions_is_that_of_the_policies() -> None:
    told: dict[str, set[str]] = {}
    name = ""
    for file, actions in re.findall(r"^\| (?:`([a-z-]+)` )?\| ((?:`[a-z]+:\w+`(?:, )?)+) \|", TEXT, re.MULTILINE):
        name = file or name
        told.setdefault(name, set()).update(re.findall(r"\w+:\w+", actions))

    assert told == {
        path.stem: {
            action
            for statement in json.loads(path.read_text(encoding="utf-8"))["Statement"]
            for action in iam_lint.listed(statement["Action"])
        }
        for path in (AWS / "policies").glob("*.json")
    }


def test_the_table_of_modes_is_that_of_the_templates() -> None:
    told = re.findall(r"^\| `(\w+)`(?: \(default\))? \| [^|]+ \| ([^|]+) \|$", TEXT, re.MULTILINE)
    mode = load(AWS / "member-role.yaml")["Parameters"]["Mode"]

    assert [name for name, _ in told] == mode["AllowedValues"]
    assert f"`{mode['Default']}` (default)" in TEXT


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.stem)
def test_arns_of_the_quarantines_policies_can_be_pasted(page: Path) -> None:
    """With the path: IAM finds no policy without it."""
    found = re.findall(r"arn:aws:iam::\w+:policy(\S+quarantine\S*)", page.read_text(encoding="utf-8"))
    assert set(found) <= {f"{quarantine_document.PATH}{variant}" for variant in Variant}


def test_names_and_reasons_are_those_of_the_code() -> None:
    assert all(f"`{variant}`" in TEXT for variant in Variant)
    assert f"`{quarantine_document.PATH}`" in TEXT
    assert all(f"`{key}: {value}`" in TEXT for key, value in quarantine_document.TAGS.items())
    reasons = re.findall(r"^\| `([A-Z]\w+)` \| [^|]+ \|$", TEXT, re.MULTILINE)
    assert reasons
    assert set(reasons) <= {str(reason) for reason in AccountReason}


@pytest.mark.parametrize("text", re.findall(r"(?:```yaml\n|'EOF'\n)(apiVersion.*?)(?:```|EOF)", TEXT, re.DOTALL))
def test_its_policies_are_valid(text: str) -> None:
    body = yaml.safe_load(text)
    body["metadata"] |= {"uid": "1", "generation": 1, "namespace": body["metadata"].get("namespace", "default")}

    spec = read_policy(body).spec
    assert spec.organization or [account.id for account in spec.accounts] == ["111122223333"]


def test_terraform_modules_are_given_variables_that_they_have() -> None:
    blocks = re.findall(r"```hcl\n(.*?)```", TEXT, re.DOTALL)
    assert blocks
    for block in blocks:
        (name,) = re.findall(r'^  source = "\./mfa-operator/deploy/aws/terraform/(.*)"$', block, re.MULTILINE)
        variables = (AWS / "terraform" / name / "variables.tf").read_text(encoding="utf-8")
        given = set(re.findall(r"^  (\w+) +=", block, re.MULTILINE)) - {"source"}
        required = {
            each
            for each, body in re.findall(r'variable "(\w+)" \{\n(.*?)^\}', variables, re.MULTILINE | re.DOTALL)
            if "default" not in body
        }
        assert required <= given <= set(re.findall(r'variable "(\w+)"', variables))
