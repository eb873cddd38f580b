"""The ways to hand a seed over: a QR code drawn with blocks, the text itself, a picture in a file of one's own."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import segno

from mfa_operator.enroll.terms import NotEnrolled

# Bright white on black, whatever the theme: scanners want dark modules on a light ground.
_QR_LINE = "\x1b[97;40m{}\x1b[0m"
_LINES_BELOW = 4
"""Under a QR code: what it is, what to know, the prompt, and one so that Enter does not scroll."""


def text_lines(seed: str, label: str) -> list[str]:
    """The seed to be typed or copied; `label` is what the app shows beside its codes."""
    return [
        "Enter this key into your authenticator app (time-based, for",
        f"{label}):",
        "",
        seed,
        "",
        "It is as secret as a password. If you copied it, clear the clipboard afterwards.",
    ]


def qr_lines(seed: str, label: str, size: os.terminal_size) -> list[str]:
    """The seed to be scanned from a window of this size. Raises NotEnrolled where that is too small."""
    uri = f"otpauth://totp/AWS:{quote(label, safe='@')}?issuer=AWS&secret="
    # In two segments, for Base32 alone fits the denser alphanumeric mode: small enough for a window of 24 lines.
    segments: Any = [uri, seed]
    code = segno.make_qr(segments, error="l")
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
    return [*lines, f"Scan this with your authenticator app ({label})."[: size.columns - 1]]


@contextmanager
def secret_file(path: Path, content: bytes, tell: Callable[[str], None]) -> Iterator[None]:
    """A file for the owner alone, that was not there before and is not there afterwards.

    Raises NotEnrolled where it cannot be made; where it cannot be removed, the person gets a message.
    """
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
            tell(f"Could not remove {path} ({error.strerror}). It holds the seed: delete it, wherever it is now.")
