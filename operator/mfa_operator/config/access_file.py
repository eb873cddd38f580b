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
from mfa_operator.config.yaml_source import NotYaml, documents

logger = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
"""At most this often the file is looked at: a rule taken away holds within a second, for one system call."""

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
        found = documents(text)
    except NotYaml as error:
        raise SettingsFileError(path, str(error), line=error.line) from error
    if not found:
        raise SettingsFileError(path, "the file is empty; it needs a list of rules: access")
    if len(found) > 1:
        raise SettingsFileError(path, "a second document begins here; one is read", line=found[1].line(""))
    try:
        return AccessRules.from_dict(found[0].value)
    except InvalidObject as error:
        raise SettingsFileError(path, str(error), line=found[0].line(error.path)) from error


def load_access(path: Path) -> AccessRules:
    """Read the access rules from the file. Raises SettingsFileError."""
    return _read(path)[0]


class AccessFile:
    """The access rules now in force; safe to ask from any thread, before every single action.

    Fails closed: while the file is broken or gone, accounts may be audited by the last good rules, and nothing is
    remediated.
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
        rules = AccessRules()
        if path:
            rules, self._signature = _read(path)
        self._rules = rules if remediation else rules.without_remediation()

    def current(self) -> AccessRules:
        """The rules in force; at most a second old."""
        with self._lock:
            if self._path and self._monotonic() - self._checked >= CHECK_SECONDS:
                self._checked = self._monotonic()
                self._refresh(self._path)
            return self._rules

    def _refresh(self, path: Path) -> None:
        try:
            signature = _signature(path.stat())
        except OSError:
            signature = None
        if signature == self._signature:
            return
        self._signature = signature
        try:
            rules, self._signature = _read(path)
        except SettingsFileError as error:
            logger.error(  # noqa: TRY400 - the message says it all
                "%s; nothing is remediated until the file is right; audits go on by the rules before", error
            )
            self._rules = self._rules.without_remediation()
        else:
            logger.info("the access rules in %s changed: %d in force", path, len(rules.rules))
            self._rules = rules if self._remediation else rules.without_remediation()


def _read(path: Path) -> tuple[AccessRules, _Signature]:
    try:
        with path.open(encoding="utf-8") as file:
            # Taken from the open file: what is read below is of this version or a later one, never an older.
            signature = _signature(os.fstat(file.fileno()))
            text = file.read(MAX_CHARACTERS + 1)
    except OSError as error:
        raise SettingsFileError(path, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsFileError(path, f"is not UTF-8 text: {error.reason}") from error
    return parse_access(text, path), signature


def _signature(stat: os.stat_result) -> _Signature:
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino
