"""docs/aws-setup.md tells people what is there: parameters, files, permissions and policies that work."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from mfa_operator.api.enums import AccountReason
from mfa_operator.api.objects import read_policy
from mfa_operator.aws import quarantine_document
from mfa_operator.aws.quarantine_document import Variant
from tests.unit import iam_lint
from tests.unit.cloudformation import load

ROOT = Path(__file__).parents[2]
AWS = ROOT / "deploy" / "aws"
TEXT = (ROOT / "docs" / "aws-setup.md").read_text(encoding="utf-8")
PARAMETERS = {name: set(load(AWS / f"{name}.yaml")["Parameters"]) for name in ("member-role", "operator-role")}


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
    for file, actions in re.findall(r"^\| (?:`([a-z-]+)` )?\| ((?:`iam:\w+`(?:, )?)+) \|", TEXT, re.MULTILINE):
        name = file or name
        told.setdefault(name, set()).update(re.findall(r"iam:\w+", actions))

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

    assert [account.id for account in read_policy(body).spec.accounts] == ["111122223333"]
