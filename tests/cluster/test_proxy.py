"""HTTPS_PROXY, HTTP_PROXY and NO_PROXY: what goes through a proxy and what does not, as the proxy's log has it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
import yaml

# Private: what kopf makes of what it is given.
from kopf._cogs.clients.auth import APIContext
from kubernetes.client import VersionApi

from mfa_operator.kube.connection import ConnectionSettingsError, connect
from mfa_operator.process.watch import WatchContact, connection
from mfa_sandbox.aws import EmbeddedAws
from tests.controlplane import ControlPlane
from tests.fixtures.http_proxy import HttpProxy
from tests.fixtures.operator import Policies, StartOperator, eventually

POD_NAME = "kubernetes.default.svc"
"""Of the API server; nobody but the proxy resolves it here."""


@pytest.fixture
def proxy() -> Iterator[HttpProxy]:
    with HttpProxy(names={POD_NAME: "127.0.0.1"}) as running:
        yield running


def kubeconfig_for(host: str, of: Path, path: Path, **cluster: str) -> Path:
    """Another kubeconfig's like, whose server has this name."""
    content = yaml.safe_load(of.read_text())
    port = content["clusters"][0]["cluster"]["server"].rpartition(":")[2]
    content["clusters"][0]["cluster"] |= {"server": f"https://{host}:{port}"} | cluster
    path.write_text(yaml.safe_dump(content))
    return path


def ask_both_ways(kubeconfig: Path) -> list[str]:
    """The API server's version, asked by the official client and by kopf's; the error where there was no answer."""
    api, _ = connect(str(kubeconfig), None)

    async def ask_kopf() -> str:
        context = APIContext(connection(api, WatchContact("mfapolicies")))
        try:
            async with context.session.get(f"{context.server}/version") as answer:
                return str((await answer.json())["major"])
        finally:
            await context.close()

    def ask_client() -> str:
        return str(VersionApi(api).get_code().major)

    answers = []
    with api:
        for ask in (ask_client, lambda: asyncio.run(ask_kopf())):
            try:
                answers.append(ask())
            except (urllib3.exceptions.HTTPError, OSError) as error:
                answers.append(type(error).__name__)
    return answers


