"""The operations that are answered here; whatever else IAM has goes to moto as it is."""

from mfa_sandbox.aws import credential_report
from mfa_sandbox.aws.operations import devices, policies, tokens, users
from mfa_sandbox.aws.wire import Handler

OPERATIONS: dict[str, dict[str, Handler]] = {
    "iam": {
        **credential_report.OPERATIONS,
        **devices.OPERATIONS,
        **policies.OPERATIONS,
        **users.OPERATIONS,
    },
    "sts": tokens.OPERATIONS,
}
