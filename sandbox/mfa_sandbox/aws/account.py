"""One AWS account of the sandbox: its users, its root user, whom it trusts and what callers may do in it."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from moto.iam.models import AccessKeyLastUsed, User

from mfa_sandbox.aws.cloudtrail import ROOT_NAME
from mfa_sandbox.aws.credential_report import CredentialReports, Row
from mfa_sandbox.aws.permissions import IDENTITY_BASED, Permissions
from mfa_sandbox.aws.principals import Credentials, Principal, Principals
from mfa_sandbox.aws.state import AccountState, RootMfaKind, RootUser, unique_id
from mfa_sandbox.aws.user import MfaKind, SandboxUser


class Account(AccountState):
    """Made by `World.account`. `trusted` maps the ARNs of roles to the external id that they demand."""

    def __init__(
        self, account_id: str, partition: str, *, home_id: str, now: Callable[[], datetime], principals: Principals
    ) -> None:
        root = RootUser(f"arn:{partition}:iam::{account_id}:root", now() - timedelta(days=365))
        super().__init__(account_id, partition, now, root)
        self.permissions = Permissions()
        self.reports = CredentialReports()
        self.trusted: dict[str, str | None] = {}
        self.suspended = False
        self.role_arn = ""
        self._home_id = home_id
        self._principals = principals
        self._admin: Credentials | None = None

    # Trust and permissions

    def trust(self, role: str, external_id: str | None = None) -> str:
        """Make a role (name, with or without path) that the operator's account may assume; gives its ARN."""
        path, _, name = f"/{role}".rpartition("/")
        statement: dict[str, object] = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:{self.partition}:iam::{self._home_id}:root"},
            "Action": "sts:AssumeRole",
        }
        if external_id is not None:
            statement["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
        with self.lock:
            made = self.backend.create_role(
                name, json.dumps({"Version": "2012-10-17", "Statement": [statement]}), path + "/", None, "", [], "3600"
            )
            self.trusted[made.arn] = external_id
            if not self.role_arn:
                self.role_arn = made.arn
        return str(made.arn)

    def allow_only(self, actions: Collection[str] | None) -> None:
        """From now on every other action answers AccessDenied; None allows everything again."""
        self.permissions.allow_only(actions)

    def deny(self, actions: Collection[str], *, by: str = IDENTITY_BASED) -> None:
        """Deny these actions; `by` is the kind of policy that the message names."""
        self.permissions.deny(actions, by=by)

    def allow_again(self, actions: Collection[str] | None = None) -> None:
        """Take denials back; None: all."""
        self.permissions.allow_again(actions)

    def expire_credentials(self) -> None:
        """Later calls with sessions of this account, made until now, answer ExpiredToken."""
        self._principals.expire(self.id)

    @property
    def admin_credentials(self) -> Credentials:
        """Static credentials of a person who may do everything here, whatever `deny` says of the others."""
        with self.lock:
            if self._admin is None:
                arn = f"arn:{self.partition}:sts::{self.id}:assumed-role/admin/person"
                principal = Principal(self.id, arn, f"{unique_id('AROA')}:person", unrestricted=True)
                self._admin, _ = self._principals.issue(principal, None)
            return self._admin

    # Users

    def user(
        self,
        name: str,
        *,
        path: str = "/",
        password: bool = False,
        password_created: datetime | None = None,
        password_last_used: datetime | Literal["never"] | None = None,
        password_reset_required: bool = False,
        mfa: Sequence[MfaKind] = (),
        access_keys: int = 0,
        tags: Mapping[str, str] | None = None,
        created: datetime | None = None,
    ) -> SandboxUser:
        """Make a user. `created` is now if not given, and `password_created` the user's; a password that was
        "never" used (or None) has no last use. Raises moto's EntityAlreadyExists for a name that is taken."""
        with self.lock:
            created = created or self.now()
            moto_user = self.backend.create_user(self.partition, name, path)
            moto_user.id = unique_id("AIDA")
            moto_user.create_date = created
            handle = SandboxUser(self, moto_user)
            self.on_change("CreateUser", {"userName": name, "path": path})
            if password:
                handle.set_password(password_created or created, reset_required=password_reset_required)
            if isinstance(password_last_used, datetime):
                handle.used_password(password_last_used)
            for kind in mfa:
                handle.add_mfa(kind)
            for _ in range(access_keys):
                handle.add_access_key(created)
            for key, value in (tags or {}).items():
                handle.tag(key, value)
        return handle

    def existing_user(self, name: str) -> SandboxUser:
        """The user of this name, whoever made it. Raises KeyError."""
        with self.lock:
            return SandboxUser(self, self.backend.users[name])

    def users(self) -> list[SandboxUser]:
        with self.lock:
            return [SandboxUser(self, user) for user in self.backend.users.values()]

    def user_of_key(self, key_id: str) -> User | None:
        """The user of an active access key, which counts as used; None where there is none."""
        key = self.backend.access_keys.get(key_id)
        if key is None or key.status != "Active" or key.user_name not in self.backend.users:
            return None
        key.last_used = AccessKeyLastUsed(self.now(), "iam", "us-east-1")
        return self.backend.users[key.user_name]

    # Root and devices

    def root(
        self,
        *,
        password: bool = True,
        mfa: RootMfaKind | None = None,
        access_keys: int = 0,
        password_enabled_token: str = "not_supported",  # noqa: S107 - a column's value
        password_last_used: datetime | None = None,
        device_name: str = "root-account-mfa-device",
    ) -> RootUser:
        """Set the root user anew. `device_name` is the virtual device's, where `mfa` is "virtual"."""
        with self.lock:
            root = self.root_user
            if root.mfa != mfa:
                self.on_change("EnableMFADevice" if mfa else "DeactivateMFADevice", {"userName": ROOT_NAME})
            if root.device_serial is not None:
                self.backend.virtual_mfa_devices.pop(root.device_serial, None)
            root.password, root.mfa, root.access_keys = password, mfa, access_keys
            root.password_enabled_token = password_enabled_token
            root.password_last_used = password_last_used
            root.device_serial = None
            if mfa == "virtual":
                device = self.new_virtual_device(device_name)
                device.enable_date = self.now()
                root.device_serial = device.serial_number
            return root

    def unassigned_device(self, name: str) -> str:
        """A virtual device that nobody has enabled; gives its serial number."""
        with self.lock:
            return str(self.new_virtual_device(name).serial_number)

    # Credential report

    def force_report(self) -> None:
        """Make the credential report as of now, whatever the four-hour window says."""
        with self.lock:
            self.reports.take(self, self.now())

    @property
    def report_rewrite(self) -> Callable[[list[Row]], list[Row]] | None:
        """Changes the rows of the reports made from then on."""
        return self.reports.rewrite

    @report_rewrite.setter
    def report_rewrite(self, rewrite: Callable[[list[Row]], list[Row]] | None) -> None:
        self.reports.rewrite = rewrite

    @property
    def report_override(self) -> str | None:
        """The whole text of the reports made from then on."""
        return self.reports.override

    @report_override.setter
    def report_override(self, text: str | None) -> None:
        self.reports.override = text
