"""CloudTrail's records of IAM's changes, delivered by EventBridge into a queue, as AWS does it.

Members of an account that calls refuse are recorded, too, with `errorCode`; secrets never are.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from mfa_sandbox.aws.principals import Principal
from mfa_sandbox.aws.queues import Queue
from mfa_sandbox.aws.regions import IAM_REGIONS
from mfa_sandbox.aws.state import AccountState
from mfa_sandbox.aws.wire import AwsError, iso_time

READS = ("Get", "List", "Generate", "Simulate")
SECRETS = ("password", "authenticationCode", "oldPassword", "newPassword")
ROOT_NAME = "AWS ROOT USER"
"""What IAM's events call the root user in requestParameters.userName."""


def is_change(operation: str) -> bool:
    return not operation.startswith(READS)


@dataclass(slots=True)
class Trail:
    """Records what happens, where there is a queue to record it to; `now` is the world's clock."""

    queue: Queue | None = None

    def record_call(
        self, account: AccountState, principal: Principal, operation: str, parameters: Mapping[str, str], now: datetime,
        error: AwsError | None = None,
    ) -> None:  # fmt: skip
        """A call to IAM that was answered; reads are not recorded."""
        if is_change(operation):
            wanted = {name: value for name, value in parameters.items() if name not in {"Action", "Version"}}
            self.record(account, _identity(account, principal), operation, request_parameters(wanted), now, error)

    def record_change(self, account: AccountState, operation: str, parameters: Mapping[str, object]) -> None:
        """A change made from the outside, as if a person with a role had made it at the console."""
        arn = f"arn:{account.partition}:sts::{account.id}:assumed-role/admin/person"
        person = Principal(account.id, arn, "AROAEXAMPLEADMIN:person")
        self.record(account, _identity(account, person), operation, parameters, account.now())

    def record(
        self,
        account: AccountState,
        identity: Mapping[str, object],
        operation: str,
        parameters: Mapping[str, object] | None,
        now: datetime,
        error: AwsError | None = None,
    ) -> None:
        queue = self.queue
        if queue is None or queue.deleted:
            return
        event = envelope(account, identity, operation, parameters, now, error)
        queue.send(json.dumps(event, separators=(",", ":")), now)


def envelope(
    account: AccountState,
    identity: Mapping[str, object],
    operation: str,
    parameters: Mapping[str, object] | None,
    now: datetime,
    error: AwsError | None = None,
    *,
    source: str = "iam",
) -> dict[str, Any]:
    """What EventBridge delivers of one call."""
    region, time = IAM_REGIONS[account.partition], iso_time(now)
    failed = {"errorCode": error.code, "errorMessage": error.message} if error else {}
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": "AWS API Call via CloudTrail",
        "source": f"aws.{source}",
        "account": account.id,
        "time": time,
        "region": region,
        "resources": [],
        "detail": {
            "eventVersion": "1.11",
            "userIdentity": identity,
            "eventTime": time,
            "eventSource": f"{source}.amazonaws.com",
            "eventName": operation,
            "awsRegion": region,
            "sourceIPAddress": "203.0.113.7",
            "userAgent": "embedded-aws",
            **failed,
            "requestParameters": parameters,
            "responseElements": None,
            "requestID": str(uuid4()),
            "eventID": str(uuid4()),
            "readOnly": False,
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "recipientAccountId": account.id,
            "eventCategory": "Management",
        },
    }


def request_parameters(parameters: Mapping[str, object]) -> dict[str, object] | None:
    """As CloudTrail has them: names begin in lower case, secrets are left out."""
    kept = {_lower(name): value for name, value in parameters.items() if "." not in name}
    return {name: value for name, value in kept.items() if not name.startswith(SECRETS)} or None


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def _identity(account: AccountState, principal: Principal) -> dict[str, object]:
    common = {"principalId": principal.user_id, "arn": principal.arn, "accountId": principal.account_id}
    if principal.user_name is not None:
        return {"type": "IAMUser", **common, "userName": principal.user_name}
    role = principal.arn.split("/")[1] if "/" in principal.arn else ""
    issuer = {
        "type": "Role",
        "principalId": principal.user_id.partition(":")[0],
        "arn": f"arn:{account.partition}:iam::{principal.account_id}:role/{role}",
        "accountId": principal.account_id,
        "userName": role,
    }
    return {"type": "AssumedRole", **common, "sessionContext": {"sessionIssuer": issuer}}
