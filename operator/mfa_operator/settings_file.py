"""The operator's settings file (`--config`): read, checked, and read again when it changes."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from mfa_operator.access import AccessRules
from mfa_operator.api.conversion import InvalidObject
from mfa_operator.settings import SettingsError

logger = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
"""At most this often the file is looked at: a rule taken away holds within a second, for one system call."""

_Base: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Signature = tuple[int, int, int, int]
"""mtime and ctime in ns, size, inode. A ConfigMap's update swaps a symlink, so that the inode changes; a chmod that
makes the file readable again changes ctime alone."""


class SettingsFileError(SettingsError):
    """The settings file cannot be read or is wrong; the message names file, line where known, and field."""

    def __init__(self, path: Path, problem: str, *, line: int | None = None) -> None:
        super().__init__(f"{path}{f':{line}' if line else ''}: {problem}")


class _Loader(_Base):  # type: ignore[valid-type, misc]  # the C loader is not in every build of PyYAML
    """Refuses what YAML lets pass silently: in a list of rights, of two keys alike the second must not win unseen."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            # Keys that are no scalars are refused by the base class.
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} stands here twice", problem_mark=key.start_mark)
            seen.add(str(key.value))
        result: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return result


def parse_access(text: str, path: Path) -> AccessRules:
    """The access rules of a settings file's text; `path` is for messages. Raises SettingsFileError."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            value = loader.construct_document(node) if node else None
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem = getattr(error, "problem", None) or "a character that YAML does not allow"
        raise SettingsFileError(path, f"not YAML: {problem}", line=mark.line + 1 if mark else None) from error
    except (ValueError, RecursionError) as error:  # such as a timestamp of 31 February
        raise SettingsFileError(path, f"not YAML: {error}") from error
    if value is None:
        raise SettingsFileError(path, "the file is empty; it needs a list of rules: access")
    try:
        return AccessRules.from_dict(value)
    except InvalidObject as error:
        raise SettingsFileError(path, str(error), line=_line(node, error.path)) from error


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
            text = file.read()
    except OSError as error:
        raise SettingsFileError(path, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsFileError(path, f"is not UTF-8 text: {error.reason}") from error
    return parse_access(text, path), signature


def _signature(stat: os.stat_result) -> _Signature:
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino


def _line(node: yaml.Node | None, field: str) -> int | None:
    """Line, from 1, of a field written like `access[0].roles[1]`, or of what it should stand in."""
    for key, index in re.findall(r"(\w+)|\[(\d+)\]", field):
        if index and isinstance(node, yaml.SequenceNode) and int(index) < len(node.value):
            node = node.value[int(index)]
        elif isinstance(node, yaml.MappingNode):
            node = next((value for name, value in node.value if name.value == key), node)
    return node.start_mark.line + 1 if node else None
