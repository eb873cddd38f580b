"""Policies and earlier results from files, for the commands that work without a cluster."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

import msgspec

from mfa_operator.api.conversion import InvalidObject, from_dict
from mfa_operator.api.objects import Policy, PolicyRef, read_policy
from mfa_operator.api.status import ReportStatus
from mfa_operator.config.settings import SettingsError
from mfa_operator.config.yaml_bounds import MAX_CHARACTERS
from mfa_operator.config.yaml_source import NotYaml, only_document

MAX_PREVIOUS = 256 * 2**20
"""Characters of an earlier result: the reports of some 250 accounts of the largest size that IAM allows."""

STDIN = Path("-")

Previous = Mapping[tuple[PolicyRef, str], ReportStatus]
"""Earlier reports by policy and account id."""


class InvalidInput(SettingsError):
    """A file given on the command line is not what the command needs; the message names file, line and field."""


def load_policy(path: Path) -> Policy:
    """The one MfaPolicy in a YAML file; `-` is stdin. Raises InvalidInput."""
    try:
        document = only_document(
            _read(path, MAX_CHARACTERS + 1), needs="an MfaPolicy", one="give each policy its own file and -f"
        )
    except NotYaml as error:
        raise InvalidInput(f"{_at(path, error.line)}: {error}") from error
    if not isinstance(document.value, Mapping):
        raise InvalidInput(f"{_at(path, 1)}: expected an MfaPolicy, found {type(document.value).__name__}")
    try:
        return read_policy(document.value)
    except InvalidObject as error:
        raise InvalidInput(f"{_at(path, document.line(error.path))}: {error}") from error


def load_previous(path: Path, *, limit: int = MAX_PREVIOUS) -> Previous:
    """The reports in the JSON that an earlier `mfa-operator audit -o json` wrote. Raises InvalidInput."""
    try:
        text = _read(path, limit + 1)
        if len(text) > limit:
            raise InvalidInput(f"{path}: more than {limit:,} characters")
        content = msgspec.json.decode(text)
        return {
            (PolicyRef(policy["namespace"], policy["name"]), report["accountId"]): from_dict(ReportStatus, report)
            for policy in content["policies"]
            for report in policy["reports"]
        }
    except msgspec.DecodeError as error:
        raise InvalidInput(f"{path}: not JSON: {error}") from error
    except RecursionError as error:
        raise InvalidInput(f"{path}: not what `mfa-operator audit -o json` writes: nested too deeply") from error
    except KeyError as error:
        raise InvalidInput(f"{path}: not what `mfa-operator audit -o json` writes: {error} is missing") from error
    except TypeError as error:
        raise InvalidInput(f"{path}: not what `mfa-operator audit -o json` writes: {error}") from error
    except InvalidObject as error:
        raise InvalidInput(f"{path}: in a report: {error}") from error


def _stdin() -> TextIO:
    # Not sys.stdin: its encoding depends on the locale.
    return os.fdopen(0, encoding="utf-8", closefd=False)


def _read(path: Path, limit: int) -> str:
    """The first `limit` characters: a file may be a pipe or a device that has no end."""
    try:
        with _stdin() if path == STDIN else path.open(encoding="utf-8") as file:
            return file.read(limit)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path}: is not UTF-8 text: {error.reason}") from error


def _at(path: Path, line: int | None) -> str:
    return f"{path}:{line}" if line else str(path)
