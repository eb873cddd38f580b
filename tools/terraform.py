"""Has Terraform itself make what each module under deploy/aws/terraform says, and compares it with CloudFormation.

`make terraform`. It needs `terraform` (1.7 or later) on the PATH and its AWS provider, from the registry or, with
TF_CLI_ARGS_init=-plugin-dir=FOLDER, from a folder. Nothing is sent to AWS: the provider is mocked.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.unit.cloudformation import Stack, load
from tests.unit.test_aws_terraform import snake

AWS = Path(__file__).parents[1] / "deploy" / "aws"
PLACE = {"AWS::Partition": "aws", "AWS::AccountId": "111122223333", "AWS::Region": "us-east-1"}
OPERATOR = "arn:aws:iam::999988887777:role/mfa-operator-controller"
ORGANIZATION_ROLE = "arn:aws:iam::222233334444:role/mfa-operator-organization"
QUEUE = "arn:aws:sqs:us-east-1:111122223333:mfa-operator-events"
BOUNDED = {"RolePath": "/security/", "PermissionsBoundary": "security/boundary"}
PLAIN, WITH_ID = {"OperatorPrincipalArn": OPERATOR}, {"OperatorPrincipalArn": OPERATOR, "ExternalId": "acme-7f3a"}
EVERYTHING = {"OrganizationRoleArn": ORGANIZATION_ROLE, "ListOrganization": "true", "EventsQueueArn": QUEUE}
CASES: tuple[tuple[str, dict[str, str]], ...] = (
    ("member-role", PLAIN),
    (
        "member-role",
        {**WITH_ID, **BOUNDED, "AdditionalPrincipalArn": OPERATOR, "Mode": "QuarantineAndRemoveConsoleAccess"},
    ),
    ("operator-role", {"ClusterName": "prod", **EVERYTHING, **BOUNDED}),
    ("operator-role", {"Identity": "Irsa", "OidcProvider": "oidc.example/id/A"}),
    ("organization-role", PLAIN),
    ("organization-role", {**WITH_ID, **BOUNDED, "AdditionalPrincipalArn": OPERATOR}),
    ("organization-delegation", PLAIN),
    ("events-queue", {"OrganizationId": "o-a1b2c3d4e5"}),
    (
        "events-queue",
        {"OrganizationId": "o-a1b2c3d4e5", "OperatorPrincipalArn": OPERATOR, "SenderRolePath": "/security/"},
    ),
    ("events-rule", {"QueueArn": QUEUE}),
    ("events-rule", {"QueueArn": QUEUE, "OrganizationEvents": "true", **BOUNDED}),
)
MOCKS = """
mock_provider "aws" {
  mock_data "aws_partition" { defaults = { partition = "aws" } }
  mock_data "aws_caller_identity" { defaults = { account_id = "111122223333" } }
  mock_data "aws_region" { defaults = { name = "us-east-1" } }
  mock_resource "aws_iam_role" { defaults = { arn = "arn:aws:iam::111122223333:role/mocked" } }
  mock_resource "aws_sqs_queue" { defaults = { arn = "<Queue>.Arn" } }
}
run "apply" { command = apply }
"""


def of_cloudformation(name: str, parameters: dict[str, str]) -> dict[str, Any]:
    """What a stack holds, by kind and name."""
    stack = Stack(load(AWS / f"{name}.yaml"), PLACE, **parameters)
    found: dict[str, Any] = {}
    for role in stack.resources("AWS::IAM::Role").values():
        trust = role["AssumeRolePolicyDocument"]
        found["trust"] = json.loads(trust) if isinstance(trust, str) else trust
        found["role"] = [role["RoleName"], role["Path"], role.get("PermissionsBoundary"), role["Description"]]
    for each in stack.resources("AWS::IAM::RolePolicy").values():
        found[f"policy {each['PolicyName']}"] = each["PolicyDocument"]
    for each in stack.resources("AWS::Organizations::ResourcePolicy").values():
        found["delegation"] = each["Content"]
    for each in stack.resources("AWS::SQS::QueuePolicy").values():
        found["queue's policy"] = each["PolicyDocument"]
    for each in stack.resources("AWS::Events::Rule").values():
        found[f"rule {each['Name']}"] = [each["EventPattern"], each["Description"]]
    for each in stack.resources("AWS::EKS::PodIdentityAssociation").values():
        found["association"] = [each["ClusterName"], each["Namespace"], each["ServiceAccount"]]
    return found


def of_terraform(state: dict[str, Any]) -> dict[str, Any]:
    """What a state holds, by the same kinds and names."""
    found: dict[str, Any] = {}
    for resource in state["root_module"]["resources"]:
        values = resource["values"]
        match resource["type"]:
            case "aws_iam_role":
                found["trust"] = json.loads(values["assume_role_policy"])
                found["role"] = [values[each] for each in ("name", "path", "permissions_boundary", "description")]
            case "aws_iam_role_policy":
                found[f"policy {values['name']}"] = json.loads(values["policy"])
            case "aws_organizations_resource_policy":
                found["delegation"] = json.loads(values["content"])
            case "aws_sqs_queue_policy":
                found["queue's policy"] = json.loads(values["policy"])
            case "aws_cloudwatch_event_rule":
                found[f"rule {values['name']}"] = [json.loads(values["event_pattern"]), values["description"]]
            case "aws_eks_pod_identity_association":
                found["association"] = [values[each] for each in ("cluster_name", "namespace", "service_account")]
    return found


def terraform(module: Path, *words: str) -> str:
    """What a command of Terraform prints. Exits with its words where it fails."""
    command = ["terraform", *words]
    done = subprocess.run(command, cwd=module, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed program
    if done.returncode:
        sys.exit(f"terraform {' '.join(words)} in {module.name}: {done.stderr or done.stdout}")
    return done.stdout


def state_of(module: Path, parameters: dict[str, str]) -> dict[str, Any]:
    """The state after an apply with these parameters."""
    values = (
        f"  {snake(key)} = {value if value in ('true', 'false') else json.dumps(value)}"
        for key, value in parameters.items()
    )
    (module / "tests").mkdir(exist_ok=True)
    (module / "tests" / "apply.tftest.hcl").write_text(
        "\n".join(["variables {", *values, "}", MOCKS]), encoding="utf-8"
    )
    lines = map(json.loads, terraform(module, "test", "-json", "-verbose").splitlines())
    (state,) = (line["test_state"] for line in lines if line["type"] == "test_state")
    return dict(state)


def main() -> None:
    terraform(AWS / "terraform", "fmt", "-check", "-recursive")
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(AWS, Path(folder) / "aws") / "terraform"
        for name in sorted({name for name, _ in CASES}):
            terraform(copy / name, "init", "-no-color")
            terraform(copy / name, "validate", "-no-color")
        for name, parameters in CASES:
            wanted, found = of_cloudformation(name, parameters), of_terraform(state_of(copy / name, parameters))
            different = sorted(key for key in wanted | found if wanted.get(key) != found.get(key))
            sys.stdout.write(
                f"{name} with {', '.join(sorted(parameters))}: {'the same' if not different else 'DIFFERENT'}\n"
            )
            for key in different:
                sys.stdout.write(f"  {key}:\n    CloudFormation: {wanted.get(key)}\n    Terraform: {found.get(key)}\n")
            wrong += bool(different)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
