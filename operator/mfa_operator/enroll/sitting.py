"""A sitting at a terminal: the seed is shown, codes are asked for, and afterwards nothing of the seed is left.

It stands on the terminal's alternate screen, which never scrolls and is wiped line by line before it is left, so that
neither the screen nor the scrollback holds it afterwards; or in a file that is removed at the end. A terminal that is
being recorded records it all the same.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mfa_operator.enroll.interrupts import Interrupts
from mfa_operator.enroll.seed import qr_lines, secret_file, text_lines
from mfa_operator.enroll.terms import NewDevice, NotEnrolled

_CODE = re.compile(r"[0-9]{6}")
_DUMB_TERMINALS = frozenset({"", "dumb", "unknown"})
_OPEN_SCREEN, _CLOSE_SCREEN = "\x1b[?1049h", "\x1b[?1049l"


def check_terminal(*, as_text: bool, png: Path | None) -> None:
    """Whether a secret can be shown here and taken away again. Raises NotEnrolled."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise NotEnrolled(
            "enroll needs a terminal for input and output: it shows a secret and asks for codes",
            bad_input=True,
        )
    if png:
        return
    if os.environ.get("TERM", "") in _DUMB_TERMINALS:
        raise NotEnrolled(
            "this terminal (TERM) cannot clear the seed from the screen: use --qr-png FILE", bad_input=True
        )
    if not as_text and "utf" not in sys.stdout.encoding.lower():
        raise NotEnrolled(
            f"this terminal's encoding ({sys.stdout.encoding}) has no blocks to draw with: "
            "set LANG to a UTF-8 locale, or use --seed or --qr-png FILE",
            bad_input=True,
        )


class Sitting:
    """The person at the terminal. With `png` the QR code goes into that file, with `as_text` the seed is shown."""

    def __init__(self, interrupts: Interrupts, label: str, *, as_text: bool, png: Path | None) -> None:
        self._interrupts = interrupts
        self._label = label
        self._as_text = as_text
        self._png = png
        self._picture: list[str] | None = None
        self.notices: list[str] = []
        """What is left to say once the sitting is over."""

    def tell(self, message: str) -> None:
        self.notices.append(message)

    @contextmanager
    def given(self, device: NewDevice) -> Iterator[None]:
        if self._png is not None:
            with secret_file(self._png, device.png, self.tell):
                _write(f"Scan the QR code in {self._png} with your authenticator app ({self._label}).\n")
                _write("The file is as secret as a password; it is removed when this ends.\n")
                yield
            return
        if self._as_text:
            self._picture = text_lines(device.seed, self._label)
        else:
            self._picture = qr_lines(device.seed, self._label, _terminal_size())
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


def _terminal_size() -> os.terminal_size:
    return os.get_terminal_size(sys.stdout.fileno())


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        raise NotEnrolled(f"the terminal is gone: {error.strerror}") from None
