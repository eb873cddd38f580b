"""MFA devices: virtual ones with real seeds, and codes that are checked where the world says so."""

import base64
import hashlib
import hmac
import io
import secrets
import struct
from datetime import datetime

import segno
from moto.iam.models import MFADevice, User, VirtualMfaDevice

from mfa_sandbox.aws.operations.users import find_user, user_element
from mfa_sandbox.aws.paging import page
from mfa_sandbox.aws.request import Call, Handler
from mfa_sandbox.aws.wire import AwsError, Result

DEVICES_PER_USER = 8
STEP_SECONDS = 30
DRIFT_STEPS = 10
"""How far a device's clock may be off, in steps of 30 s."""


def totp(seed: str, step: int) -> str:
    """The six-digit code of a time step (RFC 6238 with HMAC-SHA-1)."""
    digest = hmac.new(base64.b32decode(seed), struct.pack(">Q", step), hashlib.sha1).digest()
    offset = digest[-1] & 0x0F
    (number,) = struct.unpack(">I", digest[offset : offset + 4])
    return f"{(number & 0x7FFFFFFF) % 1_000_000:06d}"


def codes_are_consecutive(seed: str, first: str, second: str, now: datetime) -> bool:
    """Whether the codes belong to two steps in a row, near enough to now."""
    current = int(now.timestamp()) // STEP_SECONDS
    return any(
        hmac.compare_digest(totp(seed, step), first) and hmac.compare_digest(totp(seed, step + 1), second)
        for step in range(current - DRIFT_STEPS, current + DRIFT_STEPS + 1)
    )


def _taken() -> AwsError:
    return AwsError("EntityAlreadyExists", "MFADevice entity at the same path and name already exists.")


def _create_virtual_mfa_device(call: Call) -> Result:
    name = call.require("VirtualMFADeviceName")
    path = call.parameters.get("Path", "/")
    account = call.account
    serial = f"arn:{account.partition}:iam::{account.id}:mfa{path}{name}"
    if serial in account.backend.virtual_mfa_devices:
        raise _taken()
    device = account.new_virtual_device(name, path)
    device.base32_string_seed = base64.b32encode(secrets.token_bytes(40)).decode()
    png = io.BytesIO()
    segno.make(f"otpauth://totp/{name}@{account.id}?secret={device.base32_string_seed}&issuer=Sandbox").save(
        png, kind="png", scale=4
    )
    return {
        "VirtualMFADevice": {
            "SerialNumber": device.serial_number,
            "Base32StringSeed": device.base32_string_seed.encode(),
            "QRCodePNG": png.getvalue(),
        }
    }


def _delete_virtual_mfa_device(call: Call) -> Result | None:
    serial = call.require("SerialNumber")
    devices = call.account.backend.virtual_mfa_devices
    device = _virtual_device(call, serial)
    if device.enable_date is not None:
        raise AwsError("DeleteConflict", "Device must be deactivated before it can be deleted.")
    del devices[serial]
    return None


def _virtual_device(call: Call, serial: str) -> VirtualMfaDevice:
    device = call.account.backend.virtual_mfa_devices.get(serial)
    if device is None:
        raise AwsError("NoSuchEntity", f"VirtualMFADevice with serial number {serial} doesn't exist.")
    return device


def _enable_mfa_device(call: Call) -> Result | None:
    user = find_user(call, call.require("UserName"))
    serial = call.require("SerialNumber")
    first, second = call.require("AuthenticationCode1"), call.require("AuthenticationCode2")
    virtual = _virtual_device(call, serial) if ":mfa/" in serial else None
    if serial in user.mfa_devices or (virtual is not None and virtual.enable_date is not None):
        raise _taken()
    if len(user.mfa_devices) >= DEVICES_PER_USER:
        raise AwsError("LimitExceeded", f"Cannot exceed quota for MFADevicesPerUser: {DEVICES_PER_USER}")
    if virtual is not None:
        if call.world.check_codes and not codes_are_consecutive(virtual.base32_string_seed, first, second, call.now):
            raise AwsError("InvalidAuthenticationCode", "Authentication code for device is not valid.")
        virtual.enable_date = call.now
        virtual.user = user
    # The codes stay out of moto's state.
    device = MFADevice(serial, "", "")
    device.enable_date = call.now
    user.mfa_devices[serial] = device
    return None


def _deactivate_mfa_device(call: Call) -> Result | None:
    serial = call.require("SerialNumber")
    user = find_user(call)
    if serial not in user.mfa_devices:
        raise AwsError("NoSuchEntity", f"MFA Device invalid for user: {user.name}")
    del user.mfa_devices[serial]
    virtual = call.account.backend.virtual_mfa_devices.get(serial)
    if virtual is not None:
        virtual.enable_date = None
        virtual.user = None
    return None


def _list_mfa_devices(call: Call) -> Result:
    user = find_user(call)
    chunk, more = page(call, user.mfa_devices.values(), lambda device: device.serial_number)
    elements = [
        {"UserName": user.name, "SerialNumber": one.serial_number, "EnableDate": one.enable_date} for one in chunk
    ]
    return {"MFADevices": elements, **more}


def _list_virtual_mfa_devices(call: Call) -> Result:
    status = call.parameters.get("AssignmentStatus", "Any")
    if status not in {"Any", "Assigned", "Unassigned"}:
        raise AwsError("ValidationError", f"Value '{status}' at 'assignmentStatus' failed to satisfy constraint")
    devices = [
        device
        for device in call.account.backend.virtual_mfa_devices.values()
        if status == "Any" or (device.enable_date is not None) == (status == "Assigned")
    ]
    chunk, more = page(call, devices, lambda device: device.serial_number)
    return {"VirtualMFADevices": [_virtual_element(call, device) for device in chunk], **more}


def _virtual_element(call: Call, device: VirtualMfaDevice) -> dict[str, object]:
    element: dict[str, object] = {"SerialNumber": device.serial_number}
    if device.enable_date is None:
        return element
    owner: User | None = device.user
    root = call.account.root_user
    if owner is not None:
        element["User"] = user_element(owner)
    elif device.serial_number == root.device_serial:
        # Root has an ARN and the account's id, but neither name nor path.
        element["User"] = {
            "UserId": call.account.id,
            "Arn": root.arn,
            "CreateDate": root.created,
            "PasswordLastUsed": root.password_last_used,
        }
    element["EnableDate"] = device.enable_date
    return element


OPERATIONS: dict[str, Handler] = {
    "CreateVirtualMFADevice": _create_virtual_mfa_device,
    "DeactivateMFADevice": _deactivate_mfa_device,
    "DeleteVirtualMFADevice": _delete_virtual_mfa_device,
    "EnableMFADevice": _enable_mfa_device,
    "ListMFADevices": _list_mfa_devices,
    "ListVirtualMFADevices": _list_virtual_mfa_devices,
}
