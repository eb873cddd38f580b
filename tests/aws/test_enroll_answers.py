"""`mfa-operator enroll` and what AWS answers: nothing is left half made, and the person is told what happened."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mfa_sandbox.aws import EmbeddedAws
from mfa_sandbox.aws.operations import OPERATIONS
from mfa_sandbox.aws.request import Call
from mfa_sandbox.aws.wire import DropConnectionError
from tests.aws.enroll_world import CREATE, DELETE, ENABLE, ID, SERIAL, Enrolling, enrolling, giving_up, wrong_codes


@pytest.fixture
def enroll(aws: EmbeddedAws) -> Iterator[Enrolling]:
    with enrolling(aws) as made:
        yield made


@pytest.mark.parametrize("kind", ["no_such_entity", "entity_temporarily_unmodifiable", "throttling", "html_502"])
def test_what_passes_is_waited_for(enroll: Enrolling, kind: str) -> None:
    """NoSuchEntity among it: a device made a moment ago is not known everywhere yet."""
    enroll.aws.faults.add(ENABLE, kind, times=2)
    assert enroll().status == 0
    assert enroll.aws.calls.count(ENABLE) == 3
    assert enroll.alice.mfa_serials == [SERIAL]


@pytest.mark.parametrize(
    ("operation", "kind", "tries", "message"),
    [
        ("ListMFADevices", "access_denied", 1, "no permission for iam:ListMFADevices"),
        ("ListMFADevices", "unparsable_200", 3, "AWS answered ListMFADevices with ResponseParserError"),
        ("ListVirtualMFADevices", "throttling", 3, "AWS answered ListVirtualMFADevices with Throttling"),
        (CREATE, "access_denied", 1, f"no permission for iam:{CREATE}"),
        (CREATE, "limit_exceeded", 1, f"AWS answered {CREATE} with LimitExceeded"),
        (CREATE, "reset", 3, f"no answer to {CREATE} from AWS"),
        (CREATE, "internal", 3, f"AWS answered {CREATE} with ServiceFailure"),
        # Not tried again: the second try would meet the device of the first and take it for somebody else's.
        (CREATE, "unparsable_200", 1, f"AWS answered {CREATE} with ResponseParserError"),
        (CREATE, "executed_answer_lost", 2, "mfa-operator: "),
        (ENABLE, "access_denied", 1, f"no permission for iam:{ENABLE}"),
        (ENABLE, "no_such_entity", 5, f"AWS answered {ENABLE} with NoSuchEntity"),
        (ENABLE, "reset", 3, f"no answer to {ENABLE} from AWS"),
        (ENABLE, "expired_token", 1, "AWS does not accept the credentials"),
    ],
)
def test_a_lasting_failure_is_told_and_leaves_nothing_behind(
    enroll: Enrolling, operation: str, kind: str, tries: int, message: str
) -> None:
    fault = enroll.aws.faults.add(operation, kind, times=None)
    ended = enroll()
    assert message in ended.said
    assert ended.status == 1
    assert fault.hits == tries
    assert enroll.untouched


@pytest.mark.parametrize("refused", [False, True])
def test_an_answer_lost_once_leaves_no_device(enroll: Enrolling, *, refused: bool) -> None:
    """botocore's own retry then gets EntityAlreadyExists for what its first request made."""
    enroll.aws.faults.add(CREATE, "executed_answer_lost", times=1)
    if refused:  # nobody knows then whose the device of that name is
        enroll.aws.faults.add("ListVirtualMFADevices", "access_denied", times=None)
    ended = enroll()
    assert ("the name alice is taken" if refused else f"{CREATE} with EntityAlreadyExists") in ended.said
    assert ended.status == 1
    assert enroll.untouched == (not refused)


def test_a_device_that_somebody_else_enabled_is_not_claimed(enroll: Enrolling, monkeypatch: pytest.MonkeyPatch) -> None:
    bob = enroll.account.user("bob")

    def lost(_call: Call) -> None:
        if not bob.mfa_serials:
            bob.add_mfa("virtual", name="alice")
        raise DropConnectionError

    monkeypatch.setitem(OPERATIONS["iam"], CREATE, lost)
    ended = enroll()
    assert f"no answer to {CREATE} from AWS" in ended.said
    assert ended.status == 1
    assert bob.mfa_serials == [SERIAL]
    assert "Enabled" not in ended.said


