"""Logging of the process: text for people, JSON for collectors; to stderr.

One line a record in both forms, whatever stands in it: names and errors that others wrote cannot forge a record, move a
terminal's cursor or show a secret. Lines of a traceback are joined by " | " in text.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from mfa_operator.api.text import error_text, one_line, without_secrets
from mfa_operator.config.settings import LogSettings

MAX_RECORD = 4_000
"""Characters of a record's line, of its text in JSON, and of a line of a traceback."""
MAX_TRACEBACK = 100
"""Lines of a traceback: the last ones, which say what happened."""

SECRETIVE = ("boto3", "botocore", "s3transfer", "urllib3", "kubernetes", "aiohttp")
"""At debug these log whole requests and answers, temporary AWS credentials among them: they never may."""

CHATTY = {
    # A handler's success is a watch event that we log where it leads to something.
    "kopf": logging.WARNING,
    "asyncio": logging.WARNING,
}
"""Below debug, only this and worse of these."""

# kopf's own extras: its whole settings would stand in every line.
_KOPF_ATTRS = ("settings", "k8s_skip", "k8s_ref")


def configure(settings: LogSettings) -> None:
    """Set up the root logger, once, from the command line's entry."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_json() if settings.format == "json" else _text())
    if settings.level != "debug":
        handler.addFilter(_not_said_twice)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for name in SECRETIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    for name, level in CHATTY.items():
        logging.getLogger(name).setLevel(root.level if settings.level == "debug" else max(level, root.level))
    logging.getLogger("kopf._core.reactor.running").addFilter(_not_about_signals)
    logging.captureWarnings(True)


def flush() -> None:
    """Write out what is held back, before an end of the process that runs no exit handlers."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def _traceback(text: str) -> list[str]:
    """The lines of a traceback, each made safe to show."""
    lines = text.splitlines()[-MAX_TRACEBACK:]
    return [one_line(line, MAX_RECORD) for line in without_secrets("\n".join(lines)).splitlines()]


class _TextFormatter(logging.Formatter):
    """One line a record, its traceback included."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        record.message = error_text(record.message, MAX_RECORD)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        message, *traceback = super().format(record).split("\n", 1)
        return " | ".join([message, *(line for text in traceback for line in _traceback(text) if line)])


class _JsonFormatter(JsonFormatter):
    """Texts without control characters and secrets; a traceback keeps its lines."""

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        return {
            key: value
            if not isinstance(value, str)
            else "\n".join(_traceback(value))
            if key in ("exc_info", "stack_info")
            else error_text(value, MAX_RECORD)
            for key, value in super().process_log_record(log_data).items()
        }


def _text() -> logging.Formatter:
    formatter = _TextFormatter("%(asctime)sZ %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    return formatter


def _json() -> logging.Formatter:
    return _JsonFormatter(
        ["levelname", "name", "message"],
        rename_fields={"levelname": "level", "name": "logger"},
        reserved_attrs=[*RESERVED_ATTRS, *_KOPF_ATTRS],
        timestamp=True,
    )


def _not_said_twice(record: logging.LogRecord) -> bool:
    """False for what kopf says about the API server's failures, which watch.py and lifecycle.py say in one line.

    kopf logs each of eight attempts as an error, and the end of each of its tasks with the traceback.
    """
    if not record.name.startswith("kopf."):
        return True
    error = record.exc_info[1] if record.exc_info else None
    of_the_api_server = error is not None and type(error).__module__.partition(".")[0] in ("kopf", "aiohttp")
    return not (of_the_api_server or str(record.msg).startswith("Request attempt"))


def _not_about_signals(record: logging.LogRecord) -> bool:
    """Off the main thread, as in the demo, kopf warns that it does not see signals; they are not its business."""
    return "OS signals are ignored" not in record.getMessage()
