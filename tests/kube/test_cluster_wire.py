"""What the operator's client does on the wire: how long it waits, and which answers are none."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from mfa_operator.kube import requests
from mfa_operator.kube.cluster import Cluster, ClusterError, ClusterUnavailable
from mfa_operator.kube.connection import connect
from mfa_operator.kube.reader import MAX_RESTARTS
from tests.kube.operations import REF, TRIES
from tests.kube.scripted import NeverWaits, Reply, ScriptedServer

Scripted = Callable[..., tuple[Cluster, ScriptedServer, NeverWaits]]


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Scripted]:
    """Starts a scripted server; gives the cluster that is connected to it, the server, and what was waited."""
    with ExitStack() as opened:

        def start(*script: Reply) -> tuple[Cluster, ScriptedServer, NeverWaits]:
            server = opened.enter_context(ScriptedServer(list(script)))
            kubeconfig = tmp_path / "kubeconfig"
            url = f"http://127.0.0.1:{server.server_port}"
            config = {
                "clusters": [{"name": "scripted", "cluster": {"server": url}}],
                "contexts": [{"name": "scripted", "context": {"cluster": "scripted"}}],
                "current-context": "scripted",
            }
            kubeconfig.write_text(yaml.safe_dump(config))
            client, _ = connect(str(kubeconfig), None)
            opened.enter_context(client)
            waits = NeverWaits()
            return Cluster(client, reporting_instance="a", stopping=waits), server, waits

        yield start


class TestWaiting:
    def test_waits_double_have_jitter_and_end(self, scripted: Scripted) -> None:
        cluster, server, stop = scripted(Reply(503))
        for _ in range(2):
            with pytest.raises(ClusterUnavailable):
                cluster.get_policy(REF)
        assert server.requests == 2 * TRIES
        first, second = stop.waits[: TRIES - 1], stop.waits[TRIES - 1 :]
        for waits in (first, second):
            for wait, base in zip(waits, (0.5, 1.0, 2.0, 4.0), strict=True):
                assert base <= wait <= base + 0.5
        assert first != second

    @pytest.mark.parametrize("status", [429, 503])
    @pytest.mark.parametrize(("asked", "least", "most"), [("7", 7, 8), ("3600", 30, 31), ("soon", 0.5, 1)])
    def test_retry_after_is_heeded_in_bounds(
        self, scripted: Scripted, status: int, asked: str, least: float, most: float
    ) -> None:
        cluster, server, stop = scripted(Reply(status, {"Retry-After": asked}), Reply())
        assert list(cluster.list_policies(None)) == []
        assert server.requests == 2
        [wait] = stop.waits
        assert least <= wait <= most

    def test_a_server_that_never_answers_is_given_up(self, scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(requests, "TIMEOUT", (5.0, 0.05))
        cluster, server, _ = scripted(Reply(hang=True))
        with pytest.raises(ClusterUnavailable, match="ReadTimeoutError"):
            cluster.get_policy(REF)
        assert server.requests == TRIES

    def test_every_request_has_a_time_limit(self) -> None:
        connecting, reading = requests.TIMEOUT
        assert 0 < connecting <= 5
        assert 0 < reading <= 30

    @pytest.mark.parametrize(
        "reply",
        [
            Reply(headers={"Content-Length": "1000"}),
            Reply(body=b'{"metadata": {'),
            Reply(body=b"\xff\xfe"),
            Reply(headers={"Content-Type": "text/html"}, body=b"<h1>Log in first</h1>"),
            Reply(headers={"Content-Type": "image/png"}),
            Reply(body=b"[]"),
            Reply(body=b"{}"),
            Reply(body=b'{"kind": "Status", "metadata": {}, "message": "Log in first"}'),
            Reply(body=b'{"kind": "MfaPolicyList", "metadata": {}, "items": null}'),
            Reply(body=b'{"kind": "MfaPolicy", "metadata": {}}'),
            Reply(status=502, headers={"Content-Type": "text/html"}, body=b"<h1>Bad gateway</h1>"),
            Reply(status=500, body=json.dumps({"message": 7}).encode()),
            Reply(status=500, body=b"[]"),
        ],
        ids=[
            "cut off",
            "half JSON",
            "no text",
            "login page",
            "picture",
            "no object",
            "empty object",
            "another object",
            "no items",
            "no uid",
            "gateway",
            "odd status",
            "odd failure",
        ],
    )
    def test_an_answer_that_makes_no_sense_is_no_answer(self, scripted: Scripted, reply: Reply) -> None:
        cluster, server, _ = scripted(reply, reply, Reply())
        assert list(cluster.list_policies(None)) == []
        assert server.requests == 3

    def test_a_list_whose_second_page_always_expires_ends(self, scripted: Scripted) -> None:
        first_page = Reply(body=b'{"kind": "MfaPolicyList", "metadata": {"continue": "more"}, "items": []}')
        cluster, server, _ = scripted(*[first_page, Reply(410)] * 100)
        with pytest.raises(ClusterUnavailable, match="changed faster than they could be read"):
            list(cluster.list_policies(None))
        assert server.requests == 2 * (1 + MAX_RESTARTS)

    def test_a_redirect_is_not_followed(self, scripted: Scripted) -> None:
        cluster, server, _ = scripted(Reply(302, {"Location": "/elsewhere"}))
        with pytest.raises(ClusterError):
            cluster.get_policy(REF)
        assert server.requests == 1

    def test_fields_that_an_older_crd_drops_are_warned_of_once(
        self, scripted: Scripted, caplog: pytest.LogCaptureFixture
    ) -> None:
        cluster, _, _ = scripted(Reply(headers={"Warning": '299 - "unknown field \\"status.new\\""'}))
        for _ in range(2):
            list(cluster.list_policies(None))
        [record] = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert "status.new" in record.getMessage()
