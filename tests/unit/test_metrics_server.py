"""The metrics port when the process runs short of what it needs, and when clients behave badly."""

from __future__ import annotations

import errno
import logging
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from urllib.request import urlopen
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from prometheus_client import CollectorRegistry, make_wsgi_app

from mfa_operator.metrics import server
from mfa_operator.metrics.server import MetricsServer


class Exhausted(socket.socket):
    """Accepts nothing, as without a file descriptor."""

    def accept(self) -> tuple[socket.socket, object]:
        raise OSError(errno.EMFILE, "Too many open files")


def listening(kind: type[socket.socket]) -> socket.socket:
    made = kind(socket.AF_INET, socket.SOCK_STREAM)
    made.bind(("127.0.0.1", 0))
    made.listen()
    return made


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Released at each pause, which lasts no time."""
    counted = threading.Semaphore(0)
    monkeypatch.setattr("mfa_operator.metrics.server.time.sleep", lambda _: counted.release())
    return counted


def test_it_pauses_where_no_connection_can_be_accepted(pauses: threading.Semaphore) -> None:
    metrics = MetricsServer(make_wsgi_app(CollectorRegistry()), listening(Exhausted))
    try:
        with socket.create_connection(("127.0.0.1", metrics.port)):
            assert pauses.acquire(timeout=10)
            assert pauses.acquire(timeout=10)
    finally:
        metrics.close()


def test_a_client_that_says_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert server._Handler.timeout == server.REQUEST_SECONDS
    monkeypatch.setattr(server._Handler, "timeout", 0.1)
    metrics = MetricsServer(make_wsgi_app(CollectorRegistry()), listening(socket.socket))
    try:
        with socket.create_connection(("127.0.0.1", metrics.port), timeout=10) as client:
            assert client.recv(1) == b""
    finally:
        metrics.close()


REQUEST = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
RESET = struct.pack("ii", 1, 0)
"""Of SO_LINGER: a close sends RST."""


@pytest.fixture
def serving() -> Iterator[MetricsServer]:
    served = MetricsServer(make_wsgi_app(CollectorRegistry()), listening(socket.socket))
    yield served
    served.close()


def connect(served: MetricsServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), timeout=10)


def test_connections_held_open_do_not_keep_prometheus_out(
    serving: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor do they take more threads than there are for them: the oldest is cut off."""
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 3)
    held = [connect(serving) for _ in range(3)]
    with urlopen(f"http://127.0.0.1:{serving.port}/metrics", timeout=10) as answer:
        assert answer.status == 200
    assert held[0].recv(1) == b""
    for still in held[1:]:
        still.sendall(REQUEST)
        assert still.recv(15) == b"HTTP/1.0 200 OK"
    for each in held:
        each.close()


def test_a_client_that_hangs_up_writes_nothing_into_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Port scanners and TCP probes do; a traceback each would also break a log in JSON."""

    def endless(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [bytes(50_000_000)]

    ended = threading.Semaphore(0)
    shutdown = server._Server.shutdown_request

    def and_say(self: server._Server, request: socket.socket) -> None:
        shutdown(self, request)
        ended.release()

    monkeypatch.setattr(server._Handler, "timeout", 0.1)
    monkeypatch.setattr(server._Server, "shutdown_request", and_say)
    serving = MetricsServer(endless, listening(socket.socket))
    silent, half, unread, probe = (connect(serving) for _ in range(4))
    half.sendall(REQUEST[:20])
    unread.sendall(REQUEST)
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    probe.close()
    assert [ended.acquire(timeout=10) for _ in range(4)] == [True] * 4
    for each in (silent, half, unread):
        each.close()
    serving.close()
    assert caplog.records == []
    assert capfd.readouterr().err == ""


def test_a_fault_of_the_metrics_is_logged(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    def faulty(_: WSGIEnvironment, __: StartResponse) -> Iterable[bytes]:
        raise ZeroDivisionError

    serving = MetricsServer(faulty, listening(socket.socket))
    with connect(serving) as client:
        client.sendall(REQUEST)
        assert client.recv(12) == b"HTTP/1.0 500"
    serving.close()
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info
    assert capfd.readouterr().err == ""
