"""The operator's settings file (`--config`): read, checked, and read again when it changes."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from mfa_operator.api.conversion import InvalidObject
from mfa_operator.config.access_rules import AccessRules
from mfa_operator.config.settings import SettingsError
from mfa_operator.config.yaml_bounds import MAX_CHARACTERS
from mfa_operator.config.yaml_source import NotYaml, only_document

logger = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
"""The file is checked at most this often: a rule that is removed is gone within a second, for one system call."""

LOG_SECONDS = 60.0
"""Between two log lines about one problem that lasts."""

_Signature = tuple[int, int, int, int]
"""mtime and ctime in ns, size, inode. A ConfigMap's update swaps a symlink, so that the inode changes; a chmod that
makes the file readable again changes ctime alone."""


class SettingsFileError(SettingsError):
    """The settings file cannot be read or is wrong; the message names file, line where known, and field."""

    def __init__(self, path: Path, problem: str, *, line: int | None = None) -> None:
        super().__init__(f"{path}{f':{line}' if line else ''}: {problem}")


def parse_access(text: str, path: Path) -> AccessRules:
    """The access rules of a settings file's text; `path` is for messages. Raises SettingsFileError."""
    try:
        document = only_document(text, needs="a list of rules named access", one="only one is allowed")
    except NotYaml as error:
        raise SettingsFileError(path, str(error), line=error.line) from error
    try:
        return AccessRules.from_dict(document.value)
    except InvalidObject as error:
        raise SettingsFileError(path, str(error), line=document.line(error.path)) from error


class AccessFile:
    """The access rules now in force; safe to ask from any thread, before every single action.

    Fails closed: while the file is broken, gone or unreadable, accounts may be audited by the last good rules, and
    nothing is remediated. What could not be read is read again at every check, what is wrong in it once it changes.
    """

    def __init__(
        self, path: Path | None, *, remediation: bool = True, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Read the file; None: the default rules. `remediation` False: none, whatever the file says.

        `monotonic` gives seconds. Raises SettingsFileError: to start on a broken file would hide it.
        """
        self._path = path
        self._remediation = remediation
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._checked = monotonic()
        self._signature: _Signature | None = None
        """Of what was read last; None where nothing could be read."""
        self._problem = ""
        self._logged = 0.0
        self._rules = AccessRules()
        if path:
            self._rules, self._signature = _read(path)

    @property
    def problem(self) -> str:
        """Why the file cannot be used, as of the last second; "" while it can."""
        self.current()
        return self._problem

    def current(self) -> AccessRules:
        """The rules in force; at most a second old."""
        with self._lock:
            if self._path and self._monotonic() - self._checked >= CHECK_SECONDS:
                self._checked = self._monotonic()
                self._refresh(self._path)
            return self._rules if self._remediation and not self._problem else self._rules.without_remediation()

    def _refresh(self, path: Path) -> None:
        try:
            if self._signature is None or _signature(path.stat()) != self._signature:
                self._take_over(path)
        except OSError as error:
            # The next check tries again: too many open files, or a disk that fails, may pass without a trace.
            self._signature = None
            self._fail(str(SettingsFileError(path, f"cannot be read: {error.strerror}")))
        if self._problem and self._monotonic() - self._logged >= LOG_SECONDS:
            self._log_problem()

    def _take_over(self, path: Path) -> None:
        text, self._signature = _read_text(path)
        try:
            rules = parse_access(_decode(text, path), path)
        except SettingsFileError as error:
            self._fail(str(error))
            return
        if rules != self._rules:
            logger.info("the access rules in %s changed: %d in force", path, len(rules.rules))
        if self._problem:
            logger.info("%s is valid again", path)
        self._rules, self._problem = rules, ""

    def _fail(self, problem: str) -> None:
        new, self._problem = problem != self._problem, problem
        if new:
            self._log_problem()

    def _log_problem(self) -> None:
        self._logged = self._monotonic()
        logger.error(
            "%s; nothing is remediated until the file is valid; audits go on with the last valid rules", self._problem
        )


def _read(path: Path) -> tuple[AccessRules, _Signature]:
    try:
        text, signature = _read_text(path)
    except OSError as error:
        raise SettingsFileError(path, f"cannot be read: {error.strerror}") from error
    return parse_access(_decode(text, path), path), signature


def _read_text(path: Path) -> tuple[bytes, _Signature]:
    with path.open("rb") as file:
        # Taken from the open file: what is read below is of this version or a later one, never an older.
        signature = _signature(os.fstat(file.fileno()))
        # Enough to be refused for its length where it is too long: a character has at most 4 bytes.
        return file.read(4 * MAX_CHARACTERS + 1), signature


def _decode(text: bytes, path: Path) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SettingsFileError(path, f"is not UTF-8 text: {error.reason}") from error


def _signature(stat: os.stat_result) -> _Signature:
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino
