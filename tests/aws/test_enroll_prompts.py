"""`mfa-operator enroll` at a terminal: what people type, and how they stop it."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from mfa_sandbox.aws import EmbeddedAws
from tests.aws.enroll_terminal import EnrollSetup, comes_true, sitting_down
from tests.aws.enroll_world import CREATE, ENABLE, SERIAL, codes, wrong_codes

# Python 3.12 and later warn of any fork beside threads; what is forked here starts another program at once.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def enrolling(aws: EmbeddedAws) -> Iterator[EnrollSetup]:
    with sitting_down(aws) as made:
        yield made


def test_what_is_no_code_is_asked_for_again(enrolling: EnrollSetup) -> None:
    person = enrolling("--seed")
    first, second = codes(person.seed())
    for nonsense in ("", "12345", "1234567", "12a456", "١٢٣٤٥٦"):
        person.types(nonsense)
        person.sees("A code is six digits", "First code: ")
    person.types(f"{first[:3]} {first[3:]}")  # as many apps show it
    person.sees("Next code: ")
    person.types(first)
    person.sees("the same code once more", "Next code: ")
    assert enrolling.aws.calls.count(ENABLE) == 0
    person.types(second)
    assert person.status() == 0


def test_refused_codes_are_asked_for_again(enrolling: EnrollSetup) -> None:
    person = enrolling("--seed")
    seed = person.seed()
    person.enters(wrong_codes(seed))
    person.sees("AWS did not accept these.", "First code: ")
    person.enters(codes(seed))
    assert person.status() == 0
    assert enrolling.aws.calls.count(ENABLE) == 2
    assert enrolling.alice.mfa_serials == [SERIAL]


@pytest.mark.parametrize(
    ("stop", "prompt", "status"),
    [
        ("c", "First code: ", 130),
        ("c", "Next code: ", 130),
        ("d", "First code: ", 1),
        (signal.SIGTERM, "First code: ", 143),
        ("window closed", "First code: ", None),
    ],
)
def test_whoever_stops_leaves_nothing_behind(
    enrolling: EnrollSetup, prompt: str, stop: str | signal.Signals, status: int | None
) -> None:
    """Other signals: test_enroll_signals.py."""
    person = enrolling("--seed")
    seed = person.seed()
    if prompt == "Next code: ":
        person.types(codes(seed)[0])
        person.sees(prompt)
    if isinstance(stop, signal.Signals):
        person.process.kill(stop)
    elif stop == "window closed":
        person.process.ptyproc.fileobj.close()  # type: ignore[attr-defined]  # not in the stubs
    else:
        person.presses(stop)
    if status is not None:
        assert person.status() == status
        assert seed not in person.scrollback
        # A terminal or multiplexer without an alternate screen keeps nothing either.
        assert person.wiped == list(range(1, 25))
    assert comes_true(lambda: not person.process.isalive())
    assert enrolling.untouched


@pytest.mark.parametrize(("operation", "status"), [(CREATE, 130), (ENABLE, 0)])
def test_ctrl_c_waits_for_a_call_that_changes_something(enrolling: EnrollSetup, operation: str, status: int) -> None:
    with enrolling.held(operation) as came:
        person = enrolling("--seed")
        if operation == ENABLE:
            person.enters(codes(person.seed()))
        assert came.wait(person.process.timeout)
        person.presses("c")
        person.sees("^C")  # the terminal shows it once it has sent the signal
    assert person.status() == status
    assert enrolling.untouched == (status != 0)
    assert ("Enabled: " in person.scrollback) == (status == 0)
