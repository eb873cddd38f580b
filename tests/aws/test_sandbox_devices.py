"""The sandbox's MFA devices: every kind, root's, nobody's, and codes that are checked on demand."""

import re
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import pyotp
import pytest

from mfa_sandbox.aws import Account, EmbeddedAws
from tests.aws.answers import code_of

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

NOON = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def stopped_clock(aws: EmbeddedAws) -> None:
    aws.world.set_time(NOON)


def enable(iam: "IAMClient", user: str, serial: str, first: str = "123456", second: str = "654321") -> None:
    iam.enable_mfa_device(UserName=user, SerialNumber=serial, AuthenticationCode1=first, AuthenticationCode2=second)


def make(iam: "IAMClient", name: str) -> tuple[str, str]:
    """A new virtual device: serial number and seed."""
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName=name)["VirtualMFADevice"]
    return device["SerialNumber"], device["Base32StringSeed"].decode()


def test_serial_numbers_of_every_kind(account: Account, iam: "IAMClient") -> None:
    account.user("alice", path="/eng/", mfa=["virtual", "security_key", "hardware", "sms"])
    devices = iam.list_mfa_devices(UserName="alice")["MFADevices"]
    assert {(device["UserName"], device["EnableDate"]) for device in devices} == {("alice", NOON)}
    serials = [device["SerialNumber"] for device in devices]
    prefix = f"arn:aws:iam::{account.id}"
    patterns = [
        "GAKT[0-9]{8}",
        f"{prefix}:mfa/alice",
        f"{prefix}:sms-mfa/alice",
        f"{prefix}:u2f/user/alice/default-[A-Z0-9]{{26}}",
    ]
    assert len(serials) == 4
    assert all(re.fullmatch(pattern, serial) for pattern, serial in zip(patterns, sorted(serials), strict=True))


def test_virtual_devices_tell_whose_they_are(account: Account, iam: "IAMClient") -> None:
    alice = account.user("alice", path="/eng/", mfa=["virtual", "security_key"])
    free = account.unassigned_device("nobodys")
    assigned = iam.list_virtual_mfa_devices(AssignmentStatus="Assigned")["VirtualMFADevices"]
    assert assigned == [
        {
            "SerialNumber": f"arn:aws:iam::{account.id}:mfa/alice",
            "EnableDate": NOON,
            "User": {
                "Path": "/eng/",
                "UserName": "alice",
                "UserId": alice.id,
                "Arn": alice.arn,
                "CreateDate": NOON,
            },
        }
    ]
    unassigned = iam.list_virtual_mfa_devices(AssignmentStatus="Unassigned")["VirtualMFADevices"]
    assert unassigned == [{"SerialNumber": free}]
    both = iam.list_virtual_mfa_devices()["VirtualMFADevices"]
    assert [device["SerialNumber"] for device in both] == [assigned[0]["SerialNumber"], free]


def test_root_is_told_by_its_arn(account: Account, iam: "IAMClient") -> None:
    alice = account.user("alice")
    alice.add_mfa("virtual", name="root-account-mfa-device")
    account.root(mfa="virtual", device_name="root-device")
    devices = iam.list_virtual_mfa_devices(AssignmentStatus="Assigned")["VirtualMFADevices"]
    assert [(device["SerialNumber"].rpartition("/")[2], device["User"]["Arn"]) for device in devices] == [
        ("root-account-mfa-device", alice.arn),
        ("root-device", f"arn:aws:iam::{account.id}:root"),
    ]
    assert devices[1]["User"].keys() & {"UserName", "Path"} == set()
    account.root(mfa="hardware")
    assert len(iam.list_virtual_mfa_devices()["VirtualMFADevices"]) == 1


def test_codes_are_checked_where_the_world_says_so(aws: EmbeddedAws, account: Account, iam: "IAMClient") -> None:
    aws.check_codes = True
    account.user("alice")
    serial, seed = make(iam, "phone")
    device = pyotp.TOTP(seed)
    first, second, third = (device.at(NOON, counter_offset=step) for step in (0, 1, 2))
    long_ago = (device.at(NOON, counter_offset=-100), device.at(NOON, counter_offset=-99))
    wrong = [("000000", second), (first, first), (second, first), (first, third), long_ago]
    for pair in wrong:
        refusal = code_of(partial(enable, iam, "alice", serial, *pair))
        assert refusal == ("InvalidAuthenticationCode", 403)
    assert iam.list_mfa_devices(UserName="alice")["MFADevices"] == []
    enable(iam, "alice", serial, first, second)
    assert len(iam.list_mfa_devices(UserName="alice")["MFADevices"]) == 1


def test_limits_of_devices(account: Account, iam: "IAMClient") -> None:
    alice = account.user("alice", mfa=["hardware"] * 8)
    account.user("bob")
    serial, _ = make(iam, "phone")
    assert len(alice.mfa_serials) == 8
    assert code_of(lambda: enable(iam, "alice", serial)) == ("LimitExceeded", 409)
    enable(iam, "bob", serial)
    assert code_of(lambda: make(iam, "phone")) == ("EntityAlreadyExists", 409)
    alice.remove_mfa()
    assert code_of(lambda: enable(iam, "alice", serial)) == ("EntityAlreadyExists", 409)
    assert code_of(lambda: iam.delete_virtual_mfa_device(SerialNumber=serial)) == ("DeleteConflict", 409)
    unknown = f"arn:aws:iam::{account.id}:mfa/unknown"
    assert code_of(lambda: enable(iam, "alice", unknown)) == ("NoSuchEntity", 404)
    assert code_of(lambda: enable(iam, "nobody", serial)) == ("NoSuchEntity", 404)
