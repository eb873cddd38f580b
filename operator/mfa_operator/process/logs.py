"""Logging of the process: text for people, JSON for collectors; to stderr."""

from __future__ import annotations

import logging
import sys
import time

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from mfa_operator.config.settings import LogSettings

SECRETIVE = ("boto3", "botocore", "s3transfer", "urllib3", "kubernetes", "aiohttp", "stamina")
"""At debug, stamina at warning, these log whole requests, answers or arguments, temporary AWS credentials among them:
they never may."""

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
        logging.getLogger(name).setLevel(max(logging.ERROR if name == "stamina" else logging.WARNING, root.level))
    for name, level in CHATTY.items():
        logging.getLogger(name).setLevel(root.level if settings.level == "debug" else max(level, root.level))
    logging.getLogger("kopf._core.reactor.running").addFilter(_not_about_signals)
    logging.captureWarnings(True)


def flush() -> None:
    """Write out what is held back, before an end of the process that runs no exit handlers."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def _text() -> logging.Formatter:
    formatter = logging.Formatter("%(asctime)sZ %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    return formatter


def _json() -> logging.Formatter:
    return JsonFormatter(
        ["levelname", "name", "message"],
        rename_fields={"levelname": "level", "name": "logger"},
        reserved_attrs=[*RESERVED_ATTRS, *_KOPF_ATTRS],
        timestamp=True,
    )


def _not_said_twice(record: logging.LogRecord) -> bool:
    """False for what kopf says about the API server's failures, which watch.py and operator.py say in one line.

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
