"""Session policies: what AssumeRole limits a session to."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from mfa_sandbox.aws.wire import AwsError

LONGEST = 2048
"""Characters of a session policy, as STS has it."""


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """What a session may do at most: by `Action`, and of managed policies by `Resource` and `iam:PolicyARN` as well.

    Users are not told apart by `Resource`.
    """

    statements: tuple[Mapping[str, Sequence[str]], ...]

    @classmethod
    def parse(cls, document: str) -> "SessionPolicy":
        """Raises MalformedPolicyDocument, for what AWS knows and this does not, too; PackedPolicyTooLarge."""
        if len(document) > LONGEST:
            raise AwsError("PackedPolicyTooLarge", "Packed size of session policy exceeds the limit")
        try:
            listed = [_statement(statement) for statement in json.loads(document)["Statement"]]
        except (ValueError, KeyError, TypeError) as error:
            raise AwsError("MalformedPolicyDocument", f"The policy is not in the valid JSON format: {error}") from error
        return cls(tuple(listed))

    def allows(self, action: str, arn: str) -> bool:
        """`arn`: of the managed policy that the call is about; empty where it is about none."""
        return any(_matches(statement, action, arn) for statement in self.statements)


def _statement(statement: Mapping[str, object]) -> Mapping[str, Sequence[str]]:
    condition = statement.get("Condition", {})
    known = {"ArnEquals": {"iam:PolicyARN": None}} if condition else {}
    if statement["Effect"] != "Allow" or not _same_keys(condition, known):
        raise ValueError(f"the sandbox does not know {statement}")
    arns = condition["ArnEquals"]["iam:PolicyARN"] if isinstance(condition, dict) and condition else ["*"]
    return {
        "Action": _listed(statement["Action"]),
        "Resource": _listed(statement["Resource"]),
        "PolicyARN": _listed(arns),
    }


def _same_keys(found: object, known: Mapping[str, object]) -> bool:
    if not isinstance(found, dict):
        return False
    return found.keys() == known.keys() and all(
        not isinstance(value, dict) or _same_keys(found[key], value) for key, value in known.items()
    )


def _listed(value: object) -> Sequence[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _matches(statement: Mapping[str, Sequence[str]], action: str, arn: str) -> bool:
    if not any(fnmatchcase(action, pattern) for pattern in statement["Action"]):
        return False
    about_users = not any(":policy/" in pattern for pattern in statement["Resource"])
    patterns = statement["PolicyARN"] if about_users else statement["Resource"]
    return any(fnmatchcase(arn, pattern) for pattern in patterns)
