"""kopf watches the embedded Kubernetes, through the end of its watches and an outage."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kopf
import pytest

from mfa_sandbox.kubernetes import EmbeddedKubernetes
from tests.kube.objects import Object

Eventually = Callable[..., None]

Seen = list[tuple[str | None, str, str]]


@pytest.fixture
def seen(
    kube: EmbeddedKubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> Iterator[Seen]:
    """What a small operator, in a thread with a loop of its own, has seen of policies: (type, name, interval)."""
    monkeypatch.setenv("KUBECONFIG", str(kube.write_kubeconfig(tmp_path / "kubeconfig")))
    registry = kopf.OperatorRegistry()
    events: Seen = []

    @kopf.on.event("mfa-operator.io", "v1alpha1", "mfapolicies", registry=registry)
    async def on_event(type: str | None, name: str | None, spec: kopf.Spec, **_: Any) -> None:  # noqa: A002  # kopf's name
        events.append((type, str(name), spec["interval"]))

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_kubeconfig(**kwargs)

    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True
    settings.posting.enabled = False
    ready, failures = threading.Event(), []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def operate() -> None:
        await kopf.operator(
            registry=registry,
            settings=settings,
            clusterwide=True,
            standalone=True,
            ready_flag=ready,
            stop_flag=stop,
        )

    def run() -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(operate())
        except Exception as error:  # noqa: BLE001  # told to the test below, whatever it was
            failures.append(error)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    thread = threading.Thread(target=run, name="kopf")
    thread.start()
    assert ready.wait(30)
    eventually(lambda: kube.requests.count(verb="watch", resource="mfapolicies") == 1, "kopf watches")
    yield events
    if thread.is_alive():
        loop.call_soon_threadsafe(stop.set)
    thread.join(30)
    assert not thread.is_alive()
    assert failures == []


def test_kopf_sees_what_there_is_and_what_happens(
    kube: EmbeddedKubernetes, seen: Seen, eventually: Eventually, new_policy: Callable[..., Object]
) -> None:
    kube.apply(new_policy())
    eventually(lambda: seen == [("ADDED", "console-mfa", "15m")], "created")

    kube.patch("mfapolicies", "default", "console-mfa", {"spec": {"interval": "5m"}})
    eventually(lambda: seen[1:] == [("MODIFIED", "console-mfa", "5m")], "changed")

    kube.delete("mfapolicies", "default", "console-mfa")
    eventually(lambda: seen[2:] == [("DELETED", "console-mfa", "5m")], "deleted")

    assert kube.requests.count(verb="patch") == 0
    assert kube.requests.count(verb="create", resource="mfapolicies") == 0


@pytest.mark.parametrize("how", ["drop", "cut", "expire", "outage"])
def test_kopf_goes_on_after_the_end_of_its_watch(
    kube: EmbeddedKubernetes, seen: Seen, eventually: Eventually, new_policy: Callable[..., Object], how: str
) -> None:
    kube.apply(new_policy("before"))
    eventually(lambda: ("ADDED", "before", "15m") in seen, "before")
    watches = kube.requests.count(verb="watch", resource="mfapolicies")

    match how:
        case "drop":
            assert kube.drop_watches() == 1
        case "cut":
            assert kube.drop_watches(abrupt=True) == 1
        case "expire":
            assert kube.expire_watches() == 1
        case "outage":
            kube.stop()
            kube.start()
    kube.apply(new_policy("after"))

    eventually(lambda: any(name == "after" for _, name, _ in seen), "after", within=30)
    assert kube.requests.count(verb="watch", resource="mfapolicies") > watches