@pytest.mark.parametrize("may_delete", [True, False])
def test_a_lost_answer_to_enabling_is_still_a_success(enroll: Enrolling, *, may_delete: bool) -> None:
    """botocore asks again and AWS refuses. That the device is in use shows where deleting it is a conflict, or in the
    list of the user's devices."""
    enroll.aws.faults.add(ENABLE, "executed_answer_lost", times=1)
    if not may_delete:
        enroll.aws.faults.add(DELETE, "access_denied", times=None)
    ended = enroll()
    assert f"Enabled: {SERIAL}" in ended.said
    assert ended.status == 0
    assert "mfa-operator: " not in ended.said
    assert enroll.alice.mfa_serials == [SERIAL]


def test_a_device_that_may_not_be_deleted_is_reported(enroll: Enrolling) -> None:
    enroll.aws.faults.add(DELETE, "access_denied", times=None)
    ended = enroll("--device-name", "phone", typing=giving_up)
    assert f"could not be deleted again: no permission for iam:{DELETE}" in ended.said
    assert f"aws iam delete-virtual-mfa-device --serial-number arn:aws:iam::{ID}:mfa/phone" in ended.said
    assert ended.status == 2
    assert "quarantine" not in ended.said  # an administrator's rights have nothing to do with it


def test_codes_refused_three_times_end_it(enroll: Enrolling) -> None:
    ended = enroll(typing=wrong_codes)
    assert "AWS did not accept the codes 3 times" in ended.said
    assert "deleted again" in ended.said
    assert ended.status == 1
    assert enroll.aws.calls.count(ENABLE) == 3
    assert enroll.untouched


@pytest.mark.parametrize(
    ("owner", "message"),
    [
        (None, "never enabled and is not assigned"),
        ("bob", "is the MFA device of bob"),
        ("unseen", "by another virtual MFA device of the account"),
    ],
)
def test_a_name_that_is_taken_is_left_alone(enroll: Enrolling, owner: str | None, message: str) -> None:
    enroll.aws.world.page_limit = 1
    for name in ("aaa", "zzz"):
        enroll.account.unassigned_device(name)
    if owner == "unseen":
        enroll.aws.faults.add("ListVirtualMFADevices", "access_denied", times=None)
        enroll.account.unassigned_device("alice")
    elif owner:
        enroll.account.user(owner).add_mfa("virtual", name="alice")
    else:
        enroll.account.unassigned_device("Alice")  # IAM tells no names apart by case
    ended = enroll()
    for part in ("the name alice is taken", message, "such as --device-name alice-2"):
        assert part in ended.said
    assert ended.status == 1
    assert enroll.aws.calls.count(CREATE) == (1 if owner == "unseen" else 0)
    assert enroll.aws.calls.count(DELETE) == 0
    assert ("aws iam delete-virtual-mfa-device --serial-number" in ended.said) == (owner is None)


def test_existing_devices_are_listed_and_a_new_name_adds_one(enroll: Enrolling) -> None:
    virtual, key = enroll.alice.add_mfa("virtual"), enroll.alice.add_mfa("security_key")
    ended = enroll("--device-name", "alice-2")
    assert f"MFA devices of alice in account {ID}: 2" in ended.said
    assert f"{virtual} (Virtual, since" in ended.said
    assert f"{key} (SecurityKey, since" in ended.said
    assert ended.status == 0
    assert enroll.alice.mfa_serials == [virtual, key, f"{SERIAL}-2"]


def test_eight_devices_are_told_before_anything_is_made(enroll: Enrolling) -> None:
    serials = [enroll.alice.add_mfa("security_key") for _ in range(8)]
    ended = enroll()
    assert f"account {ID}: 8" in ended.said
    assert "alice has 8 MFA devices, and AWS allows no more" in ended.said
    assert ended.status == 1
    assert all(serial in ended.said for serial in serials)
    assert enroll.aws.calls.count(CREATE) == 0
