"""What those who enable an MFA device agree on: the side that talks to AWS, and the one that talks to the person."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol


class NotEnrolled(Exception):
    """Why there is no new device, in words for the person. `bad_input`: the same command cannot succeed later."""

    def __init__(self, message: str, *, bad_input: bool = False) -> None:
        super().__init__(message)
        self.bad_input = bad_input


@dataclass(frozen=True, slots=True)
class NewDevice:
    """A device that AWS has made and nobody owns yet. Both are secret: `seed` is Base32, `png` AWS's QR code of it."""

    seed: str = field(repr=False)
    png: bytes = field(repr=False)


class Person(Protocol):
    """Whoever sits there with the authenticator app."""

    def tell(self, message: str) -> None: ...

    def given(self, device: NewDevice) -> AbstractContextManager[None]:
        """Shows the seed for as long as the context lasts; afterwards nothing of it is left."""

    def codes(self, note: str) -> tuple[str, str]:
        """Two consecutive codes, six digits each and not the same. `note` says what went wrong before, if anything."""
