"""Enabling a virtual MFA device for an IAM user: the steps at AWS, and undoing a half-made one.

The order is AWS's own (IAM User Guide, "Assign MFA devices in the AWS CLI or AWS API"): CreateVirtualMFADevice, two
consecutive codes of the app, EnableMFADevice. Until the last call the device belongs to nobody, so one that was made
but not enabled is deleted again, whatever ended the sitting.

The seed lives in `NewDevice` alone: nothing here logs, stores or words it in an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tenacity
from botocore.exceptions import ClientError

from mfa_operator.aws.enroll_access import Access, describe, no_permission
from mfa_operator.aws.errors import CALL_ERRORS, AwsFailure, Denied, NotFound, failure
from mfa_operator.aws.retry import retrying
from mfa_operator.enroll.terms import NewDevice, NotEnrolled, Person

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_iam.type_defs import (
        CreateVirtualMFADeviceResponseTypeDef,
        MFADeviceTypeDef,
        VirtualMFADeviceTypeDef,
    )

MOST_DEVICES = 8
"""MFA devices a user may have: IAM and STS quotas."""
ROUNDS = 3
"""How often two codes may be tried before the device is given up."""

# What AWS answers while the new device (or the user's last change) has not reached all of IAM.
_NOT_SETTLED_CODES = frozenset({"NoSuchEntity", "ConcurrentModification", "EntityTemporarilyUnmodifiable"})


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
        self._aws = access.session
        self._name_was_free = False
        self._may_exist = self._made = False

    @property
    def quarantine_would_keep_it(self) -> bool:
        """Whether a device left half made could not be deleted by this user under quarantine (its document: a user may
        make devices of any name, but delete only one of their own)."""
        return self.identity.user_name == self.user != self.device_name

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
            answer = self._aws.ask("CreateVirtualMFADevice", self._make)
        except AwsFailure as error:
            if error.code == "EntityAlreadyExists" and not self._may_exist:
                raise NotEnrolled(self._taken(self._device_of_that_name() if self._name_was_free else None)) from None
            raise
        self._may_exist = self._made = True
        device = answer["VirtualMFADevice"]
        self.serial = device["SerialNumber"]
        return NewDevice(device["Base32StringSeed"].decode("ascii"), device["QRCodePNG"])

    def _make(self, iam: IAMClient) -> CreateVirtualMFADeviceResponseTypeDef:
        try:
            return iam.create_virtual_mfa_device(VirtualMFADeviceName=self.device_name)
        except CALL_ERRORS as error:
            # With the name free a moment ago, what is there now was made by a request whose answer did not arrive.
            self._may_exist = self._name_was_free and _maybe_executed(error)
            # An AwsFailure already, so that `ask` does not try again: it would meet the first try's device.
            raise failure("CreateVirtualMFADevice", error) from error

    def _enable_with_codes(self, person: Person) -> None:
        note = ""
        for _ in range(ROUNDS):
            if self._enable(*person.codes(note)):
                return
            note = "AWS did not accept these. Check the phone's clock, then take two new codes."
        raise NotEnrolled(
            f"AWS did not accept the codes {ROUNDS} times; most often the phone's clock is wrong, "
            "or the codes are from another entry in the app (remove the new entry: its seed is no longer valid)"
        )

    def _enable(self, first: str, second: str) -> bool:
        """Whether AWS took the codes. A device made a moment ago may not be known everywhere: asks again, bounded."""
        try:
            self._again(tries=5, within=20.0)(
                self._aws.ask,
                "EnableMFADevice",
                lambda iam: iam.enable_mfa_device(
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

    def _again(self, *, tries: int, within: float) -> tenacity.Retrying:
        stopping = self._aws.sessions.stopping
        return retrying(_not_settled, stopping, tries=tries, first=0.5, longest=5.0, within=within)

    def _clear_up(self, person: Person) -> None:
        """Delete the device, unless it turns out to be enabled: AWS refuses that with DeleteConflict."""
        try:
            self._again(tries=4, within=10.0)(
                self._aws.ask,
                "DeleteVirtualMFADevice",
                lambda iam: iam.delete_virtual_mfa_device(SerialNumber=self.serial),
            )
        except NotFound:
            self._may_exist = False  # never made, or deleted by a request whose answer was lost
        except AwsFailure as error:
            if error.code == "DeleteConflict" or self._is_listed():
                self.enabled = self._made  # else it is somebody's who was faster: nothing of ours is left
                return
            self.left_behind = True
            person.tell(self._left_behind(error))
            return
        if self._made:
            person.tell("The device made for this was deleted again; delete its entry in the app too, if there is one.")

    def _left_behind(self, problem: AwsFailure) -> str:
        state = "was" if self._made else "may have been"
        message = f"The device {self.serial} {state} made but not enabled, and could not be deleted again: "
        message += f"{describe(problem)}.\n"
        if no_permission(problem) and self.quarantine_would_keep_it:
            message += (
                f"Users under quarantine can only delete a half-made device of their own name, {self.user}: "
                "leave --device-name out next time.\n"
            )
        return message + (
            "It protects nothing, but its name stays taken. Somebody with the permission should run:\n"
            f"  aws iam delete-virtual-mfa-device --serial-number {self.serial}"
        )

    def _is_listed(self) -> bool:
        try:
            return any(device["SerialNumber"] == self.serial for device in self._devices_of_user())
        except AwsFailure:
            return False  # not known: the caller then says that a device may be left

    def _devices_of_user(self) -> list[MFADeviceTypeDef]:
        def read(iam: IAMClient) -> list[MFADeviceTypeDef]:
            pages = iam.get_paginator("list_mfa_devices").paginate(UserName=self.user)
            return [device for page in pages for device in page["MFADevices"]]

        return self._aws.ask("ListMFADevices", read)

    def _device_of_that_name(self) -> VirtualMFADeviceTypeDef | None:
        """The account's virtual device that has our serial number. IAM tells no names apart by case."""
        wanted = self.serial.casefold()

        def find(iam: IAMClient) -> VirtualMFADeviceTypeDef | None:
            pages = iam.get_paginator("list_virtual_mfa_devices").paginate(PaginationConfig={"PageSize": 1000})
            devices = (device for page in pages for device in page["VirtualMFADevices"])
            return next((device for device in devices if device["SerialNumber"].casefold() == wanted), None)

        return self._aws.ask("ListVirtualMFADevices", find)

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
            "not assigned, perhaps left from an earlier try. Delete it:\n"
            f"  aws iam delete-virtual-mfa-device --serial-number {serial}\nor {another}"
        )


def _not_settled(error: BaseException) -> bool:
    return isinstance(error, AwsFailure) and error.code in _NOT_SETTLED_CODES


def _maybe_executed(error: Exception) -> bool:
    """Whether AWS may have done what was asked: no answer came, or an earlier try had none."""
    if not isinstance(error, ClientError):
        return True
    answer = error.response.get("ResponseMetadata", {})
    return answer.get("HTTPStatusCode", 500) >= 500 or answer.get("RetryAttempts", 0) > 0
