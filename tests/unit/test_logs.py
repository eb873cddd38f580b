"""What the process logs: one line a record, in the form asked for, and never what libraries would give away."""

from __future__ import annotations

import io
import json
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import kopf
import pytest
from kopf._core.actions.loggers import ObjectLogger

from mfa_operator.config.settings import LogSettings
from mfa_operator.process import logs

Level = Any


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Whatever a test sets up is gone after it."""
    root = logging.getLogger()
    names = [None, *logs.SECRETIVE, *logs.CHATTY]
    levels = {name: logging.getLogger(name).level for name in names}
    handlers = list(root.handlers)
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def configured(monkeypatch: pytest.MonkeyPatch, form: Any = "text", level: Level = "info") -> io.StringIO:
    """Log to memory as to stderr."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure(LogSettings(format=form, level=level))
    return stream


def test_text_tells_time_in_utc_level_origin_and_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    stream = configured(monkeypatch)
    record = logging.makeLogRecord({"name": "mfa_operator.x", "levelname": "INFO", "levelno": 20, "msg": "hello"})
    record.created = 0.0
    logging.getLogger("mfa_operator.x").handle(record)
    monkeypatch.undo()
    time.tzset()
    assert stream.getvalue() == "1970-01-01T00:00:00Z INFO    mfa_operator.x: hello\n"


def test_json_is_one_object_a_line_with_extras_and_tracebacks(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = configured(monkeypatch, "json")
    try:
        raise ValueError("of two\nlines")
    except ValueError:
        logging.getLogger("mfa_operator.x").exception("it failed", extra={"policy": "security/console-mfa"})
    (line,) = stream.getvalue().splitlines()
    found = json.loads(line)
    assert (found["level"], found["logger"], found["message"]) == ("ERROR", "mfa_operator.x", "it failed")
    assert (found["policy"], found["timestamp"][-6:]) == ("security/console-mfa", "+00:00")
    assert "ValueError: of two" in found["exc_info"]


HOSTILE = "team\n2026-01-01T00:00:00Z INFO    mfa_operator.x: forged\x1b[2K\r\u202e \x9b31m http://me:pw@proxy:3128"
"""A name that tries to write a record of its own, to erase the line, to turn text around, and to show a password."""


@pytest.mark.parametrize("form", ["text", "json"])
def test_whatever_a_name_holds_a_record_is_one_visible_line(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    stream = configured(monkeypatch, form)
    logging.getLogger("mfa_operator.x").warning("account %s", HOSTILE, extra={"account_name": HOSTILE})
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logging.getLogger("mfa_operator.x").exception("it failed", stack_info=True)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert all(line.isprintable() and "pw" not in line for line in lines)
    assert all("ValueError: team" in line for line in lines[1:])
    if form == "json":
        texts = [text for line in lines for value in json.loads(line).values() for text in value.splitlines()]
        assert all(text.isprintable() for text in texts)


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_record_is_longer_than_a_collector_takes(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    stream = configured(monkeypatch, form)
    try:
        raise ValueError("word " * 100_000)
    except ValueError:
        logging.getLogger("mfa_operator.x").exception("text " * 100_000)
    assert len(stream.getvalue()) < 20_000


def test_kopfs_settings_are_in_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = configured(monkeypatch, "json")
    body = kopf.Body({"metadata": {"name": "console-mfa"}})
    ObjectLogger(body=body, settings=kopf.OperatorSettings()).warning("a warning")
    assert json.loads(stream.getvalue()).keys() == {"timestamp", "level", "logger", "message"}


@pytest.mark.parametrize("level", ["debug", "info"])
def test_what_may_hold_credentials_is_never_logged(monkeypatch: pytest.MonkeyPatch, level: Level) -> None:
    stream = configured(monkeypatch, level=level)
    for name in ("botocore.endpoint", "botocore.parsers", "urllib3.connectionpool", "kubernetes.client.rest"):
        logging.getLogger(name).debug("AccessKeyId: ASIA...")
    assert stream.getvalue() == ""


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("info", 2), ("warning", 2), ("error", 1)])
def test_the_level_holds_for_ours_and_debug_opens_the_watch_up(
    monkeypatch: pytest.MonkeyPatch, level: Level, count: int
) -> None:
    stream = configured(monkeypatch, level=level)
    kopfs = logging.getLogger("kopf.objects")
    kopfs.debug("patching")
    kopfs.info("Handler 'policy_event' succeeded.")
    kopfs.warning("retrying")
    logging.getLogger("mfa_operator.x").error("failed")
    assert len(stream.getvalue().splitlines()) == count


def test_kopf_may_not_warn_of_signals_that_are_not_its_business(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = configured(monkeypatch)
    kopfs = logging.getLogger("kopf._core.reactor.running")
    kopfs.warning("OS signals are ignored: running not in the main thread.")
    kopfs.warning("another warning")
    assert len(stream.getvalue().splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "message", "error", "said"),
    [
        ("kopf._cogs.clients.watching", "Request attempt #1/9 failed; will retry: %s", None, False),
        ("kopf._core.reactor.orchestration", "Watcher for %s has failed", aiohttp.ClientError("refused"), False),
        ("kopf._core.reactor.orchestration", "Watcher for %s has failed", ValueError("a bug"), True),
        ("mfa_operator.process.watch", "Request attempt %s", None, True),
    ],
)
def test_what_the_watch_says_kopf_does_not_say_again(
    monkeypatch: pytest.MonkeyPatch, name: str, message: str, error: Exception | None, said: bool
) -> None:
    """At debug it does."""
    for level, expected in (("info", said), ("debug", True)):
        stream = configured(monkeypatch, level=level)
        logging.getLogger(name).error(message, "x", exc_info=error)
        assert bool(stream.getvalue()) is expected
