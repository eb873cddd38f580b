"""What can go wrong at AWS, sorted by what it means for an audit.

AwsFailure
├── Denied            AWS understood the question and refused it
│   └── RoleDenied    AssumeRole refused: suspended account, wrong external id, no trust
├── NotFound          the thing asked about does not exist
├── Throttled         too many questions; retries are used up
├── TimedOut          no answer in time, or no connection
├── CredentialsMissing no credentials of our own to ask with
├── WrongAccount      the credentials belong to another account than the policy names
├── ReportFailed      the credential report could not be had or read
└── AwsFailure        anything else, as AWS worded it
"""

from __future__ import annotations

import os

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from mfa_operator.api.enums import AccountReason, ErrorReason
from mfa_operator.api.text import error_text, one_line

MAX_CODE, MAX_MESSAGE = 128, 800
"""Characters of AWS's code and message. A refusal that names user, action, resource and policy has some 600."""

DENIED_CODES = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedOperation",
        "AuthFailure",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "OptInRequired",
    }
)
EXPIRED_CODES = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
THROTTLING_CODES = frozenset(
    {"Throttling", "ThrottlingException", "ThrottledException", "RequestLimitExceeded", "TooManyRequestsException"}
)
NOT_FOUND_CODES = frozenset({"NoSuchEntity", "NoSuchEntityException"})
_WEB_IDENTITY = "AssumeRoleWithWebIdentity"
"""What botocore calls first under IRSA, whichever call it needs the credentials for."""


class AwsFailure(Exception):
    """An AWS call that gave no answer. `code` is AWS's error code, or the kind of network error.

    What AWS wrote is one line without secrets. `status` is the HTTP status, 0 where there was none; `retries` is how
    often the call was tried before.
    """

    error_reason = ErrorReason.OTHER
    account_reason = AccountReason.ERROR

    def __init__(self, operation: str, code: str, message: str, *, status: int = 0, retries: int = 0) -> None:
        self.operation = operation
        self.code = one_line(code, MAX_CODE)
        self.message = error_text(message, MAX_MESSAGE)
        self.status, self.retries = status, retries
        super().__init__(f"{operation}: {self.code}: {self.message}")


class Denied(AwsFailure):
    error_reason = ErrorReason.ACCESS_DENIED
    account_reason = AccountReason.ACCESS_DENIED


class RoleDenied(Denied):
    error_reason = ErrorReason.ASSUME_ROLE
    account_reason = AccountReason.ASSUME_ROLE_DENIED


class NotFound(AwsFailure):
    pass


class Throttled(AwsFailure):
    error_reason = ErrorReason.THROTTLED
    account_reason = AccountReason.THROTTLED


class TimedOut(AwsFailure):
    error_reason = ErrorReason.TIMEOUT
    account_reason = AccountReason.TIMEOUT


class CredentialsMissing(AwsFailure):
    error_reason = ErrorReason.ASSUME_ROLE
    account_reason = AccountReason.CREDENTIALS_MISSING


class WrongAccount(AwsFailure):
    account_reason = AccountReason.ACCOUNT_MISMATCH


class ReportFailed(AwsFailure):
    error_reason = ErrorReason.REPORT
    account_reason = AccountReason.REPORT_FAILED


CALL_ERRORS = (boto.ClientError, boto.BotoCoreError, ResponseParserError)
"""What a boto3 call can raise: an unparsable answer is neither ClientError nor BotoCoreError."""


def expired(error: Exception) -> bool:
    """Whether the credentials ran out between being fetched and being used."""
    return isinstance(error, boto.ClientError) and error.response["Error"]["Code"] in EXPIRED_CODES


def failure(operation: str, error: Exception) -> AwsFailure:
    """The AwsFailure that one of CALL_ERRORS means."""
    if isinstance(error, boto.ClientError):
        details = error.response["Error"]
        code, message = details.get("Code", "Unknown"), details.get("Message", "")
        if error.operation_name == _WEB_IDENTITY and code not in THROTTLING_CODES:
            role = os.environ.get("AWS_ROLE_ARN", "of AWS_ROLE_ARN")
            return CredentialsMissing(
                operation,
                code,
                f"no credentials: the service account's token does not get the role {role}: {message} "
                "(that role's trust policy: issuer, audience, namespace and service account)",
            )
        kinds: tuple[tuple[frozenset[str], type[AwsFailure]], ...] = (
            (DENIED_CODES, Denied),
            (THROTTLING_CODES, Throttled),
            (NOT_FOUND_CODES, NotFound),
        )
        kind = next((kind for codes, kind in kinds if code in codes), AwsFailure)
        answer = error.response.get("ResponseMetadata", {})
        return kind(
            operation, code, message, status=answer.get("HTTPStatusCode", 0), retries=answer.get("RetryAttempts", 0)
        )
    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError | boto.CredentialRetrievalError):
        return CredentialsMissing(
            operation, type(error).__name__, f"no credentials: {error}; set AWS credentials as for any AWS SDK"
        )
    if isinstance(error, boto.ProfileNotFound | boto.NoRegionError | boto.ParamValidationError):
        return AwsFailure(operation, type(error).__name__, str(error))
    if isinstance(error, boto.HTTPClientError | boto.ConnectionError):
        return TimedOut(operation, type(error).__name__, str(error))
    return AwsFailure(
        operation, type(error).__name__, str(error).strip().splitlines()[0] if str(error).strip() else "no message"
    )
