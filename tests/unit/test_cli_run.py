"""The command line as a process: help, bad input, and `run` up to where it would need a cluster."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import click
import pytest
import urllib3
import yaml

from mfa_operator import __version__
from mfa_operator.cli.auditing import MAX_CONCURRENT_ACCOUNTS
from mfa_operator.cli.program import BAD_INPUT, COMMANDS, cli
from mfa_operator.cli.run import command
from tests.fixtures.ready_command import COMMAND, ReadyCommand

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 60.0
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def mfa_operator(ready_command: ReadyCommand) -> Run:
    def run(*args: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "COLUMNS": "80"}
        return ready_command.run(*args, env=clean | environment, cluster="run" in args)

    return run


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one message of a process that refuses its input."""
    assert (done.returncode, done.stdout) == (BAD_INPUT, ""), done.stderr
    (message,) = done.stderr.splitlines()
    assert message.startswith("mfa-operator: ")
    return message


@pytest.fixture
def kubeconfig(tmp_path: Path, free_port: int) -> Path:
    """For an API server that refuses connections."""
    path = tmp_path / "kubeconfig"
    named = {"name": "nowhere"}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [named | {"cluster": {"server": f"http://127.0.0.1:{free_port}"}}],
        "users": [named | {"user": {}}],
        "contexts": [named | {"context": {"cluster": "nowhere", "user": "nowhere", "namespace": "here"}}],
        "current-context": "nowhere",
    }
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def free_port() -> int:
    """A port that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


class TestHelp:
    def test_lists_every_command_with_its_own_summary(self, mfa_operator: Run) -> None:
        done = mfa_operator("--help")
        assert (done.returncode, done.stderr) == (0, "")
        listed = " ".join(done.stdout.split())
        with click.Context(cli) as context:
            for name in cli.list_commands(context):
                loaded = cli.get_command(context, name)
                assert loaded is not None
                summary = COMMANDS.get(name) or loaded.get_short_help_str(200)
                assert f"{name} {summary}" in listed
                assert loaded.get_short_help_str(200) == summary

    def test_of_run_tells_every_option_and_its_default(self, mfa_operator: Run) -> None:
        done = mfa_operator("run", "--help")
        assert done.returncode == 0
        text = " ".join(done.stdout.split())
        options = [option for option in command.params if isinstance(option, click.Option)]
        assert all(option.opts[0] in text for option in options if not option.hidden)
        assert "--interval-override" not in text
        assert text.count("[default:") == len([option for option in options if not option.hidden])

    def test_every_option_of_run_has_its_environment_variable(self) -> None:
        for option in command.params:
            assert option.envvar == "MFA_OPERATOR_" + option.opts[0].removeprefix("--").replace("-", "_").upper()

    def test_without_a_command_it_shows_help_and_ends_with_3(self, mfa_operator: Run) -> None:
        done = mfa_operator()
        assert (done.returncode, "Commands:" in done.stderr) == (BAD_INPUT, True)

    def test_version(self, mfa_operator: Run) -> None:
        assert mfa_operator("version").stdout == f"{__version__}\n"

    @pytest.mark.parametrize("args", [["--help"], ["version"], ["run", "--help"], ["audit", "--help"]])
    def test_what_needs_no_cluster_does_not_wait_for_its_libraries(self, args: list[str]) -> None:
        code = (
            "import sys\n"
            "from mfa_operator.cli import main\n"
            "try:\n    main()\n"
            "finally:\n    print(*{'kopf', 'kubernetes', 'aiohttp'} & sys.modules.keys(), file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, *args], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert (done.returncode, done.stderr) == (0, "\n")


class TestBadInput:
    @pytest.mark.parametrize(
        ("args", "words"),
        [
            (["bogus"], "no such command 'bogus'"),
            (["rn"], "Did you mean 'run'?"),
            (["run", "--bogus"], "no such option '--bogus'"),
            (["run", "surplus"], "surplus"),
            (["run", "--runbook-base-url", "docs"], "invalid URL 'docs'; it must begin with https://"),
            (["run", "--metrics-address", "9090"], "invalid address '9090'; write it like"),
            (["run", "--metrics-address", "host:99999"], "invalid address 'host:99999'"),
            (["run", "--health-address", "::1:80"], "invalid address '::1:80'"),
            (["run", "--namespace", "team-*"], "invalid namespace name 'team-*'"),
            (["run", "--namespace", "Security"], "invalid namespace name 'Security'"),
            (["run", "--remediation", "maybe"], "'maybe' is not one of 'off', 'on'"),
            (["run", "--max-concurrent-accounts", "0"], "0 is not in the range"),
            (["run", "--max-concurrent-accounts", "many"], "'many' is not a valid integer"),
            (["run", "--metrics-per-account-limit", "-1"], "-1 is not in the range x>=0"),
            (["run", "--log-format", "xml"], "'xml' is not one of"),
            (["run", "--log-level", "loud"], "'loud' is not one of"),
            (["run", "--interval-override", "5"], "write it like 90s"),
            (["run", "--interval-override", "0s"], "longer than 0s"),
            (["run", "--config"], "requires an argument"),
            (
                ["run", "--kubeconfig", "/nonexistent/kubeconfig"],
                "there is no kubeconfig at /nonexistent/kubeconfig; give --kubeconfig, or set KUBECONFIG",
            ),
            (["run", "--config", "/nonexistent/settings.yaml"], "/nonexistent/settings.yaml: cannot be read"),
        ],
    )
    def test_is_one_message_and_status_3(self, mfa_operator: Run, args: list[str], words: str) -> None:
        assert words in refusal(mfa_operator(*args))

    @pytest.mark.parametrize(
        ("variable", "value", "option"),
        [
            ("MFA_OPERATOR_NAMESPACE", "a,B", "--namespace"),
            ("MFA_OPERATOR_METRICS_ADDRESS", "x", "--metrics-address"),
            ("MFA_OPERATOR_USER_VIOLATION_INFO", "perhaps", "--user-violation-info"),
        ],
    )
    def test_from_the_environment_is_named_by_its_option(
        self, mfa_operator: Run, variable: str, value: str, option: str
    ) -> None:
        assert option in refusal(mfa_operator("run", **{variable: value}))

    def test_an_unknown_context_is_named_with_the_known_ones(self, mfa_operator: Run, kubeconfig: Path) -> None:
        message = refusal(mfa_operator("run", "--kubeconfig", kubeconfig, "--context", "prod"))
        assert "has no context 'prod'; it has nowhere" in message

    def test_a_wrong_settings_file_is_named_with_line_and_field(
        self, mfa_operator: Run, kubeconfig: Path, tmp_path: Path
    ) -> None:
        config = tmp_path / "settings.yaml"
        config.write_text("access:\n- namespaces: [security]\n  remediation: Delete\n", encoding="utf-8")
        message = refusal(mfa_operator("run", "--kubeconfig", kubeconfig, "--config", config))
        assert f"{config}:3: access[0].remediation" in message

    @pytest.mark.parametrize("option", ["--metrics-address", "--health-address"])
    def test_an_address_in_use_is_named(
        self, mfa_operator: Run, kubeconfig: Path, taken_port: int, option: str
    ) -> None:
        addresses = [
            "--metrics-address=127.0.0.1:0",
            "--health-address=127.0.0.1:0",
            f"{option}=127.0.0.1:{taken_port}",
        ]
        message = refusal(mfa_operator("run", "--kubeconfig", kubeconfig, *addresses))
        name = option.removeprefix("--").removesuffix("-address")
        assert message == f"mfa-operator: cannot listen on 127.0.0.1:{taken_port} for {name}: address already in use"

    def test_an_address_of_another_machine_is_refused_too(self, mfa_operator: Run, kubeconfig: Path) -> None:
        message = refusal(mfa_operator("run", "--kubeconfig", kubeconfig, "--metrics-address=192.0.2.1:9090"))
        assert "cannot listen on 192.0.2.1:9090 for metrics" in message


class TestOptions:
    def parse(self, *args: str) -> dict[str, object]:
        return command.make_context("run", list(args)).params

    @pytest.mark.parametrize("value", ["a,b-2", "a b-2", " a, b-2 ", "a\nb-2", "a,,b-2,"])
    def test_namespaces_in_the_environment_split_at_comma_and_space(
        self, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        monkeypatch.setenv("MFA_OPERATOR_NAMESPACE", value)
        assert self.parse()["namespaces"] == ("a", "b-2")

    def test_the_command_line_beats_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MFA_OPERATOR_NAMESPACE", "a")
        monkeypatch.setenv("MFA_OPERATOR_REMEDIATION", "off")
        assert self.parse("--namespace", "b", "--namespace", "c")["namespaces"] == ("b", "c")
        assert (self.parse()["remediation"], self.parse("--remediation=on")["remediation"]) == ("off", "on")

    def test_an_empty_variable_is_none_at_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for option in command.params:
            monkeypatch.setenv(str(option.envvar), "")
        empty = self.parse()
        for option in command.params:
            monkeypatch.delenv(str(option.envvar))
        assert empty == self.parse()

    @pytest.mark.parametrize(
        ("text", "address"),
        [
            ("0.0.0.0:9090", ("0.0.0.0", 9090)),
            (":9090", ("", 9090)),
            ("[::1]:0", ("::1", 0)),
            ("localhost:80", ("localhost", 80)),
        ],
    )
    def test_addresses(self, text: str, address: tuple[str, int]) -> None:
        assert self.parse("--metrics-address", text)["metrics_address"] == address

    def test_the_gauge_that_names_users_is_off_by_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.parse()["user_violation_info"] is False
        assert self.parse("--user-violation-info")["user_violation_info"] is True
        monkeypatch.setenv("MFA_OPERATOR_USER_VIOLATION_INFO", "true")
        assert self.parse()["user_violation_info"] is True
        assert self.parse("--no-user-violation-info")["user_violation_info"] is False

    def test_16_accounts_at_a_time_unless_told_else(self) -> None:
        """The same in the operator, in `audit` and in the chart."""
        values = yaml.safe_load((REPOSITORY / "deploy" / "helm" / "mfa-operator" / "values.yaml").read_text("utf-8"))
        assert self.parse()["max_concurrent_accounts"] == 16
        assert (MAX_CONCURRENT_ACCOUNTS, values["maxConcurrentAccounts"]) == (16, 16)

    def test_series_by_account_have_no_limit_by_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.parse()["metrics_per_account_limit"] is None
        assert self.parse("--metrics-per-account-limit", "0")["metrics_per_account_limit"] == 0
        monkeypatch.setenv("MFA_OPERATOR_METRICS_PER_ACCOUNT_LIMIT", "500")
        assert self.parse()["metrics_per_account_limit"] == 500

    def test_the_interval_override_may_be_below_the_minimum(self) -> None:
        assert self.parse("--interval-override", "1500ms")["interval_override"] == timedelta(seconds=1.5)


class TestWaiting:
    """A replica that cannot lead, as the API server is away: it waits, answers probes, and ends when it is told to."""

    @pytest.fixture
    def address(self) -> str:
        return "127.0.0.1:0"

    @pytest.fixture
    def waiting(self, kubeconfig: Path, tmp_path: Path, address: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
        path = tmp_path / "log"
        arguments = [f"--metrics-address={address}", f"--health-address={address}", "--log-format=json"]
        with path.open("wb") as log:
            process = subprocess.Popen([COMMAND, "run", f"--kubeconfig={kubeconfig}", *arguments], stderr=log)
        yield process, path
        process.kill()
        process.wait()

    def lines(self, path: Path) -> list[dict[str, str]]:
        return [
            json.loads(line) for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line[-1] == "\n"
        ]

    def said(self, path: Path, pattern: str) -> re.Match[str]:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for line in self.lines(path):
                if found := re.search(pattern, line["message"]):
                    return found
            time.sleep(0.05)
        pytest.fail(f"not logged: {pattern}\n{path.read_text(encoding='utf-8')}")

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_answers_probes_and_ends_in_order(
        self, waiting: tuple[subprocess.Popen[bytes], Path], number: signal.Signals
    ) -> None:
        process, path = waiting
        metrics, health = self.said(path, r"metrics on (\S+), health on (\S+)").groups()
        self.said(path, r"Lease here/mfa-operator: cannot be read or written: no answer")
        with urllib3.PoolManager(retries=False) as http:
            assert [http.request("GET", f"http://{health}{path}").status for path in ("/healthz", "/readyz", "/")] == [
                200,
                200,
                404,
            ]
            exposed = http.request("GET", f"http://{metrics}/metrics").data.decode()
        assert "mfa_operator_leader 0.0" in exposed
        process.send_signal(number)
        assert process.wait(timeout=5) == 0
        assert all({"timestamp", "level", "logger", "message"} <= line.keys() for line in self.lines(path))

    @pytest.mark.parametrize("address", ["[::]:0", ":0"])
    def test_serves_both_families(self, waiting: tuple[subprocess.Popen[bytes], Path]) -> None:
        """On a cluster of either family, or of both, the kubelet and Prometheus come by the one that they have."""
        _, path = waiting
        ports = self.said(path, r"metrics on \[::\]:(\d+), health on \[::\]:(\d+)").groups()
        with urllib3.PoolManager(retries=False) as http:
            for host in ("127.0.0.1", "[::1]"):
                for port, page in zip(ports, ("/metrics", "/healthz"), strict=True):
                    assert http.request("GET", f"http://{host}:{port}{page}").status == 200


class TestEventsQueue:
    def test_a_url_of_no_queue_is_one_message(self, mfa_operator: Run, kubeconfig: Path) -> None:
        message = refusal(mfa_operator("run", f"--kubeconfig={kubeconfig}", "--events-queue=nonsense"))
        assert "invalid queue URL 'nonsense'" in message

    def test_a_queue_without_a_region_is_one_message(self, mfa_operator: Run, kubeconfig: Path) -> None:
        url = "https://queue.example.com/111122223333/mfa-operator-events"
        done = mfa_operator("run", f"--kubeconfig={kubeconfig}", MFA_OPERATOR_EVENTS_QUEUE=url)
        assert done.returncode == BAD_INPUT
        assert "set AWS_REGION to the region of the queue" in done.stderr.splitlines()[-1]
