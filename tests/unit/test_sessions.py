"""Which region, endpoint and partition a session talks to. Nothing goes over a wire here."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import nullcontext
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from urllib3 import HTTPResponse

from mfa_operator.api.policy import Account
from mfa_operator.aws.clients import signed_with
from mfa_operator.aws.errors import AwsFailure
from mfa_operator.aws.identity import Identity
from mfa_operator.aws.regions import DEFAULT_REGIONS
from mfa_operator.aws.sessions import Sessions
from mfa_operator.scheduling.due import PassAbandoned
from mfa_sandbox.aws.regions import IAM_REGIONS
from tests.unit.facts import ID

PARTITIONS = {
    # partition: (region where none is configured there, IAM's endpoint, STS's endpoint)
    "aws": ("us-east-1", "https://iam.amazonaws.com", "https://sts.us-east-1.amazonaws.com"),
    "aws-cn": ("cn-north-1", "https://iam.cn-north-1.amazonaws.com.cn", "https://sts.cn-north-1.amazonaws.com.cn"),
    "aws-us-gov": ("us-gov-west-1", "https://iam.us-gov.amazonaws.com", "https://sts.us-gov-west-1.amazonaws.com"),
    "aws-eusc": (
        "eusc-de-east-1",
        "https://iam.eusc-de-east-1.amazonaws.eu",
        "https://sts.eusc-de-east-1.amazonaws.eu",
    ),
    "aws-iso": ("us-iso-east-1", "https://iam.us-iso-east-1.c2s.ic.gov", "https://sts.us-iso-east-1.c2s.ic.gov"),
    "aws-iso-b": (
        "us-isob-east-1",
        "https://iam.us-isob-east-1.sc2s.sgov.gov",
        "https://sts.us-isob-east-1.sc2s.sgov.gov",
    ),
    "aws-iso-e": (
        "eu-isoe-west-1",
        "https://iam.eu-isoe-west-1.cloud.adc-e.uk",
        "https://sts.eu-isoe-west-1.cloud.adc-e.uk",
    ),
    "aws-iso-f": (
        "us-isof-south-1",
        "https://iam.us-isof-south-1.csp.hci.ic.gov",
        "https://sts.us-isof-south-1.csp.hci.ic.gov",
    ),
}
KEYS: dict[str, Any] = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "x"}


@cache
def settings_of(region: str | None) -> boto3.Session:
    """As costly as in the product: a session loads what all its clients share."""
    return boto3.Session(region_name=region, **KEYS)


@pytest.fixture
def opened() -> Iterator[list[Sessions]]:
    made: list[Sessions] = []
    yield made
    for sessions in made:
        sessions.close()


@pytest.fixture
def sessions(opened: list[Sessions]) -> Any:
    def make(region: str | None = None) -> Sessions:
        opened.append(Sessions(session=settings_of(region), fast_reads=True))
        return opened[-1]

    return make


@pytest.mark.parametrize("partition", PARTITIONS)
@pytest.mark.parametrize("configured", [None, "eu-central-1", "cn-northwest-1"])
def test_region_and_endpoints_follow_the_roles_partition(sessions: Any, partition: str, configured: str | None) -> None:
    made = sessions(configured)
    region, iam, sts = PARTITIONS[partition]
    here = {"eu-central-1": "aws", "cn-northwest-1": "aws-cn"}.get(configured or "") == partition
    wanted = configured if configured and here else region
    assert made.region(partition) == wanted
    assert made.clients.own("iam", wanted).meta.endpoint_url == iam
    assert made.clients.own("sts", wanted).meta.endpoint_url == sts.replace(region, wanted)


def test_every_partition_that_a_policy_may_name_has_a_region() -> None:
    assert set(DEFAULT_REGIONS) == set(PARTITIONS)


@pytest.mark.parametrize(
    ("region", "partition"), [(None, "aws"), ("us-gov-east-1", "aws-us-gov"), ("cn-north-1", "aws-cn")]
)
def test_without_a_role_the_partition_is_the_configured_regions(
    sessions: Any, region: str | None, partition: str
) -> None:
    assert sessions(region).account(Account(id=ID)).partition == partition
    role = Account(id=ID, role_arn=f"arn:aws-eusc:iam::{ID}:role/x")
    assert sessions(region).account(role).partition == "aws-eusc"


def test_a_region_that_aws_does_not_have_is_named(sessions: Any) -> None:
    with pytest.raises(AwsFailure, match="AWS has no region 'mars'"):
        sessions("mars").account(Account(id=ID))
    with pytest.raises(AwsFailure, match="AWS has no region 'mars'"):
        sessions("mars").region("aws")


@pytest.mark.parametrize(
    ("arn", "account_id", "partition", "user"),
    [
        (f"arn:aws:iam::{ID}:user/alice", ID, "aws", "alice"),
        (f"arn:aws-cn:iam::{ID}:user/eng/team/alice", ID, "aws-cn", "alice"),
        (f"arn:aws:sts::{ID}:assumed-role/mfa-operator/mfa-operator", ID, "aws", None),
        (f"arn:aws-us-gov:iam::{ID}:root", ID, "aws-us-gov", None),
    ],
)
def test_an_identity_tells_its_partition_and_the_iam_user_it_is(
    arn: str, account_id: str, partition: str, user: str | None
) -> None:
    identity = Identity(account_id, arn)
    assert (identity.partition, identity.user_name) == (partition, user)


def test_one_client_per_partition_serves_every_account(sessions: Any) -> None:
    clients = sessions().clients
    assert clients.of_accounts("iam", "us-east-1") is clients.of_accounts("iam", "us-east-1")
    others = [clients.of_accounts("iam", "cn-north-1"), clients.of_accounts("sts", "us-east-1")]
    others.append(clients.own("iam", "us-east-1"))
    assert clients.of_accounts("iam", "us-east-1") not in others


def test_a_call_without_account_credentials_is_not_signed(sessions: Any) -> None:
    """Never with the operator's own: they would show it another account."""
    iam = sessions().clients.of_accounts("iam", "us-east-1")
    signed: list[str] = []

    def answer(request: Any, **_: object) -> Any:
        signed.append(request.headers["Authorization"].decode())
        return AWSResponse(
            request.url,
            403,
            HTTPHeaders(),
            HTTPResponse(io.BytesIO(b"<ErrorResponse/>"), status=403, preload_content=False),
        )

    iam.meta.events.register("before-send.iam", answer)
    for credentials in (Credentials("ASIAROLE", "x", "t"), None):
        with signed_with(credentials) if credentials else nullcontext(), pytest.raises(ClientError):
            iam.list_users()
    assert ["ASIAROLE" in signed[0], "none/" in signed[1]] == [True, True]


def test_nothing_is_asked_once_the_operator_stops(sessions: Any) -> None:
    made: Sessions = sessions()
    made.stopping.set()
    with pytest.raises(PassAbandoned):
        made.account(Account(id=ID)).open()
    with pytest.raises(PassAbandoned):
        made.account(Account(id=ID)).ask("ListUsers", lambda iam: iam.list_users())


def test_the_embedded_aws_lives_in_the_same_regions() -> None:
    """It imports nothing of the product, so it has a table of its own."""
    assert IAM_REGIONS == DEFAULT_REGIONS
