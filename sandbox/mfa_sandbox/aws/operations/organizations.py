"""Organizations: the calls that only read."""

import base64
import binascii
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import TypeAlias, TypeVar

from mfa_sandbox.aws.organization import Member, Organization, Unit
from mfa_sandbox.aws.regions import ORGANIZATIONS_REGIONS
from mfa_sandbox.aws.request import Call, Handler
from mfa_sandbox.aws.wire import AwsError, Result

T = TypeVar("T")

MOST_RESULTS = 20

_UNIT_ID = re.compile(r"r-[0-9a-z]{4,32}|ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}")
_ACCOUNT_ID = re.compile(r"\d{12}")
# Status knew three states, before State came (2025-09).
_STATUS_OF_STATE = {"ACTIVE": "ACTIVE", "PENDING_CLOSURE": "PENDING_CLOSURE"}


def _asked(call: Call) -> Organization:
    """The caller's organization, if the caller may ask this of it."""
    region = ORGANIZATIONS_REGIONS[call.world.partition]
    if call.region != region:
        message = f"Credential should be scoped to a valid region, not '{call.region}'."
        raise AwsError("InvalidSignatureException", message)
    organization = call.world.organization_of(call.account.id)
    if organization is None:
        raise AwsError("AWSOrganizationsNotInUseException", "Your account is not a member of an organization.")
    if organization.rate_limit is not None and not organization.rate_limit.take():
        raise AwsError("TooManyRequestsException", "AWS Organizations can't complete your request. Try again later.")
    if not organization.may_ask(call.account.id, call.action):
        raise AwsError("AccessDeniedException", "You don't have permissions to access this resource.")
    return organization


def _describe_organization(call: Call, organization: Organization) -> Result:
    management = organization.members[organization.management_id]
    return {
        "Organization": {
            "Id": organization.id,
            "Arn": _arn(call, organization, "organization", ""),
            "FeatureSet": "ALL",
            "MasterAccountArn": _arn(call, organization, "account", f"/{management.id}"),
            "MasterAccountId": management.id,
            "MasterAccountEmail": management.email,
            "AvailablePolicyTypes": [],
        }
    }


def _list_accounts(call: Call, organization: Organization) -> Result:
    return _accounts(call, organization, organization.members.values())


def _list_accounts_for_parent(call: Call, organization: Organization) -> Result:
    return _accounts(call, organization, organization.accounts_in(_parent(call, organization)))


def _list_roots(call: Call, organization: Organization) -> Result:
    roots, token = _page(call, organization, [organization.root], lambda root: root.id)
    return {"Roots": [{**_unit(call, organization, root), "PolicyTypes": []} for root in roots], **token}


def _list_units_for_parent(call: Call, organization: Organization) -> Result:
    units = organization.children(_parent(call, organization))
    chunk, token = _page(call, organization, units, lambda unit: unit.id)
    return {"OrganizationalUnits": [_unit(call, organization, unit) for unit in chunk], **token}


def _list_children(call: Call, organization: Organization) -> Result:
    parent = _parent(call, organization)
    kind = call.require("ChildType")
    if kind not in {"ACCOUNT", "ORGANIZATIONAL_UNIT"}:
        raise _invalid("You specified an invalid value.", "INVALID_ENUM")
    found = organization.accounts_in(parent) if kind == "ACCOUNT" else organization.children(parent)
    chunk, token = _page(call, organization, [child.id for child in found], str)
    return {"Children": [{"Id": child, "Type": kind} for child in chunk], **token}


def _list_parents(call: Call, organization: Organization) -> Result:
    child_id = call.require("ChildId")
    unit = organization.units.get(child_id)
    member = organization.members.get(child_id)
    parent = unit.parent if unit else member.parent if member else None
    if parent is None:
        message = "We can't find an organizational unit (OU) or account with the ChildId that you specified."
        raise AwsError("ChildNotFoundException", message)
    return {"Parents": [{"Id": parent.id, "Type": "ROOT" if parent.parent is None else "ORGANIZATIONAL_UNIT"}]}


def _list_tags(call: Call, organization: Organization) -> Result:
    target_id = call.require("ResourceId")
    target: Unit | Member | None = organization.members.get(target_id) or organization.units.get(target_id)
    if target is None:
        raise AwsError("TargetNotFoundException", "We can't find a resource with the ResourceId that you specified.")
    chunk, token = _page(call, organization, target.tags.items(), lambda tag: tag[0])
    return {"Tags": [{"Key": key, "Value": value} for key, value in chunk], **token}


def _describe_account(call: Call, organization: Organization) -> Result:
    account_id = call.require("AccountId")
    if not _ACCOUNT_ID.fullmatch(account_id):
        raise _invalid("You specified an invalid value.", "INVALID_PATTERN")
    if account_id not in organization.members:
        raise AwsError("AccountNotFoundException", "You specified an account that doesn't exist.")
    return {"Account": _account(call, organization, organization.members[account_id])}


