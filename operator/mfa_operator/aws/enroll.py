"""Enabling a virtual MFA device for an IAM user: the steps at AWS, and undoing a half-made one.

The order is AWS's own (IAM User Guide, "Assign MFA devices in the AWS CLI or AWS API"): CreateVirtualMFADevice, two
consecutive codes of the app, EnableMFADevice. Until the last call the device belongs to nobody, so one that was made
but not enabled is deleted again, whatever ended the sitting.

The seed lives in `NewDevice` alone: nothing here logs, stores or words it in an error.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import boto3
import stamina
from botocore.config import Config
from botocore.exceptions import ClientError, ProfileNotFound

from mfa_operator.aws.errors import (
    CALL_ERRORS,
    EXPIRED_CODES,
    AwsFailure,
    CredentialsMissing,
    Denied,
    NotFound,
    TimedOut,
    failure,
)
from mfa_operator.aws.sessions import DEFAULT_REGIONS, ROLE_SESSION_NAME, Identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_iam import IAMClient
    from mypy_boto3_iam.type_defs import MFADeviceTypeDef, VirtualMFADeviceTypeDef
    from mypy_boto3_sts import STSClient

T = TypeVar("T")

MOST_DEVICES = 8
"""MFA devices a user may have: IAM and STS quotas."""
ROUNDS = 3
"""How often two codes may be tried before the device is given up."""

# A person waits for each answer and cannot interrupt the calls that change something, so they end sooner than a pass's.
_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 3}, connect_timeout=5, read_timeout=10)
_DENIED_CODES = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
# What AWS answers while the new device (or the user's last change) has not reached all of IAM.
_NOT_SETTLED_CODES = frozenset({"NoSuchEntity", "ConcurrentModification", "EntityTemporarilyUnmodifiable"})


class NotEnrolled(Exception):
    """Why there is no new device, in words for the person. `bad_input`: the same command cannot succeed later."""

    def __init__(self, message: str, *, bad_input: bool = False) -> None:
        super().__init__(message)
        self.bad_input = bad_input


@dataclass(frozen=True, slots=True)
class Access:
    """A way into one account, and who we are there."""

    iam: IAMClient
    identity: Identity


@dataclass(frozen=True, slots=True)
class NewDevice:
    """A device that AWS has made and nobody owns yet. Both are secret: `seed` is Base32, `png` AWS's QR code of it."""

    seed: str = field(repr=False)
    png: bytes = field(repr=False)


class Person(Protocol):
    """Whoever sits there with the authenticator app."""

    def tell(self, message: str) -> None: ...

    def given(self, device: NewDevice) -> AbstractContextManager[None]:
        """Shows the seed for as long as the context lasts; afterwards nothing of it is left."""

    def codes(self, note: str) -> tuple[str, str]:
        """Two consecutive codes, six digits each and not the same. `note` says what went wrong before, if anything."""


def open_access(role_arn: str | None = None, external_id: str | None = None) -> Access:
    """Credentials as boto3 finds them, through a role where one is named. Raises NotEnrolled."""
    operation = "AssumeRole" if role_arn else "GetCallerIdentity"
    keys: dict[str, Any] = {}
    try:
        session = boto3.Session()
        region = session.region_name or os.environ.get("AWS_REGION") or DEFAULT_REGIONS["aws"]
        if role_arn and (partition := role_arn.split(":")[1]) != session.get_partition_for_region(region):
            region = DEFAULT_REGIONS.get(partition, region)
        sts: STSClient = session.client("sts", region_name=region, config=_CONFIG)
        if role_arn:
            external: dict[str, Any] = {"ExternalId": external_id} if external_id else {}
            given = sts.assume_role(RoleArn=role_arn, RoleSessionName=ROLE_SESSION_NAME, **external)["Credentials"]
            keys = {
                "aws_access_key_id": given["AccessKeyId"],
                "aws_secret_access_key": given["SecretAccessKey"],
                "aws_session_token": given["SessionToken"],
            }
            operation = "GetCallerIdentity"
            sts = session.client("sts", region_name=region, config=_CONFIG, **keys)
        caller = sts.get_caller_identity()
        iam: IAMClient = session.client("iam", region_name=region, config=_CONFIG, **keys)
    except ProfileNotFound as error:
        raise NotEnrolled(f"{error}; AWS_PROFILE names a profile that is not configured", bad_input=True) from error
    except CALL_ERRORS as error:
        raise NotEnrolled(describe(failure(operation, error))) from error
    return Access(iam, Identity(caller["Account"], caller["Arn"]))


