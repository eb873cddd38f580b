"""A user of a sandbox account, seen and changed from the outside, without any API call."""

import random
import string
from datetime import datetime
from typing import Literal

from moto.iam.models import AccessKey, MFADevice, User

from mfa_sandbox.aws.principals import Credentials
from mfa_sandbox.aws.state import PASSWORD_SET, AccountState, LoginProfile

MfaKind = Literal["virtual", "security_key", "hardware", "sms"]

ANY_ALLOW = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:ListAllMyBuckets","Resource":"*"}]}'


class SandboxUser:
    """What `Account.user` gives. What people do through the API shows up here and the other way round."""

    __slots__ = ("_account", "_user")

    def __init__(self, account: AccountState, user: User) -> None:
        self._account = account
        self._user = user

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SandboxUser) and self._user is other._user

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"SandboxUser({self.arn})"

    @property
    def name(self) -> str:
        return str(self._user.name)

    @property
    def id(self) -> str:
        return str(self._user.id)

    @property
    def arn(self) -> str:
        return str(self._user.arn)

    @property
    def path(self) -> str:
        return str(self._user.path)

    @property
    def exists(self) -> bool:
        return self._account.backend.users.get(self.name) is self._user

    @property
    def has_password(self) -> bool:
        return self.login_profile is not None

    @property
    def login_profile(self) -> LoginProfile | None:
        return self._account.profiles.get(self.id)

    @property
    def mfa_serials(self) -> list[str]:
        with self._account.lock:
            return list(self._user.mfa_devices)

    @property
    def attached_policies(self) -> list[str]:
        """The ARNs of the managed policies."""
        with self._account.lock:
            return list(self._user.managed_policies)

    @property
    def tags(self) -> dict[str, str]:
        with self._account.lock:
            tags = self._account.backend.list_user_tags(self.name)
            return {tag["Key"]: tag["Value"] for tag in tags}

    def set_password(self, at: datetime | None = None, *, reset_required: bool = False) -> None:
        """Give a login profile, or change the password of the one there is."""
        with self._account.lock:
            at = at or self._account.now()
            profile = self.login_profile
            if profile is None:
                self._account.profiles[self.id] = LoginProfile(at, at, reset_required)
            else:
                profile.changed, profile.reset_required = at, reset_required
            self._user.password = PASSWORD_SET
            self._changed("CreateLoginProfile" if profile is None else "UpdateLoginProfile")

    def remove_password(self) -> None:
        with self._account.lock:
            self._account.profiles.pop(self.id, None)
            self._user.password = None
            self._changed("DeleteLoginProfile")

    def used_password(self, at: datetime | None = None) -> None:
        """Sign in: now, if no time is given."""
        # moto calls this part of its public API, and types it as None.
        self._user.password_last_used = at or self._account.now()  # type: ignore[assignment]

    def add_mfa(self, kind: MfaKind = "virtual", *, name: str | None = None) -> str:
        """Enable a device, gives its serial number. `name` is that of a virtual device (the user's by default)."""
        with self._account.lock:
            now = self._account.now()
            serial = self._virtual_device(name, now) if kind == "virtual" else self._serial(kind)
            device = MFADevice(serial, "", "")
            device.enable_date = now
            self._user.mfa_devices[serial] = device
            self._changed("EnableMFADevice", serialNumber=serial)
        return serial

    def remove_mfa(self, serial: str | None = None) -> None:
        """Take a device away, or all of them; virtual ones are deleted. Raises KeyError for an unknown serial."""
        with self._account.lock:
            for one in [serial] if serial is not None else list(self._user.mfa_devices):
                del self._user.mfa_devices[one]
                self._account.backend.virtual_mfa_devices.pop(one, None)
                self._changed("DeactivateMFADevice", serialNumber=one)

    def add_access_key(self, created: datetime | None = None) -> Credentials:
        with self._account.lock:
            key = self._account.backend.create_access_key(self.name)
            key.create_date = created or self._account.now()
        return _credentials(key)

    def credentials(self) -> Credentials:
        """The user's first access key; made if there is none."""
        with self._account.lock:
            keys = self._user.access_keys
            return _credentials(keys[0]) if keys else self.add_access_key()

    def tag(self, key: str, value: str) -> None:
        with self._account.lock:
            self._account.backend.tag_user(self.name, [{"Key": key, "Value": value}])
            self._changed("TagUser", tags=[{"key": key, "value": value}])

    def set_permissions_boundary(self, document: str) -> str:
        """Put the user under a boundary of this document; gives its ARN."""
        with self._account.lock:
            policy = self._account.backend.create_policy("", "/", document, f"boundary-of-{self.name}", [])
            self._account.boundaries[self.id] = policy.arn
        return str(policy.arn)

    def attach_policy(self, name: str) -> str:
        """Attach the customer managed policy of this name, made if it is not there; gives its ARN."""
        with self._account.lock:
            backend = self._account.backend
            arn = f"arn:{self._account.partition}:iam::{self._account.id}:policy/{name}"
            if arn not in backend.managed_policies:
                backend.create_policy("", "/", ANY_ALLOW, name, [])
            if arn not in self._user.managed_policies:
                backend.attach_user_policy(arn, self.name)
                self._changed("AttachUserPolicy", policyArn=arn)
        return arn

    def delete(self) -> None:
        """Delete the user with everything that hangs on it."""
        with self._account.lock:
            backend = self._account.backend
            self.remove_mfa()
            for key in list(self._user.access_keys):
                backend.delete_access_key(key.access_key_id, self.name)
            for policy in list(self._user.managed_policies.values()):
                policy.detach_from(self._user)
            self._user.policies.clear()
            for group in backend.get_groups_for_user(self.name):
                backend.remove_user_from_group(group.name, self.name)
            backend.delete_user(self.name)
            self._account.forget_user(self._user)
            self._changed("DeleteUser")

    def _changed(self, operation: str, **parameters: object) -> None:
        self._account.on_change(operation, {"userName": self.name, **parameters})

    def _virtual_device(self, name: str | None, now: datetime) -> str:
        taken = self._account.backend.virtual_mfa_devices
        base = name or self.name
        candidate, number = base, 1
        prefix = f"arn:{self._account.partition}:iam::{self._account.id}:mfa/"
        while name is None and prefix + candidate in taken:
            number += 1
            candidate = f"{base}-{number}"
        device = self._account.new_virtual_device(candidate)
        device.enable_date = now
        device.user = self._user
        return str(device.serial_number)

    def _serial(self, kind: MfaKind) -> str:
        """Serial numbers as AWS shows them (IAM User Guide, "Checking MFA status")."""
        prefix = f"arn:{self._account.partition}:iam::{self._account.id}"
        match kind:
            case "security_key":
                suffix = "".join(random.choices(string.ascii_uppercase + string.digits, k=26))  # noqa: S311
                return f"{prefix}:u2f/user/{self.name}/default-{suffix}"
            case "hardware":
                return "GAKT" + "".join(random.choices(string.digits, k=8))  # noqa: S311
            case "sms":
                return f"{prefix}:sms-mfa/{self.name}"
            case _:
                raise ValueError(f"{kind!r} is no kind of MFA device")


def _credentials(key: AccessKey) -> Credentials:
    return Credentials(key.access_key_id, key.secret_access_key)
