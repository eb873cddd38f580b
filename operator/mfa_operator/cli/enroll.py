"""`mfa-operator enroll`: an IAM user gets a virtual MFA device in one sitting at a terminal.

Where the seed may be seen: drawn on the terminal's alternate screen (a QR code, or Base32 with `--seed`), which never
scrolls and is wiped line by line before it is left, so that neither the screen nor the scrollback holds it afterwards;
or in the file of `--qr-png`, mode 0600, removed at the end. Nowhere else: what the SDK logs of its answers is kept out
of every log level. A terminal that is being recorded records it all the same.
"""

from __future__ import annotations

import io
import logging
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self
from urllib.parse import quote

import click
import segno
import stamina.instrumentation

from mfa_operator.api.enums import REQUESTED_AT_ANNOTATION
from mfa_operator.api.policy import ROLE_ARN_PATTERN
from mfa_operator.aws.enroll import Enrollment, NewDevice, NotEnrolled, open_access, own_user_name
from mfa_operator.devices import device_type

FAILED, LEFT_BEHIND, BAD_INPUT = 1, 2, 3
"""Exit statuses besides 0 and 128 + signal: nothing was changed; a device of nobody may be left at AWS; bad input."""

_USER = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
_DEVICE = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)
_ROLE = re.compile(ROLE_ARN_PATTERN)
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
_CODE = re.compile(r"[0-9]{6}")
_AUDIT_NOW = (
    f'kubectl annotate mfap NAME -n NAMESPACE --overwrite {REQUESTED_AT_ANNOTATION}="$(date -u +%Y-%m-%dT%H:%M:%SZ)"'
)
_DUMB_TERMINALS = frozenset({"", "dumb", "unknown"})
_OPEN_SCREEN, _CLOSE_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
# Bright white on black, whatever the theme: scanners want dark modules on a light ground.
_QR_LINE = "\x1b[97;40m{}\x1b[0m"
_LINES_BELOW = 4
"""Under a QR code: what it is, what to know, the prompt, and one so that Enter does not scroll."""


class Interrupted(BaseException):
    """A signal that ends the sitting. Like KeyboardInterrupt no Exception, so that no library takes it for its own."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.status = 128 + signum


class Interrupts:
    """Lets Ctrl-C and its kin act only where nothing is left half done: while `allowed`, or on entering it next.

    Ctrl-Z does nothing meanwhile: it would leave the seed standing on the screen.
    """

    _ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

    def __init__(self) -> None:
        self._pending: int | None = None
        self._open = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._before = {one: signal.signal(one, self._handle) for one in self._ENDING}
        self._before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        self._pending = self._pending or signum
        self._act()

    def _act(self) -> None:
        if self._open and self._pending is not None:
            self._open = False
            raise Interrupted(self._pending)

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Raises Interrupted as soon as a signal has come, before or meanwhile."""
        try:
            self._open = True
            self._act()
            yield
        finally:
            self._open = False