def own_user_name(identity: Identity) -> str:
    """The name of the IAM user that the credentials belong to. Raises NotEnrolled where they are not a user's."""
    if identity.user_name:
        return identity.user_name
    if identity.arn.endswith(":root"):
        problem = (
            f"the credentials in use are the root user's of account {identity.account_id}: root's own MFA device is "
            "added in the console (Security credentials); to enroll an IAM user, name them with --user"
        )
    else:
        problem = f"the credentials in use are those of {identity.arn}, no IAM user; name the user with --user"
    raise NotEnrolled(problem, bad_input=True)


class Enrollment:
    """One user, one new device. Call `existing_devices`, `check`, `run`, in this order."""

    def __init__(self, access: Access, user: str, device_name: str) -> None:
        self.identity = access.identity
        self.user = user
        self.device_name = device_name
        self.serial = f"arn:{self.identity.partition}:iam::{self.identity.account_id}:mfa/{device_name}"
        self.enabled = False
        """Whether AWS says that the device is the user's: it stays true if something failed afterwards."""
        self.left_behind = False
        """Whether a device of nobody may be left at AWS, because deleting it failed."""
        self._iam = access.iam
        self._name_was_free = False
        self._may_exist = self._made = False

    def existing_devices(self) -> list[MFADeviceTypeDef]:
        """What the user has already, of any kind. Raises NotEnrolled."""
        try:
            return self._devices_of_user()
        except NotFound:
            raise NotEnrolled(
                f"there is no IAM user {self.user} in account {self.identity.account_id}", bad_input=True
            ) from None
        except AwsFailure as error:
            raise NotEnrolled(describe(error)) from error

    def check(self, existing: list[MFADeviceTypeDef]) -> None:
        """Whether a device of this name can be made and enabled. Raises NotEnrolled; changes nothing."""
        if len(existing) >= MOST_DEVICES:
            raise NotEnrolled(
                f"{self.user} has {len(existing)} MFA devices, and AWS allows no more; deactivate one of them:\n"
                f"  aws iam deactivate-mfa-device --user-name {self.user} --serial-number SERIAL"
            )
        try:
            taken = self._device_of_that_name()
        except Denied:
            return  # making the device will tell; only a lost answer to that cannot be cleared up then
        except AwsFailure as error:
            raise NotEnrolled(describe(error)) from error
        if taken is not None:
            raise NotEnrolled(self._taken(taken))
        self._name_was_free = True

    def run(self, person: Person) -> None:
        """Make the device, let the person enter it into their app, enable it.

        Raises NotEnrolled, and whatever `person` raises; `enabled` and `left_behind` tell how it stands then.
        """
        try:
            with person.given(self._create()):
                self._enable_with_codes(person)
        except AwsFailure as error:
            # The cause is left out: an answer that could not be parsed stands in full in botocore's error.
            raise NotEnrolled(describe(error)) from None
        finally:
            if self._may_exist and not self.enabled:
                self._clear_up(person)

    def _create(self) -> NewDevice:
        try:
            answer = self._iam.create_virtual_mfa_device(VirtualMFADeviceName=self.device_name)
        except CALL_ERRORS as error:
            # With the name free a moment ago, what is there now was made by a request whose answer did not arrive.
            self._may_exist = self._name_was_free and _maybe_executed(error)
            problem = failure("CreateVirtualMFADevice", error)
            if problem.code == "EntityAlreadyExists" and not self._may_exist:
                raise NotEnrolled(self._taken(self._device_of_that_name() if self._name_was_free else None)) from None
            raise problem from error
        self._may_exist = self._made = True
        device = answer["VirtualMFADevice"]
        self.serial = device["SerialNumber"]
        return NewDevice(device["Base32StringSeed"].decode("ascii"), device["QRCodePNG"])

    def _enable_with_codes(self, person: Person) -> None:
        note = ""
        for _ in range(ROUNDS):
            if self._enable(*person.codes(note)):
                return
            note = "AWS did not accept these. Check the phone's clock, then take two new codes."
        raise NotEnrolled(
            f"AWS did not accept the codes, {ROUNDS} times over; most often the phone's clock is wrong, "
            "or the codes belong to another entry of the app (remove the one made just now: its seed is void)"
        )

    def _enable(self, first: str, second: str) -> bool:
        """Whether AWS took the codes. A device made a moment ago may not be known everywhere: asks again, bounded."""
        try:
            for attempt in stamina.retry_context(on=_not_settled, attempts=5, timeout=20.0, wait_initial=0.5):
                with attempt:
                    _ask(
                        "EnableMFADevice",
                        lambda: self._iam.enable_mfa_device(
                            UserName=self.user,
                            SerialNumber=self.serial,
                            AuthenticationCode1=first,
                            AuthenticationCode2=second,
                        ),
                    )
        except AwsFailure as error:
            if error.code == "InvalidAuthenticationCode":
                return False
            raise
        self.enabled = True
        return True

    def _clear_up(self, person: Person) -> None:
        """Delete the device, unless it turns out to be enabled: AWS refuses that with DeleteConflict."""
        try:
            for attempt in stamina.retry_context(on=_not_settled, attempts=4, timeout=10.0, wait_initial=0.5):
                with attempt:
                    _ask(
                        "DeleteVirtualMFADevice",
                        lambda: self._iam.delete_virtual_mfa_device(SerialNumber=self.serial),
                    )
        except NotFound:
            self._may_exist = False  # never made, or deleted by a request whose answer was lost
        except AwsFailure as error:
            if error.code == "DeleteConflict" or self._is_listed():
                self.enabled = self._made  # else it is somebody's who was faster: nothing of ours is left
                return
            self.left_behind = True
            person.tell(
                f"The device {self.serial} {'was' if self._made else 'may have been'} made but not enabled, "
                f"and could not be deleted again: {describe(error)}.\n"
                "It protects nothing, but its name stays taken. Somebody who may should run:\n"
                f"  aws iam delete-virtual-mfa-device --serial-number {self.serial}"
            )
            return
        if self._made:
            person.tell("The device made for this was deleted again; delete its entry in the app too, if there is one.")

    def _is_listed(self) -> bool:
        try:
            return any(device["SerialNumber"] == self.serial for device in self._devices_of_user())
        except AwsFailure:
            return False  # not known: the caller then says that a device may be left

    def _devices_of_user(self) -> list[MFADeviceTypeDef]:
        pages = self._iam.get_paginator("list_mfa_devices").paginate(UserName=self.user)
        return _ask(
            "ListMFADevices",
            lambda: [device for page in pages for device in page["MFADevices"]],
        )

    def _device_of_that_name(self) -> VirtualMFADeviceTypeDef | None:
        """The account's virtual device that has our serial number. IAM tells no names apart by case."""
        pages = self._iam.get_paginator("list_virtual_mfa_devices").paginate(PaginationConfig={"PageSize": 1000})
        wanted = self.serial.casefold()
        return _ask(
            "ListVirtualMFADevices",
            lambda: next(
                (d for page in pages for d in page["VirtualMFADevices"] if d["SerialNumber"].casefold() == wanted), None
            ),
        )

    def _taken(self, device: VirtualMFADeviceTypeDef | None) -> str:
        """Why the name cannot be had. None: AWS says so, and which device has it could not be seen."""
        another = f"choose another one, such as --device-name {self.device_name}-2"
        if device is None:
            return f"the name {self.device_name} is taken by another virtual MFA device of the account; {another}"
        serial, owner = device["SerialNumber"], device.get("User", {})
        if owner or "EnableDate" in device:
            name = owner.get("UserName") or owner.get("Arn") or "another user"
            return f"the name {self.device_name} is taken: {serial} is the MFA device of {name}; {another}"
        return (
            f"the name {self.device_name} is taken by {serial}, a virtual MFA device that was never enabled and is "
            "nobody's, left over from an earlier try perhaps. Delete it:\n"
            f"  aws iam delete-virtual-mfa-device --serial-number {serial}\nor {another}"
        )


