"""What one account holds: moto's state of it, and what moto does not keep."""

import random
import string
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from moto.iam.models import IAMBackend, User, VirtualMfaDevice, iam_backends

# moto only asks whether there is one; no password that anybody sends is kept.
PASSWORD_SET = "set"  # noqa: S105

RootMfaKind = Literal["virtual", "hardware", "security_key"]

_ID_ALPHABET = string.ascii_uppercase + "234567"


def unique_id(prefix: str, length: int = 21) -> str:
    """An identifier as IAM makes them (`AIDA…` users, `ANPA…` policies, `ASIA…` temporary keys)."""
    return prefix + "".join(random.choices(_ID_ALPHABET, k=length - len(prefix)))  # noqa: S311 - no secret


@dataclass(slots=True)
class LoginProfile:
    """What moto does not keep of a login profile."""

    created: datetime
    changed: datetime
    reset_required: bool = False


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
class AccountState:
    """`backend` is moto's state of the account; `profiles` holds what moto drops of login profiles, by user id.

    `now` gives the time that AWS stamps on what it makes. Whoever reads or changes several things holds `lock`.
    """

    id: str
    partition: str
    now: Callable[[], datetime]
    root_user: RootUser
    profiles: dict[str, LoginProfile] = field(default_factory=dict)
    boundaries: dict[str, str] = field(default_factory=dict)
    """ARNs of permissions boundaries, by user id; moto knows them of roles only."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    on_change: Callable[[str, Mapping[str, object]], None] = lambda *_: None
    """Called with IAM's name of each change made from the outside, and its parameters as CloudTrail has them."""
    backend: IAMBackend = field(init=False)

    def __post_init__(self) -> None:
        self.backend = iam_backends[self.id][self.partition]

    def new_virtual_device(self, name: str, path: str = "/") -> VirtualMfaDevice:
        """Raises moto's EntityAlreadyExists where path and name are taken."""
        return self.backend.create_virtual_mfa_device(name, path)

    def forget_user(self, user: User) -> None:
        """Drop what is kept beside moto for a user that is gone."""
        self.profiles.pop(user.id, None)
        self.boundaries.pop(user.id, None)
