"""The sandbox's Organizations: who may ask, what is answered, in how many pages, and what is refused."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config

from mfa_sandbox.aws import Credentials, EmbeddedAws, Organization
from tests.aws.test_sandbox_accounts import assume, refused

MEMBER = "222233334444"


@pytest.fixture
def organization(aws: EmbeddedAws) -> Organization:
    """An organization whose management account is the operator's own."""
    return aws.world.create_organization()


@pytest.fixture
def client_of(aws: EmbeddedAws) -> Iterator[Callable[..., Any]]:
    """Makes clients of Organizations: of the operator, or of whoever holds the credentials."""
    made: list[Any] = []

    def make(who: Credentials | None = None) -> Any:
        made.append(aws.organizations(who))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(client_of: Callable[..., Any]) -> Any:
    return client_of()


def role_in(aws: EmbeddedAws, account_id: str) -> Credentials:
    return assume(aws, aws.world.account(account_id).role_arn)


def pages(call: Callable[..., Any], **arguments: Any) -> list[dict[str, Any]]:
    answers = [call(**arguments)]
    while token := answers[-1].get("NextToken"):
        answers.append(call(**{**arguments, "NextToken": token}))
    return answers


def account_ids(call: Callable[..., Any], **arguments: Any) -> list[str]:
    return [account["Id"] for page in pages(call, **arguments) for account in page["Accounts"]]


def test_what_aws_says_of_an_account(aws: EmbeddedAws, organization: Organization, client: Any) -> None:
    prod = organization.unit("Production")
    payments = organization.unit("Payments", prod)
    joined = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    organization.join(MEMBER, "payments-prod", payments, joined=joined, method="INVITED")
    management, member = sorted(client.list_accounts()["Accounts"], key=lambda account: account["JoinedTimestamp"])
    assert member == {
        "Id": MEMBER,
        "Arn": f"arn:aws:organizations::{aws.world.home_id}:account/{organization.id}/{MEMBER}",
        "Email": f"aws+{MEMBER}@example.com",
        "Name": "payments-prod",
        "Status": "ACTIVE",
        "State": "ACTIVE",
        "Paths": [f"{organization.id}/{organization.root.id}/{prod.id}/{payments.id}/{MEMBER}/"],
        "JoinedMethod": "INVITED",
        "JoinedTimestamp": joined,
    }
    assert management["Paths"] == [f"{organization.id}/{organization.root.id}/{aws.world.home_id}/"]
    assert client.describe_account(AccountId=MEMBER)["Account"] == member
    described = client.describe_organization()["Organization"]
    assert (described["Id"], described["MasterAccountId"]) == (organization.id, aws.world.home_id)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ("both", {"State": "CLOSED", "Status": "SUSPENDED"}),
        ("State", {"State": "CLOSED"}),
        ("Status", {"Status": "SUSPENDED"}),
    ],
)
def test_state_and_status(organization: Organization, client: Any, members: Any, expected: dict[str, str]) -> None:
    organization.join(MEMBER)
    organization.close(MEMBER)
    organization.state_members, organization.paths = members, False
    found = client.describe_account(AccountId=MEMBER)["Account"]
    assert {name: found[name] for name in ("State", "Status", "Paths") if name in found} == expected


def test_only_active_accounts_let_anybody_in(aws: EmbeddedAws, organization: Organization) -> None:
    role = aws.world.account(MEMBER).role_arn
    organization.join(MEMBER)
    assume(aws, role)
    organization.suspend(MEMBER)
    assert refused(lambda: assume(aws, role))[0] == "AccessDenied"
    organization.reactivate(MEMBER)
    assume(aws, role)
    organization.join("333344445555", state="SUSPENDED")
    later = aws.world.account("333344445555").role_arn
    assert refused(lambda: assume(aws, later))[0] == "AccessDenied"


def test_pages_hold_at_most_twenty(organization: Organization, client: Any) -> None:
    for number in range(44):
        organization.join(f"3000000000{number:02}")
    assert [len(page["Accounts"]) for page in pages(client.list_accounts)] == [20, 20, 5]
    listed = account_ids(client.list_accounts, MaxResults=7)
    assert sorted(listed) == sorted(organization.members)
    assert listed != sorted(listed), "AWS promises no order"
    assert refused(lambda: client.list_accounts(MaxResults=21))[0] == "InvalidInputException"