def describe(problem: AwsFailure) -> str:
    """What AWS answered, in words that tell the person what to change."""
    service = "sts" if problem.operation in {"AssumeRole", "GetCallerIdentity"} else "iam"
    if problem.operation == "AssumeRole" and isinstance(problem, Denied):
        return (
            f"the role could not be assumed: {problem.message} (its trust policy, its external id, "
            "or these credentials' right to sts:AssumeRole)"
        )
    if problem.code in _DENIED_CODES:
        return f"no permission for {service}:{problem.operation}: {problem.message}"
    if isinstance(problem, Denied) or problem.code in EXPIRED_CODES:
        return f"AWS does not accept the credentials: {problem.message} ({problem.code})"
    if isinstance(problem, CredentialsMissing):
        return problem.message
    if isinstance(problem, TimedOut):
        return f"no answer to {problem.operation} from AWS: {problem.message}"
    return f"AWS answered {problem.operation} with {problem.code}: {problem.message}"


def _ask(operation: str, question: Callable[[], T]) -> T:
    try:
        return question()
    except CALL_ERRORS as error:
        raise failure(operation, error) from error


def _not_settled(error: Exception) -> bool:
    return isinstance(error, AwsFailure) and error.code in _NOT_SETTLED_CODES


def _maybe_executed(error: Exception) -> bool:
    """Whether AWS may have done what was asked: no answer came, or an earlier try had none."""
    if not isinstance(error, ClientError):
        return True
    answer = error.response.get("ResponseMetadata", {})
    return answer.get("HTTPStatusCode", 500) >= 500 or answer.get("RetryAttempts", 0) > 0
