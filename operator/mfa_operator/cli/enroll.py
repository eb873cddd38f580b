"""`mfa-operator enroll`: an IAM user gets a virtual MFA device in one sitting at a terminal.

Where the seed may be seen: on the terminal's alternate screen, or in the file of `--qr-png`, mode 0600, removed at the
end (enroll/sitting.py). Nowhere else: what the SDK logs of its answers is kept out of every log level.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mfa_operator.api.enums import REQUESTED_AT_ANNOTATION
from mfa_operator.api.fields import EXTERNAL_ID_PATTERN, ROLE_ARN_PATTERN
from mfa_operator.cli.program import BAD_INPUT
from mfa_operator.enroll.interrupts import Interrupted, Interrupts
from mfa_operator.enroll.sitting import Sitting, check_terminal
from mfa_operator.enroll.terms import NotEnrolled
from mfa_operator.evaluation.devices import device_type

if TYPE_CHECKING:
    from mfa_operator.aws.enroll import Enrollment

FAILED, LEFT_BEHIND = 1, 2
"""Exit statuses besides 0, 3 and 128 + signal: nothing was changed; a device of nobody may be left at AWS."""

_USER = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
_DEVICE = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)
_ROLE = re.compile(ROLE_ARN_PATTERN)
_EXTERNAL_ID = re.compile(EXTERNAL_ID_PATTERN)
_AUDIT_NOW = (
    f'kubectl annotate mfap NAME -n NAMESPACE --overwrite {REQUESTED_AT_ANNOTATION}="$(date -u +%Y-%m-%dT%H:%M:%SZ)"'
)


@click.command("enroll", short_help="Enable a virtual MFA device for an IAM user, step by step.")
@click.option("--user", "user", metavar="NAME", help="IAM user to enroll.  [default: the user whose keys are used]")
@click.option("--role-arn", metavar="ARN", help="Role to assume first, in the user's account.")
@click.option("--external-id", metavar="ID", help="External id that the role requires.")
@click.option("--device-name", metavar="NAME", help="Name of the new device.  [default: the user's name]")
@click.option("--seed", "as_text", is_flag=True, help="Show the seed as text instead of a QR code.")
@click.option(
    "--qr-png",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the QR code into a new file instead, readable only by you (0600); it is removed at the end.",
)
def command(
    user: str | None,
    role_arn: str | None,
    external_id: str | None,
    device_name: str | None,
    as_text: bool,
    qr_png: Path | None,
) -> None:
    """Enable a virtual MFA device for an IAM user: create it, show its QR code, ask for two codes, enable it.

    Users under quarantine who enroll themselves should leave --device-name out: if the command
    stops halfway, they can only delete a device of their own name.

    \b
    Exit status: 0 enabled; 1 failed, nothing was changed; 2 failed, and the
    unassigned device could not be deleted again; 3 bad input; 130 Ctrl-C.
    """
    _keep_quiet()
    enrollment = sitting = None
    try:
        _check_input(user, role_arn, external_id, device_name, as_text=as_text, png=qr_png)
        check_terminal(as_text=as_text, png=qr_png)
        with Interrupts() as interrupts:
            with interrupts.allowed():
                enrollment = _look(user, role_arn, external_id, device_name)
            label = f"{enrollment.device_name}@{enrollment.identity.account_id}"
            sitting = Sitting(interrupts, label, as_text=as_text, png=qr_png)
            enrollment.run(sitting)
        problem, status = "", 0
    except NotEnrolled as error:
        problem, status = f"mfa-operator: {error}", BAD_INPUT if error.bad_input else FAILED
    except Interrupted as error:
        problem, status = f"mfa-operator: {error}", error.status
    if enrollment and enrollment.enabled:
        # Also where the answer to the last call was lost, or the signal came while it was under way.
        problem, status = "", 0
        click.echo(f"Enabled: {enrollment.serial} is an MFA device of {enrollment.user} now.")
        click.echo("The next audit finds it; ask for one now with\n  " + _AUDIT_NOW)
    elif enrollment and enrollment.left_behind:
        status = max(status, LEFT_BEHIND)
    for line in filter(None, [problem, *(sitting.notices if sitting else [])]):
        click.echo(line, err=True)
    sys.exit(status)


def _look(user: str | None, role_arn: str | None, external_id: str | None, device_name: str | None) -> Enrollment:
    """Who is meant, and what they have already: shown before anything is made. Raises NotEnrolled."""
    from mfa_operator.aws.enroll import Enrollment
    from mfa_operator.aws.enroll_access import open_access, own_user_name

    access = open_access(role_arn, external_id)
    user = user or own_user_name(access.identity)
    enrollment = Enrollment(access, user, device_name or user)
    existing = enrollment.existing_devices()
    click.echo(f"Acting as {access.identity.arn}")
    click.echo(f"MFA devices of {user} in account {access.identity.account_id}: {len(existing) or 'none'}")
    for device in existing:
        kind = device_type(device["SerialNumber"]) or "unknown kind"
        click.echo(f"  {device['SerialNumber']} ({kind}, since {device['EnableDate']:%Y-%m-%d})")
    enrollment.check(existing)
    if enrollment.quarantine_would_keep_it and not existing:
        click.echo(
            "Users under quarantine can only delete a device of their own name. If this user is quarantined and the\n"
            f"command stops halfway, {enrollment.device_name} stays behind. Without --device-name nothing does."
        )
    return enrollment


def _check_input(
    user: str | None,
    role_arn: str | None,
    external_id: str | None,
    device_name: str | None,
    *,
    as_text: bool,
    png: Path | None,
) -> None:
    """All that can be wrong without asking AWS. Raises NotEnrolled."""
    for option, value, pattern, wanted in (
        ("--user", user, _USER, "an IAM user's name has up to 64 letters, digits or +=,.@_-"),
        ("--device-name", device_name, _DEVICE, "a device's name has up to 128 letters, digits or +=,.@_-"),
        ("--role-arn", role_arn, _ROLE, "a role is written like arn:aws:iam::111122223333:role/mfa-operator"),
        ("--external-id", external_id, _EXTERNAL_ID, "an external id has 2 to 1224 letters, digits or _+=,.@:/-"),
    ):
        if value is not None and not pattern.fullmatch(value):
            raise NotEnrolled(f"{option} is {value!r}: {wanted}", bad_input=True)
    if external_id and not role_arn:
        raise NotEnrolled("--external-id needs --role-arn", bad_input=True)
    if role_arn and not user:
        raise NotEnrolled("with --role-arn, name the user with --user", bad_input=True)
    if png and as_text:
        raise NotEnrolled("--seed and --qr-png exclude each other", bad_input=True)
    if png and os.path.lexists(png):
        raise NotEnrolled(f"--qr-png: {png} exists; name a file that does not", bad_input=True)


def _keep_quiet() -> None:
    """At level DEBUG botocore logs every answer, with the seed in it, and every request, with the codes."""
    for name in ("boto3", "botocore", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
