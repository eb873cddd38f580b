"""Policies and earlier results from files, for the commands that work without a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from mfa_operator.api.conversion import InvalidObject, from_dict
from mfa_operator.api.objects import Policy, PolicyRef, read_policy
from mfa_operator.api.status import ReportStatus
from mfa_operator.config.settings import SettingsError
from mfa_operator.config.yaml_source import NotYaml, documents

Previous = Mapping[tuple[PolicyRef, str], ReportStatus]
"""Earlier reports by policy and account id."""


class InvalidInput(SettingsError):
    """A file given on the command line is not what the command needs; the message names file, line and field."""


def load_policy(path: Path) -> Policy:
    """The one MfaPolicy in a YAML file. Raises InvalidInput."""
    text = _read(path)
    try:
        found = documents(text)
    except NotYaml as error:
        raise InvalidInput(f"{_at(path, error.line)}: not YAML: {error}") from error
    if not found:
        raise InvalidInput(f"{path}: the file is empty; it needs an MfaPolicy")
    if len(found) > 1:
        line = found[1].node.start_mark.line + 1
        raise InvalidInput(
            f"{_at(path, line)}: a second document begins here; give each policy a file and an -f of its own"
        )
    document = found[0]
    if not isinstance(document.value, Mapping):
        raise InvalidInput(f"{_at(path, 1)}: expected an MfaPolicy, found {type(document.value).__name__}")
    try:
        return read_policy(document.value)
    except InvalidObject as error:
        raise InvalidInput(f"{_at(path, document.line(error.path))}: {error}") from error


def load_previous(path: Path) -> Previous:
    """The reports in the JSON that an earlier `mfa-operator audit -o json` wrote. Raises InvalidInput."""
    try:
        content = msgspec.json.decode(_read(path))
        return {
            (PolicyRef(policy["namespace"], policy["name"]), report["accountId"]): from_dict(ReportStatus, report)
            for policy in content["policies"]
            for report in policy["reports"]
        }
    except msgspec.DecodeError as error:
        raise InvalidInput(f"{path}: not JSON: {error}") from error
    except (KeyError, TypeError, RecursionError) as error:
        raise InvalidInput(f"{path}: not what `mfa-operator audit -o json` writes: {error!r}") from error
    except InvalidObject as error:
        raise InvalidInput(f"{path}: in a report: {error}") from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path}: is not UTF-8 text: {error.reason}") from error


def _at(path: Path, line: int | None) -> str:
    return f"{path}:{line}" if line else str(path)
