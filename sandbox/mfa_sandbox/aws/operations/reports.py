"""The credential report's operations."""

from mfa_sandbox.aws.request import Call, Handler
from mfa_sandbox.aws.wire import Result


def _generate(call: Call) -> Result:
    return call.account.reports.generate(call.account, call.now)


def _get(call: Call) -> Result:
    return call.account.reports.get(call.now)


OPERATIONS: dict[str, Handler] = {
    "GenerateCredentialReport": _generate,
    "GetCredentialReport": _get,
}
