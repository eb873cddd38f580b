"""`mfa-operator enroll`, driven through a pseudo-terminal as a person would, against an AWS that checks the codes."""

import io
import os
import re
import signal
import stat
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pexpect
import pyotp
import pytest
import segno
from botocore.awsrequest import AWSResponse
from click.testing import CliRunner

from mfa_operator.aws.enroll import Access, Enrollment, NewDevice, NotEnrolled
from mfa_operator.aws.sessions import Identity
from mfa_operator.cli.enroll import command
from mfa_operator.sandbox.aws import Account, Credentials, EmbeddedAws
from mfa_operator.sandbox.aws.principals import Principal

# Python 3.12 and later warn of any fork beside threads; what is forked here starts another program at once.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

ID = "111122223333"
SERIAL = f"arn:aws:iam::{ID}:mfa/alice"
ROLE = f"arn:aws:iam::{ID}:role/enroller"
PROGRAM = (str(Path(sys.executable).with_name("mfa-operator")), "enroll")
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
CREATE, ENABLE, DELETE = "CreateVirtualMFADevice", "EnableMFADevice", "DeleteVirtualMFADevice"
DRAWN = re.compile("\x1b\\[97;40m([█▀▄ ]+)\x1b\\[0m")
# What AWS's sample policy for managing one's own device leaves to a user without MFA, and deleting.
OWN_DEVICE = [f"iam:{one}" for one in (CREATE, ENABLE, DELETE, "ListMFADevices", "ListVirtualMFADevices")]


class Person:
    """Somebody at a terminal of their own; `screen` is all that the program has written to it."""

    def __init__(self, account: Account, program: tuple[str, ...], size: tuple[int, int], env: dict[str, str]) -> None:
        self.account = account
        self.written = io.StringIO()
        self.process: pexpect.spawn[str] = pexpect.spawn(
            program[0], list(program[1:]), env=env, dimensions=size, encoding="utf-8", timeout=30
        )
        self.process.logfile_read = self.written

    @property
    def screen(self) -> str:
        return self.written.getvalue()

    @property
    def scrollback(self) -> str:
        """What the terminal shows after the program has ended: all but what was on the alternate screen."""
        assert self.screen.count(ENTER) == self.screen.count(LEAVE)
        return re.sub(re.escape(ENTER) + ".*?" + re.escape(LEAVE), "", self.screen, flags=re.DOTALL)

    def sees(self, *texts: str) -> None:
        for text in texts:
            self.process.expect_exact(text)

    def types(self, text: str) -> None:
        self.process.sendline(text)

    def presses(self, control: str) -> None:
        self.process.sendcontrol(control)

    def seed(self, serial: str = SERIAL) -> str:
        """What the person's app has scanned; waits until it is shown."""
        self.sees("First code: ")
        return str(self.account.backend.virtual_mfa_devices[serial].base32_string_seed)

    def enters(self, codes: tuple[str, str]) -> None:
        self.types(codes[0])
        self.sees("wait until the app shows the next code", "Next code: ")
        self.types(codes[1])

    def status(self) -> int:
        """The exit status, once the program has ended."""
        self.process.expect(pexpect.EOF)
        self.process.close()
        assert self.process.signalstatus is None
        assert "Traceback" not in self.screen
        assert self.process.exitstatus is not None
        return self.process.exitstatus


class Desk:
    """Where people sit down to enroll alice, who has a password and no MFA, as the account's administrator."""

    def __init__(self, aws: EmbeddedAws) -> None:
        aws.check_codes = True
        self.aws = aws
        self.account = aws.world.account(ID)
        self.alice = self.account.user("alice", password=True)
        self.people: list[Person] = []

    def __call__(
        self,
        *arguments: str,
        who: Credentials | None = None,
        program: tuple[str, ...] = PROGRAM,
        size: tuple[int, int] = (24, 200),
        environment: dict[str, str] | None = None,
    ) -> Person:
        user = () if who else ("--user", "alice")
        env = self.environment(who) | (environment or {})
        self.people.append(Person(self.account, (*program, *user, *arguments), size, env))
        return self.people[-1]

    def environment(self, who: Credentials | None = None) -> dict[str, str]:
        common = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        return common | self.aws.environment(who or self.account.admin_credentials)

    @property
    def untouched(self) -> bool:
        return not self.account.backend.virtual_mfa_devices and not self.alice.mfa_serials


