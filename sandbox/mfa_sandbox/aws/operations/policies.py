"""Customer managed policies: versions, tags, who they are attached to, and the limits of all of these."""

from typing import Any
from urllib.parse import quote

from moto.iam.models import ManagedPolicy, PolicyVersion

from mfa_sandbox.aws.operations.users import find_user
from mfa_sandbox.aws.paging import page
from mfa_sandbox.aws.request import Call, Handler
from mfa_sandbox.aws.state import unique_id
from mfa_sandbox.aws.wire import AwsError, Result

POLICIES_PER_USER = 10
VERSIONS_PER_POLICY = 5
POLICY_CHARACTERS = 6144
"""Of a managed policy, white space not counted (IAM User Guide, "IAM and AWS STS quotas")."""


def _find(call: Call) -> ManagedPolicy:
    arn = call.require("PolicyArn")
    policy = call.account.backend.managed_policies.get(arn)
    if policy is None:
        raise AwsError("NoSuchEntity", f"Policy {arn} was not found.")
    return policy


def _check_size(document: str) -> None:
    if len("".join(document.split())) > POLICY_CHARACTERS:
        raise AwsError("LimitExceeded", f"Cannot exceed quota for PolicySize: {POLICY_CHARACTERS}")


def _element(policy: ManagedPolicy, *, with_tags: bool) -> dict[str, object]:
    element: dict[str, object] = {
        "PolicyName": policy.name,
        "PolicyId": policy.id,
        "Arn": policy.arn,
        "Path": policy.path,
        "DefaultVersionId": policy.default_version_id,
        "AttachmentCount": policy.attachment_count,
        "PermissionsBoundaryUsageCount": 0,
        "IsAttachable": True,
        "CreateDate": policy.create_date,
        "UpdateDate": policy.update_date,
    }
    if with_tags:
        element |= {"Description": policy.description or None, "Tags": policy.get_tags()}
    return element


def _version_element(version: PolicyVersion, *, with_document: bool) -> dict[str, object]:
    return {
        "Document": quote(version.document, safe="") if with_document else None,
        "VersionId": version.version_id,
        "IsDefaultVersion": version.is_default,
        "CreateDate": version.create_date,
    }


def _own_policies(call: Call) -> list[ManagedPolicy]:
    return [one for one in call.account.backend.managed_policies.values() if one.account_id == call.account.id]


def _create_policy(call: Call) -> Result:
    document = call.require("PolicyDocument")
    name = call.require("PolicyName")
    parameters = call.parameters
    _check_size(document)
    # Whatever their path and case; moto looks at the ARN alone.
    if any(known.name.lower() == name.lower() for known in _own_policies(call)):
        raise AwsError(
            "EntityAlreadyExists", f"A policy called {name} already exists. Duplicate names are not allowed."
        )
    policy = call.account.backend.create_policy(
        parameters.get("Description", ""), parameters.get("Path", "/"), document, name, call.members("Tags")
    )
    policy.id = unique_id("ANPA")
    policy.create_date = policy.update_date = policy.versions[0].create_date = call.now
    return {"Policy": _element(policy, with_tags=True)}


def _get_policy(call: Call) -> Result:
    return {"Policy": _element(_find(call), with_tags=True)}


def _list_policies(call: Call) -> Result:
    parameters = call.parameters
    scope = parameters.get("Scope", "All")
    prefix = parameters.get("PathPrefix", "/")
    policies = [
        policy
        for policy in call.account.backend.managed_policies.values()
        if policy.path.startswith(prefix)
        and (not call.flag("OnlyAttached") or policy.attachment_count > 0)
        and (scope == "All" or (policy.account_id == call.account.id) == (scope == "Local"))
    ]
    chunk, more = page(call, policies, lambda policy: policy.arn)
    return {"Policies": [_element(policy, with_tags=False) for policy in chunk], **more}


def _delete_policy(call: Call) -> Result | None:
    policy = _find(call)
    if policy.attachment_count > 0:
        raise AwsError("DeleteConflict", "Cannot delete a policy attached to entities.")
    if len(policy.versions) > 1:
        raise AwsError(
            "DeleteConflict",
            "This policy has more than one version. Before you delete a policy, you must delete the policy's "
            "versions. The default version is deleted with the policy.",
        )
    call.account.backend.delete_policy(policy.arn)
    return None


