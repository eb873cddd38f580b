"""One AWS account of the sandbox: its users, its root user, whom it trusts and what callers may do in it."""

import json
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from moto.iam.models import IAMBackend, User, VirtualMfaDevice, iam_backends

from mfa_sandbox.aws.credential_report import CredentialReports, Row
from mfa_sandbox.aws.permissions import IDENTITY_BASED, Permissions
from mfa_sandbox.aws.principals import Credentials, Principal, unique_id
from mfa_sandbox.aws.user import LoginProfile, MfaKind, SandboxUser

if TYPE_CHECKING:
    from mfa_sandbox.aws.world import World

RootMfaKind = Literal["virtual", "hardware", "security_key"]


@dataclass(slots=True)
class RootUser:
    """The root user. `password_enabled_token` is what the credential report says in `password_enabled`:
    `not_supported`, or TRUE and FALSE as AWS has written since member accounts can be without root credentials."""

    arn: str
    created: datetime
    password: bool = True
    mfa: RootMfaKind | None = None
    access_keys: int = 0
    password_enabled_token: str = "not_supported"  # noqa: S105 - a column's value
    password_last_used: datetime | None = None
    device_serial: str | None = None


@dataclass(eq=False)
class Account:
    """Made by `World.account`. `backend` is moto's state of the account; `profiles` holds what moto drops of
    login profiles, by user id; `trusted` maps the ARNs of roles to the external id that they demand."""

    world: "World"
    id: str
    partition: str
    permissions: Permissions = field(default_factory=Permissions)
    reports: CredentialReports = field(default_factory=CredentialReports)
    profiles: dict[str, LoginProfile] = field(default_factory=dict)
    trusted: dict[str, str | None] = field(default_factory=dict)
    suspended: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)
    role_arn: str = ""
    root_user: RootUser = field(init=False)

    def __post_init__(self) -> None:
        self.backend: IAMBackend = iam_backends[self.id][self.partition]
        self._handles: dict[str, SandboxUser] = {}
        self._admin: Credentials | None = None
        self.root_user = RootUser(f"arn:{self.partition}:iam::{self.id}:root", self.world.now() - timedelta(days=365))

    # Trust and permissions

    def trust(self, role: str, external_id: str | None = None) -> str:
        """Make a role (name, with or without path) that the operator's account may assume; gives its ARN."""
        path, _, name = f"/{role}".rpartition("/")
        home = self.world.home_id
        statement: dict[str, object] = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:{self.partition}:iam::{home}:root"},
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
        self.world.principals.expire(self.id)

    @property
    def admin_credentials(self) -> Credentials:
        """Static credentials of a person who may do everything here, whatever `deny` says of the others."""
        with self.lock:
            if self._admin is None:
                arn = f"arn:{self.partition}:sts::{self.id}:assumed-role/admin/person"
                principal = Principal(self.id, arn, f"{unique_id('AROA')}:person", unrestricted=True)
                self._admin, _ = self.world.principals.issue(principal, None)
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
            created = created or self.world.now()
            moto_user = self.backend.create_user(self.partition, name, path)
            moto_user.id = unique_id("AIDA")
            moto_user.create_date = created
            handle = self.handle(moto_user)
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
            return self.handle(self.backend.users[name])

    def users(self) -> list[SandboxUser]:
        with self.lock:
            return [self.handle(user) for user in self.backend.users.values()]

    def handle(self, user: User) -> SandboxUser:
        known = self._handles.get(user.id)
        if known is None:
            known = self._handles[user.id] = SandboxUser(self, user)
        return known

    def forget_user(self, user: User) -> None:
        """Drop what is kept beside moto for a user that is gone."""
        self.profiles.pop(user.id, None)
        self._handles.pop(user.id, None)

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
            if root.device_serial is not None:
                self.backend.virtual_mfa_devices.pop(root.device_serial, None)
            root.password, root.mfa, root.access_keys = password, mfa, access_keys
            root.password_enabled_token = password_enabled_token
            root.password_last_used = password_last_used
            root.device_serial = None
            if mfa == "virtual":
                device = self.new_virtual_device(device_name)
                device.enable_date = self.world.now()
                root.device_serial = device.serial_number
            return root

    def unassigned_device(self, name: str) -> str:
        """A virtual device that nobody has enabled; gives its serial number."""
        with self.lock:
            return str(self.new_virtual_device(name).serial_number)

    def new_virtual_device(self, name: str, path: str = "/") -> VirtualMfaDevice:
        """Raises moto's EntityAlreadyExists where path and name are taken."""
        return self.backend.create_virtual_mfa_device(name, path)

    # Credential report

    def force_report(self) -> None:
        """Make the credential report as of now, whatever the four-hour window says."""
        with self.lock:
            self.reports.take(self, self.world.now())

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
