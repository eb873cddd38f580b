"""The command line where its output cannot be written, and where Ctrl-C comes early: real processes."""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest

from mfa_operator.cli import output
from mfa_operator.cli.program import COMMANDS, cli

PROGRAM = str(Path(sys.executable).with_name("mfa-operator"))
SOURCES = Path(__file__).parents[2] / "operator" / "mfa_operator"
PATIENCE = 60.0
PATH = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
FULL = "mfa-operator: the output cannot be written: No space left on device"
CLOSED = "mfa-operator: the output cannot be written: Bad file descriptor"
HELP = [["--help"], ["version"], ["audit", "--help"]]


def run(args: Sequence[str], redirection: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command, started by a shell that redirects its output."""
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", PROGRAM, *args],
        env=PATH | environment,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize("args", HELP, ids=" ".join)
@pytest.mark.parametrize(("redirection", "words"), [(">/dev/full", FULL), (">&-", CLOSED), ("<&- >&-", CLOSED)])
def test_output_that_cannot_be_written_is_one_line_and_status_2(args: list[str], redirection: str, words: str) -> None:
    done = run(args, redirection)
    assert (done.returncode, done.stderr) == (2, words + "\n")


@pytest.mark.parametrize("args", HELP, ids=" ".join)
def test_a_pipe_that_nobody_reads_ends_it_without_a_word(args: list[str]) -> None:
    """Status 141, as of a program that SIGPIPE ended: not 1, which means violations."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [PROGRAM, *args], env=PATH, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize(
    ("args", "status"), [(["bogus"], 3), (["version"], 0), (["audit", "-f", "/none"], 3), ([], 3)], ids=str
)
@pytest.mark.parametrize("redirection", [">&2 2>&-", ">&2 2>/dev/full"])
def test_messages_that_cannot_be_written_change_no_status(args: list[str], status: int, redirection: str) -> None:
    assert run(args, redirection).returncode == status


@pytest.mark.parametrize("kind", [output._Output, output._Messages])
def test_a_full_pipe_that_does_not_block_is_waited_for(kind: type[io.FileIO], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever shares the terminal may have made it so. stderr was tried again and again, with a whole CPU."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with os.fdopen(reading, "rb", buffering=0) as reader, kind(writing, "w") as pipe:
        with contextlib.suppress(BlockingIOError):
            while os.write(writing, bytes(4096)):
                pass
        waited = []

        def read_some(*_: object) -> None:
            waited.append(len(reader.read(65_536)))

        monkeypatch.setattr("mfa_operator.cli.output.select.select", read_some)
        assert pipe.write(b"x") == 1
        assert waited


def test_a_closed_stdout_is_not_taken_by_the_next_file(tmp_path: Path) -> None:
    """Otherwise what is printed would go into it: a socket to AWS, or a file."""
    code = "from mfa_operator.cli import output; output.protect(); "
    code += "print(open('/dev/null').fileno() > 2, file=open('x', 'w'))"
    subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", code],
        cwd=tmp_path,
        timeout=PATIENCE,
        check=True,
    )
    assert (tmp_path / "x").read_text() == "True\n"


class Started:
    """The command under way, with the modules that it imports on stderr as it goes."""

    def __init__(self, *args: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-X", "importtime", PROGRAM, *args],
            env=PATH | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def interrupt(self) -> tuple[int, list[str]]:
        """Send SIGINT; the exit status, and what the command itself said."""
        self.process.send_signal(signal.SIGINT)
        with self.process:
            _, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, [line for line in err.splitlines() if not line.startswith("import time:")]

    def imported(self, module: str) -> None:
        assert self.process.stderr
        assert any(line.split("|")[-1].strip() == module for line in self.process.stderr)


@pytest.fixture
def policy(tmp_path: Path) -> str:
    path = tmp_path / "policy.yaml"
    path.write_text(
        "{apiVersion: mfa-operator.io/v1alpha1, kind: MfaPolicy, metadata: {name: a},"
        ' spec: {accounts: [{id: "111122223333"}, {id: "444455556666"}]}}'
    )
    return str(path)


@pytest.mark.parametrize("module", ["click.core", "mfa_operator.offline.policy_files", "botocore.session", "boto3"])
def test_ctrl_c_during_imports_is_one_line_and_status_130(policy: str, module: str) -> None:
    started = Started("audit", "-f", policy, AWS_ENDPOINT_URL="http://127.0.0.1:9")
    started.imported(module)
    assert started.interrupt() == (130, ["mfa-operator: interrupted"])


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE)
        yield listening


def test_ctrl_c_does_not_wait_for_aws(policy: str, silent: socket.socket) -> None:
    started = Started(
        "audit",
        "-f",
        policy,
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{silent.getsockname()[1]}",
        AWS_ACCESS_KEY_ID="a",
        AWS_SECRET_ACCESS_KEY="b",
        AWS_MAX_ATTEMPTS="1",
    )
    connection, _ = silent.accept()
    with connection:
        assert started.interrupt() == (130, ["mfa-operator: interrupted"])


def test_every_option_that_a_message_names_exists() -> None:
    """In what the program says, not in its docstrings; those of aws and kubectl follow their own names."""
    commands = [cli, *(cli.get_command(click.Context(cli), name) for name in COMMANDS)]
    known = {name for command in commands if command for option in command.params for name in option.opts}
    known |= {name for command in commands if command for option in command.params for name in option.secondary_opts}
    unknown = [
        f"{path.name}:{number}: {option}"
        for path in SOURCES.rglob("*.py")
        for number, text in spoken(ast.parse(path.read_text()))
        if not re.search(r"\b(aws|kubectl|helm|pip) [a-z-]|--bootstrap-method|--serial-number|--authentication", text)
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)
        if option not in known | {"--help"}
    ]
    assert unknown == []


def spoken(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Strings that are no docstrings, with their lines."""
    silent = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
            yield node.lineno, node.value