def test_empty_pages_come_with_a_token(organization: Organization, client: Any) -> None:
    for number in range(24):
        organization.join(f"3000000000{number:02}", tags={"env": "prod"})
    organization.empty_pages = True
    assert [len(page["Accounts"]) for page in pages(client.list_accounts)] == [0, 20, 0, 5]
    assert [page["Tags"] for page in pages(client.list_tags_for_resource, ResourceId="300000000000")] == [
        [],
        [{"Key": "env", "Value": "prod"}],
    ]


def test_an_account_that_leaves_between_pages_shifts_nothing(organization: Organization, client: Any) -> None:
    for number in range(44):
        organization.join(f"3000000000{number:02}")
    first = client.list_accounts()
    organization.leave(first["Accounts"][0]["Id"])
    rest = account_ids(client.list_accounts, NextToken=first["NextToken"])
    assert len(rest) == 25
    assert not set(rest) & {account["Id"] for account in first["Accounts"]}


def test_units_and_what_is_directly_in_them(aws: EmbeddedAws, organization: Organization, client: Any) -> None:
    prod, dev = organization.unit("Production"), organization.unit("Development")
    payments = organization.unit("Payments", prod)
    organization.join(MEMBER, unit=payments)
    root = organization.root.id
    assert [found["Id"] for found in client.list_roots()["Roots"]] == [root]
    units = client.list_organizational_units_for_parent(ParentId=root)["OrganizationalUnits"]
    assert {unit["Id"]: unit["Name"] for unit in units} == {prod.id: "Production", dev.id: "Development"}
    described = client.describe_organizational_unit(OrganizationalUnitId=payments.id)["OrganizationalUnit"]
    assert described["Name"] == "Payments"
    assert account_ids(client.list_accounts_for_parent, ParentId=prod.id) == [], "not recursive"
    assert account_ids(client.list_accounts_for_parent, ParentId=payments.id) == [MEMBER]
    assert account_ids(client.list_accounts_for_parent, ParentId=root) == [aws.world.home_id]
    children = client.list_children(ParentId=prod.id, ChildType="ORGANIZATIONAL_UNIT")["Children"]
    assert children == [{"Id": payments.id, "Type": "ORGANIZATIONAL_UNIT"}]
    inside = client.list_children(ParentId=payments.id, ChildType="ACCOUNT")["Children"]
    assert inside == [{"Id": MEMBER, "Type": "ACCOUNT"}]
    assert client.list_parents(ChildId=MEMBER)["Parents"] == [{"Id": payments.id, "Type": "ORGANIZATIONAL_UNIT"}]
    assert client.list_parents(ChildId=prod.id)["Parents"] == [{"Id": root, "Type": "ROOT"}]
    organization.move(MEMBER, dev)
    assert account_ids(client.list_accounts_for_parent, ParentId=dev.id) == [MEMBER]


def test_what_is_not_there(organization: Organization, client: Any) -> None:
    unknown = "ou-zzzz-zzzzzzzz"
    assert [
        refused(lambda: client.list_accounts_for_parent(ParentId=unknown))[:2],
        refused(lambda: client.list_children(ParentId=unknown, ChildType="ACCOUNT"))[:2],
        refused(lambda: client.list_organizational_units_for_parent(ParentId="Production"))[:2],
        refused(lambda: client.list_parents(ChildId=MEMBER))[:2],
        refused(lambda: client.list_tags_for_resource(ResourceId=MEMBER))[:2],
        refused(lambda: client.describe_account(AccountId=MEMBER))[:2],
        refused(lambda: client.describe_organizational_unit(OrganizationalUnitId=unknown))[:2],
        refused(lambda: client.list_accounts(NextToken="stale"))[:2],
    ] == [
        ("ParentNotFoundException", 400),
        ("ParentNotFoundException", 400),
        ("InvalidInputException", 400),
        ("ChildNotFoundException", 400),
        ("TargetNotFoundException", 400),
        ("AccountNotFoundException", 400),
        ("OrganizationalUnitNotFoundException", 400),
        ("InvalidInputException", 400),
    ]