@pytest.mark.parametrize(
    ("host", "no_proxy"),
    [
        ("localhost", "localhost"),
        ("localhost", "example.org, localhost"),
        ("localhost", "localhost:{port}"),
        ("localhost", "*"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "10.0.0.0/8,127.0.0.0/8"),
        ("127.0.0.1", "[fd00:ec2::23],127.0.0.1:{port}"),
    ],
)
def test_no_proxy_holds_for_both_clients(
    control_plane: ControlPlane,
    service_account: Path,
    proxy: HttpProxy,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    host: str,
    no_proxy: str,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", no_proxy.format(port=control_plane.url.rpartition(":")[2]))
    assert ask_both_ways(kubeconfig_for(host, service_account, tmp_path / "config")) == ["1", "1"]
    assert proxy.log == []


@pytest.mark.parametrize("no_proxy", [".svc", "default.svc", POD_NAME])
def test_a_suffix_in_no_proxy_holds_for_both_clients(
    service_account: Path, proxy: HttpProxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, no_proxy: str
) -> None:
    """The name leads nowhere without the proxy: no answer, and no word to the proxy."""
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    answers = ask_both_ways(kubeconfig_for(POD_NAME, service_account, tmp_path / "config"))
    assert [answer.isdigit() for answer in answers] == [False, False]
    assert proxy.log == []


@pytest.mark.parametrize("no_proxy", ["", "vc", "10.0.0.0/8,example.org", "[fd00:ec2::23]"])
def test_what_no_proxy_does_not_name_goes_through_the_proxy(
    service_account: Path, proxy: HttpProxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, no_proxy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert ask_both_ways(kubeconfig_for(POD_NAME, service_account, tmp_path / "config")) == ["1", "1"]
    assert [line.split()[0] for line in proxy.log] == ["CONNECT", "CONNECT"]


def test_the_proxy_of_a_kubeconfig(service_account: Path, proxy: HttpProxy, tmp_path: Path) -> None:
    kubeconfig = kubeconfig_for(POD_NAME, service_account, tmp_path / "config", **{"proxy-url": proxy.url})
    assert ask_both_ways(kubeconfig) == ["1", "1"]
    assert len(proxy.log) == 2


def test_a_proxy_with_a_password_and_without_a_scheme(
    service_account: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with HttpProxy(names={POD_NAME: "127.0.0.1"}, user="mfa:p@ss") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"mfa:p%40ss@{proxy.address}")
        assert ask_both_ways(kubeconfig_for(POD_NAME, service_account, tmp_path / "config")) == ["1", "1"]
        assert [line.split()[-1] for line in proxy.log] == ["200", "200"]


@pytest.mark.parametrize(
    ("proxy_url", "message"),
    [
        ("socks5://user:secret@proxy.example.org:1080", "socks5://proxy.example.org:1080 .* only http:// and https://"),
        ("http://proxy.example.org:port", "invalid"),
        ("http://", "cannot be used"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_an_error_at_the_start(
    service_account: Path, monkeypatch: pytest.MonkeyPatch, proxy_url: str, message: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy_url)
    monkeypatch.setenv("NO_PROXY", "")
    with pytest.raises(ConnectionSettingsError, match=message) as raised:
        connect(str(service_account), None)
    assert "secret" not in str(raised.value)


def test_an_operator_whose_proxy_is_for_aws_alone(
    control_plane: ControlPlane, start_operator: StartOperator, policies: Policies, aws: EmbeddedAws
) -> None:
    """As the chart's `proxy` sets it: the API server by its IP address in NO_PROXY, and a proxy that refuses it."""
    account = aws.world.account("111122223333")
    account.user("alice", password=True)
    aws_port, server = aws.endpoint_url.rpartition(":")[2], control_plane.url.removeprefix("https://")
    with HttpProxy(names={"aws.example.org": "127.0.0.1"}, refuse=re.escape(server)) as proxy:
        environment = {
            "HTTPS_PROXY": proxy.url,
            "HTTP_PROXY": proxy.url,
            "NO_PROXY": "127.0.0.1,169.254.170.23",
            "AWS_ENDPOINT_URL": f"http://aws.example.org:{aws_port}",
        }
        operator = start_operator(environment=environment)
        policies.apply("p", accounts=[{"id": account.id, "roleArn": account.role_arn}], interval="24h")
        assert policies.wait_for_pass("p")["summary"]["violating"] == 1
        # Only the watch tells of an edit.
        policies.apply("p", accounts=[{"id": account.id, "roleArn": account.role_arn}], interval="23h")
        policies.wait_for_pass("p")
        assert proxy.asked_for("aws.example.org")
        assert not proxy.asked_for(server)
        assert "ERROR" not in operator.log


def test_an_operator_whose_proxy_is_for_the_api_server_alone(
    start_operator: StartOperator, policies: Policies, aws: EmbeddedAws, service_account: Path, tmp_path: Path
) -> None:
    account = aws.world.account("111122223333")
    account.user("alice", password=True)
    with HttpProxy(names={POD_NAME: "127.0.0.1"}) as proxy:
        environment = {"HTTPS_PROXY": proxy.url, "HTTP_PROXY": proxy.url, "NO_PROXY": "127.0.0.1"}
        start_operator(
            environment=environment, kubeconfig=kubeconfig_for(POD_NAME, service_account, tmp_path / "kubeconfig")
        )
        policies.apply("p", accounts=[{"id": account.id, "roleArn": account.role_arn}], interval="24h")
        assert policies.wait_for_pass("p")["summary"]["violating"] == 1
        policies.apply("p", accounts=[{"id": account.id, "roleArn": account.role_arn}], interval="23h")
        policies.wait_for_pass("p")
        assert proxy.asked_for(POD_NAME)
        assert not proxy.asked_for(aws.endpoint_url.removeprefix("http://"))


def test_a_proxy_that_refuses_the_api_server(
    start_operator: StartOperator, service_account: Path, tmp_path: Path
) -> None:
    with HttpProxy(names={POD_NAME: "127.0.0.1"}, refuse="svc") as proxy:
        operator = start_operator(
            environment={"HTTPS_PROXY": proxy.url, "NO_PROXY": ""},
            kubeconfig=kubeconfig_for(POD_NAME, service_account, tmp_path / "kubeconfig"),
            wait=False,
        )
        eventually(lambda: len(proxy.log) > 3, "the operator has asked again")
        assert operator.terminate() == 0
    assert f"through the proxy {proxy.url}" in operator.log
    problems = [line for line in operator.log.splitlines() if re.search("WARNING|ERROR", line)]
    assert len(problems) == 1
    assert "proxy" in problems[0]
    assert "403" in problems[0]
