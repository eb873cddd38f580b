"""The metrics port when the process runs short of what it needs, and when clients behave badly."""

from __future__ import annotations

import errno
import socket
import threading

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