@pytest.fixture
def desk(aws: EmbeddedAws) -> Iterator[Desk]:
    desk = Desk(aws)
    yield desk
    for person in desk.people:
        person.process.close(force=True)


def codes(seed: str) -> tuple[str, str]:
    """What an app with this seed shows now, and after it."""
    app, now = pyotp.TOTP(seed), datetime.now(UTC)
    return app.at(now), app.at(now + timedelta(seconds=30))


def wrong_codes(seed: str) -> tuple[str, str]:
    """Two codes of the seed in the wrong order."""
    return codes(seed)[::-1]


def comes_true(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not (true := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return true


# Enabling


def test_the_seed_as_text_enables_the_device(desk: Desk) -> None:
    person = desk("--seed", size=(24, 80))
    person.sees(f"MFA devices of alice in account {ID}: none")
    person.process.expect(r"\n([A-Z2-7]{32,})\x1b")
    assert isinstance(person.process.match, re.Match)
    shown = person.process.match[1]
    person.sees("First code: ")
    person.enters(codes(shown))
    person.sees(f"Enabled: {SERIAL}")
    assert person.status() == 0
    assert desk.alice.mfa_serials == [SERIAL]
    assert shown not in person.scrollback


def test_the_qr_code_is_that_of_the_seed_and_fits_a_window_of_24_lines(desk: Desk) -> None:
    person = desk(size=(24, 80))
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
    assert desk.alice.mfa_serials == [SERIAL]
    assert seed not in person.screen
    assert not re.search("[█▀▄]", person.scrollback)


def test_a_larger_window_gives_the_qr_code_its_quiet_zone(desk: Desk) -> None:
    person = desk(size=(40, 120))
    person.seed()
    lines = DRAWN.findall(person.screen)
    assert all(line.startswith("█" * 4) and line.endswith("█" * 4) for line in lines[:-1])
    assert set(lines[0]) == set(lines[1]) == {"█"}


def test_every_line_is_wiped_before_the_screen_is_left(desk: Desk) -> None:
    """A terminal or multiplexer without an alternate screen keeps nothing either."""
    person = desk("--seed")
    person.seed()
    person.presses("c")
    assert person.status() == 130
    last_words = person.screen.rsplit("First code: ", 1)[1]
    wiped = re.findall("\x1b\\[(\\d+);1H\x1b\\[2K", last_words[: last_words.index(LEAVE)])
    assert [int(line) for line in wiped] == list(range(1, 25))


@pytest.mark.parametrize(("ending", "status"), [("enabled", 0), ("refused", 1), ("interrupted", 130)])
def test_the_png_is_for_the_owner_alone_and_gone_afterwards(
    desk: Desk, tmp_path: Path, ending: str, status: int
) -> None:
    file = tmp_path / "qr.png"
    person = desk("--qr-png", str(file), environment={"TERM": "dumb"})
    seed = person.seed()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_bytes().startswith(b"\x89PNG")
    if ending == "interrupted":
        person.presses("c")
    elif ending == "enabled":
        person.enters(codes(seed))
    else:
        for again in (False, True, True):
            if again:
                person.sees("First code: ")
            person.enters(wrong_codes(seed))
    assert person.status() == status
    assert not file.exists()
    assert seed not in person.screen
    assert desk.untouched == (status != 0)


def test_a_png_that_was_moved_away_is_told(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "qr.png"
    person = desk("--qr-png", str(file))
    seed = person.seed()
    file.rename(tmp_path / "elsewhere.png")
    person.enters(codes(seed))
    person.sees("It holds the seed: delete it")
    assert person.status() == 0


@pytest.mark.parametrize("kind", ["file", "dangling link", "file made meanwhile"])
def test_an_existing_file_is_never_written_over(desk: Desk, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "qr.png"
    slow = desk.aws.faults.add(CREATE, "delay", delay=3.0)
    if kind == "file":
        file.write_text("precious")
    elif kind == "dangling link":
        file.symlink_to(tmp_path / "target")
    person = desk("--qr-png", str(file))
    if kind == "file made meanwhile":
        assert comes_true(lambda: slow.hits == 1)
        file.write_text("precious")
    person.sees("--qr-png: ")
    assert person.status() == 3
    assert [path.name for path in tmp_path.iterdir()] == ["qr.png"]
    assert kind == "dangling link" or file.read_text() == "precious"
    assert desk.untouched
    assert kind == "file made meanwhile" or len(desk.aws.calls) == 0


def test_devices_there_already_are_listed_and_another_name_makes_another_one(desk: Desk) -> None:
    virtual, key = desk.alice.add_mfa("virtual"), desk.alice.add_mfa("security_key")
    person = desk("--seed", "--device-name", "alice-2")
    person.sees(f"MFA devices of alice in account {ID}: 2")
    person.enters(codes(person.seed(f"{SERIAL}-2")))
    assert person.status() == 0
    assert desk.alice.mfa_serials == [virtual, key, f"{SERIAL}-2"]
    assert f"{virtual} (Virtual, since" in person.scrollback
    assert f"{key} (SecurityKey, since" in person.scrollback


# Codes


def test_what_is_no_code_is_asked_for_again(desk: Desk) -> None:
    person = desk("--seed")
    first, second = codes(person.seed())
    for nonsense in ("", "12345", "1234567", "12a456", "١٢٣٤٥٦"):
        person.types(nonsense)
        person.sees("A code is six digits", "First code: ")
    person.types(f"{first[:3]} {first[3:]}")  # as many apps show it
    person.sees("Next code: ")
    person.types(first)
    person.sees("the same code once more", "Next code: ")
    assert desk.aws.calls.count(ENABLE) == 0
    person.types(second)
    assert person.status() == 0


def test_refused_codes_are_asked_for_again(desk: Desk) -> None:
    person = desk("--seed")
    seed = person.seed()
    person.enters(wrong_codes(seed))
    person.sees("AWS did not accept these.", "First code: ")
    person.enters(codes(seed))
    assert person.status() == 0
    assert desk.aws.calls.count(ENABLE) == 2
    assert desk.alice.mfa_serials == [SERIAL]


def test_codes_refused_three_times_end_it(desk: Desk) -> None:
    person = desk("--seed")
    for _ in range(3):
        person.enters(wrong_codes(person.seed()))
    person.sees("AWS did not accept the codes, 3 times over", "deleted again")
    assert person.status() == 1
    assert desk.aws.calls.count(ENABLE) == 3
    assert desk.untouched


# Stopping


@pytest.mark.parametrize("prompt", ["First code: ", "Next code: "])
@pytest.mark.parametrize(
    ("stop", "status"),
    [("c", 130), ("d", 1), ("\\", 131), (signal.SIGTERM, 143), (signal.SIGHUP, 129), ("window closed", None)],
)
def test_whoever_stops_leaves_nothing_behind(
    desk: Desk, prompt: str, stop: str | signal.Signals, status: int | None
) -> None:
    person = desk("--seed")
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
    assert comes_true(lambda: not person.process.isalive())
    assert desk.untouched


def test_ctrl_z_does_not_leave_the_seed_on_the_screen(desk: Desk) -> None:
    person = desk("--seed")
    seed = person.seed()
    # Asked of the kernel: without a shell above it no process stops at Ctrl-Z.
    ignored = re.search(r"SigIgn:\s*(\w+)", Path(f"/proc/{person.process.pid}/status").read_text())
    assert ignored is not None
    assert int(ignored[1], 16) & 1 << signal.SIGTSTP - 1
    person.presses("z")
    person.enters(codes(seed))
    assert person.status() == 0


@pytest.mark.parametrize(("operation", "status"), [(CREATE, 130), (ENABLE, 0)])
def test_ctrl_c_waits_for_a_call_that_changes_something(desk: Desk, operation: str, status: int) -> None:
    slow = desk.aws.faults.add(operation, "delay", delay=2.0)
    person = desk("--seed")
    if operation == ENABLE:
        person.enters(codes(person.seed()))
    assert comes_true(lambda: slow.hits == 1)
    person.presses("c")
    assert person.status() == status
    assert desk.untouched == (status != 0)
    assert ("Enabled: " in person.scrollback) == (status == 0)


# What AWS answers


@pytest.mark.parametrize("kind", ["no_such_entity", "entity_temporarily_unmodifiable", "throttling", "html_502"])
def test_what_passes_is_waited_for(desk: Desk, kind: str) -> None:
    """NoSuchEntity among it: a device made a moment ago is not known everywhere yet."""
    desk.aws.faults.add(ENABLE, kind, times=2)
    person = desk("--seed")
    person.enters(codes(person.seed()))
    assert person.status() == 0
    assert desk.aws.calls.count(ENABLE) == 3


@pytest.mark.parametrize(
    ("operation", "kind", "message"),
    [
        ("ListMFADevices", "access_denied", "no permission for iam:ListMFADevices"),
        ("ListMFADevices", "unparsable_200", "AWS answered ListMFADevices with ResponseParserError"),
        ("ListVirtualMFADevices", "throttling", "AWS answered ListVirtualMFADevices with Throttling"),
        (CREATE, "access_denied", f"no permission for iam:{CREATE}"),
        (CREATE, "limit_exceeded", f"AWS answered {CREATE} with LimitExceeded"),
        (CREATE, "reset", f"no answer to {CREATE} from AWS"),
        (CREATE, "internal", f"AWS answered {CREATE} with ServiceFailure"),
        (CREATE, "unparsable_200", f"AWS answered {CREATE} with ResponseParserError"),
        (CREATE, "executed_answer_lost", "mfa-operator: "),
        (ENABLE, "access_denied", f"no permission for iam:{ENABLE}"),
        (ENABLE, "no_such_entity", f"AWS answered {ENABLE} with NoSuchEntity"),
        (ENABLE, "reset", f"no answer to {ENABLE} from AWS"),
        (ENABLE, "expired_token", "AWS does not accept the credentials"),
    ],
)
def test_a_lasting_failure_is_told_and_leaves_nothing_behind(
    desk: Desk, operation: str, kind: str, message: str
) -> None:
    desk.aws.faults.add(operation, kind, times=None)
    person = desk("--seed")
    if operation == ENABLE:
        person.enters(codes(person.seed()))
    person.sees(message)
    assert person.status() == 1
    assert desk.untouched


@pytest.mark.parametrize("refused", [False, True])
def test_an_answer_lost_once_leaves_no_device(desk: Desk, *, refused: bool) -> None:
    """botocore's own retry then gets EntityAlreadyExists for what its first request made."""
    desk.aws.faults.add(CREATE, "executed_answer_lost", times=1)
    if refused:  # nobody knows then whose the device of that name is
        desk.aws.faults.add("ListVirtualMFADevices", "access_denied", times=None)
    person = desk("--seed")
    person.sees("the name alice is taken" if refused else f"{CREATE} with EntityAlreadyExists")
    assert person.status() == 1
    assert desk.untouched == (not refused)


def test_a_device_that_somebody_else_was_faster_with_is_not_claimed(desk: Desk) -> None:
    lost = desk.aws.faults.add(CREATE, "reset", times=None, delay=1.0)
    person = desk("--seed")
    assert comes_true(lambda: lost.hits == 1)
    bob = desk.account.user("bob")
    bob.add_mfa("virtual", name="alice")
    person.sees(f"no answer to {CREATE} from AWS")
    assert person.status() == 1
    assert bob.mfa_serials == [SERIAL]
    assert "Enabled" not in person.screen


@pytest.mark.parametrize("may_delete", [True, False])
def test_a_lost_answer_to_enabling_is_still_a_success(desk: Desk, *, may_delete: bool) -> None:
    """botocore asks again and AWS refuses. That the device is in use shows where deleting it is a conflict, or in the
    list of the user's devices."""
    desk.aws.faults.add(ENABLE, "executed_answer_lost", times=1)
    if not may_delete:
        desk.aws.faults.add(DELETE, "access_denied", times=None)
    person = desk("--seed")
    person.enters(codes(person.seed()))
    person.sees(f"Enabled: {SERIAL}")
    assert person.status() == 0
    assert "mfa-operator: " not in person.screen
    assert desk.alice.mfa_serials == [SERIAL]


def test_a_device_that_may_not_be_deleted_is_reported(desk: Desk) -> None:
    desk.aws.faults.add(DELETE, "access_denied", times=None)
    person = desk("--seed")
    person.seed()
    person.presses("d")
    person.sees(f"could not be deleted again: no permission for iam:{DELETE}")
    person.sees(f"aws iam delete-virtual-mfa-device --serial-number {SERIAL}")
    assert person.status() == 2


@pytest.mark.parametrize(
    ("owner", "message"),
    [
        (None, "never enabled and is nobody's"),
        ("bob", "is the MFA device of bob"),
        ("unseen", "by another virtual MFA device of the account"),
    ],
)
def test_a_name_that_is_taken_is_left_alone(desk: Desk, owner: str | None, message: str) -> None:
    desk.aws.world.page_limit = 1
    for name in ("aaa", "zzz"):
        desk.account.unassigned_device(name)
    if owner == "unseen":
        desk.aws.faults.add("ListVirtualMFADevices", "access_denied", times=None)
        desk.account.unassigned_device("alice")
    elif owner:
        desk.account.user(owner).add_mfa("virtual", name="alice")
    else:
        desk.account.unassigned_device("Alice")  # IAM tells no names apart by case
    person = desk("--seed")
    person.sees("the name alice is taken", message, "such as --device-name alice-2")
    assert person.status() == 1
    assert desk.aws.calls.count(CREATE) == (1 if owner == "unseen" else 0)
    assert desk.aws.calls.count(DELETE) == 0
    assert ("aws iam delete-virtual-mfa-device --serial-number" in person.screen) == (owner is None)


def test_eight_devices_are_told_before_anything_is_made(desk: Desk) -> None:
    serials = [desk.alice.add_mfa("security_key") for _ in range(8)]
    person = desk("--seed")
    person.sees("account 111122223333: 8", "alice has 8 MFA devices, and AWS allows no more")
    assert person.status() == 1
    assert all(serial in person.scrollback for serial in serials)
    assert desk.aws.calls.count(CREATE) == 0


# Who


def test_users_enroll_themselves_with_the_few_rights_they_have(desk: Desk) -> None:
    dave = desk.account.user("dave", path="/eng/", password=True)
    desk.account.allow_only(OWN_DEVICE)
    person = desk("--seed", who=dave.credentials())
    person.sees("MFA devices of dave")
    person.enters(codes(person.seed(f"arn:aws:iam::{ID}:mfa/dave")))
    assert person.status() == 0
    assert dave.mfa_serials == [f"arn:aws:iam::{ID}:mfa/dave"]


@pytest.mark.parametrize(
    ("arn", "message"),
    [
        (f"arn:aws:iam::{ID}:root", "root's own MFA device is added in the console"),
        (f"arn:aws:sts::{ID}:assumed-role/admin/person", "no IAM user; name the user with --user"),
    ],
)
def test_root_and_roles_have_to_name_the_user(desk: Desk, arn: str, message: str) -> None:
    caller, _ = desk.aws.world.principals.issue(Principal(ID, arn, ID, unrestricted=True), None)
    person = desk(who=caller)
    person.sees(message)
    assert person.status() == 3
    assert desk.aws.calls.operations() == {"GetCallerIdentity": 1}


@pytest.mark.parametrize("external_id", ["acme-7f3a", "wrong"])
def test_a_role_leads_into_another_account(desk: Desk, external_id: str) -> None:
    desk.account.trust("enroller", "acme-7f3a")
    arguments = ("--user", "alice", "--role-arn", ROLE, "--external-id", external_id, "--seed")
    person = desk(*arguments, who=desk.aws.world.operator_credentials)
    if external_id == "wrong":
        person.sees("the role could not be assumed")
        assert person.status() == 1
    else:
        person.sees(f"Acting as arn:aws:sts::{ID}:assumed-role/enroller/mfa-operator")
        person.enters(codes(person.seed()))
        assert person.status() == 0
        assert desk.alice.mfa_serials == [SERIAL]


@pytest.mark.parametrize(
    ("arguments", "environment", "message", "status"),
    [
        (["--user", "carol"], {}, f"there is no IAM user carol in account {ID}", 3),
        ([], {"AWS_PROFILE": "nobody"}, "(nobody) could not be found", 3),
        ([], {"AWS_ACCESS_KEY_ID": "AKIANOBODYKNOWSTHIS0"}, "AWS does not accept the credentials", 1),
        ([], {"TERM": "dumb"}, "cannot take the seed off the screen: use --qr-png FILE", 3),
        ([], {"PYTHONIOENCODING": "latin-1"}, "has no blocks to draw with", 3),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_made(
    desk: Desk, arguments: list[str], environment: dict[str, str], message: str, status: int
) -> None:
    person = desk(*arguments, environment=environment)
    person.sees(message)
    assert person.status() == status
    assert desk.aws.calls.count(CREATE) == 0


def test_a_window_too_small_for_the_qr_code_is_told(desk: Desk) -> None:
    person = desk(size=(20, 200))
    person.sees("the QR code needs a window of 39 columns and 24 lines, and this one has 200 and 20")
    assert person.status() == 1
    assert desk.untouched


@pytest.mark.parametrize("piped", ["stdin", "stdout"])
def test_without_a_terminal_on_both_sides_nothing_is_shown(desk: Desk, piped: str) -> None:
    """A seed must not run into a file or a pipe."""
    near, far = os.openpty()
    try:
        done = subprocess.run(
            [*PROGRAM, "--user", "alice", "--seed"],
            stdin=subprocess.DEVNULL if piped == "stdin" else far,
            stdout=subprocess.PIPE if piped == "stdout" else far,
            stderr=subprocess.PIPE,
            env=desk.environment(),
            timeout=60,
            check=False,
        )
    finally:
        os.close(near)
        os.close(far)
    assert done.returncode == 3
    assert b"enroll needs a terminal" in done.stderr
    assert len(desk.aws.calls) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--user", "al ice"], "--user is 'al ice'"),
        (["--user", "<root_account>"], "--user is '<root_account>'"),
        (["--user", "a" * 65], "up to 64"),
        (["--user", "alïce"], "--user is 'alïce'"),
        (["--user", "alice", "--device-name", "my/phone"], "--device-name is 'my/phone'"),
        (["--user", "alice", "--role-arn", "mfa-operator"], "arn:aws:iam::111122223333:role/mfa-operator"),
        (["--user", "alice", "--external-id", "x1"], "only with --role-arn"),
        (["--user", "alice", "--role-arn", ROLE, "--external-id", "a b"], "--external-id is 'a b'"),
        (["--role-arn", ROLE], "name the user with --user"),
        (["--user", "alice", "--seed", "--qr-png", "x.png"], "choose one"),
        (["--user", "alice"], "enroll needs a terminal"),
    ],
)
def test_bad_input_is_told(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 3
    assert message in result.stderr
    assert result.stdout == ""


# The seed


def test_the_seed_stands_nowhere_but_on_the_screen(desk: Desk, tmp_path: Path) -> None:
    log = tmp_path / "debug.log"
    verbose = (
        "import logging; from mfa_operator.cli.enroll import command; "
        f"logging.basicConfig(level=logging.DEBUG, filename={str(log)!r}); command()"
    )
    desk.aws.faults.add(ENABLE, "no_such_entity", times=1)  # retries are logged too
    person = desk("--seed", program=(sys.executable, "-c", verbose))
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


class Nobody:
    def tell(self, message: str) -> None:
        raise AssertionError(message)

    def given(self, device: NewDevice) -> AbstractContextManager[None]:
        return nullcontext(device.seed)  # type: ignore[arg-type]  # never reached

    def codes(self, note: str) -> tuple[str, str]:
        raise AssertionError(note)


def test_the_seed_is_in_no_error_even_if_the_answer_breaks_off() -> None:
    """botocore's error for an answer that it cannot parse holds the whole answer."""
    seed = "JBSWY3DPEHPK3PXP" * 4
    broken: Any = io.BytesIO(f"<CreateVirtualMFADeviceResponse><Base32StringSeed>{seed}</Base32".encode())
    broken.stream = lambda **_: iter([broken.read()])
    headers: Any = {}

    def answer(request: Any, **_: object) -> Any:
        return AWSResponse(request.url, 200, headers, broken)

    iam = boto3.Session("AKIA", "secret", region_name="us-east-1").client("iam")
    iam.meta.events.register("before-send.iam.CreateVirtualMFADevice", answer)
    enrollment = Enrollment(Access(iam, Identity(ID, f"arn:aws:iam::{ID}:user/admin")), "alice", "alice")
    with pytest.raises(NotEnrolled) as caught:
        enrollment.run(Nobody())
    iam.close()
    assert CREATE in str(caught.value)
    assert seed not in "".join(traceback.format_exception(caught.value))


def test_a_device_does_not_show_its_seed() -> None:
    assert repr(NewDevice("JBSWY3DPEHPK3PXP", b"picture")) == "NewDevice()"
