"""The type of an MFA device, from its serial number.

Source: IAM's reference of MFADevice.SerialNumber and the ARN formats of mfa, u2f and sms-mfa resources.
"""

from mfa_operator.api.enums import DeviceType

_ARN_KINDS = {"mfa": DeviceType.VIRTUAL, "u2f": DeviceType.SECURITY_KEY, "sms-mfa": DeviceType.SMS}


def device_type(serial: str) -> DeviceType | None:
    """The device's kind; None for an ARN of a kind that is not known, which then counts for nothing."""
    if not serial.startswith("arn:"):
        return DeviceType.HARDWARE_TOKEN
    return _ARN_KINDS.get(serial.split(":", 5)[-1].split("/", 1)[0])
