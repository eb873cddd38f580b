"""Whether a user under quarantine could still enrol MFA: a permissions boundary or an SCP may forbid what it allows."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING

from mfa_operator.api.enums import DeviceType
from mfa_operator.aws import quarantine_document
from mfa_operator.aws.errors import Denied, NotFound
from mfa_operator.aws.quarantine_document import Variant
from mfa_operator.aws.sessions import AccountSession

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_iam.type_defs import EvaluationResultTypeDef, SimulatePolicyResponseTypeDef

_WITHOUT_MFA = [
    {"ContextKeyName": key, "ContextKeyValues": ["false"], "ContextKeyType": "boolean"}
    for key in ("aws:MultiFactorAuthPresent", "aws:ViaAWSService")
]


def what_forbids_enrolling(
    session: AccountSession, name: str, path: str, variant: Variant, accepted: Collection[DeviceType]
) -> str:
    """What would keep the user from enrolling a device under this quarantine, in words; empty where nothing does.

    AWS simulates the user's own policies, permissions boundary and SCPs together with the quarantine's. It leaves
    conditions in SCPs out of account, so an empty answer is no proof. Where the role may not simulate, a user with a
    permissions boundary is taken to be locked out: nobody knows what it allows. Raises AwsFailure.
    """
    iam = f"arn:{session.partition}:iam::{session.account.id}:"
    questions = [("iam:EnableMFADevice", f"{iam}user{path}{name}")]
    if not {DeviceType.SECURITY_KEY, DeviceType.HARDWARE_TOKEN} & set(accepted):
        # Only a virtual device has to be created first.
        questions.append(("iam:CreateVirtualMFADevice", f"{iam}mfa/{name}"))
    document = quarantine_document.document_json(session.partition, session.account.id, variant)
    # Whether the simulation knows the user's name is not documented.
    document = document.replace("${aws:username}", name)
    try:
        for action, resource in questions:
            ask = partial(_simulate, f"{iam}user{path}{name}", document, action, resource)
            answer = session.ask("SimulatePrincipalPolicy", ask)
            if forbidden := _forbidden(answer["EvaluationResults"]):
                return f"{action} would be denied by {forbidden}: the user could not enrol MFA and would be locked out"
    except Denied:
        return _unknown_boundary(session, name)
    except NotFound:
        # The check of the user finds that out, too.
        return ""
    return ""


def _simulate(user: str, document: str, action: str, resource: str, iam: IAMClient) -> SimulatePolicyResponseTypeDef:
    return iam.simulate_principal_policy(
        PolicySourceArn=user,
        PolicyInputList=[document],
        ActionNames=[action],
        ResourceArns=[resource],
        ContextEntries=_WITHOUT_MFA,  # type: ignore[arg-type]  # the same shape, by another name
    )


def _forbidden(results: list[EvaluationResultTypeDef]) -> str:
    for result in results:
        if result["EvalDecision"] == "allowed":
            continue
        if not result.get("PermissionsBoundaryDecisionDetail", {}).get("AllowedByPermissionsBoundary", True):
            return "the user's permissions boundary"
        if not result.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations", True):
            return "a service control policy"
        return "a policy of the user or of a group"
    return ""


def _unknown_boundary(session: AccountSession, name: str) -> str:
    try:
        user = session.ask("GetUser", lambda iam: iam.get_user(UserName=name))["User"]
    except NotFound:
        return ""
    boundary = user.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", "")
    if not boundary:
        return ""
    return (
        f"the user has the permissions boundary {boundary}, and it is unknown whether it allows enrolling MFA: the"
        " role needs iam:SimulatePrincipalPolicy"
    )
