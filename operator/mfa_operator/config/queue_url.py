"""The URL of the queue that IAM's events come from, as people give it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from mfa_operator.api.text import error_text

_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]{2,12}){1,2}-[0-9]{1,2}")
_ACCOUNT_ID = re.compile(r"[0-9]{12}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}(?:\.fifo)?")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}")
_STANDARD = re.compile(
    r"(?:sqs|sqs-fips)\.[a-z0-9-]+\.(?:amazonaws\.com(?:\.cn)?|amazonaws\.eu|api\.aws|[a-z0-9.]+\.ic\.gov)"
    r"|(?:[a-z0-9-]+\.)?queue\.amazonaws\.com(?:\.cn)?"
)
"""Hosts that SDKs find by the region alone."""
LOOPBACK = ("localhost", "127.0.0.1")
MAX_URL, MAX_SHOWN = 500, 200
EXAMPLE = "https://sqs.us-east-1.amazonaws.com/111122223333/mfa-operator-events"


@dataclass(frozen=True, slots=True)
class QueueUrl:
    """A queue's URL; `str` gives it as it was written."""

    text: str
    host: str
    region: str | None
    """As the host says; None where it does not."""

    def __str__(self) -> str:
        return self.text

    @property
    def endpoint(self) -> str | None:
        """Where requests go, where SDKs would not find it by the region: a VPC endpoint, or something on loopback."""
        if _STANDARD.fullmatch(self.host):
            return None
        parts = urlsplit(self.text)
        return f"{parts.scheme}://{parts.netloc}"

    @classmethod
    def parse(cls, text: str) -> QueueUrl:
        """Raises ValueError, with one sentence that says what is wrong."""
        # It may hold a password.
        wrong = f"invalid queue URL {error_text(text, MAX_SHOWN)!r}: write it like {EXAMPLE}"
        try:
            parts = urlsplit(text)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise ValueError(wrong) from None
        path = parts.path.strip("/").split("/")
        shaped = len(path) == 2 and _ACCOUNT_ID.fullmatch(path[0]) and _NAME.fullmatch(path[1])
        extra = parts.query or parts.fragment or parts.username is not None or parts.password is not None
        if len(text) > MAX_URL or not text.isascii() or not shaped or extra or not _HOST.fullmatch(host) or port == 0:
            raise ValueError(wrong)
        if parts.scheme != "https" and not (parts.scheme == "http" and host in LOOPBACK):
            raise ValueError(f"invalid queue URL {error_text(text, MAX_SHOWN)!r}: it begins with https://")
        labels = [label for label in host.split(".") if _REGION.fullmatch(label)]
        legacy = host in ("queue.amazonaws.com", "sqs.amazonaws.com")
        return cls(text, host, labels[0] if labels else "us-east-1" if legacy else None)
