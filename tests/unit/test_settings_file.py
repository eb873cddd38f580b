"""The settings file: clear errors, changes that hold at once, and failing closed."""

from __future__ import annotations

import logging
import os
import resource
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mfa_operator.api.enums import RemediationAction
from mfa_operator.api.policy import Account
from mfa_operator.config.access_file import AccessFile, SettingsFileError
from mfa_operator.config.access_rules import AccessRules
from mfa_operator.metrics.exporter import Metrics

ACCOUNT = Account(id="111122223333")
AUDIT = "access:\n- namespaces: [security]\n"
REMOVE = "access:\n- namespaces: [security]\n  remediation: RemoveConsoleAccess\n"
BROKEN = "access:\n- namespaces: [security]\n  remediation: Remove\n"


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "settings.yaml"


@pytest.fixture
def write(path: Path, clock: Clock) -> Callable[[str], None]:
    """Replaces the file as `kubectl edit` or a text editor does, and lets a second pass."""

    def replace(text: str) -> None:
        new = path.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        new.replace(path)
        clock.now += 1

    return replace


def action(access: AccessFile | AccessRules) -> RemediationAction:
    current = access.current() if isinstance(access, AccessFile) else access
    return current.max_action("security", ACCOUNT)


class TestErrors:
    @pytest.mark.parametrize(
        ("text", "line", "words"),
        [
            ("access:\n- namespaces: [security]\n- remediation: Delete\n", 3, "access[1].remediation"),
            ("access:\n- namespaces:\n  - a\n  - 12\n", 4, "access[0].namespaces[1]"),
            ("access:\n- namespacs: [a]\n", 2, "namespacs"),
            ("access:\n- accounts: [111122223333]\n", 2, "12 digits, in quotes"),
            ("access: [\n- a\n", 2, "not YAML"),
            ("access: []\naccess: [{}]\n", 2, "access is here twice"),
            ("access:\n- roles: [a]\n  namespaces: [b]\n  roles: []\n", 4, "roles is here twice"),
            ("a\tb: [\x00]", None, "not YAML"),
            ("", None, "the file is empty"),
            ("# nothing\n", None, "the file is empty"),
            ("access: []\n---\naccess: []\n", 3, "second document"),
            ("rules: []\n", 1, "unknown field 'rules'"),
            ("access: !!python/object:os.system []\n", 1, "not YAML"),
            ("- access\n", 1, "xpected"),
            ("{}: 1\n", 1, "a key is a list or a mapping"),
            ("access:\n- 1: [a]\n", 2, "the key 1 is a number; keys are text"),
            ("[" * 100_000, 1, "more than 64 levels of nesting"),
            ("access: &a [*a]\n", 1, "an alias for itself"),
            ("#" * 4_000_000, None, "more than 3,145,728 characters"),
        ],
    )
    def test_name_file_line_and_what_is_wrong(self, path: Path, text: str, line: int | None, words: str) -> None:
        path.write_text(text, encoding="utf-8")
        with pytest.raises(SettingsFileError) as refused:
            AccessFile(path)
        message = str(refused.value)
        assert message.startswith(f"{path}:{line}: " if line else f"{path}: ")
        assert words in message
        assert "\n" not in message

    def test_a_file_that_is_not_there_or_no_text_is_refused(self, path: Path, tmp_path: Path) -> None:
        with pytest.raises(SettingsFileError, match="cannot be read: No such file"):
            AccessFile(path)
        with pytest.raises(SettingsFileError, match="cannot be read: Is a directory"):
            AccessFile(tmp_path)
        path.write_bytes(b"access: \xff")
        with pytest.raises(SettingsFileError, match="not UTF-8"):
            AccessFile(path)

    def test_the_operator_does_not_start_on_a_broken_file(self, path: Path) -> None:
        path.write_text(BROKEN, encoding="utf-8")
        with pytest.raises(SettingsFileError):
            AccessFile(path)


