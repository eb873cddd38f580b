"""`mfa-operator enroll` at a terminal: what is shown, and that nothing of the seed is left."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import segno

from mfa_sandbox.aws import EmbeddedAws
from tests.aws.enroll_terminal import ENTER, PROGRAM, EnrollSetup, sitting_down
from tests.aws.enroll_world import CREATE, ENABLE, ID, SERIAL, codes

# Python 3.12 and later warn of any fork beside threads; what is forked here starts another program at once.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

DRAWN = re.compile("\x1b\\[97;40m([█▀▄ ]+)\x1b\\[0m")


@pytest.fixture
def enrolling(aws: EmbeddedAws) -> Iterator[EnrollSetup]:
    with sitting_down(aws) as made:
        yield made


def test_the_seed_as_text_enables_the_device(enrolling: EnrollSetup) -> None:
    person = enrolling("--seed", size=(24, 80))
    person.sees(f"MFA devices of alice in account {ID}: none")
    person.process.expect(r"\n([A-Z2-7]{32,})\x1b")
    assert isinstance(person.process.match, re.Match)
    shown = person.process.match[1]
    person.sees("First code: ")
    person.enters(codes(shown))
    person.sees(f"Enabled: {SERIAL}")
    assert person.status() == 0
    assert enrolling.alice.mfa_serials == [SERIAL]
    assert shown not in person.scrollback


def test_the_qr_code_encodes_the_seed_and_fits_24_lines(enrolling: EnrollSetup) -> None:
    person = enrolling(size=(24, 80))
    seed = person.seed()
    lines = DRAWN.findall(person.screen)
    # Light modules are drawn, dark ones are the ground.
    modules = [[block in light for block in line] for line in lines for light in ("█▀", "█▄")]
    segments: Any = [f"otpauth://totp/AWS:alice@{ID}?issuer=AWS&secret=", seed]
    code = segno.make_qr(segments, error="l")
    expected = [[not dark for dark in row] for row in code.matrix_iter(scale=1, border=1)]
    assert modules[: len(expected)] == expected
    assert person.screen.split(ENTER)[1].count("\n") < 24 - 1  # one more for Enter, and nothing has scrolled
    person.enters(codes(seed))
    assert person.status() == 0
    assert enrolling.alice.mfa_serials == [SERIAL]
    assert seed not in person.screen
    assert not re.search("[█▀▄]", person.scrollback)


def test_a_window_too_small_for_the_qr_code_is_told(enrolling: EnrollSetup) -> None:
    person = enrolling(size=(20, 200))
    person.sees("the QR code needs a window of 39 columns and 24 lines, and this one has 200 and 20")
    assert person.status() == 1
    assert enrolling.untouched


def test_the_png_is_for_the_owner_alone_and_gone_afterwards(enrolling: EnrollSetup, tmp_path: Path) -> None:
    """However it ends: test_enroll_seed.py."""
    file = tmp_path / "qr.png"
    person = enrolling("--qr-png", str(file), environment={"TERM": "dumb"})
    seed = person.seed()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_bytes().startswith(b"\x89PNG")
    person.enters(codes(seed))
    assert person.status() == 0
    assert not file.exists()
    assert seed not in person.screen
    assert enrolling.alice.mfa_serials == [SERIAL]


def test_a_file_made_meanwhile_is_not_written_over(enrolling: EnrollSetup, tmp_path: Path) -> None:
    """One that is there from the start is seen before AWS is asked (test_enroll_who.py)."""
    file = tmp_path / "qr.png"
    with enrolling.held(CREATE) as came:
        person = enrolling("--qr-png", str(file))
        assert came.wait(person.process.timeout)
        file.write_text("precious")
    person.sees("--qr-png: ")
    assert person.status() == 3
    assert [path.name for path in tmp_path.iterdir()] == ["qr.png"]
    assert file.read_text() == "precious"
    assert enrolling.untouched


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"TERM": "dumb"}, "cannot clear the seed from the screen: use --qr-png FILE"),
        ({"PYTHONIOENCODING": "latin-1"}, "has no blocks to draw with"),
    ],
)
def test_an_unfit_terminal_is_refused_before_any_aws_call(
    enrolling: EnrollSetup, environment: dict[str, str], message: str
) -> None:
    person = enrolling(environment=environment)
    person.sees(message)
    assert person.status() == 3
    assert len(enrolling.aws.calls) == 0


@pytest.mark.parametrize("piped", ["stdin", "stdout"])
def test_without_a_terminal_on_both_sides_nothing_is_shown(enrolling: EnrollSetup, piped: str) -> None:
    """A seed must not run into a file or a pipe."""
    near, far = os.openpty()
    try:
        done = subprocess.run(
            [*PROGRAM, "--user", "alice", "--seed"],
            stdin=subprocess.DEVNULL if piped == "stdin" else far,
            stdout=subprocess.PIPE if piped == "stdout" else far,
            stderr=subprocess.PIPE,
            env=enrolling.environment(),
            timeout=60,
            check=False,
        )
    finally:
        os.close(near)
        os.close(far)
    assert done.returncode == 3
    assert b"enroll needs a terminal" in done.stderr
    assert len(enrolling.aws.calls) == 0


def test_the_seed_stands_nowhere_but_on_the_screen(enrolling: EnrollSetup, tmp_path: Path) -> None:
    log = tmp_path / "debug.log"
    verbose = (
        "import logging; from mfa_operator.cli.enroll import command; "
        f"logging.basicConfig(level=logging.DEBUG, filename={str(log)!r}); command()"
    )
    enrolling.aws.faults.add(ENABLE, "no_such_entity", times=1)  # retries are logged too
    person = enrolling("--seed", program=(sys.executable, "-c", verbose))
    seed = person.seed()
    assert seed in person.screen
    process = Path("/proc") / str(person.process.pid)
    for place in ("cmdline", "environ", "comm"):
        assert seed.encode() not in (process / place).read_bytes()
    entered = codes(seed)
    person.enters(entered)
    assert person.status() == 0
    assert seed not in person.scrollback
    written = log.read_text()
    assert not [secret for secret in (seed, *entered, "Base32") if secret in written]
    assert [path.name for path in tmp_path.iterdir()] == ["debug.log"]
