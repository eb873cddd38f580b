"""The Terraform modules say what the CloudFormation templates say. Read as text: tests run where there is no terraform.

`make terraform` has Terraform itself validate them, for whoever has it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.cloudformation import load

AWS = Path(__file__).parents[2] / "deploy" / "aws"
TEMPLATES = sorted(path.stem for path in AWS.glob("*.yaml"))
EACH = pytest.mark.parametrize("name", TEMPLATES)
ACTION = re.compile(r"""(?<=["\s\[])((?:iam|sts|sqs|organizations):(?:[A-Za-z]+|\*))""")
CONDITION_KEY = re.compile(
    r"\b(?:aws|sts):(?:ExternalId|PrincipalOrgID|PrincipalArn|SecureTransport|RequestTag/[\w-]+)"
)


def module_text(name: str) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted((AWS / "terraform" / name).glob("*.tf")))


def template_text(name: str) -> str:
    return (AWS / f"{name}.yaml").read_text(encoding="utf-8")


def variables(name: str) -> dict[str, str]:
    """Blocks of a module's variables."""
    return dict(re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', module_text(name), re.MULTILINE | re.DOTALL))


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def default(block: str) -> str | None:
    found = re.search(r'^ +default += (?:"(.*)"|(\w+))$', block, re.MULTILINE)
    return found and (found[2] or found[1] or "")


def test_there_is_a_module_for_each_template() -> None:
    assert sorted(path.name for path in (AWS / "terraform").iterdir() if path.is_dir()) == TEMPLATES


@EACH
def test_a_module_has_the_templates_parameters_and_defaults(name: str) -> None:
    told: dict[str, Any] = {
        snake(each): spec.get("Default") for each, spec in load(AWS / f"{name}.yaml")["Parameters"].items()
    }
    found = {each: default(block) for each, block in variables(name).items() if each != "tags"}
    assert found == told


@EACH
def test_a_module_takes_the_values_that_the_template_takes(name: str) -> None:
    blocks = variables(name)
    for each, spec in load(AWS / f"{name}.yaml")["Parameters"].items():
        block = blocks[snake(each)]
        if "AllowedPattern" in spec and each != "ExternalId":  # Terraform's RE2 counts to 1,000, so its length is apart
            (pattern,) = re.findall(r'regex\("(.*)", var\.', block)
            assert pattern.replace("\\\\", "\\") == spec["AllowedPattern"]
        if spec.get("AllowedValues", ["true"])[0] != "true":
            (choices,) = re.findall(r"contains\((\[[^]]*\]), var\.", block)
            assert json.loads(choices) == spec["AllowedValues"]


@EACH
def test_a_module_has_the_templates_outputs(name: str) -> None:
    outputs = re.findall(r'^output "(\w+)"', module_text(name), re.MULTILINE)
    assert sorted(outputs) == sorted(map(snake, load(AWS / f"{name}.yaml").get("Outputs", {})))


@EACH
def test_a_module_allows_no_action_that_the_template_does_not(name: str) -> None:
    """What stands in the files of policies/ comes with the files; the rest is in both."""
    text = module_text(name)
    files = re.findall(r"policies/([a-z-]+|\$\{name\})\.json", text)
    if "${name}" in files:
        files = [path.stem for path in (AWS / "policies").glob("*.json") if f'"{path.stem}"' in text]
    from_files = "".join((AWS / "policies" / f"{each}.json").read_text(encoding="utf-8") for each in files)
    text += from_files
    said = set(ACTION.findall(text)) - {"sts:ExternalId"}

    assert said == set(ACTION.findall(template_text(name))) - {"sts:ExternalId", "sts:amazonaws"}
    assert set(CONDITION_KEY.findall(text)) == set(CONDITION_KEY.findall(template_text(name)))


def test_the_member_module_has_the_modes_of_the_template() -> None:
    documents = (AWS / "terraform" / "member-role" / "documents.tf").read_text(encoding="utf-8")
    modes = dict(re.findall(r"^ {4}(\w+) += \[(.*)\]$", documents, re.MULTILINE))

    assert list(modes) == load(AWS / "member-role.yaml")["Parameters"]["Mode"]["AllowedValues"]
    for mode, names in modes.items():
        files = ["audit"] + ["quarantine"] * ("Quarantine" in mode) + ["remove-console-access"] * ("Remove" in mode)
        assert re.findall(r'"([^"]+)"', names) == files


def test_the_events_module_matches_the_template() -> None:
    template = load(AWS / "events-rule.yaml")
    rules = [each["Properties"] for each in template["Resources"].values() if each["Type"] == "AWS::Events::Rule"]
    patterns = [rule["EventPattern"] for rule in rules]
    text = module_text("events-rule")
    names = [yaml.safe_load(each) for each in re.findall(r"events +=\s+(\[.*?\])", text, re.DOTALL)]

    assert re.findall(r"^ +(mfa-operator-\w+) = \{", text, re.MULTILINE) == [rule["Name"] for rule in rules]
    assert names == [pattern["detail"]["eventName"] for pattern in patterns]
    assert re.findall(r'source += "(.*)"', text) == ["hashicorp/aws", *(pattern["source"][0] for pattern in patterns)]
    for module in ("events-rule", "events-queue"):
        (regions,) = re.findall(r"home_regions = (\[.*?\])", module_text(module), re.DOTALL)
        assert yaml.safe_load(regions) == list(load(AWS / f"{module}.yaml")["Mappings"]["HomeRegion"])


def test_the_queue_module_has_the_figures_of_the_template() -> None:
    text = module_text("events-queue")
    queue = load(AWS / "events-queue.yaml")["Resources"]["Queue"]["Properties"]
    figures = {
        "message_retention_seconds": queue["MessageRetentionPeriod"],
        "visibility_timeout_seconds": queue["VisibilityTimeout"],
        "receive_wait_time_seconds": queue["ReceiveMessageWaitTimeSeconds"],
    }
    for key, value in figures.items():
        assert re.search(rf"{key} += {value}$", text, re.MULTILINE), key
    assert re.search(r"sqs_managed_sse_enabled += true$", text, re.MULTILINE)