class TestChanges:
    def test_no_file_gives_the_default_for_ever(self) -> None:
        assert AccessFile(None).current() == AccessRules()

    def test_a_new_version_holds_within_a_second(self, path: Path, clock: Clock, write: Callable[[str], None]) -> None:
        write(AUDIT)
        access = AccessFile(path, monotonic=clock)
        assert action(access) is RemediationAction.NONE
        write(REMOVE)
        assert action(access) is RemediationAction.REMOVE_CONSOLE_ACCESS
        write(AUDIT)
        assert action(access) is RemediationAction.NONE

    def test_the_file_is_looked_at_once_a_second_at_most(self, path: Path, clock: Clock) -> None:
        path.write_text(REMOVE, encoding="utf-8")
        access = AccessFile(path, monotonic=clock)
        path.unlink()
        clock.now += 0.9
        assert action(access) is RemediationAction.REMOVE_CONSOLE_ACCESS
        clock.now += 0.1
        assert action(access) is RemediationAction.NONE

    def test_the_swap_of_a_config_map_is_seen(self, tmp_path: Path, clock: Clock) -> None:
        """As the kubelet does it: settings.yaml -> ..data/settings.yaml, ..data -> a directory of the version."""
        modified = 1_700_000_000_000_000_000
        padded = AUDIT + "#" * (len(REMOVE) - len(AUDIT))
        for version, text in {"..1": padded, "..2": REMOVE}.items():
            (tmp_path / version).mkdir()
            (tmp_path / version / "settings.yaml").write_text(text, encoding="utf-8")
            # Neither time nor size tells the two apart.
            os.utime(tmp_path / version / "settings.yaml", ns=(modified, modified))
        (tmp_path / "..data").symlink_to("..1")
        (tmp_path / "settings.yaml").symlink_to("..data/settings.yaml")
        access = AccessFile(tmp_path / "settings.yaml", monotonic=clock)
        assert action(access) is RemediationAction.NONE
        (tmp_path / "..tmp").symlink_to("..2")
        (tmp_path / "..tmp").replace(tmp_path / "..data")
        clock.now += 1
        assert action(access) is RemediationAction.REMOVE_CONSOLE_ACCESS

    def test_it_is_right_for_many_threads_at_once(self, path: Path, write: Callable[[str], None]) -> None:
        write(AUDIT)
        access, seen, stop = AccessFile(path, monotonic=iter(range(10**9)).__next__), set(), threading.Event()

        def ask() -> None:
            while not stop.is_set():
                seen.add(action(access))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for text in [REMOVE, AUDIT, BROKEN] * 20:
            write(text)
        write(REMOVE)
        stop.set()
        for thread in threads:
            thread.join()
        assert action(access) is RemediationAction.REMOVE_CONSOLE_ACCESS
        assert seen <= {RemediationAction.NONE, RemediationAction.REMOVE_CONSOLE_ACCESS}


class TestFailsClosed:
    @pytest.fixture
    def access(self, path: Path, clock: Clock, write: Callable[[str], None]) -> AccessFile:
        write(REMOVE)
        access = AccessFile(path, monotonic=clock)
        assert action(access) is RemediationAction.REMOVE_CONSOLE_ACCESS
        return access

    @pytest.mark.parametrize("text", [BROKEN, "", "access: [", "access: {}"])
    def test_a_broken_file_stops_remediation_not_audits(
        self, access: AccessFile, write: Callable[[str], None], text: str
    ) -> None:
        write(text)
        assert action(access) is RemediationAction.NONE
        assert access.current().allows("security", ACCOUNT)
        assert not access.current().allows("other", ACCOUNT)
        write(REMOVE)
        assert action(access) is RemediationAction.REMOVE_CONSOLE_ACCESS

    def test_a_file_that_is_gone_is_a_broken_one(
        self, access: AccessFile, path: Path, clock: Clock, write: Callable[[str], None]
    ) -> None:
        path.unlink()
        clock.now += 1
        assert action(access) is RemediationAction.NONE
        write(REMOVE)
        assert action(access) is RemediationAction.REMOVE_CONSOLE_ACCESS

    def test_a_read_that_fails_is_tried_again(self, access: AccessFile, clock: Clock) -> None:
        """Too many open files: the file itself does not change, and remediation comes back with the next check."""
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        access._signature = (0, 0, 0, 0)  # as if the file had just been replaced
        clock.now += 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        try:
            assert action(access) is RemediationAction.NONE
            assert "cannot be read: Too many open files" in access.problem
            assert access.current().allows("security", ACCOUNT)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert action(access) is RemediationAction.NONE
        clock.now += 1
        assert action(access) is RemediationAction.REMOVE_CONSOLE_ACCESS
        assert access.problem == ""

    def test_the_metric_says_it_without_a_pass(self, access: AccessFile, path: Path, clock: Clock) -> None:
        metrics = Metrics(version="1", settings_up=lambda: not access.problem)
        assert metrics.registry.get_sample_value("mfa_operator_settings_up") == 1
        path.unlink()
        clock.now += 1
        assert metrics.registry.get_sample_value("mfa_operator_settings_up") == 0

    def test_it_is_logged_while_it_lasts(
        self, access: AccessFile, path: Path, clock: Clock, write: Callable[[str], None], caplog: Any
    ) -> None:
        caplog.set_level(logging.INFO)
        path.unlink()
        for _ in range(150):
            clock.now += 1
            access.current()
        assert [record.levelname for record in caplog.records] == ["ERROR"] * 3
        write(REMOVE)
        access.current()
        assert caplog.messages[-1] == f"{path} is valid again"

    def test_each_broken_version_is_logged_once(
        self, access: AccessFile, write: Callable[[str], None], clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        for text in (BROKEN, "access: ["):
            write(text)
            for _ in range(3):
                access.current()
                clock.now += 1
        errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
        assert ["remediation" in errors[0], "not YAML" in errors[1], len(errors)] == [True, True, 2]

    def test_the_command_line_switch_stays_off_through_changes(
        self, path: Path, clock: Clock, write: Callable[[str], None]
    ) -> None:
        write(REMOVE)
        access = AccessFile(path, remediation=False, monotonic=clock)
        assert action(access) is RemediationAction.NONE
        write(REMOVE + "# again\n")
        assert action(access) is RemediationAction.NONE
        assert access.current().allows("security", ACCOUNT)
