"""What an MFA device is, by its serial number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfa_operator.api.enums import DeviceType
from mfa_operator.evaluation.devices import device_type

PARTITIONS = ("aws", "aws-cn", "aws-us-gov", "aws-eusc", "aws-iso", "aws-iso-b")
NAMES = st.text("abcXYZ019+=,.@_-", min_size=1, max_size=64)


@pytest.mark.parametrize(
    ("serial", "kind"),
    [
        ("arn:aws:iam::111122223333:mfa/alice", DeviceType.VIRTUAL),
        ("arn:aws:iam::111122223333:mfa/eng/team/alice", DeviceType.VIRTUAL),
        ("arn:aws:iam::111122223333:mfa/root-account-mfa-device", DeviceType.VIRTUAL),
        ("arn:aws:iam::111122223333:mfa/u2f", DeviceType.VIRTUAL),
        ("arn:aws:iam::111122223333:u2f/user/alice/default-R1XXEXAMPLE", DeviceType.SECURITY_KEY),
        ("arn:aws:iam::111122223333:u2f/root-account/key-ZZZ", DeviceType.SECURITY_KEY),
        ("GAKT12345678", DeviceType.HARDWARE_TOKEN),
        ("20014567890", DeviceType.HARDWARE_TOKEN),
        ("arn:aws:iam::111122223333:sms-mfa/alice", DeviceType.SMS),
        ("arn:aws:iam::111122223333:brain-wave/alice", None),
        ("arn:aws:iam", None),
        ("arn:", None),
    ],
)
def test_the_serial_number_tells_the_kind_of_a_device(serial: str, kind: DeviceType | None) -> None:
    """Passkeys and hardware tokens are MFA too; a kind of ARN that is not known counts for nothing."""
    assert device_type(serial) is kind


@given(st.sampled_from(PARTITIONS), NAMES, NAMES)
def test_neither_the_partition_nor_the_name_changes_the_kind(partition: str, path: str, name: str) -> None:
    prefix = f"arn:{partition}:iam::111122223333"
    assert device_type(f"{prefix}:mfa/{path}/{name}") is DeviceType.VIRTUAL
    assert device_type(f"{prefix}:u2f/user/{name}/{path}") is DeviceType.SECURITY_KEY
    assert device_type(f"{prefix}:sms-mfa/{name}") is DeviceType.SMS
