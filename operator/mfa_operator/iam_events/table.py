"""Which events of AWS can change a verdict, and where each names its users. Pure.

Sources: the IAM API reference, the CloudTrail record contents of the CloudTrail User Guide, and samples of records.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

IAM = "aws.iam"
SIGN_IN = "aws.signin"
ORGANIZATIONS = "aws.organizations"


class About(StrEnum):
    """What an event is a hint about."""

    USER = "user"
    """The user of requestParameters.userName, else the caller; where neither is known, the account."""
    QUARANTINE = "quarantine"
    """The same, where requestParameters.policyArn is one of our quarantine policies; else nothing."""
    QUARANTINE_POLICY = "quarantine policy"
    """The account, where requestParameters.policyArn is one of our quarantine policies; else nothing."""
    ORGANIZATION = "organization"
    """The organization's list of accounts."""
    NOTHING = "nothing"
    """Known to change no verdict."""


TABLE: Mapping[tuple[str, str], About] = {
    (IAM, "CreateLoginProfile"): About.USER,
    (IAM, "DeleteLoginProfile"): About.USER,
    (IAM, "EnableMFADevice"): About.USER,
    (IAM, "DeactivateMFADevice"): About.USER,
    (IAM, "CreateUser"): About.USER,
    (IAM, "DeleteUser"): About.USER,
    (IAM, "UpdateUser"): About.USER,
    # Exemptions go by tags.
    (IAM, "TagUser"): About.USER,
    (IAM, "UntagUser"): About.USER,
    (IAM, "AttachUserPolicy"): About.QUARANTINE,
    (IAM, "DetachUserPolicy"): About.QUARANTINE,
    (IAM, "CreatePolicyVersion"): About.QUARANTINE_POLICY,
    (IAM, "SetDefaultPolicyVersion"): About.QUARANTINE_POLICY,
    (IAM, "DeletePolicy"): About.QUARANTINE_POLICY,
    # A password that is changed stays a password, and a device must be deactivated before it can be deleted.
    (IAM, "UpdateLoginProfile"): About.NOTHING,
    (IAM, "ChangePassword"): About.NOTHING,
    (IAM, "ResyncMFADevice"): About.NOTHING,
    (IAM, "CreateVirtualMFADevice"): About.NOTHING,
    (IAM, "DeleteVirtualMFADevice"): About.NOTHING,
    (IAM, "AddUserToGroup"): About.NOTHING,
    (IAM, "RemoveUserFromGroup"): About.NOTHING,
    # In the Region of the sign-in page, and silent about devices.
    (SIGN_IN, "ConsoleLogin"): About.NOTHING,
    (ORGANIZATIONS, "AccountJoinedOrganization"): About.ORGANIZATION,
    (ORGANIZATIONS, "AccountDepartedOrganization"): About.ORGANIZATION,
}
"""By source and detail.eventName. The detail-type is ignored: AWS's own pages disagree on how it is written."""

OTHER = "other"
"""As the type of an event that is not in the table; names that anybody can send make no series."""
UNREADABLE = "unreadable"
"""As the type of a message that is no event."""

TYPES: tuple[str, ...] = (*sorted({name for _, name in TABLE}), OTHER, UNREADABLE)
"""Every value of the label `type`."""
