"""Users, login profiles, user tags and the account summary."""

from collections.abc import Mapping

from moto.iam.models import User

from mfa_sandbox.aws.paging import page
from mfa_sandbox.aws.request import Call, Handler
from mfa_sandbox.aws.state import PASSWORD_SET, LoginProfile, unique_id
from mfa_sandbox.aws.wire import AwsError, Entries, Result


def find_user(call: Call, name: str | None = None) -> User:
    """The user that the call names; without a name the caller's own. Raises NoSuchEntity."""
    name = name or call.parameters.get("UserName") or call.principal.user_name
    if not name:
        raise AwsError("ValidationError", "Must specify userName when calling with non-User credentials")
    user = call.account.backend.users.get(name)
    if user is None:
        raise AwsError("NoSuchEntity", f"The user with name {name} cannot be found.")
    return user


def user_element(user: User) -> dict[str, object]:
    return {
        "Path": user.path,
        "UserName": user.name,
        "UserId": user.id,
        "Arn": user.arn,
        "CreateDate": user.create_date,
        "PasswordLastUsed": user.password_last_used,
    }


def _tagged(user: User) -> Mapping[str, object]:
    return {**user_element(user), "Tags": user.tags}


def _create_user(call: Call) -> Result:
    name = call.require("UserName")
    account = call.account
    if any(name.lower() == known.lower() for known in account.backend.users):
        raise AwsError("EntityAlreadyExists", f"User with name {name} already exists.")
    user = account.backend.create_user(account.partition, name, call.parameters.get("Path", "/"), call.members("Tags"))
    user.id = unique_id("AIDA")
    user.create_date = call.now
    return {"User": _tagged(user)}


def _get_user(call: Call) -> Result:
    user = find_user(call)
    found = dict(_tagged(user))
    if boundary := call.account.boundaries.get(user.id):
        found["PermissionsBoundary"] = {
            "PermissionsBoundaryType": "Policy",
            "PermissionsBoundaryArn": boundary,
        }
    return {"User": found}


def _list_users(call: Call) -> Result:
    prefix = call.parameters.get("PathPrefix", "/")
    users = [user for user in call.account.backend.users.values() if user.path.startswith(prefix)]
    chunk, more = page(call, users, lambda user: user.name)
    return {"Users": [user_element(user) for user in chunk], **more}


def _delete_user(call: Call) -> Result | None:
    user = find_user(call, call.require("UserName"))
    backend = call.account.backend
    conflicts = {
        "login profile": user.id in call.account.profiles,
        "MFA device": bool(user.mfa_devices),
        "access keys": bool(user.access_keys),
        "policies": bool(user.managed_policies or user.policies),
    }
    for what, there in conflicts.items():
        if there:
            raise AwsError("DeleteConflict", f"Cannot delete entity, must delete {what} first.")
    if backend.get_groups_for_user(user.name):
        raise AwsError("DeleteConflict", "Cannot delete entity, must remove users from group first.")
    backend.delete_user(user.name)
    call.account.forget_user(user)
    return None


def _list_user_tags(call: Call) -> Result:
    tags = find_user(call).tags or []
    chunk, more = page(call, tags, lambda tag: tag["Key"])
    return {"Tags": chunk, **more}


def _find_profile(call: Call) -> tuple[User, LoginProfile]:
    user = find_user(call)
    profile = call.account.profiles.get(user.id)
    if profile is None:
        raise AwsError("NoSuchEntity", f"Login Profile for User {user.name} cannot be found.")
    return user, profile


def _profile_element(user: User, profile: LoginProfile) -> Result:
    return {
        "LoginProfile": {
            "UserName": user.name,
            "CreateDate": profile.created,
            "PasswordResetRequired": profile.reset_required,
        }
    }


def _create_login_profile(call: Call) -> Result:
    user = find_user(call)
    call.require("Password")
    if user.id in call.account.profiles:
        raise AwsError("EntityAlreadyExists", f"Login Profile for user {user.name} already exists.")
    profile = LoginProfile(call.now, call.now, call.flag("PasswordResetRequired"))
    call.account.profiles[user.id] = profile
    user.password = PASSWORD_SET
    return _profile_element(user, profile)


def _get_login_profile(call: Call) -> Result:
    return _profile_element(*_find_profile(call))


def _update_login_profile(call: Call) -> Result | None:
    _, profile = _find_profile(call)
    if "Password" in call.parameters:
        profile.changed = call.now
    if "PasswordResetRequired" in call.parameters:
        profile.reset_required = call.flag("PasswordResetRequired")
    return None


def _delete_login_profile(call: Call) -> Result | None:
    user, _ = _find_profile(call)
    del call.account.profiles[user.id]
    user.password = None
    return None


def _get_account_summary(call: Call) -> Result:
    account = call.account
    root = account.root_user
    summary: dict[str, int] = dict(account.backend.account_summary.summary_map)
    summary |= {
        "AccountMFAEnabled": int(root.mfa is not None),
        "AccountAccessKeysPresent": int(root.access_keys > 0),
        "AccountPasswordPresent": int(root.password),
        "MFADevicesInUse": summary["MFADevicesInUse"] + int(root.mfa is not None),
    }
    return {"SummaryMap": Entries(summary)}


OPERATIONS: dict[str, Handler] = {
    "CreateLoginProfile": _create_login_profile,
    "CreateUser": _create_user,
    "DeleteLoginProfile": _delete_login_profile,
    "DeleteUser": _delete_user,
    "GetAccountSummary": _get_account_summary,
    "GetLoginProfile": _get_login_profile,
    "GetUser": _get_user,
    "ListUserTags": _list_user_tags,
    "ListUsers": _list_users,
    "UpdateLoginProfile": _update_login_profile,
}
