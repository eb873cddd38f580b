"""The seed of a new device: how it is drawn, its file, and where it must not turn up."""

from __future__ import annotations

import io
import os
import re
import signal
import traceback
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from mfa_operator.api.policy import Account
from mfa_operator.aws.enroll import Enrollment
from mfa_operator.aws.enroll_access import Access
from mfa_operator.aws.identity import Identity
from mfa_operator.aws.sessions import Sessions
from mfa_operator.enroll.interrupts import Interrupted
from mfa_operator.enroll.seed import qr_lines, secret_file
from mfa_operator.enroll.terms import NewDevice, NotEnrolled
from tests.aws.enroll_world import CREATE, ID

SEED = "JBSWY3DPEHPK3PXP" * 4
"""As long as AWS makes them."""


def drawn(columns: int, lines: int) -> list[str]:
    """The blocks alone, without the colours and the words below."""
    with_words = qr_lines(SEED, f"alice@{ID}", os.terminal_size((columns, lines)))
    return [re.sub("\x1b\\[[0-9;]*m", "", line) for line in with_words[:-1]]


def test_a_larger_window_gives_the_qr_code_its_quiet_zone() -> None:
    lines = drawn(120, 40)
    assert all(line.startswith("█" * 4) and line.endswith("█" * 4) for line in lines[:-1])
    assert set(lines[0]) == set(lines[1]) == {"█"}


@pytest.mark.parametrize(("columns", "lines"), [(39, 24), (40, 24), (45, 100), (80, 26)])
def test_the_qr_code_never_needs_more_than_the_window_has(columns: int, lines: int) -> None:
    shown = drawn(columns, lines)
    assert max(len(line) for line in shown) <= columns
    assert len(shown) <= lines - 4


@pytest.mark.parametrize(("columns", "lines"), [(38, 24), (39, 23)])
def test_a_window_one_too_small_is_refused(columns: int, lines: int) -> None:
    with pytest.raises(NotEnrolled, match="needs a window of 39 columns and 24 lines, and this one has"):
        drawn(columns, lines)


@pytest.mark.parametrize("end", [None, NotEnrolled("refused"), Interrupted(signal.SIGTERM), OSError("gone")])
def test_the_file_is_gone_however_it_ends(tmp_path: Path, end: BaseException | None) -> None:
    file = tmp_path / "qr.png"
    told: list[str] = []
    with pytest.raises(type(end)) if end else nullcontext(), secret_file(file, b"picture", told.append):
        assert file.read_bytes() == b"picture"
        if end:
            raise end
    assert not file.exists()
    assert told == []


def test_a_file_that_was_moved_away_is_told(tmp_path: Path) -> None:
    file = tmp_path / "qr.png"
    told: list[str] = []
    with secret_file(file, b"picture", told.append):
        file.rename(tmp_path / "elsewhere.png")
    assert told == [
        f"Could not remove {file} (No such file or directory). It holds the seed: delete it, wherever it is now."
    ]


def test_a_file_cannot_be_made_where_there_is_no_directory(tmp_path: Path) -> None:
    with (
        pytest.raises(NotEnrolled, match=r"--qr-png: cannot make .*: No such file or directory") as refused,
        secret_file(tmp_path / "nowhere" / "qr.png", b"picture", pytest.fail),
    ):
        pass
    assert refused.value.bad_input


class Nobody:
    def tell(self, message: str) -> None:
        raise AssertionError(message)

    def given(self, device: NewDevice) -> AbstractContextManager[None]:
        return nullcontext(device.seed)  # type: ignore[arg-type]  # never reached

    def codes(self, note: str) -> tuple[str, str]:
        raise AssertionError(note)


def test_the_seed_is_in_no_error_even_if_the_answer_breaks_off() -> None:
    """botocore's error for an answer that it cannot parse holds the whole answer."""
    broken: Any = io.BytesIO(f"<CreateVirtualMFADeviceResponse><Base32StringSeed>{SEED}</Base32".encode())
    broken.stream = lambda **_: iter([broken.read()])
    headers: Any = {}

    def answer(request: Any, **_: object) -> Any:
        return AWSResponse(request.url, 200, headers, broken)

    sessions = Sessions(session=boto3.Session("AKIA", "secret", region_name="us-east-1"))
    sessions.clients.own("iam", "us-east-1").meta.events.register(f"before-send.iam.{CREATE}", answer)
    access = Access(sessions.account(Account(id=ID)), Identity(ID, f"arn:aws:iam::{ID}:user/admin"))
    with pytest.raises(NotEnrolled) as caught:
        Enrollment(access, "alice", "alice").run(Nobody())
    sessions.close()
    assert CREATE in str(caught.value)
    assert SEED not in "".join(traceback.format_exception(caught.value))


def test_a_device_does_not_show_its_seed() -> None:
    assert repr(NewDevice("JBSWY3DPEHPK3PXP", b"picture")) == "NewDevice()"