def _describe_unit(call: Call, organization: Organization) -> Result:
    unit = organization.units.get(call.require("OrganizationalUnitId"))
    if unit is None or unit.parent is None:
        message = "We can't find an organizational unit (OU) with the OrganizationalUnitId that you specified."
        raise AwsError("OrganizationalUnitNotFoundException", message)
    return {"OrganizationalUnit": _unit(call, organization, unit)}


def _parent(call: Call, organization: Organization) -> Unit:
    parent_id = call.require("ParentId")
    if not _UNIT_ID.fullmatch(parent_id):
        raise _invalid("You specified an invalid value.", "INVALID_PATTERN")
    if parent_id not in organization.units:
        message = "We can't find a root or OU with the ParentId that you specified."
        raise AwsError("ParentNotFoundException", message)
    return organization.units[parent_id]


def _accounts(call: Call, organization: Organization, members: Iterable[Member]) -> Result:
    # Not in the order of their ids: AWS promises no order.
    chunk, token = _page(call, organization, members, lambda member: member.id[::-1])
    return {"Accounts": [_account(call, organization, member) for member in chunk], **token}


def _account(call: Call, organization: Organization, member: Member) -> dict[str, object]:
    has = organization.state_members
    return {
        "Id": member.id,
        "Arn": _arn(call, organization, "account", f"/{member.id}"),
        "Email": member.email,
        "Name": member.name,
        "Status": _STATUS_OF_STATE.get(member.state, "SUSPENDED") if has != "State" else None,
        "State": member.state if has != "Status" else None,
        "Paths": [f"{organization.id}/{member.parent.path}{member.id}/"] if organization.paths else None,
        "JoinedMethod": member.joined_method,
        "JoinedTimestamp": member.joined,
    }


def _unit(call: Call, organization: Organization, unit: Unit) -> dict[str, object]:
    kind = "root" if unit.parent is None else "ou"
    return {"Id": unit.id, "Arn": _arn(call, organization, kind, f"/{unit.id}"), "Name": unit.name}


def _arn(call: Call, organization: Organization, kind: str, rest: str) -> str:
    prefix = f"arn:{call.world.partition}:organizations::{organization.management_id}"
    return f"{prefix}:{kind}/{organization.id}{rest}"


def _page(
    call: Call, organization: Organization, items: Iterable[T], key: Callable[[T], str]
) -> tuple[list[T], dict[str, object]]:
    """The page that the call asks for, with its NextToken. A token names the last key given out, so that items that
    come and go between two pages neither shift nor repeat the others."""
    ordered = sorted(items, key=key)
    last, after_empty = _position(call.document.get("NextToken"))
    start = bisect_right(ordered, last, key=key) if last is not None else 0
    if organization.empty_pages and not after_empty:
        return [], {"NextToken": _token(last, after_empty=True)}
    end = start + min(_max_results(call), organization.page_size, call.world.page_limit or MOST_RESULTS)
    chunk = ordered[start:end]
    return chunk, {"NextToken": _token(key(chunk[-1]), after_empty=False)} if end < len(ordered) else {}


def _max_results(call: Call) -> int:
    number = call.document.get("MaxResults", MOST_RESULTS)
    if not isinstance(number, int) or not 1 <= number <= MOST_RESULTS:
        raise _invalid("You specified an invalid value.", "MAX_VALUE_EXCEEDED")
    return number


def _token(last: str | None, *, after_empty: bool) -> str:
    return base64.urlsafe_b64encode(json.dumps([last, after_empty]).encode()).decode()


def _position(token: object) -> tuple[str | None, bool]:
    if token is None:
        return None, False
    try:
        last, after_empty = json.loads(base64.b64decode(str(token), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError):
        raise _invalid("You provided an invalid NextToken.", "INVALID_NEXT_TOKEN") from None
    return last, after_empty


def _invalid(message: str, reason: str) -> AwsError:
    return AwsError("InvalidInputException", message, reason=reason)


Answering: TypeAlias = Callable[[Call, Organization], Result]


def _reading(answer: Answering) -> Handler:
    """The operation, of the caller's organization, while nothing changes in it."""

    def handle(call: Call) -> Result:
        organization = _asked(call)
        with organization.lock:
            return answer(call, organization)

    return handle


_ANSWERS: dict[str, Answering] = {
    "DescribeAccount": _describe_account,
    "DescribeOrganization": _describe_organization,
    "DescribeOrganizationalUnit": _describe_unit,
    "ListAccounts": _list_accounts,
    "ListAccountsForParent": _list_accounts_for_parent,
    "ListChildren": _list_children,
    "ListOrganizationalUnitsForParent": _list_units_for_parent,
    "ListParents": _list_parents,
    "ListRoots": _list_roots,
    "ListTagsForResource": _list_tags,
}

OPERATIONS: dict[str, Handler] = {name: _reading(answer) for name, answer in _ANSWERS.items()}