class Sitting:
    """The person at the terminal. With `png` the QR code goes into that file, with `as_text` the seed is shown."""

    def __init__(self, interrupts: Interrupts, label: str, *, as_text: bool, png: Path | None) -> None:
        self._interrupts = interrupts
        self._label = label
        self._as_text = as_text
        self._png = png
        self._picture: list[str] | None = None
        self.told: list[str] = []
        """What is left to say once the sitting is over."""

    def tell(self, message: str) -> None:
        self.told.append(message)

    @contextmanager
    def given(self, device: NewDevice) -> Iterator[None]:
        if self._png is not None:
            with self._file(self._png, device.png):
                _write(f"Scan the QR code in {self._png} with your authenticator app ({self._label}).\n")
                _write("The file is as secret as a password; it is removed when this ends.\n")
                yield
        else:
            self._picture = self._seed_lines(device) if self._as_text else self._qr_lines(device)
            try:
                _write(_OPEN_SCREEN)
                yield
            finally:
                self._picture = None
                with suppress(OSError, NotEnrolled):  # the terminal is gone, and its screen with it
                    height = _terminal_size().lines
                    _write("".join(f"\x1b[{line};1H\x1b[2K" for line in range(1, height + 1)) + _CLOSE_SCREEN)

    def codes(self, note: str) -> tuple[str, str]:
        with self._interrupts.allowed():
            first = self._code(note, "First code: ", used=None)
            wait = "Good. Now wait until the app shows the next code: up to 30 seconds."
            return first, self._code(wait, "Next code: ", used=first)

    def _code(self, note: str, prompt: str, *, used: str | None) -> str:
        while True:
            answer = self._ask(note, prompt).replace(" ", "").strip()
            if not _CODE.fullmatch(answer):
                note = "A code is six digits: type what the app shows."
            elif answer == used:
                note = "That is the same code once more: wait until the app shows the next one."
            else:
                return answer

    def _ask(self, note: str, prompt: str) -> str:
        if self._picture is None:
            _write(f"{note}\n{prompt}" if note else prompt)
        else:
            _write("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in [*self._picture, note]) + f"\x1b[J{prompt}")
        try:
            return input()
        except (EOFError, OSError):
            raise NotEnrolled("the input ended before the device was enabled") from None

    def _seed_lines(self, device: NewDevice) -> list[str]:
        return [
            "Enter this key into your authenticator app (time-based, for",
            f"{self._label}):",
            "",
            device.seed,
            "",
            "It is as secret as a password. If you copied it, clear the clipboard afterwards.",
        ]

    def _qr_lines(self, device: NewDevice) -> list[str]:
        uri = f"otpauth://totp/AWS:{quote(self._label, safe='@')}?issuer=AWS&secret="
        # In two segments, for Base32 alone fits the denser alphanumeric mode: small enough for a window of 24 lines.
        segments: Any = [uri, device.seed]
        code = segno.make_qr(segments, error="l")
        size = _terminal_size()
        room = min(size.columns, 2 * (size.lines - _LINES_BELOW))
        least = code.symbol_size(border=1)[0]
        if least > room:
            raise NotEnrolled(
                f"the QR code needs a window of {least} columns and {(least + 1) // 2 + _LINES_BELOW} lines, "
                f"and this one has {size.columns} and {size.lines}; make it larger, or use --seed or --qr-png FILE"
            )
        border = int(min(4, 1 + (room - least) // 2))
        drawn = io.StringIO()
        code.terminal(drawn, border=border, compact=True)
        lines = [_QR_LINE.format(line) for line in drawn.getvalue().splitlines()]
        return [*lines, f"Scan this with your authenticator app ({self._label})."[: size.columns - 1]]

    @contextmanager
    def _file(self, path: Path, content: bytes) -> Iterator[None]:
        """A file for the owner alone, that was not there before and is not there afterwards."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise NotEnrolled(f"--qr-png: cannot make {path}: {error.strerror}", bad_input=True) from error
        try:
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
            except OSError as error:
                raise NotEnrolled(f"--qr-png: cannot write {path}: {error.strerror}", bad_input=True) from error
            yield
        finally:
            try:
                path.unlink()
            except OSError as error:
                self.tell(
                    f"Could not remove {path} ({error.strerror}). It holds the seed: delete it, wherever it is now."
                )


@click.command("enroll", short_help="Enable a virtual MFA device for an IAM user, in one sitting.")
@click.option("--user", "user", metavar="NAME", help="IAM user to enroll; may be left out with that user's own keys.")
@click.option("--role-arn", metavar="ARN", help="Role to assume first, in the user's account.")
@click.option("--external-id", metavar="ID", help="External id that the role demands.")
@click.option("--device-name", metavar="NAME", help="Name of the new device.  [default: the user's name]")
@click.option("--seed", "as_text", is_flag=True, help="Show the seed as text instead of a QR code.")
@click.option(
    "--qr-png",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the QR code into a new file instead, for this user alone (0600); it is removed at the end.",
)
def command(
    user: str | None,
    role_arn: str | None,
    external_id: str | None,
    device_name: str | None,
    as_text: bool,
    qr_png: Path | None,
) -> None:
    """Enable a virtual MFA device for an IAM user: make it, show its QR code, ask for two codes, enable it.

    \b
    Exit status: 0 enabled; 1 failed, nothing was changed; 2 failed, and a device that
    belongs to nobody could not be deleted again; 3 bad input; 130 Ctrl-C.
    """
    _keep_quiet()
    enrollment = sitting = None
    try:
        _check_input(user, role_arn, external_id, device_name, as_text=as_text, png=qr_png)
        _check_terminal(as_text=as_text, png=qr_png)
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
    for line in filter(None, [problem, *(sitting.told if sitting else [])]):
        click.echo(line, err=True)
    sys.exit(status)


def _look(user: str | None, role_arn: str | None, external_id: str | None, device_name: str | None) -> Enrollment:
    """Who is meant, and what they have already: shown before anything is made. Raises NotEnrolled."""
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
        raise NotEnrolled("--external-id is of use only with --role-arn", bad_input=True)
    if role_arn and not user:
        raise NotEnrolled("--role-arn leads into an account as a role: name the user with --user", bad_input=True)
    if png and as_text:
        raise NotEnrolled("--seed and --qr-png are two ways for the same thing: choose one", bad_input=True)
    if png and os.path.lexists(png):
        raise NotEnrolled(f"--qr-png: {png} exists; name a file that does not", bad_input=True)


def _check_terminal(*, as_text: bool, png: Path | None) -> None:
    """Whether a secret can be shown here and taken away again. Raises NotEnrolled."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise NotEnrolled(
            "enroll needs a terminal for its input and its output: it shows a secret and asks a person for codes",
            bad_input=True,
        )
    if png:
        return
    if os.environ.get("TERM", "") in _DUMB_TERMINALS:
        raise NotEnrolled("this terminal (TERM) cannot take the seed off the screen: use --qr-png FILE", bad_input=True)
    if not as_text and "utf" not in sys.stdout.encoding.lower():
        raise NotEnrolled(
            f"this terminal's encoding ({sys.stdout.encoding}) has no blocks to draw with: "
            "set LANG to a UTF-8 locale, or use --seed or --qr-png FILE",
            bad_input=True,
        )


def _keep_quiet() -> None:
    """At level DEBUG botocore logs every answer, with the seed in it, and every request, with the codes."""
    for name in ("boto3", "botocore", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
    stamina.instrumentation.set_on_retry_hooks([])  # a retry's log line would land in the middle of the QR code


def _terminal_size() -> os.terminal_size:
    return os.get_terminal_size(sys.stdout.fileno())


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        raise NotEnrolled(f"the terminal is gone: {error.strerror}") from None
