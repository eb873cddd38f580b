"""An answer that comes a byte at a time ends by the time allowed for all of it, at AWS and at the API server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError
from kubernetes.client import ApiClient

from mfa_operator.aws.clients import CLIENT_CONFIG
from mfa_operator.aws.errors import TimedOut
from mfa_operator.aws.sessions import Sessions
from mfa_operator.kube.connection import connect, own_connections
from mfa_operator.kube.requests import NO_ANSWER, POLICIES, CallFailed, KubernetesCalls
from tests.fixtures.trickle import HEADERS, TricklingServer, trickling

KEYS: dict[str, Any] = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "x", "region_name": "us-east-1"}


@pytest.fixture(params=[b"HTTP/1.1 200 OK\r\nX-Header: ", HEADERS], ids=["headers", "body"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[TricklingServer]:
    """Its bytes come often enough for every read; all together may take a fifth of a second."""
    monkeypatch.setattr("mfa_operator.http_deadline.ANSWER_SECONDS", 0.2)
    with trickling(request.param) as started:
        yield started


@pytest.fixture
def sessions(server: TricklingServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sessions]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    config = CLIENT_CONFIG.merge(Config(retries={"total_max_attempts": 2}))
    made = Sessions(session=boto3.Session(**KEYS), config=config)
    yield made
    made.close()


def test_a_call_of_aws_ends(server: TricklingServer, sessions: Sessions) -> None:
    with pytest.raises(TimedOut) as failed:
        sessions.own_identity("aws")
    assert failed.value.code == ReadTimeoutError.__name__
    assert server.requests == 2


def test_fetching_credentials_ends_too(
    server: TricklingServer, sessions: Sessions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """botocore makes the client for it by itself."""
    token = tmp_path / "token"
    token.write_text("token")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/operator")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(ReadTimeoutError):
        boto3.Session(region_name="us-east-1").client("sts").get_caller_identity()
    assert server.requests == 1


@pytest.mark.parametrize("use", [lambda api: api, own_connections], ids=["usual", "of the Lease"])
def test_a_request_to_the_api_server_ends(
    server: TricklingServer, tmp_path: Path, use: Callable[[ApiClient], ApiClient]
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    entry = {"name": "x"}
    content = {
        "clusters": [{**entry, "cluster": {"server": server.url}}],
        "users": [{**entry, "user": {}}],
        "contexts": [{**entry, "context": {"cluster": "x", "user": "x"}}],
        "current-context": "x",
    }
    kubeconfig.write_text(yaml.safe_dump(content))
    api, _ = connect(str(kubeconfig), None)
    with pytest.raises(CallFailed) as failed:
        KubernetesCalls(use(api)).get(POLICIES, "security", "p")
    assert failed.value.status == NO_ANSWER
    assert server.requests == 1