def _create_policy_version(call: Call) -> Result:
    policy = _find(call)
    document = call.require("PolicyDocument")
    _check_size(document)
    version = call.account.backend.create_policy_version(policy.arn, document, call.flag("SetAsDefault"))
    version.create_date = policy.update_date = call.now
    return {"PolicyVersion": _version_element(version, with_document=False)}


def _get_policy_version(call: Call) -> Result:
    policy = _find(call)
    version_id = call.require("VersionId")
    for version in policy.versions:
        if version.version_id == version_id:
            return {"PolicyVersion": _version_element(version, with_document=True)}
    raise AwsError("NoSuchEntity", f"Policy {policy.arn} version {version_id} does not exist.")


def _list_policy_versions(call: Call) -> Result:
    chunk, more = page(call, _find(call).versions, lambda version: version.version_id)
    return {"Versions": [_version_element(version, with_document=False) for version in chunk], **more}


def _list_policy_tags(call: Call) -> Result:
    chunk, more = page(call, _find(call).get_tags(), lambda tag: tag["Key"])
    return {"Tags": chunk, **more}


def _attach_user_policy(call: Call) -> Result | None:
    user = find_user(call, call.require("UserName"))
    arn = call.require("PolicyArn")
    if arn in user.managed_policies:
        return None
    if arn not in call.account.backend.managed_policies:
        raise AwsError("NoSuchEntity", f"Policy {arn} does not exist or is not attachable.")
    if len(user.managed_policies) >= POLICIES_PER_USER:
        raise AwsError("LimitExceeded", f"Cannot exceed quota for PoliciesPerUser: {POLICIES_PER_USER}")
    call.account.backend.attach_user_policy(arn, user.name)
    return None


def _detach_user_policy(call: Call) -> Result | None:
    user = find_user(call, call.require("UserName"))
    arn = call.require("PolicyArn")
    policy = user.managed_policies.get(arn)
    if policy is None:
        raise AwsError("NoSuchEntity", f"Policy {arn} was not found.")
    policy.detach_from(user)
    return None


def _list_attached_user_policies(call: Call) -> Result:
    user = find_user(call, call.require("UserName"))
    prefix = call.parameters.get("PathPrefix", "/")
    attached = [policy for policy in user.managed_policies.values() if policy.path.startswith(prefix)]
    chunk, more = page(call, attached, lambda policy: policy.arn)
    return {
        "AttachedPolicies": [{"PolicyName": policy.name, "PolicyArn": policy.arn} for policy in chunk],
        **more,
    }


def _list_entities_for_policy(call: Call) -> Result:
    """One listing over users, groups and roles: a page may hold some of each."""
    policy = _find(call)
    backend = call.account.backend
    kinds: dict[str, dict[str, Any]] = {"User": backend.users, "Group": backend.groups, "Role": backend.roles}
    wanted = call.parameters.get("EntityFilter")
    prefix = call.parameters.get("PathPrefix", "/")
    entities = [
        (kind, entity)
        for kind, known in kinds.items()
        if wanted in {None, kind}
        for entity in known.values()
        if policy.arn in entity.managed_policies and entity.path.startswith(prefix)
    ]
    chunk, more = page(call, entities, lambda found: f"{found[0]}/{found[1].name}")
    answer: dict[str, object] = {
        f"Policy{kind}s": [
            {f"{kind}Name": entity.name, f"{kind}Id": entity.id} for found, entity in chunk if found == kind
        ]
        for kind in kinds
    }
    return answer | more


OPERATIONS: dict[str, Handler] = {
    "AttachUserPolicy": _attach_user_policy,
    "CreatePolicy": _create_policy,
    "CreatePolicyVersion": _create_policy_version,
    "DeletePolicy": _delete_policy,
    "DetachUserPolicy": _detach_user_policy,
    "GetPolicy": _get_policy,
    "GetPolicyVersion": _get_policy_version,
    "ListAttachedUserPolicies": _list_attached_user_policies,
    "ListEntitiesForPolicy": _list_entities_for_policy,
    "ListPolicies": _list_policies,
    "ListPolicyTags": _list_policy_tags,
    "ListPolicyVersions": _list_policy_versions,
}
