"""`mfa-operator enroll` with nothing but what the quarantine's policy leaves to a user: the way out of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from mfa_operator.aws import quarantine_document
from mfa_operator.aws.quarantine_document import Variant
from mfa_sandbox.aws import Credentials, EmbeddedAws, SandboxUser
from mfa_sandbox.aws.permissions import not_allowed
from mfa_sandbox.aws.principals import Principal
from mfa_sandbox.aws.request import Call
from tests.aws.enroll_world import (
    CREATE,
    DELETE,
    ENABLE,
    ID,
    Ended,
    Enrolling,
    Typing,
    codes,
    enrolling,
    giving_up,
)
from tests.unit.iam_evaluation import Decision, Request, evaluate

IAM = f"arn:aws:iam::{ID}:"
LOOKING = {"GetCallerIdentity", "ListMFADevices", "ListVirtualMFADevices"}


class Quarantine:
    """Takes the place of the account's permissions: dave may do what the policy's document says, and nothing else."""

    def __init__(self, variant: Variant, dave: SandboxUser) -> None:
        self._document = quarantine_document.document("aws", ID, variant)
        self._dave = dave

    def why_not(self, call: Call) -> str | None:
        """Why dave may not do this; None where he may."""
        decision = evaluate([self._document], Request(call.action, self._resource(call), self._context(call)))
        # GetCallerIdentity needs no permission.
        allowed = decision is (Decision.IMPLICIT_DENY if call.service == "sts" else Decision.ALLOW)
        return None if allowed else not_allowed(call.action)

    def _resource(self, call: Call) -> str:
        """What IAM checks an operation on (Service Authorization Reference, IAM). KeyError: one not expected here."""
        asked = call.parameters
        if call.operation in {ENABLE, "ListMFADevices"}:
            assert asked["UserName"] == self._dave.name
            return self._dave.arn
        anywhere = dict.fromkeys(LOOKING, "*")
        devices = {CREATE: f"{IAM}mfa/{asked.get('VirtualMFADeviceName')}", DELETE: asked.get("SerialNumber", "")}
        return (anywhere | devices)[call.operation]

    def _context(self, call: Call) -> dict[str, str | tuple[str, ...]]:
        # Only temporary credentials say whether there was MFA.
        mfa = {"aws:MultiFactorAuthPresent": "false"} if call.principal.user_id == "temporary" else {}
        return {"aws:username": self._dave.name, "aws:ViaAWSService": "false", **mfa}


@dataclass(frozen=True)
class Dave:
    """Somebody under quarantine, with nothing but the rights that the policy gives."""

    enroll: Enrolling
    user: SandboxUser
    credentials: Credentials

    def enrolls(self, *arguments: str, typing: Typing = codes) -> Ended:
        return self.enroll(*arguments, who=self.credentials, typing=typing)

    @property
    def device_names(self) -> list[str]:
        """The account's virtual devices, whoever's they are."""
        return [serial.rpartition("/")[2] for serial in self.enroll.account.backend.virtual_mfa_devices]

    @property
    def asked(self) -> set[str]:
        return set(self.enroll.aws.calls.operations())


@pytest.fixture(params=["key", "temporary"])
def dave(aws: EmbeddedAws, variant: Variant, request: pytest.FixtureRequest) -> Iterator[Dave]:
    with enrolling(aws) as enroll:
        user = enroll.account.user("dave", path="/eng/", password=True)
        credentials = user.credentials()
        if request.param == "temporary":
            principal = Principal(ID, user.arn, "temporary", "dave")
            credentials, _ = aws.world.principals.issue(principal, timedelta(hours=1))
        enroll.account.permissions = Quarantine(variant, user)  # type: ignore[assignment]  # its `why_not` is all that is used
        yield Dave(enroll, user, credentials)


pytestmark = pytest.mark.parametrize("variant", list(Variant))


def test_users_under_quarantine_enroll_themselves(dave: Dave) -> None:
    ended = dave.enrolls()
    assert ended.status == 0
    assert dave.user.mfa_serials == [f"{IAM}mfa/dave"]
    assert "MFA devices of dave" in ended.said
    assert "quarantine" not in ended.said
    assert dave.asked == LOOKING | {CREATE, ENABLE}
    assert all(call.code is None for call in dave.enroll.aws.calls)


def test_a_half_made_device_of_ones_own_name_is_deleted(dave: Dave) -> None:
    ended = dave.enrolls(typing=giving_up)
    assert ended.status == 1
    assert "was deleted again" in ended.said
    assert "quarantine" not in ended.said
    assert dave.device_names == []
    assert dave.asked == LOOKING | {CREATE, DELETE}


def test_a_half_made_device_of_another_name_stays_with_a_warning(dave: Dave) -> None:
    """The policy's limit: whoever could delete devices of any name could delete the half-made ones of other users."""
    ended = dave.enrolls("--device-name", "phone", typing=giving_up)
    before, after = ended.said.split("mfa-operator: ", 1)
    assert "command stops halfway, phone stays behind. Without --device-name nothing does." in before
    assert f"could not be deleted again: no permission for iam:{DELETE}" in after
    assert "can only delete a half-made device of their own name, dave: leave --device-name out next time" in after
    assert f"aws iam delete-virtual-mfa-device --serial-number {IAM}mfa/phone" in after
    assert ended.status == 2
    assert dave.device_names == ["phone"]
    again = dave.enrolls()  # what stayed is not in the way
    assert again.status == 0
    assert dave.user.mfa_serials == [f"{IAM}mfa/dave"]
