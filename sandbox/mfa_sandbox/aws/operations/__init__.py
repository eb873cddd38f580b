"""The operations that are answered here; whatever else IAM has goes to moto as it is."""

from mfa_sandbox.aws.operations import devices, organizations, policies, reports, simulation, sqs, tokens, users
from mfa_sandbox.aws.request import Handler

OPERATIONS: dict[str, dict[str, Handler]] = {
    "iam": {
        **reports.OPERATIONS,
        **devices.OPERATIONS,
        **policies.OPERATIONS,
        **simulation.OPERATIONS,
        **users.OPERATIONS,
    },
    "organizations": organizations.OPERATIONS,
    "sqs": sqs.OPERATIONS,
    "sts": tokens.OPERATIONS,
}
