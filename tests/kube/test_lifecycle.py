"""The operator's process over the embedded Kubernetes: what it starts with, what ends it, and how it stops."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3

from mfa_operator.api.objects import PolicyRef, requested_at
from mfa_operator.config.settings import ClusterSettings, LeaderSettings, ServerSettings, Settings
from mfa_operator.kube.cluster import Cluster
from mfa_operator.process import lifecycle
from mfa_operator.process.lifecycle import Listening, Operator
from mfa_operator.scheduling.due import PassEnd
from mfa_operator.scheduling.hints import Doubt
from mfa_operator.scheduling.lease_guard import LeaseGuard
from mfa_sandbox.kubernetes import EmbeddedKubernetes

Object = dict[str, Any]
Eventually = Callable[..., None]
NewPolicy = Callable[..., Object]

REF = PolicyRef("default", "console-mfa")


class Auditor:
    """Audits nothing, and remembers what it was asked."""

    def __init__(self) -> None:
        self.cluster: Cluster | None = None
        self.passes: list[tuple[PolicyRef, str]] = []
        self.forgotten: list[PolicyRef] = []
        self.hangs = threading.Event()
        """Set: forget() hangs, and with it the loop, until `released`."""
        self.released = threading.Event()

    def build(self, _settings: Settings, cluster: Cluster, *_parts: object, guard: LeaseGuard, **_: object) -> Auditor:
        guard.check_still_leading()
        self.cluster = cluster
        return self

    def run_pass(self, ref: PolicyRef, *, fresh: bool, cause: str) -> PassEnd:  # noqa: ARG002 - the protocol's
        assert self.cluster
        self.passes.append((ref, cause))
        body = self.cluster.get_policy(ref)
        if body is None:
            return PassEnd(0, "", None)
        due = datetime.now(UTC) + timedelta(hours=1)
        return PassEnd(body["metadata"]["generation"], requested_at(body), due)

    def run_accounts(self, ref: PolicyRef, doubts: Mapping[str, Doubt]) -> Mapping[str, frozenset[str] | None]:
        raise AssertionError(f"no events come in here: {ref} {doubts}")

    def covering(self, account_id: str) -> list[PolicyRef]:
        raise AssertionError(f"no events come in here: {account_id}")

    def hurry_account(self, ref: PolicyRef, account_id: str, users: frozenset[str], at: datetime) -> None:
        raise AssertionError(f"no events come in here: {ref} {account_id} {users} {at}")

    def refresh_organizations(self, account_id: str) -> None:
        raise AssertionError(f"no events come in here: {account_id}")

    def restore(self, body: Mapping[str, Any]) -> None:
        raise AssertionError(f"nothing has a status here: {body}")

    def forget(self, ref: PolicyRef) -> None:
        self.forgotten.append(ref)
        if self.hangs.is_set():
            self.released.wait(60)


class Running:
    """An operator in a thread of its own."""

    def __init__(self, settings: Settings, last_resort: Callable[[int], object] | None = None) -> None:
        self.auditor = Auditor()
        self.listening: queue.Queue[Listening] = queue.Queue()
        self.status: int | None = None
        self.operator = Operator(
            settings, reconciler=self.auditor.build, listening=self.listening.put, last_resort=last_resort
        )
        self.thread = threading.Thread(target=self._run, name="operator")
        self.thread.start()
        self._health = "http://{}:{}".format(*self.listening.get(timeout=30).health)

    def _run(self) -> None:
        self.status = self.operator.run()

    def probe(self, path: str) -> int:
        with urllib3.PoolManager(retries=False, timeout=5) as http:
            return http.request("GET", self._health + path).status

    def end(self) -> int | None:
        """The exit status, once run() has returned."""
        self.thread.join(30)
        assert not self.thread.is_alive()
        return self.status


@pytest.fixture
def settings(kube: EmbeddedKubernetes, tmp_path: Path) -> Settings:
    return Settings(
        cluster=ClusterSettings(kubeconfig=kube.write_kubeconfig(tmp_path / "kubeconfig")),
        leader=LeaderSettings(elect=False),
        servers=ServerSettings(metrics=("127.0.0.1", 0), health=("127.0.0.1", 0)),
    )


@pytest.fixture
def start(settings: Settings) -> Iterator[Callable[..., Running]]:
    """Starts an operator; keyword arguments replace ClusterSettings."""
    started: list[Running] = []

    def one(last_resort: Callable[[int], object] | None = None, **cluster: Any) -> Running:
        running = Running(replace(settings, cluster=replace(settings.cluster, **cluster)), last_resort)
        started.append(running)
        return running

    yield one
    for running in started:
        running.auditor.released.set()
        running.operator.stop()
        running.end()


def test_existing_and_new_are_audited_deleted_are_forgotten(
    kube: EmbeddedKubernetes, start: Callable[..., Running], new_policy: NewPolicy, eventually: Eventually
) -> None:
    """Policies that exist at the start, that come later, and that are deleted."""

    kube.apply(new_policy())
    running = start()
    eventually(lambda: running.auditor.passes == [(REF, "Created")], "the one that was there")
    eventually(lambda: running.probe("/readyz") == 200, "ready")
    kube.apply(new_policy("another"))
    eventually(lambda: running.auditor.passes[1:] == [(PolicyRef("default", "another"), "Created")], "another")
    kube.patch("mfapolicies", "default", "console-mfa", {"spec": {"interval": "5m"}})
    eventually(lambda: running.auditor.passes[2:] == [(REF, "SpecChanged")], "the edit")
    kube.delete("mfapolicies", "default", "console-mfa")
    eventually(lambda: running.auditor.forgotten == [REF], "the deletion")
    # What needs no rights beyond policies: neither namespaces nor definitions are looked at.
    assert {request.resource for request in kube.requests if request.verb in ("list", "watch")} == {"mfapolicies"}
    # Nothing of ours on anybody's object.
    body = kube.get("mfapolicies", "default", "another")
    assert body is not None
    assert body["metadata"].keys() & {"finalizers", "annotations"} == set()


def test_only_the_namespaces_that_it_is_told_are_served(
    kube: EmbeddedKubernetes, start: Callable[..., Running], new_policy: NewPolicy, eventually: Eventually
) -> None:
    for namespace in ("a", "b", "c"):
        kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    running = start(namespaces=("a", "b"))
    eventually(lambda: kube.requests.count(verb="watch", resource="mfapolicies") == 2, "kopf watches both")
    for namespace in ("c", "a", "b"):
        kube.apply(new_policy(), namespace=namespace)
    eventually(lambda: len(running.auditor.passes) == 2, "two passes")
    assert {ref.namespace for ref, _ in running.auditor.passes} == {"a", "b"}
    assert not any(
        request.call.namespace in ("", "c") for request in kube.requests if request.verb in ("list", "watch")
    )


def test_a_deletion_missed_by_the_watch_is_found_by_the_list(
    kube: EmbeddedKubernetes, start: Callable[..., Running], new_policy: NewPolicy, eventually: Eventually
) -> None:
    kube.apply(new_policy())
    running = start(resync=timedelta(seconds=0.5))
    eventually(lambda: len(running.auditor.passes) == 1, "the pass")
    kube.stop()
    kube.delete("mfapolicies", "default", "console-mfa")
    kube.expire_watches()
    kube.start()
    eventually(lambda: running.auditor.forgotten == [REF], "it is forgotten", within=30)


def test_without_the_crds_the_process_ends_with_a_reason(
    kube: EmbeddedKubernetes, start: Callable[..., Running], caplog: pytest.LogCaptureFixture
) -> None:
    kube.faults.add(verb="list", resource="mfapolicies", status=404, times=None)
    assert start().end() == 1
    assert "the cluster has no MfaPolicy CRD; apply the CRDs" in caplog.text


@pytest.mark.parametrize("status", [404, 422])
def test_a_watch_that_kopf_gives_up_on_ends_the_process(
    kube: EmbeddedKubernetes, start: Callable[..., Running], caplog: pytest.LogCaptureFixture, status: int
) -> None:
    kube.faults.add(verb="watch", resource="mfapolicies", status=status, times=None)
    assert start().end() == 1
    (error,) = (
        record for record in caplog.records if record.name == "mfa_operator.process.lifecycle" and record.levelno >= 40
    )
    assert error.getMessage().startswith("the watch of mfapolicies ended: ")


def test_stop_ends_it_in_order(start: Callable[..., Running], eventually: Eventually) -> None:
    running = start()
    eventually(lambda: running.probe("/readyz") == 200, "ready")
    running.operator.stop()
    assert (running.end(), running.operator.abandoned) == (0, [])


def test_a_loop_that_hangs_is_cut_off_after_an_order_to_stop(
    kube: EmbeddedKubernetes,
    start: Callable[..., Running],
    new_policy: NewPolicy,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lifecycle, "STOP_SECONDS", 0.1)
    cut_off: queue.Queue[int] = queue.Queue()
    kube.apply(new_policy())
    running = start(cut_off.put)
    eventually(lambda: len(running.auditor.passes) == 1, "the pass")
    eventually(lambda: kube.requests.count(verb="watch", resource="mfapolicies") == 1, "kopf watches")
    running.auditor.hangs.set()
    kube.delete("mfapolicies", "default", "console-mfa")
    eventually(lambda: running.auditor.forgotten == [REF], "the loop hangs")
    with pytest.raises(urllib3.exceptions.TimeoutError), urllib3.PoolManager(retries=False, timeout=0.5) as http:
        http.request("GET", running._health + "/healthz")
    running.operator.stop()
    assert cut_off.get(timeout=10) == 0


def test_a_stop_before_the_start_is_heard(settings: Settings) -> None:
    operator = Operator(settings, reconciler=Auditor().build)
    operator.stop()
    assert operator.run() == 0
