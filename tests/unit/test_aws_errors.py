"""What an error of AWS means for an audit: botocore's real exceptions, as it raises them."""

from __future__ import annotations

import pytest
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from mfa_operator.api.enums import AccountReason, ErrorReason, FindingReason
from mfa_operator.aws.collect import failure_reason
from mfa_operator.aws.errors import (
    CALL_ERRORS,
    AwsFailure,
    CredentialsMissing,
    Denied,
    NotFound,
    ReportFailed,
    RoleDenied,
    Throttled,
    TimedOut,
    WrongAccount,
    expired,
    failure,
)

WEB_IDENTITY = "AssumeRoleWithWebIdentity"


def client_error(code: str, message: str = "words", operation: str = "ListUsers") -> boto.ClientError:
    return boto.ClientError({"Error": {"Code": code, "Message": message}}, operation)


@pytest.mark.parametrize(
    ("error", "kind", "counted", "account_reason"),
    [
        (client_error("AccessDenied"), Denied, ErrorReason.ACCESS_DENIED, AccountReason.ACCESS_DENIED),
        (client_error("InvalidClientTokenId"), Denied, ErrorReason.ACCESS_DENIED, AccountReason.ACCESS_DENIED),
        (client_error("SignatureDoesNotMatch"), Denied, ErrorReason.ACCESS_DENIED, AccountReason.ACCESS_DENIED),
        (client_error("Throttling"), Throttled, ErrorReason.THROTTLED, AccountReason.THROTTLED),
        (client_error("RequestLimitExceeded"), Throttled, ErrorReason.THROTTLED, AccountReason.THROTTLED),
        (client_error("NoSuchEntity"), NotFound, ErrorReason.OTHER, AccountReason.ERROR),
        (client_error("LimitExceeded"), AwsFailure, ErrorReason.OTHER, AccountReason.ERROR),
        (client_error("ServiceFailure"), AwsFailure, ErrorReason.OTHER, AccountReason.ERROR),
        (boto.NoCredentialsError(), CredentialsMissing, ErrorReason.ASSUME_ROLE, AccountReason.CREDENTIALS_MISSING),
        (
            boto.CredentialRetrievalError(provider="web", error_msg="no"),
            CredentialsMissing,
            ErrorReason.ASSUME_ROLE,
            AccountReason.CREDENTIALS_MISSING,
        ),
        (boto.ReadTimeoutError(endpoint_url="http://x"), TimedOut, ErrorReason.TIMEOUT, AccountReason.TIMEOUT),
        (
            boto.EndpointConnectionError(endpoint_url="http://x", error="refused"),
            TimedOut,
            ErrorReason.TIMEOUT,
            AccountReason.TIMEOUT,
        ),
        (boto.ConnectionClosedError(endpoint_url="http://x"), TimedOut, ErrorReason.TIMEOUT, AccountReason.TIMEOUT),
        (ResponseParserError("no XML\nat all"), AwsFailure, ErrorReason.OTHER, AccountReason.ERROR),
        (boto.NoRegionError(), AwsFailure, ErrorReason.OTHER, AccountReason.ERROR),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_an_error_is_told_apart_by_what_it_means(
    error: Exception, kind: type[AwsFailure], counted: ErrorReason, account_reason: AccountReason
) -> None:
    assert isinstance(error, CALL_ERRORS)
    found = failure("ListUsers", error)
    assert type(found) is kind
    assert (found.error_reason, found.account_reason) == (counted, account_reason)
    assert found.operation == "ListUsers"
    assert str(found).startswith(f"ListUsers: {found.code}: ")
    assert "\n" not in str(found)


def test_a_token_that_gets_no_role_is_missing_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under IRSA botocore fetches credentials within any call; it must not read as a refusal by the member role."""
    role = "arn:aws:iam::999988887777:role/mfa-operator-controller"
    monkeypatch.setenv("AWS_ROLE_ARN", role)
    found = failure("AssumeRole", client_error("AccessDenied", f"Not authorized: sts:{WEB_IDENTITY}", WEB_IDENTITY))
    assert type(found) is CredentialsMissing
    assert role in found.message
    assert type(failure("AssumeRole", client_error("Throttling", operation=WEB_IDENTITY))) is Throttled


CANONICAL = """The request signature we calculated does not match the signature you provided. Check your AWS Secret \
Access Key and signing method.

The Canonical String for this request should have been
'POST
/

host:iam.amazonaws.com
x-amz-security-token:IQoJb3JpZ2luX2VjEJr//////////wEaCXVzLWVhc3QtMSJ

host;x-amz-date
e3b0c44298fc1c149afbf4c8996fb924'

The String-to-Sign should have been
'AWS4-HMAC-SHA256
20261124T000000Z'
"""
ENCODED = (
    "You are not authorized to perform this operation. Encoded authorization failure message:"
    " 9nGcvmf_AbCdEf-0123456789abcdef"
)


@pytest.mark.parametrize(
    ("error", "kept", "lost"),
    [
        (
            client_error("SignatureDoesNotMatch", CANONICAL),
            "does not match the signature you provided",
            ("IQoJ", "host;", "AWS4"),
        ),
        (client_error("UnauthorizedOperation", ENCODED), "You are not authorized", ("9nGcvmf",)),
        (
            client_error("AccessDenied", "key ASIAIOSFODNN7EXAMPLE is\x1b[31m\nnot known"),
            "is not known",
            ("IOSF", "\x1b"),
        ),
        (
            boto.ProxyConnectionError(proxy_url="http://me:pa/ss@proxy:3128", error="refused"),
            "proxy:3128",
            ("me:", "ss@"),
        ),
        (
            boto.EndpointConnectionError(endpoint_url="https://me:word@aws.example/?a=b", error="refused"),
            "aws.example/?a=b",
            ("word",),
        ),
        (client_error("Denied\nINFO forged", "words"), "Denied INFO forged: words", ("\n",)),
        (client_error("AccessDenied", "words " * 100_000), "words words", ("words " * 150,)),
    ],
)
def test_an_error_is_one_line_that_shows_no_secret(error: Exception, kept: str, lost: tuple[str, ...]) -> None:
    found = failure("ListUsers", error)
    for text in (str(found), f"{found.code}: {found.message}"):
        assert kept in text
        assert text.isprintable()
        assert len(text) < 1000
        assert [secret for secret in lost if secret in text] == []


def test_an_error_without_a_code_or_words_is_an_error_still() -> None:
    assert failure("ListUsers", boto.ClientError({"Error": {}}, "ListUsers")).code == "Unknown"
    assert str(failure("ListUsers", ResponseParserError(""))) == "ListUsers: ResponseParserError: no message"


@pytest.mark.parametrize(
    ("error", "over"),
    [
        (client_error("ExpiredToken"), True),
        (client_error("ExpiredTokenException"), True),
        (client_error("RequestExpired"), True),
        (client_error("AccessDenied"), False),
        (boto.NoCredentialsError(), False),
    ],
)
def test_credentials_that_ran_out_are_told_from_others(error: Exception, over: bool) -> None:
    assert expired(error) is over


@pytest.mark.parametrize(
    ("kind", "counted", "account_reason"),
    [
        (RoleDenied, ErrorReason.ASSUME_ROLE, AccountReason.ASSUME_ROLE_DENIED),
        (WrongAccount, ErrorReason.OTHER, AccountReason.ACCOUNT_MISMATCH),
        (ReportFailed, ErrorReason.REPORT, AccountReason.REPORT_FAILED),
    ],
)
def test_what_we_tell_ourselves_has_reasons_too(
    kind: type[AwsFailure], counted: ErrorReason, account_reason: AccountReason
) -> None:
    assert (kind.error_reason, kind.account_reason) == (counted, account_reason)


def test_a_refused_user_lookup_is_denied_any_other_error_failed() -> None:
    assert failure_reason(Denied("GetLoginProfile", "AccessDenied", "")) is FindingReason.LOOKUP_DENIED
    assert failure_reason(Throttled("GetLoginProfile", "Throttling", "")) is FindingReason.LOOKUP_FAILED