def test_who_may_ask(aws: EmbeddedAws, client_of: Callable[..., Any]) -> None:
    """The management account, delegated administrators, and whom the resource-based policy names."""
    organization = aws.world.create_organization("999900001111")
    assert refused(client_of().list_accounts)[:2] == ("AWSOrganizationsNotInUseException", 400)
    assert client_of(role_in(aws, "999900001111")).list_accounts()["Accounts"]
    organization.join(MEMBER)
    member = client_of(role_in(aws, MEMBER))
    assert member.describe_organization()["Organization"]["Id"] == organization.id
    assert refused(member.list_accounts)[:2] == ("AccessDeniedException", 400)
    organization.delegate(MEMBER)
    assert len(member.list_accounts()["Accounts"]) == 2
    organization.delegate(MEMBER, {"organizations:ListAccounts"})
    member.list_accounts()
    assert refused(member.list_roots)[0] == "AccessDeniedException"
    organization.revoke(MEMBER)
    assert refused(member.list_accounts)[0] == "AccessDeniedException"
    organization.leave(MEMBER)
    assert refused(member.list_accounts)[0] == "AWSOrganizationsNotInUseException"


def test_policies_of_the_calling_account_hold(aws: EmbeddedAws, organization: Organization, client: Any) -> None:
    aws.world.home.deny({"organizations:ListAccounts"})
    code, status, message = refused(client.list_accounts)
    assert (code, status) == ("AccessDeniedException", 400)
    assert message.endswith(
        "organizations:ListAccounts on resource: * with an explicit deny in an identity-based policy"
    )
    client.list_roots()


def test_throttling(aws: EmbeddedAws, organization: Organization, client: Any) -> None:
    organization.throttle(per_second=0.001, burst=2)
    client.list_accounts()
    client.list_roots()
    assert refused(client.list_accounts)[:2] == ("TooManyRequestsException", 400)
    organization.throttle(None)
    client.list_accounts()


def test_a_client_with_retries_gets_through(aws: EmbeddedAws, organization: Organization) -> None:
    organization.throttle(per_second=20, burst=1)
    signed_by: dict[str, Any] = aws.world.operator_credentials.client_arguments()
    config = Config(retries={"mode": "standard", "total_max_attempts": 5})
    made = boto3.client(
        "organizations", region_name=aws.region, endpoint_url=aws.endpoint_url, config=config, **signed_by
    )
    with closing(made) as client:
        for _ in range(3):
            client.list_accounts()


@pytest.mark.parametrize(
    ("partition", "region"), [("aws", "us-east-1"), ("aws-cn", "cn-northwest-1"), ("aws-us-gov", "us-gov-west-1")]
)
def test_only_one_region_of_a_partition_has_organizations(partition: str, region: str) -> None:
    elsewhere = {"aws": "eu-central-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-east-1"}[partition]
    with EmbeddedAws(partition=partition) as aws:
        organization = aws.world.create_organization()
        with closing(aws.organizations()) as client:
            assert client.meta.region_name == region
            found = client.describe_organization()["Organization"]
            assert found["Arn"] == f"arn:{partition}:organizations::{aws.world.home_id}:organization/{organization.id}"
        with closing(aws.organizations(region=elsewhere)) as client:
            code, _, message = refused(client.list_accounts)
        assert code == "InvalidSignatureException"
        assert elsewhere in message


def test_calls_and_faults(aws: EmbeddedAws, organization: Organization, client: Any) -> None:
    """The log and the faults know these calls like any other."""
    aws.faults.add("ListAccounts", "throttling")
    aws.faults.add("ListAccounts", "internal")
    aws.faults.add("ListAccounts", "expired_token")
    assert [refused(client.list_accounts)[0] for _ in range(3)] == [
        "TooManyRequestsException",
        "ServiceException",
        "ExpiredTokenException",
    ]
    client.list_accounts(MaxResults=5)
    last = aws.calls[-1]
    assert (last.service, last.operation, last.code) == ("organizations", "ListAccounts", None)
    assert last.parameters == {"MaxResults": "5"}
    assert aws.calls.count("ListAccounts") == 4


def test_an_account_is_in_one_organization(aws: EmbeddedAws, organization: Organization) -> None:
    organization.join(MEMBER)
    other = aws.world.create_organization("999900001111")
    with pytest.raises(ValueError, match="in an organization already"):
        other.join(MEMBER)
    with pytest.raises(ValueError, match="in an organization already"):
        aws.world.create_organization(MEMBER)
    organization.leave(MEMBER)
    other.join(MEMBER)


def test_an_account_joins_now(aws: EmbeddedAws, organization: Organization, client: Any) -> None:
    moment = datetime(2026, 11, 24, 12, tzinfo=UTC)
    aws.world.set_time(moment)
    organization.join(MEMBER)
    aws.world.advance(timedelta(hours=2))
    assert client.describe_account(AccountId=MEMBER)["Account"]["JoinedTimestamp"] == moment
