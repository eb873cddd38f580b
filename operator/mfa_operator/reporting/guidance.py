"""What a finding tells the person who reads it: what is wrong and the two ways out. Pure."""

from __future__ import annotations

import shlex

from mfa_operator.api.enums import OPEN_STATES, ROOT_USER, FindingReason
from mfa_operator.api.status import Finding
from mfa_operator.config.settings import RUNBOOK_BASE_URL

PAGE = "console-user-without-mfa.md"
"""Of docs/runbooks: what to do about a violation, step by step."""

_PROBLEMS: dict[str, str] = {
    FindingReason.NO_MFA: "can sign in without MFA",
    FindingReason.DEVICE_TYPE_NOT_ALLOWED: "has MFA, but no device of an accepted type",
    FindingReason.ROOT_NO_MFA: "is the root user and has no MFA",
    FindingReason.ROOT_NO_HARDWARE_MFA: "is the root user and has no hardware MFA device",
    FindingReason.LOOKUP_DENIED: "could not be checked: AWS answered AccessDenied",
    FindingReason.LOOKUP_FAILED: "could not be checked: AWS gave no answer",
    FindingReason.NOT_VISIBLE_YET: "was just created, and IAM does not return it yet",
    FindingReason.STALE: "was last checked too long ago, and AWS gave no newer answer",
    FindingReason.CONSOLE_ACCESS_REMOVED: "lost the login profile by remediation; access keys, if any, still work",
    FindingReason.QUARANTINE_NOT_LIFTED: "is under a quarantine that is no longer needed but could not be lifted",
}


def problem(finding: Finding) -> str:
    """One sentence without its subject: what is the matter with the user."""
    return _PROBLEMS.get(finding.reason, f"is a finding ({finding.reason})")


def ways_out(finding: Finding, account_id: str, partition: str = "aws") -> tuple[str, ...]:
    """What to do, a line each: enable MFA, or have the login profile removed; empty where nothing is to be done."""
    if finding.state not in OPEN_STATES:
        return ()
    if finding.user == ROOT_USER:
        enable = (
            "Enable MFA: sign in as root, then account menu > Security credentials"
            " > Multi-factor authentication (MFA) > Assign MFA device."
        )
        return (
            enable,
            "Or remove root's password and keys: in an organization, by centralized root access.",
            f"Runbook: {RUNBOOK_BASE_URL}/{PAGE}",
        )
    user = shlex.quote(finding.user)
    device = shlex.quote(f"arn:{partition}:iam::{account_id}:mfa/{finding.user}")
    by_cli = (
        f"`aws iam create-virtual-mfa-device --virtual-mfa-device-name {user} --outfile seed.png"
        f" --bootstrap-method QRCodePNG`, then `aws iam enable-mfa-device --user-name {user} --serial-number {device}"
        " --authentication-code1 CODE --authentication-code2 NEXT_CODE`; the seed file is a secret: delete it."
    )
    enable = (
        f"Enable MFA: IAM console > Users > {finding.user} > Security credentials > Assign MFA device,"
        f" or `mfa-operator enroll --user {user}`, or {by_cli}"
    )
    remove = f"Or, if they need no console, remove the password: `aws iam delete-login-profile --user-name {user}`."
    return (enable, remove, f"Runbook: {RUNBOOK_BASE_URL}/{PAGE}")


def in_brief(finding: Finding, runbooks: str = RUNBOOK_BASE_URL) -> str:
    """The ways out in one sentence, for an Event: its note holds 1,024 bytes, and the runbook has every command.

    `runbooks` is where docs/runbooks is published.
    """
    if finding.user == ROOT_USER:
        ways = "Enable MFA for root (account menu > Security credentials), or remove root's password and keys."
    else:
        user = shlex.quote(finding.user)
        ways = (
            f"Enable MFA (IAM console > Users > Security credentials, or `mfa-operator enroll --user {user}`),"
            f" or remove the password (`aws iam delete-login-profile --user-name {user}`)."
        )
    return f"{ways} Runbook: {runbooks}/{PAGE}"
